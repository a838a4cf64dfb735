"""EEPROM, PHY and pins (``hw.eeprom``, ``hw.eeprom_read``, ``hw.mdio``, ``hw.phy``, ``hw.pins``)."""

from collections.abc import Callable
from typing import Final

from hw.eeprom import WORDS, Microwire, image
from hw.mac.speed import Speed
from hw.mdio import CYCLES_PER_MDC, READ, WRITE
from hw.phy import PHY_ADDRESS, PhyModel
from hw.pins import read_back
from hw.registers import BY_NAME
from sim.model.events import Events
from sim.model.registers import RegisterWindow
from sim.model.timing import Timing

__all__ = ["Management"]

_EECD, _EERD, _MDIC, _CTRL, _CTRL_EXT = (BY_NAME[name] for name in ("EECD", "EERD", "MDIC", "CTRL", "CTRL_EXT"))
_FRAME_BITS: Final = 64
_EEPROM_READ: Final = 4
"""Cycles from EERD.START to DONE (``hw.eeprom_read.EepromReader``)."""
_NIBBLE: Final = 4


class Management:
    """``on_link`` is called when the link, its speed or the loopback of the PHY may have changed, ``on_done`` when a
    command of MDIC with INT_EN has been carried out, ``on_pins``, with bits 3:0, for each rise of SDP4 to SDP7 that
    GPI_EN asks for."""

    def __init__(
        self,
        events: Events,
        timing: Timing,
        window: RegisterWindow,
        *,
        mac_address: bytes,
        on_link: Callable[[], None],
        on_done: Callable[[], None],
        on_pins: Callable[[int], None],
    ) -> None:
        self._events = events
        self._timing = timing
        self._window = window
        self._on_link = on_link
        self._on_done = on_done
        self._on_pins = on_pins
        self._part = Microwire(image(mac_address))
        self._do = 1
        self.phy = PhyModel()
        self._phy_epoch = 0
        self._phy_in_reset = False
        self._linked = False
        self._mdic = 0
        self._mdic_busy = False
        self.phy.cable(True)
        self._settle()
        self._pins = 0
        self._shown = 0
        self._eerd_epoch = self._mdic_epoch = 0
        self.reset()
        window.on_read |= {"EECD": self._read_eecd, "EERD": self._read_eerd, "MDIC": self._read_mdic}
        window.on_write |= {"EECD": self._write_eecd, "EERD": self._write_eerd, "MDIC": self._write_mdic}

    def reset(self) -> None:
        """CTRL.RST. EEPROM, PHY and the pins' data outlive it, not their direction; a management frame on its way is
        finished and forgotten."""
        self._show_pins()
        self.forget_word()
        if not self._mdic_busy:
            self._mdic = 0
        self._mdic_epoch += 1

    def forget_word(self) -> None:
        """What EERD has read, or is reading, is forgotten: the NIC is about to read its EEPROM by itself."""
        self._eerd_epoch += 1
        self._eerd = 0

    @property
    def words(self) -> list[int]:
        """What the EEPROM holds."""
        words: list[int] = self._part.words
        return words

    # EEPROM

    def _write_eecd(self, number: int, value: int) -> None:
        self._do = self._part.pins(
            cs=int(bool(value & _EECD.mask("CS"))),
            sk=int(bool(value & _EECD.mask("SK"))),
            di=int(bool(value & _EECD.mask("DI"))),
        )

    def _read_eecd(self, number: int) -> int:
        granted = self._window["EECD"] & _EECD.mask("REQ")
        return _EECD.value(DO=self._do, GNT=int(bool(granted)), PRES=1)

    def _write_eerd(self, number: int, value: int) -> None:
        if value & _EERD.mask("START"):
            self._eerd_epoch += 1
            self._eerd &= ~_EERD.mask("DONE")
            word = _EERD["ADDR"].get(value) % WORDS
            self._events.at(self._events.now + _EEPROM_READ, self._eeprom_word, self._eerd_epoch, word)

    def _eeprom_word(self, epoch: int, word: int) -> None:
        if epoch == self._eerd_epoch:
            self._eerd = _EERD.value(DONE=1, DATA=self._part.words[word])

    def _read_eerd(self, number: int) -> int:
        return self._eerd

    # PHY

    def _write_mdic(self, number: int, value: int) -> None:
        if self._mdic_busy:
            return
        operation = _MDIC["OP"].get(value)
        self._mdic = value & _MDIC.mask("DATA", "REG", "PHY", "OP", "INT_EN")
        self._mdic_busy = True
        length = _FRAME_BITS * CYCLES_PER_MDC if operation in (READ, WRITE) else 0
        self._events.at(self._events.now + length + self._timing.mdic_end, self._end_mdic, self._mdic_epoch)

    def _end_mdic(self, epoch: int) -> None:
        value = self._mdic
        operation, register = _MDIC["OP"].get(value), _MDIC["REG"].get(value)
        answered = _MDIC["PHY"].get(value) == PHY_ADDRESS
        error = operation not in (READ, WRITE)
        if operation == READ:
            read = self.phy.read(register) if answered else 0xFFFF
            error = not answered
            value = value & ~_MDIC.mask("DATA") | read
        elif operation == WRITE and answered:
            before = self.phy.link
            self.phy.write(register, _MDIC["DATA"].get(value))
            self._relink(before)
        self._mdic_busy = False
        if epoch != self._mdic_epoch:
            self._mdic = 0
            return
        self._mdic = value | _MDIC.value(READY=1, ERROR=int(error))
        if value & _MDIC.mask("INT_EN"):
            self._on_done()

    def _read_mdic(self, number: int) -> int:
        return self._mdic

    def reset_phy(self, asserted: bool) -> None:
        """CTRL.PHY_RST, a level."""
        self._phy_in_reset = asserted
        if asserted:
            self.phy.reset()
            self._phy_epoch += 1
            self._set_link(False)
        else:
            self._settle()

    def _relink(self, before: bool) -> None:
        """After a write of a register of the PHY."""
        if self.phy.relinked:
            self._set_link(False)
            self._settle()
        elif self.phy.link != before:
            self._set_link(self.phy.link)
        else:
            self._on_link()

    def _settle(self) -> None:
        """A link takes its time."""
        self._phy_epoch += 1
        self._events.at(self._events.now + self._timing.phy_link, self._settled, self._phy_epoch)

    def _settled(self, epoch: int) -> None:
        if epoch == self._phy_epoch and not self._phy_in_reset:
            self._set_link(self.phy.link)

    def _set_link(self, linked: bool) -> None:
        self._linked = linked
        self._on_link()

    @property
    def link(self) -> bool:
        return self._linked

    @property
    def loopback(self) -> bool:
        return bool(self.phy.loopback) and not self._phy_in_reset

    @property
    def speed(self) -> Speed:
        return self.phy.speed or Speed.MEGABIT_10

    # Pins

    def write_pins(self, register: str, value: int) -> None:
        """CTRL or CTRL_EXT has been written: the data bits of SDP0 to SDP3, or SDP4 to SDP7."""
        if register == "CTRL":
            self._pins = self._pins & 0xF0 | _CTRL["SWDPIN"].get(value)
        else:
            self._pins = self._pins & 0x0F | _CTRL_EXT["SDP_DATA"].get(value) << _NIBBLE
        self._show_pins()

    def _show_pins(self) -> None:
        window = self._window
        direction = _CTRL["SWDPIO"].get(window["CTRL"]) | _CTRL_EXT["SDP_IODIR"].get(window["CTRL_EXT"]) << _NIBBLE
        shown = read_back(data=self._pins, direction=direction, pins=0)
        rises = shown & ~self._shown
        self._shown = shown
        enabled = rises >> _NIBBLE & _CTRL_EXT["GPI_EN"].get(window["CTRL_EXT"])
        if enabled:
            self._on_pins(enabled)

    def shown_pins(self, register: str) -> int:
        """The data bits as software reads them, in place."""
        if register == "CTRL":
            return _CTRL["SWDPIN"].put(self._shown & 0xF)
        return _CTRL_EXT["SDP_DATA"].put(self._shown >> _NIBBLE)
