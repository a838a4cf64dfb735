"""The built-in PHY: the management side of a copper gigabit PHY, for simulation and self-test (manual 13.4.7 and
chapter 11; IEEE 802.3 clause 22.2.4).

It answers on MDIO at PHY address 1 with the registers of ``REGISTERS``; a number that is not there reads 0 and cannot
be written. What works: reset, power-down, loopback, forced speed, auto-negotiation with one partner (``hw.phy_link``),
and the link and speed bits of registers 1 and 17. Registers 16, 20, 29 and 30 are only stored.
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.mac.speed import Speed
from hw.mdio import READ, WRITE, MdioSignature
from hw.phy_link import (
    ADVERTISEMENT,
    ADVERTISEMENT_BOOT,
    CONTROL,
    CONTROL_BOOT,
    GIGABIT_CONTROL,
    GIGABIT_CONTROL_BOOT,
    PARTNER,
    RESET,
    RESTART,
    LinkModel,
    LinkPartner,
    PhyLink,
)

__all__ = ["PHY_ADDRESS", "REGISTERS", "Phy", "PhyModel", "PhyRegister"]

PHY_ADDRESS = 1

_COUNT = 32
"""Registers, and bits of a frame without its preamble."""

_TURNAROUND, _LAST_BIT = 14, 31
"""Bits of a frame, counted from 0 without its preamble: the turnaround's first, and the last of data."""

_STATUS, _PARTNER, _GIGABIT_STATUS, _SPECIFIC_STATUS = 1, 5, 10, 17

_LINK, _COMPLETE = 2, 5
"""Bits of status: link, latched low until read; auto-negotiation complete."""

_SPEED, _RESOLVED, _REAL_TIME_LINK = 14, 11, 10
"""Bits of specific status; speed has two."""


@dataclass(frozen=True, kw_only=True)
class PhyRegister:
    """A register with its value after reset, and whether it can be written (all bits but those that clear)."""

    number: int
    name: str
    boot: int
    writable: bool = False


REGISTERS = (
    PhyRegister(number=CONTROL, name="control", boot=CONTROL_BOOT, writable=True),
    PhyRegister(number=_STATUS, name="status", boot=0x796D),
    PhyRegister(number=2, name="identifier, high", boot=0x0141),
    PhyRegister(number=3, name="identifier, low", boot=0x0C20),
    PhyRegister(number=ADVERTISEMENT, name="auto-negotiation advertisement", boot=ADVERTISEMENT_BOOT, writable=True),
    PhyRegister(number=_PARTNER, name="link partner ability", boot=PARTNER.base_page),
    PhyRegister(number=6, name="auto-negotiation expansion", boot=0x0007),
    PhyRegister(number=GIGABIT_CONTROL, name="1000BASE-T control", boot=GIGABIT_CONTROL_BOOT, writable=True),
    PhyRegister(number=_GIGABIT_STATUS, name="1000BASE-T status", boot=PARTNER.gigabit_status),
    PhyRegister(number=15, name="extended status", boot=0x3000),
    PhyRegister(number=16, name="specific control", boot=0x0360, writable=True),
    PhyRegister(number=_SPECIFIC_STATUS, name="specific status", boot=0xAC00),
    PhyRegister(number=20, name="extended specific control", boot=0x0D60, writable=True),
    PhyRegister(number=21, name="receive error count", boot=0x0000),
    PhyRegister(number=29, name="page of register 30", boot=0x0000, writable=True),
    PhyRegister(number=30, name="general", boot=0x0000, writable=True),
)
"""Numbers 5 and 10 as they are for ``PARTNER``, 17 as it is with a link of 1 Gb/s."""

_WRITABLE = sum(1 << item.number for item in REGISTERS if item.writable)


def _boot(partner: LinkPartner) -> list[int]:
    values = {item.number: item.boot for item in REGISTERS}
    values |= {_PARTNER: partner.base_page, _GIGABIT_STATUS: partner.gigabit_status}
    return [values.get(number, 0) for number in range(_COUNT)]


