"""Loopback of whole octets from the transmit to the receive half of the MAC (manual 13.4.22, RCTL.LBM; the same way
serves loopback in the PHY: IEEE 802.3 clause 22.2.4.1.2).

Both halves have clocks of their own, so a FIFO between the domains carries octets. The reader takes them as they come,
and makes the receiver step with each: RX_CLK may have any phase, and any frequency that is enough for the octets, as
it is with its nominal value for the speed. If it is too slow octets are lost, and the frame's FCS tells.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.fifo import AsyncFIFOBuffered
from amaranth.lib.wiring import In, Out

__all__ = ["Loopback"]

_Entry = data.StructLayout({"octet": 8, "er": 1, "dv": 1})
"""An octet of a frame, or, without ``dv``, the end of a frame."""

_DEPTH = 16
"""Octets. RX_CLK may be 200 ppm slower than ``sync``, which is 4 octets in the longest frame."""


class Loopback(wiring.Component):
    """From domain ``sync`` to domain ``gmii_rx``.

    Members
    -------
    octet, octet_en, octet_er : ``In``
        ``txd``, ``tx_en`` and ``tx_er`` of the MAC.
    step : ``In(1)``
        They count.
    enable : ``In(1)``
        Loop them. It changes only between frames.
    rx_octet, rx_dv, rx_er, rx_step : ``Out``
        As those of ``MiiReceive``, without preamble lost or changed. While no frame comes every cycle is a step.
    """

    octet: In(8)
    octet_en: In(1)
    octet_er: In(1)
    step: In(1)
    enable: In(1)
    rx_octet: Out(8)
    rx_dv: Out(1)
    rx_er: Out(1)
    rx_step: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = AsyncFIFOBuffered(
            width=_Entry.size, depth=_DEPTH + 1, r_domain="gmii_rx", w_domain="sync"
        )
        written, read = Signal(_Entry), Signal(_Entry)
        m.d.comb += [
            written.octet.eq(self.octet),
            written.er.eq(self.octet_er),
            written.dv.eq(self.octet_en),
            fifo.w_data.eq(written),
            read.eq(fifo.r_data),
        ]
        begun = Signal()  # in the FIFO there is a frame without its end
        with m.If(self.step & ((self.octet_en & self.enable) | begun)):
            m.d.comb += fifo.w_en.eq(1)
            with m.If(fifo.w_rdy):
                m.d.sync += begun.eq(self.octet_en)

        coming = Signal()
        m.d.comb += [
            fifo.r_en.eq(1),
            self.rx_step.eq(fifo.r_rdy | ~coming),
            self.rx_octet.eq(read.octet),
            self.rx_dv.eq(fifo.r_rdy & read.dv),
            self.rx_er.eq(read.er),
        ]
        with m.If(fifo.r_rdy):
            m.d.gmii_rx += coming.eq(read.dv)
        return m
