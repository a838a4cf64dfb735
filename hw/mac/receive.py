"""Receive half of the MAC (IEEE 802.3 clause 4.2.9), from octets, and the crossing into ``sync``.

Bytes are widened to 64-bit words before anything looks at them. Frames with errors are passed on and marked: what to
do with them is the filter's to say.
"""

from amaranth.hdl import Cat, DomainRenamer, EnableInserter, Module, Mux, Signal
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.fifo import AsyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from hw.mac.fcs import FCS, PREAMBLE, SFD

__all__ = ["MacReceive", "ReceiveWord"]

ReceiveWord = data.StructLayout(
    {"data": 64, "count": 4, "last": 1, "crc_error": 1, "alignment": 1, "rx_error": 1, "overrun": 1}
)
"""One word of a frame with FCS: ``count`` valid bytes from lane 0 (1..8, fewer than 8 only in the last), the other
lanes 0. With ``last``: ``crc_error`` FCS is wrong, or, and then ``alignment`` is set too, the frame is not a whole
number of octets; ``rx_error`` RX_ER was seen; ``overrun`` the frame's end is missing since words came faster than they
were taken, and this word carries no data of the frame (``count`` is 0)."""


class _End(enum.Enum, shape=2):
    """How a frame ended."""

    GOOD = 0
    CRC_ERROR = 1
    ALIGNMENT = 2
    OVERRUN = 3


_FifoWord = data.StructLayout({"data": 64, "count": 3, "first": 1, "last": 1, "end": _End, "rx_error": 1})
"""72 bits, two block RAMs wide: ``count`` modulo 8, and a mark on a frame's first word."""


