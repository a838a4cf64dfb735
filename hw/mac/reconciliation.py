"""The reconciliation sublayer (IEEE 802.3 clauses 22.2.1 and 35.2.1): the MAC's octets to and from the pins, at any of
the three speeds, or from one half of the MAC to the other.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from hw.interfaces import GmiiSignature
from hw.mac.loopback import Loopback
from hw.mac.mii import MiiReceive, MiiTransmit
from hw.mac.speed import Speed

__all__ = ["Reconciliation"]


class Reconciliation(wiring.Component):
    """Between the halves of the MAC and the pins.

    Members
    -------
    speed : ``In(Speed)``, loopback : ``In(1)``
        Both take effect between two frames. With loopback nothing goes out to the pins, and what comes in from there is
        not received. A frame that comes while that changes is received whole or not at all.
    txd, tx_en, tx_er : ``In``
        Octets of ``MacTransmit``.
    tx_step : ``Out(1)``
        For it: they have been taken.
    rxd, rx_dv, rx_er, half, rx_step : ``Out``
        For ``MacReceive``, in ``gmii_rx``.
    gmii : ``Out(GmiiSignature())``
    """

    speed: In(Speed)
    loopback: In(1)
    txd: In(8)
    tx_en: In(1)
    tx_er: In(1)
    tx_step: Out(1)
    rxd: Out(8)
    rx_dv: Out(1)
    rx_er: Out(1)
    half: Out(1)
    rx_step: Out(1)
    gmii: Out(GmiiSignature())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.transmit = transmit = MiiTransmit()
        m.submodules.receive = receive = MiiReceive()
        m.submodules.loop = loop = Loopback()
        m.d.comb += [
            transmit.speed.eq(self.speed),
            transmit.loopback.eq(self.loopback),
            self.tx_step.eq(transmit.step),
            *(getattr(self.gmii, name).eq(getattr(transmit, name)) for name in ("txd", "tx_en", "tx_er")),
            *(getattr(self.gmii, name).eq(getattr(transmit, name)) for name in ("tx_strobe", "tx_speed")),
            *(getattr(receive, name).eq(getattr(self.gmii, name)) for name in ("rxd", "rx_dv", "rx_er")),
            receive.speed.eq(transmit.tx_speed),
            loop.enable.eq(transmit.looping),
            loop.step.eq(transmit.step),
        ]
        for end in (transmit, loop):
            m.d.comb += [end.octet.eq(self.txd), end.octet_en.eq(self.tx_en), end.octet_er.eq(self.tx_er)]

        # Each source is let in, and shut out, between its frames, and only one at a time.
        m.submodules.looping = FFSynchronizer(transmit.looping, looping := Signal(), o_domain="gmii_rx")
        wire_open, loop_open = Signal(), Signal()
        with m.If(~receive.octet_dv):
            m.d.gmii_rx += wire_open.eq(~looping & ~loop_open)
        with m.If(loop.rx_step & ~loop.rx_dv):
            m.d.gmii_rx += loop_open.eq(looping & ~wire_open)
        m.d.comb += [
            self.rxd.eq(Mux(loop_open, loop.rx_octet, receive.octet)),
            self.rx_dv.eq((receive.octet_dv & wire_open) | (loop.rx_dv & loop_open)),
            self.rx_er.eq(Mux(loop_open, loop.rx_er, receive.octet_er)),
            self.half.eq(receive.half & wire_open),
            self.rx_step.eq(Mux(loop_open, loop.rx_step, receive.step)),
        ]
        return m
