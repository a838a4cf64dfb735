"""UART: start bit, eight bits of data from the lowest on, stop bit (TIA-232-F's signals at the levels of a chip).

The baud rate need not divide the clock: an accumulator of ``2 ** 16`` parts of a bit counts, so that each edge is in
the cycle next to its time and no error adds up, in a byte or over many.
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["BaudRate", "UartReceiver", "UartTransmitter"]

_PART_BITS = 16
_DATA_BITS = 8
_FEWEST_CYCLES = 4
"""Cycles per bit below which a receiver would not find the middle of a bit."""


@dataclass(frozen=True, kw_only=True)
class BaudRate:
    """A baud rate and the clock, both in Hz, that it is made from.

    Raises ``ValueError`` if a bit is shorter than 4 cycles, or longer than 65536.
    """

    baud: float
    clock: float = 125e6

    def __post_init__(self) -> None:
        if not self.baud > 0 or not _FEWEST_CYCLES <= self.clock / self.baud <= 1 << _PART_BITS:
            raise ValueError(
                f"a bit takes {_FEWEST_CYCLES} to {1 << _PART_BITS} cycles, "
                f"not baud {self.baud!r} of clock {self.clock!r}"
            )

    @property
    def step(self) -> int:
        """Parts of a bit that pass in a cycle."""
        return round((1 << _PART_BITS) * self.baud / self.clock)

    @property
    def error(self) -> float:
        """By how much bits come too fast, as a share."""
        return self.step * self.clock / (1 << _PART_BITS) / self.baud - 1

    def edges(self, count: int) -> list[int]:
        """Cycles from the first edge of a transmission to the ends of its first ``count`` bits (golden function)."""
        return [-(-((number + 1) << _PART_BITS) // self.step) for number in range(count)]


def _check(rate: object) -> BaudRate:
    if not isinstance(rate, BaudRate):
        raise ValueError(f"rate must be a BaudRate, not {rate!r}")
    return rate


class UartTransmitter(wiring.Component):
    """Octets to the line.

    Parameters
    ----------
    rate : BaudRate

    Members
    -------
    i : ``In(stream.Signature(8))``
    tx : ``Out(1)``
        The line, registered; 1 between octets.
    """

    i: In(stream.Signature(8))
    tx: Out(1, init=1)

    def __init__(self, *, rate: BaudRate) -> None:
        self._rate = _check(rate)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        shift = Signal(_DATA_BITS + 2, init=(1 << _DATA_BITS + 2) - 1)
        left = Signal(range(_DATA_BITS + 3))  # bits, the one on the line included
        phase = Signal(_PART_BITS + 1)  # its top bit: a bit has ended
        m.d.comb += self.i.ready.eq(left == 0)
        m.d.sync += self.tx.eq(shift[0])
        with m.If(left == 0), m.If(self.i.valid):
            m.d.sync += [shift.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1))), left.eq(_DATA_BITS + 2)]
            m.d.sync += phase.eq(self._rate.step)
        with m.Else():
            m.d.sync += phase.eq(phase[:_PART_BITS] + self._rate.step)
            with m.If(phase[_PART_BITS]):
                m.d.sync += [shift.eq(Cat(shift[1:], Const(1, 1))), left.eq(left - 1)]
        return m


class UartReceiver(wiring.Component):
    """Octets from the line. Each bit is sampled in its middle, by its place behind the start bit's edge.

    Parameters
    ----------
    rate : BaudRate

    Members
    -------
    rx : ``In(1)``
        The line; synchronised here.
    octet : ``Out(8)``, valid : ``Out(1)``
        An octet has come in. It has to be taken in this cycle.
    framing_error : ``Out(1)``
        Together with ``valid``: there was no stop bit, so the octet is none. The next start bit is looked for when the
        line is 1 again.
    """

    rx: In(1, init=1)
    octet: Out(8)
    valid: Out(1)
    framing_error: Out(1)

    def __init__(self, *, rate: BaudRate) -> None:
        self._rate = _check(rate)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rx = FFSynchronizer(self.rx, line := Signal(init=1), init=1)
        phase = Signal(_PART_BITS + 1)
        number = Signal(range(_DATA_BITS + 2))
        shift = Signal(_DATA_BITS)
        m.d.sync += self.valid.eq(0)
        m.d.comb += self.octet.eq(shift)
        with m.FSM():
            with m.State("IDLE"):
                # Half a bit ahead: what overflows then is the middle of each bit.
                m.d.sync += [phase.eq((1 << _PART_BITS - 1) + self._rate.step), number.eq(0)]
                with m.If(~line):
                    m.next = "BITS"
            with m.State("BITS"):
                m.d.sync += phase.eq(phase[:_PART_BITS] + self._rate.step)
                with m.If(phase[_PART_BITS]):
                    m.d.sync += number.eq(number + 1)
                    with m.If(number == 0), m.If(line):  # too short for a start bit
                        m.next = "IDLE"
                    with m.Elif(number <= _DATA_BITS):
                        m.d.sync += shift.eq(Cat(shift[1:], line))
                    with m.Else():
                        m.d.sync += [self.valid.eq(1), self.framing_error.eq(~line)]
                        m.next = "RELEASE"
            with m.State("RELEASE"), m.If(line):
                m.next = "IDLE"
        return m
