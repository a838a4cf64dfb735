"""Speeds of the link as registers code them, and auto-speed detection from RX_CLK (manual 8.6.2.2.2, 13.4.1 CTRL.ASDE,
13.4.2 STATUS.SPEED and ASDV).

A PHY drives RX_CLK with 125, 25 or 2.5 MHz (IEEE 802.3 clauses 35.2.2.2 and 22.2.2.2), which tells the speed.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Out

__all__ = ["AutoSpeedDetection", "Speed", "detected_speed"]

_DIVIDER_BITS = 4
_TURN = 1 << _DIVIDER_BITS - 1
"""Cycles of RX_CLK between two changes of the divider's highest bit: 8, 40 or 400 of ``sync``."""

_GIGABIT_BELOW, _MEGABIT_100_BELOW = 16, 128
"""In cycles of ``sync`` per ``_TURN``: powers of two that lie between."""


class Speed(enum.IntEnum, shape=2):
    """A speed as in CTRL.SPEED, STATUS.SPEED and ASDV, and in registers 0 and 17 of the PHY."""

    MEGABIT_10 = 0b00
    MEGABIT_100 = 0b01
    GIGABIT = 0b10


def detected_speed(frequency: float) -> Speed:
    """What a frequency of RX_CLK, in MHz, is taken for, with ``sync`` at 125 MHz (golden function). Between the
    frequencies of the standard the limits are 62.5 and 7.8 MHz."""
    turn = _TURN * 125 / frequency
    if turn < _GIGABIT_BELOW:
        return Speed.GIGABIT
    return Speed.MEGABIT_100 if turn < _MEGABIT_100_BELOW else Speed.MEGABIT_10


class AutoSpeedDetection(wiring.Component):
    """Measures RX_CLK (domain ``gmii_rx``) all the time.

    Members
    -------
    speed : ``Out(Speed)``
        In ``sync``. It follows a change of RX_CLK within two turns: 800 cycles if the new clock is that of 10 Mb/s.
        A clock that stands still is taken for 10 Mb/s.
    """

    speed: Out(Speed, init=Speed.GIGABIT)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        divider = Signal(_DIVIDER_BITS)
        m.d.gmii_rx += divider.eq(divider + 1)
        m.submodules.divided = FFSynchronizer(divider[-1], divided := Signal())

        before = Signal()
        elapsed = Signal(range(_MEGABIT_100_BELOW + 1), init=1)
        m.d.sync += before.eq(divided)
        with m.If(divided != before):
            m.d.sync += elapsed.eq(1)
            with m.If(elapsed < _GIGABIT_BELOW):
                m.d.sync += self.speed.eq(Speed.GIGABIT)
            with m.Elif(elapsed < _MEGABIT_100_BELOW):
                m.d.sync += self.speed.eq(Speed.MEGABIT_100)
        with m.Elif(elapsed < _MEGABIT_100_BELOW):
            m.d.sync += elapsed.eq(elapsed + 1)
        with m.Else():
            m.d.sync += self.speed.eq(Speed.MEGABIT_10)
        return m