class MacReceive(wiring.Component):
    """Receives frames: from domain ``gmii_rx`` (RX_CLK; rename with ``DomainRenamer``) into domain ``sync``.

    What comes before the start frame delimiter may be any number of octets of preamble; a carrier with anything else
    there is ignored until it ends. Reset of either domain in mid-frame drops the rest of that frame.

    A frame with half an octet at its end has an alignment error whatever its FCS (manual 13.7.2).

    Parameters
    ----------
    depth : int
        Words the FIFO between the domains holds: a power of two from 16 up.

    Members
    -------
    rxd, rx_dv, rx_er : ``In``
        An octet as the GMII has it, in ``gmii_rx``.
    half : ``In(1)``
        When ``rx_dv`` falls: there was half an octet more. In ``gmii_rx``.
    step : ``In(1)``
        In ``gmii_rx``: the cycles in which the above count.
    words : ``Out(stream.Signature(ReceiveWord))``
        In ``sync``. At line rate one word comes every 8 cycles on average.
    """

    rxd: In(8)
    rx_dv: In(1)
    rx_er: In(1)
    half: In(1)
    step: In(1)
    words: Out(stream.Signature(ReceiveWord))

    def __init__(self, *, depth: int = 16) -> None:
        if depth < 16 or depth & (depth - 1):
            raise ValueError(f"depth is a power of two from 16 up, not {depth!r}")
        self._depth = depth
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fifo = fifo = AsyncFIFOBuffered(
            width=_FifoWord.size, depth=self._depth + 1, r_domain="sync", w_domain="gmii_rx"
        )
        m.submodules.widen = EnableInserter({"gmii_rx": self.step})(self._widen(fifo))

        # After a reset of this domain the FIFO may still hold the rest of a frame whose beginning is gone.
        in_frame = Signal()
        wanted = Signal()
        head = Signal(_FifoWord)
        word = self.words.payload
        m.d.comb += [
            head.eq(fifo.r_data),
            wanted.eq(in_frame | head.first),
            self.words.valid.eq(fifo.r_rdy & wanted),
            word.data.eq(head.data),
            word.count.eq(Cat(head.count, (head.count == 0) & (head.end != _End.OVERRUN))),
            word.last.eq(head.last),
            word.crc_error.eq((head.end == _End.CRC_ERROR) | (head.end == _End.ALIGNMENT)),
            word.alignment.eq(head.end == _End.ALIGNMENT),
            word.rx_error.eq(head.rx_error),
            word.overrun.eq(head.end == _End.OVERRUN),
            fifo.r_en.eq(self.words.ready | ~wanted),
        ]
        with m.If(self.words.valid & self.words.ready):
            m.d.sync += in_frame.eq(~head.last)
        return m

    def _widen(self, fifo: AsyncFIFOBuffered) -> Module:
        """Octets to words, in ``gmii_rx``; all of it moves only with ``step``."""
        m = Module()
        crc = FCS.create()
        m.submodules.crc = DomainRenamer("gmii_rx")(crc)

        octet = Signal(8)
        carrier = Signal()
        error = Signal()
        half = Signal()
        m.d.gmii_rx += [octet.eq(self.rxd), carrier.eq(self.rx_dv), error.eq(self.rx_er), half.eq(self.half)]

        lanes = Signal(64)
        position = Signal(3)
        first = Signal()
        rx_error = Signal()
        started = Signal()  # the frame has had a byte
        push = Signal()
        m.d.comb += crc.data.eq(octet)

        # After a reset in the middle of a frame, the rest of it must not be searched for a delimiter.
        with m.FSM(domain="gmii_rx", init="IGNORE"):
            with m.State("IDLE"):
                m.d.comb += crc.start.eq(1)
                m.d.gmii_rx += [position.eq(0), started.eq(0), first.eq(1), rx_error.eq(error & carrier)]
                with m.If(carrier):
                    with m.If(octet == SFD):
                        m.next = "FRAME"
                    with m.Elif(octet == PREAMBLE):
                        m.next = "PREAMBLE"
                    with m.Else():
                        m.next = "IGNORE"

            with m.State("PREAMBLE"):
                m.d.comb += crc.start.eq(1)
                m.d.gmii_rx += rx_error.eq(rx_error | error)
                with m.If(~carrier):
                    m.next = "IDLE"
                with m.Elif(octet == SFD):
                    m.next = "FRAME"
                with m.Elif(octet != PREAMBLE):
                    m.next = "IGNORE"

            with m.State("IGNORE"), m.If(~carrier):
                m.next = "IDLE"

            with m.State("FRAME"):
                # A word is passed on when the next byte, or the end, shows whether it was the last.
                with m.If(carrier):
                    m.d.comb += [crc.valid.eq(1), push.eq(started & (position == 0))]
                    m.d.gmii_rx += [position.eq(position + 1), started.eq(1), rx_error.eq(rx_error | error)]
                    with m.If(position == 0):
                        m.d.gmii_rx += lanes.eq(octet)
                    with m.Else():
                        m.d.gmii_rx += lanes.word_select(position, 8).eq(octet)
                with m.Else():
                    m.d.comb += push.eq(started)
                    m.next = "IDLE"
                with m.If(push):
                    m.d.gmii_rx += first.eq(0)

        # A frame of which one word finds no room loses all that follows, too. One marker for each such frame goes in
        # as soon as there is room, before any other word.
        losing = Signal()
        lost = Signal(4)
        accept = Signal()
        entry = Signal(_FifoWord)
        m.d.comb += [accept.eq(~losing & (lost == 0) & fifo.w_rdy), fifo.w_data.eq(entry)]
        with m.If(push):
            m.d.comb += [
                fifo.w_en.eq(accept & self.step),
                entry.data.eq(lanes),
                entry.count.eq(position),
                entry.first.eq(first),
                entry.last.eq(~carrier),
                entry.rx_error.eq(~carrier & rx_error),
            ]
            with m.If(~carrier):
                m.d.comb += entry.end.eq(Mux(half, _End.ALIGNMENT, Mux(crc.match_detected, _End.GOOD, _End.CRC_ERROR)))
            m.d.gmii_rx += losing.eq(~accept & carrier)
            with m.If(~accept & ~losing & ~lost.all()):
                m.d.gmii_rx += lost.eq(lost + 1)
        with m.Elif((lost != 0) & fifo.w_rdy):
            m.d.comb += [fifo.w_en.eq(self.step), entry.first.eq(1), entry.last.eq(1), entry.end.eq(_End.OVERRUN)]
            m.d.gmii_rx += lost.eq(lost - 1)
        return m