class PhyModel:
    """Golden model: its registers as management sees them. ``cable`` tells of each change of the medium."""

    def __init__(self, *, partner: LinkPartner = PARTNER) -> None:
        self._boot = _boot(partner)
        self._link = LinkModel(partner=partner)
        self.reset()

    def reset(self) -> None:
        """The reset pin, or the bit."""
        self._values = [*self._boot]
        self._link.reset()
        self._lost = True

    @property
    def link(self) -> bool:
        return self._link.link

    @property
    def speed(self) -> Speed | None:
        return self._link.speed

    @property
    def loopback(self) -> bool:
        return self._link.loopback

    @property
    def relinked(self) -> bool:
        """Whether the last call has made the link anew."""
        return self._link.relinked

    def cable(self, connected: bool) -> None:
        self._link.cable(connected)
        self._follow_link()

    def _follow_link(self) -> None:
        self._lost |= self._link.relinked or not self.link

    def read(self, number: int) -> int:
        """A register's value, and what reading it does."""
        value = self._values[number]
        if number == _STATUS:
            value &= ~(1 << _LINK | 1 << _COMPLETE)
            value |= (not self._lost) << _LINK | (self.link and self._link.negotiates) << _COMPLETE
            self._lost = not self.link
        elif number == _SPECIFIC_STATUS:
            value &= ~(0b11 << _SPEED | 1 << _RESOLVED | 1 << _REAL_TIME_LINK)
            if self.speed is not None and self.link:
                value |= self.speed << _SPEED | 1 << _RESOLVED | 1 << _REAL_TIME_LINK
        return value

    def write(self, number: int, value: int) -> None:
        if not _WRITABLE >> number & 1:
            return
        if number == CONTROL and value >> RESET & 1:
            self.reset()
            return
        self._values[number] = value & ~(1 << RESTART) if number == CONTROL else value
        self._link.write(number, value)
        self._follow_link()


