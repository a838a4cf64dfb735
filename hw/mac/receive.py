"""Receive half of the MAC (IEEE 802.3 clause 4.2.9) from the GMII (clause 35.2.2), and the crossing into ``sync``.

Bytes are widened to 64-bit words before anything looks at them. Frames with errors are passed on and marked: what to
do with them is the filter's to say.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import AsyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hw.mac.fcs import FCS, PREAMBLE, SFD

__all__ = ["MacReceive", "ReceiveWord"]

ReceiveWord = data.StructLayout({"data": 64, "count": 4, "last": 1, "crc_error": 1, "rx_error": 1, "overrun": 1})
"""One word of a frame with FCS: ``count`` valid bytes from lane 0 (1..8, fewer than 8 only in the last), the other
lanes 0. With ``last``: ``crc_error`` FCS is wrong; ``rx_error`` RX_ER was seen; ``overrun`` the frame's end is missing
since words came faster than they were taken, and this word carries no data of the frame (``count`` is 0)."""

_FifoWord = data.StructLayout(
    {"data": 64, "count": 3, "first": 1, "last": 1, "crc_error": 1, "rx_error": 1, "overrun": 1}
)
"""72 bits, two block RAMs wide: ``count`` modulo 8, and a mark on a frame's first word."""


class MacReceive(wiring.Component):
    """Receives frames: from domain ``gmii_rx`` (RX_CLK; rename with ``DomainRenamer``) into domain ``sync``.

    What comes before the start frame delimiter may be any number of octets of preamble; a carrier with anything else
    there is ignored until it ends. Reset of ``sync`` in mid-frame drops the rest of that frame.

    Parameters
    ----------
    depth : int
        Words the FIFO between the domains holds: a power of two from 16 up.

    Members
    -------
    rxd, rx_dv, rx_er : ``In``
        GMII, in ``gmii_rx``.
    words : ``Out(stream.Signature(ReceiveWord))``
        In ``sync``. At line rate one word comes every 8 cycles on average.
    """

    rxd: In(8)
    rx_dv: In(1)
    rx_er: In(1)
    words: Out(stream.Signature(ReceiveWord))

    def __init__(self, *, depth: int = 32) -> None:
        if depth < 16 or depth & (depth - 1):
            raise ValueError(f"depth is a power of two from 16 up, not {depth!r}")
        self._depth = depth
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = AsyncFIFOBuffered(
            width=_FifoWord.size, depth=self._depth + 1, r_domain="sync", w_domain="gmii_rx"
        )
        self._widen(m, fifo)

        # After a reset of this domain the FIFO may still hold the rest of a frame whose beginning is gone.
        in_frame = Signal()
        wanted = Signal()
        head = Signal(_FifoWord)
        m.d.comb += [
            head.eq(fifo.r_data),
            wanted.eq(in_frame | head.first),
            self.words.valid.eq(fifo.r_rdy & wanted),
            self.words.payload.data.eq(head.data),
            self.words.payload.count.eq(data_count(head)),
            self.words.payload.last.eq(head.last),
            self.words.payload.crc_error.eq(head.crc_error),
            self.words.payload.rx_error.eq(head.rx_error),
            self.words.payload.overrun.eq(head.overrun),
            fifo.r_en.eq(fifo.r_rdy & (self.words.ready | ~wanted)),
        ]
        with m.If(self.words.valid & self.words.ready):
            m.d.sync += in_frame.eq(~head.last)
        return m

    def _widen(self, m: Module, fifo: AsyncFIFOBuffered) -> None:
        """Bytes to words in ``gmii_rx``."""
        # DomainRenamer around the CRC instead of a domain argument, which lib.crc lacks.
        m.submodules.crc = crc = _in_gmii_rx(FCS.create())

        octet = Signal(8)
        carrier = Signal()
        error = Signal()
        m.d.gmii_rx += [octet.eq(self.rxd), carrier.eq(self.rx_dv), error.eq(self.rx_er)]

        word = Signal(_FifoWord)
        position = Signal(3)
        started = Signal()  # the word holds something
        losing = Signal()  # the rest of this frame has no room
        lost = Signal(4)  # frames whose marker is still to be written
        push = Signal()
        marker = Signal(_FifoWord)
        m.d.comb += crc.data.eq(octet)

        with m.FSM(domain="gmii_rx"):
            with m.State("IDLE"):
                m.d.comb += crc.start.eq(1)
                m.d.gmii_rx += [position.eq(0), started.eq(0), word.first.eq(1), word.rx_error.eq(error)]
                with m.If(carrier):
                    with m.If(octet == SFD):
                        m.next = "FRAME"
                    with m.Elif(octet == PREAMBLE):
                        m.next = "PREAMBLE"
                    with m.Else():
                        m.next = "IGNORE"

            with m.State("PREAMBLE"):
                m.d.comb += crc.start.eq(1)
                m.d.gmii_rx += word.rx_error.eq(word.rx_error | error)
                with m.If(~carrier):
                    m.next = "IDLE"
                with m.Elif(octet == SFD):
                    m.next = "FRAME"
                with m.Elif(octet != PREAMBLE):
                    m.next = "IGNORE"

            with m.State("IGNORE"), m.If(~carrier):
                m.next = "IDLE"

            with m.State("FRAME"):
                with m.If(carrier):
                    m.d.comb += [crc.valid.eq(1), push.eq(started & (position == 0))]
                    m.d.gmii_rx += [
                        position.eq(position + 1),
                        started.eq(1),
                        word.rx_error.eq(word.rx_error | error),
                    ]
                    with m.If(position == 0):
                        m.d.gmii_rx += word.data.eq(octet)
                    with m.Else():
                        m.d.gmii_rx += word.data.word_select(position, 8).eq(octet)
                with m.Else():
                    m.d.comb += push.eq(started)
                    m.next = "IDLE"
                with m.If(push):
                    m.d.gmii_rx += word.first.eq(0)

        # A frame of which one word finds no room loses all that follows. One marker for each such frame tells so, as
        # soon as there is room, and no other word goes in before it.
        m.d.comb += [
            fifo.w_data.eq(word),
            fifo.w_data[-3].eq(0),
        ]
        return


def _unused() -> None: ...
