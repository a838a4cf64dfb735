"""RGMII (Reduced Gigabit Media Independent Interface, version 2.0): GMII and MII on half the pins, at double data rate.

Everything here is pairs: what a pin has in the first and in the second half of a clock cycle. What makes a pin of a
pair is the board's affair. TXC goes out as a pin like the others, delayed by some 2 ns so that its edges are where the
data stands.

At 100 and 10 Mb/s TXC is 25 and 2.5 MHz, and a nibble stays for both halves of it; TX_CTL has TX_ER in the second half
at every speed.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.mac.mii import NIBBLE_CYCLES
from hw.mac.speed import Speed

__all__ = ["RgmiiReceive", "RgmiiTransmit", "transmit_pins"]

_LONGEST = max(NIBBLE_CYCLES.values())


def transmit_pins(*, txd: int, en: int, er: int, speed: Speed, cycle: int) -> list[tuple[int, int, int]]:
    """TXC, TX_CTL and TXD in both halves of a cycle (golden function); ``cycle`` counts from that with the strobe."""
    cycles = NIBBLE_CYCLES.get(speed, 1)
    halves = []
    for half in range(2):
        high = 2 * cycle + half < cycles
        nibble = txd & 0xF if high or speed is not Speed.GIGABIT else txd >> 4
        halves.append((int(high), en if high else en ^ er, nibble))
    return halves


class RgmiiTransmit(wiring.Component):
    """Members
    -------
    txd, tx_en, tx_er, tx_strobe, tx_speed : ``In``
        As in ``hw.interfaces.GmiiSignature``.
    txc, tx_ctl : ``Out(2)``, td : ``Out(8)``
        Pairs, the first half lowest; registered.
    """

    txd: In(8)
    tx_en: In(1)
    tx_er: In(1)
    tx_strobe: In(1)
    tx_speed: In(Speed)
    txc: Out(2)
    tx_ctl: Out(2)
    td: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        before = Signal(range(_LONGEST))
        cycle = Signal.like(before)
        gigabit = Signal()
        high = Signal(2)
        m.d.comb += [
            cycle.eq(Mux(self.tx_strobe, 0, before + 1)),
            gigabit.eq(self.tx_speed == Speed.GIGABIT),
            high.eq(0b01),
        ]
        m.d.sync += before.eq(cycle)
        with m.Switch(self.tx_speed):
            for speed, cycles in NIBBLE_CYCLES.items():
                with m.Case(speed):
                    m.d.comb += high.eq(Cat(2 * cycle < cycles, 2 * cycle + 1 < cycles))
        m.d.sync += [
            self.txc.eq(high),
            self.tx_ctl.eq(Cat(Mux(half, self.tx_en, self.tx_en ^ self.tx_er) for half in high)),
            self.td.eq(Cat(self.txd[:4], Mux(gigabit, self.txd[4:], self.txd[:4]))),
        ]
        return m


class RgmiiReceive(wiring.Component):
    """In domain ``gmii_rx``.

    Members
    -------
    rx_ctl : ``In(2)``, rd : ``In(8)``
        Pairs: what was there at the rising and at the falling edge of RXC.
    rxd, rx_dv, rx_er : ``Out``
        As in ``hw.interfaces.GmiiSignature``; registered.
    """

    rx_ctl: In(2)
    rd: In(8)
    rxd: Out(8)
    rx_dv: Out(1)
    rx_er: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.gmii_rx += [
            self.rxd.eq(self.rd),
            self.rx_dv.eq(self.rx_ctl[0]),
            # Without a carrier the difference tells of carrier extend, which the MAC does not want.
            self.rx_er.eq(self.rx_ctl[0] & ~self.rx_ctl[1]),
        ]
        return m
