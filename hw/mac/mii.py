"""The reconciliation sublayer's two halves: octets of the MAC on the pins of MII or GMII (IEEE 802.3 clauses 22.2 and
35.2; manual 8.6.2.2).

At 1 Gb/s an octet a cycle of 125 MHz passes TXD and RXD. At 100 and 10 Mb/s an octet is two nibbles on bits 3:0, the
lower one first, at 25 and 2.5 MHz.

To the wire there is no clock but ``sync``, 125 MHz: a nibble stays for 5 or 50 cycles, and a strobe says in which one
of them to take it. An RGMII output register makes TXC from that strobe and needs no clock to be switched; no MII pin
TX_CLK exists. From the wire everything runs at the PHY's RX_CLK, which is 125, 25 or 2.5 MHz.
"""

from collections.abc import Iterator

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from hw.mac.fcs import SFD
from hw.mac.speed import Speed

__all__ = ["NIBBLE_CYCLES", "MiiReceive", "MiiTransmit", "join_nibbles", "split_octets"]

NIBBLE_CYCLES = {Speed.MEGABIT_100: 5, Speed.MEGABIT_10: 50}
"""Cycles of 125 MHz that a nibble takes."""


def split_octets(octets: bytes) -> Iterator[int]:
    """Nibbles in the order of the wire (golden function of ``MiiTransmit``)."""
    for octet in octets:
        yield octet & 0xF
        yield octet >> 4


def join_nibbles(nibbles: list[int]) -> tuple[bytes, bool]:
    """Frame octets behind the start frame delimiter among the nibbles of one carrier, and whether half an octet is left
    over (golden function of ``MiiReceive``). The delimiter is found at any nibble, since a PHY may lose preamble."""
    for place in range(1, len(nibbles)):
        if nibbles[place - 1] | nibbles[place] << 4 == SFD:
            rest = nibbles[place + 1 :]
            octets = bytes(low | high << 4 for low, high in zip(rest[::2], rest[1::2], strict=False))
            return octets, bool(len(rest) % 2)
    return b"", False


class MiiTransmit(wiring.Component):
    """Octets to the pins.

    A new speed, or loopback, is taken over when neither the MAC nor the pins are in a frame, so no frame changes on its
    way.

    Members
    -------
    speed : ``In(Speed)``
        The speed wanted.
    loopback : ``In(1)``
        Keep the pins silent; ``looping`` tells when that is so.
    octet, octet_en, octet_er : ``In``
        ``txd``, ``tx_en`` and ``tx_er`` of the MAC.
    step : ``Out(1)``
        They have been taken and have to change.
    txd, tx_en, tx_er : ``Out``
        The pins, registered. Bits 7:4 of ``txd`` are 0 at 10 and 100 Mb/s.
    tx_strobe : ``Out(1)``
        The far end samples the pins at the end of this cycle: at 1 Gb/s always 1, else in the first cycle of a nibble.
    tx_speed : ``Out(Speed)``
        The speed of the pins.
    looping : ``Out(1)``
    """

    speed: In(Speed)
    loopback: In(1)
    octet: In(8)
    octet_en: In(1)
    octet_er: In(1)
    step: Out(1)
    txd: Out(8)
    tx_en: Out(1)
    tx_er: Out(1)
    tx_strobe: Out(1)
    tx_speed: Out(Speed, init=Speed.GIGABIT)
    looping: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        next_speed = Signal(Speed)
        left = Signal(range(max(NIBBLE_CYCLES.values())))  # cycles that the nibble still takes behind this one
        reload = Signal.like(left)
        fresh = Signal(init=1)  # first cycle of a nibble
        high = Signal()
        ends = Signal(init=1)  # ``left`` is 0
        gigabit = Signal()
        m.d.comb += [
            gigabit.eq(self.tx_speed == Speed.GIGABIT),
            self.step.eq(ends & (high | gigabit)),
            next_speed.eq(self.tx_speed),
        ]
        with m.If(self.step & ~self.octet_en & ~self.tx_en):
            m.d.comb += next_speed.eq(self.speed)
            m.d.sync += self.looping.eq(self.loopback)
        with m.Switch(next_speed):
            for speed, cycles in NIBBLE_CYCLES.items():
                with m.Case(speed):
                    m.d.comb += reload.eq(cycles - 1)
        m.d.sync += [
            self.tx_speed.eq(next_speed),
            left.eq(Mux(ends, reload, left - 1)),
            ends.eq(Mux(ends, reload == 0, left == 1)),
            fresh.eq(ends),
            high.eq((high ^ ends) & ~gigabit),
            self.tx_strobe.eq(fresh),
            self.txd.eq(Mux(gigabit, self.octet, self.octet.word_select(high, 4))),
            self.tx_en.eq(self.octet_en & ~self.looping),
            self.tx_er.eq(self.octet_er & ~self.looping),
        ]
        return m


class MiiReceive(wiring.Component):
    """Octets from the pins, in domain ``gmii_rx``.

    Members
    -------
    speed : ``In(Speed)``
        From a register of ``sync``; synchronised here, and taken over while there is no carrier.
    rxd, rx_dv, rx_er : ``In``
        The pins.
    octet, octet_dv, octet_er : ``Out``
        ``rxd``, ``rx_dv`` and ``rx_er`` for the MAC, which count in cycles with ``step``. Without a carrier every cycle
        is one.
    half : ``Out(1)``
        In the first cycle without a carrier: a nibble was left over.
    """

    speed: In(Speed)
    rxd: In(8)
    rx_dv: In(1)
    rx_er: In(1)
    octet: Out(8)
    octet_dv: Out(1)
    octet_er: Out(1)
    half: Out(1)
    step: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        nibbles = Signal()
        m.submodules.speed = FFSynchronizer(~self.speed[1], wanted := Signal(), o_domain="gmii_rx")
        with m.If(~self.rx_dv):
            m.d.gmii_rx += nibbles.eq(wanted)

        low, low_er = Signal(4), Signal()
        held = Signal()  # there is a lower nibble
        framed = Signal()  # the delimiter has told where octets begin
        m.d.comb += self.octet_dv.eq(self.rx_dv)
        with m.If(~nibbles):
            m.d.comb += [self.octet.eq(self.rxd), self.octet_er.eq(self.rx_er), self.step.eq(1)]
        with m.Else():
            m.d.gmii_rx += [low.eq(self.rxd[:4]), low_er.eq(self.rx_er)]
            m.d.comb += [
                self.octet.eq(Cat(low, self.rxd[:4])),
                self.octet_er.eq(self.rx_er | low_er),
                self.half.eq(~self.rx_dv & framed & held),
                self.step.eq(~self.rx_dv | held),
            ]
            with m.If(~self.rx_dv):
                m.d.gmii_rx += [held.eq(0), framed.eq(0)]
            with m.Elif(framed):
                m.d.gmii_rx += held.eq(~held)
            with m.Else():
                # Before the delimiter every two nibbles in sequence are looked at.
                m.d.gmii_rx += held.eq(1)
                with m.If(held & (self.octet == SFD)):
                    m.d.gmii_rx += [framed.eq(1), held.eq(0)]
        return m