class Phy(wiring.Component):
    """The PHY. Its registers outlive the NIC's resets.

    Parameters
    ----------
    partner : LinkPartner
        What the far end can do.

    Members
    -------
    bus : ``In(MdioSignature())``
        Its ``i`` is 1 while the PHY does not drive. MDC is high, and low, for at least 4 cycles at a time.
    reset : ``In(1)``
        The reset pin: while it is high, and 32 cycles longer, the PHY has no link, and no answer to MDIO.
    cable : ``In(1)``
        There is a partner at the far end.
    link : ``Out(1)``, speed : ``Out(Speed)``
        As those of ``PhyLink``.
    loopback : ``Out(1)``
        What the MAC sends is to come back to it, and not to go to the far end (clause 22.2.4.1.2).
    """

    bus: In(MdioSignature())
    reset: In(1)
    cable: In(1)
    link: Out(1)
    speed: Out(Speed)
    loopback: Out(1)

    def __init__(self, *, partner: LinkPartner = PARTNER) -> None:
        self._link = PhyLink(partner=partner)
        self._boot = _boot(partner)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The upper half keeps the values after reset, from where a reset copies them.
        m.submodules.memory = memory = Memory(
            shape=16, depth=2 * _COUNT, init=self._boot * 2, attrs={"ram_style": "block"}
        )
        write, read = memory.write_port(), memory.read_port()

        mdc_before = Signal()
        line = Signal()
        rises = Signal()
        m.d.sync += mdc_before.eq(self.bus.mdc)
        m.d.comb += [rises.eq(self.bus.mdc & ~mdc_before), line.eq(self.bus.o | ~self.bus.oe)]

        # A reset copies, one register a cycle.
        walk = Signal(range(_COUNT + 1), init=_COUNT)
        walking = Signal()
        copied, copied_number = Signal(), Signal(range(_COUNT))
        m.d.comb += walking.eq(walk != _COUNT)
        m.d.sync += [copied.eq(walking), copied_number.eq(walk)]
        with m.If(walking):
            m.d.sync += walk.eq(walk + 1)

        # Count of bits in a frame, from the first 0; edge n of MDC is the one at which bit n comes, and moves it on.
        count = Signal(range(_COUNT))
        shift = Signal(16)
        number = Signal(5)
        reading, writing = Signal(), Signal()
        fetch, fetched = Signal(), Signal()
        drive, output = Signal(), Signal()
        header = Cat(line, shift[:11])
        word = Cat(line, shift[:15])
        stored = Signal()
        m.d.comb += [
            self.bus.i.eq(output | ~drive),
            stored.eq(rises & writing & (count == _LAST_BIT) & Const(_WRITABLE, _COUNT).bit_select(number, 1)),
        ]
        m.submodules.link = link = self._link
        m.d.comb += [
            link.reset.eq(self.reset),
            link.cable.eq(self.cable),
            link.written.eq(stored),
            link.number.eq(number),
            link.value.eq(word),
            self.link.eq(link.link),
            self.speed.eq(link.speed),
            self.loopback.eq(link.loopback),
        ]

        unbroken = Signal()  # link since register 1 was last read
        m.d.sync += [fetch.eq(0), fetched.eq(fetch), unbroken.eq(unbroken & self.link)]
        with m.If(fetched & reading):
            m.d.sync += shift.eq(self._value(m, read.data, number, unbroken, link))
            with m.If(number == _STATUS):
                m.d.sync += unbroken.eq(self.link)
        with m.If(self.reset | walking):
            m.d.sync += [count.eq(0), drive.eq(0)]
        with m.Elif(rises):
            m.d.sync += count.eq(count + 1)
            with m.If(count != _TURNAROUND):
                m.d.sync += shift.eq(Cat(line, shift))
            with m.Switch(count):
                with m.Case(0):
                    m.d.sync += count.eq(~line)
                with m.Case(1):
                    m.d.sync += count.eq(Mux(line, 2, 0))
                with m.Case(_TURNAROUND - 1):
                    m.d.sync += [
                        number.eq(header[:5]),
                        reading.eq((header[10:] == READ) & (header[5:10] == PHY_ADDRESS)),
                        writing.eq((header[10:] == WRITE) & (header[5:10] == PHY_ADDRESS)),
                        fetch.eq(1),
                    ]
                with m.Case(_TURNAROUND):
                    m.d.sync += [drive.eq(reading), output.eq(0)]
                with m.Case(_LAST_BIT):
                    m.d.sync += [drive.eq(0), count.eq(0)]
                with m.Default():
                    m.d.sync += output.eq(shift[15])

        m.d.comb += [
            read.addr.eq(Mux(walking, Cat(walk[:5], 1), number)),
            write.en.eq(copied | stored),
            write.addr.eq(Mux(copied, copied_number, number)),
            write.data.eq(Mux(copied, read.data, word)),
        ]
        with m.If(stored & (number == CONTROL)):
            m.d.comb += write.data[RESTART].eq(0)
            with m.If(word[RESET]):
                m.d.sync += walk.eq(0)
        with m.If(self.reset):
            m.d.sync += walk.eq(0)
        return m

    def _value(self, m: Module, stored: Signal, number: Signal, unbroken: Signal, link: PhyLink) -> Signal:
        """What a register reads as."""
        value = Signal(16)
        m.d.comb += value.eq(stored)
        with m.If(number == _STATUS):
            m.d.comb += [value[_LINK].eq(unbroken), value[_COMPLETE].eq(link.link & link.negotiates)]
        with m.Elif(number == _SPECIFIC_STATUS):
            m.d.comb += [
                value[_SPEED : _SPEED + 2].eq(Mux(link.link, link.speed, 0)),
                value[_RESOLVED].eq(link.link),
                value[_REAL_TIME_LINK].eq(link.link),
            ]
        return value
