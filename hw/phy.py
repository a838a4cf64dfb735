"""The built-in PHY: the management side of a copper gigabit PHY, for simulation and self-test (manual 13.4.7 and
chapter 11; IEEE 802.3 clause 22.2.4).

It answers on MDIO at PHY address 1 with the registers of ``REGISTERS``; a number that is not there reads 0 and cannot
be written. Nothing is behind most of what can be written: auto-negotiation is over at once, always with the same
partner; loopback and forced speeds are only stored. What works: reset, power-down, restart of auto-negotiation, and
the link bits of registers 1 and 17.
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.mdio import READ, WRITE, MdioSignature

__all__ = ["PHY_ADDRESS", "REGISTERS", "Phy", "PhyModel", "PhyRegister"]

PHY_ADDRESS = 1

_COUNT = 32
"""Registers, and bits of a frame without its preamble."""

_TURNAROUND, _LAST_BIT = 14, 31
"""Bits of a frame, counted from 0 without its preamble: the turnaround's first, and the last of data."""

_CONTROL, _STATUS, _SPECIFIC_STATUS = 0, 1, 17

_RESET, _POWER_DOWN, _RESTART = 15, 11, 9
"""Bits of control."""

_LINK, _COMPLETE = 2, 5
"""Bits of status: link, latched low until read; auto-negotiation complete."""

_RESOLVED, _REAL_TIME_LINK = 11, 10
"""Bits of specific status."""


@dataclass(frozen=True, kw_only=True)
class PhyRegister:
    """A register with its value after reset, and whether it can be written (all bits but those that clear)."""

    number: int
    name: str
    boot: int
    writable: bool = False


REGISTERS = (
    PhyRegister(number=0, name="control", boot=0x1140, writable=True),
    PhyRegister(number=1, name="status", boot=0x796D),
    PhyRegister(number=2, name="identifier, high", boot=0x0141),
    PhyRegister(number=3, name="identifier, low", boot=0x0C20),
    PhyRegister(number=4, name="auto-negotiation advertisement", boot=0x0DE1, writable=True),
    PhyRegister(number=5, name="link partner ability", boot=0xC1E1),
    PhyRegister(number=6, name="auto-negotiation expansion", boot=0x0007),
    PhyRegister(number=9, name="1000BASE-T control", boot=0x0E00, writable=True),
    PhyRegister(number=10, name="1000BASE-T status", boot=0x3C00),
    PhyRegister(number=16, name="specific control", boot=0x0360, writable=True),
    PhyRegister(number=17, name="specific status", boot=0xAC00),
    PhyRegister(number=20, name="extended specific control", boot=0x0D60, writable=True),
    PhyRegister(number=21, name="receive error count", boot=0x0000),
    PhyRegister(number=29, name="page of register 30", boot=0x0000, writable=True),
    PhyRegister(number=30, name="general", boot=0x0000, writable=True),
)

_BOOT = [next((item.boot for item in REGISTERS if item.number == number), 0) for number in range(_COUNT)]
_WRITABLE = sum(1 << item.number for item in REGISTERS if item.writable)


class PhyModel:
    """Golden model: its registers as management sees them. ``cable`` tells of each change of the medium."""

    def __init__(self) -> None:
        self._cable = False
        self.reset()

    def reset(self) -> None:
        """The reset pin, or the bit."""
        self._values = [*_BOOT]
        self._lost = True

    @property
    def link(self) -> bool:
        return self._cable and not self._values[_CONTROL] >> _POWER_DOWN & 1

    def cable(self, connected: bool) -> None:
        self._cable = connected
        self._lost |= not self.link

    def read(self, number: int) -> int:
        """A register's value, and what reading it does."""
        value = self._values[number]
        if number == _STATUS:
            value &= ~(1 << _LINK | 1 << _COMPLETE)
            value |= (not self._lost) << _LINK | self.link << _COMPLETE
            self._lost = not self.link
        elif number == _SPECIFIC_STATUS and not self.link:
            value &= ~(1 << _RESOLVED | 1 << _REAL_TIME_LINK)
        return value

    def write(self, number: int, value: int) -> None:
        if not _WRITABLE >> number & 1:
            return
        if number != _CONTROL:
            self._values[number] = value
        elif value >> _RESET & 1:
            self.reset()
        else:
            self._values[number] = value & ~(1 << _RESTART)
            self._lost |= bool(value >> _RESTART & 1) or not self.link


class Phy(wiring.Component):
    """The PHY. Its registers outlive the NIC's resets.

    Members
    -------
    bus : ``In(MdioSignature())``
        Its ``i`` is 1 while the PHY does not drive. MDC is high, and low, for at least 4 cycles at a time.
    reset : ``In(1)``
        The reset pin: while it is high, and 32 cycles longer, the PHY has no link, and no answer to MDIO.
    cable : ``In(1)``
        There is a partner at the far end.
    link : ``Out(1)``
        Down without ``cable``, in power-down, and for some 32 cycles of reset or restarted auto-negotiation.
    """

    bus: In(MdioSignature())
    reset: In(1)
    cable: In(1)
    link: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # The upper half keeps the values after reset, from where a reset copies them.
        m.submodules.memory = memory = Memory(shape=16, depth=2 * _COUNT, init=_BOOT * 2, attrs={"ram_style": "block"})
        write, read = memory.write_port(), memory.read_port()

        mdc_before = Signal()
        line = Signal()
        rises = Signal()
        m.d.sync += mdc_before.eq(self.bus.mdc)
        m.d.comb += [rises.eq(self.bus.mdc & ~mdc_before), line.eq(self.bus.o | ~self.bus.oe)]

        # Reset and restart: both take the link down for a walk through the registers; reset copies on the way.
        walk = Signal(range(_COUNT + 1), init=_COUNT)
        walking = Signal()
        copying = Signal()
        copied, copied_number = Signal(), Signal(range(_COUNT))
        power_down = Signal()
        unbroken = Signal()  # link since register 1 was last read
        m.d.comb += [
            walking.eq(walk != _COUNT),
            self.link.eq(self.cable & ~power_down & ~walking & ~self.reset),
        ]
        m.d.sync += [
            copied.eq(walking & copying),
            copied_number.eq(walk),
            unbroken.eq(unbroken & self.link),
        ]
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
        m.d.sync += [fetch.eq(0), fetched.eq(fetch)]
        with m.If(fetched & reading):
            m.d.sync += shift.eq(self._value(m, read.data, number, unbroken))
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
        with m.If(stored & (number == _CONTROL)):
            m.d.comb += write.data[_RESTART].eq(0)
            m.d.sync += power_down.eq(word[_POWER_DOWN] & ~word[_RESET])
            with m.If(word[_RESET] | word[_RESTART]):
                m.d.sync += [walk.eq(0), copying.eq(word[_RESET])]
        with m.If(self.reset):
            m.d.sync += [walk.eq(0), copying.eq(1), power_down.eq(0)]
        return m

    def _value(self, m: Module, stored: Signal, number: Signal, unbroken: Signal) -> Signal:
        """What a register reads as."""
        value = Signal(16)
        m.d.comb += value.eq(stored)
        with m.If(number == _STATUS):
            m.d.comb += [value[_LINK].eq(unbroken), value[_COMPLETE].eq(self.link)]
        with m.Elif(number == _SPECIFIC_STATUS):
            m.d.comb += [value[_RESOLVED].eq(self.link), value[_REAL_TIME_LINK].eq(self.link)]
        return value
