"""Checksum insertion on transmit (manual 3.6; legacy descriptors: 3.3.3 and 3.3.3.1; UDP: RFC 768).

The sum of the covered bytes, which include the checksum field itself (its content is the seed), is inverted and
stored big-endian at the offset. The cases the manual leaves open:

- An insertion is ignored if its start is at or past the packet's end, or its offset at or past the last byte.
- An end before the start covers nothing, so the result is FFFF.
- Both insertions are computed from the packet as it came; where they overlap the TCP/UDP one wins.
- RFC 768 sends a computed 0 as FFFF, since 0 means "no checksum". The context says whether it is TCP, which sends 0;
  the legacy IC does not, so it sends FFFF, which every TCP receiver takes for the same number.
"""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..checksum import InternetChecksum
from .gather import Context, PacketOptions
from .layouts import MAX_PACKET_BYTES, FrameControl, FrameInfo, FrameWord, SegmentWord

__all__ = ["TRANSMIT_SUM", "TransmitChecksum", "insert_checksums"]

TRANSMIT_SUM = InternetChecksum(max_bytes=MAX_PACKET_BYTES)


def insert_checksums(context: Context, options: PacketOptions, frame: bytes) -> bytes:
    """``frame`` with the checksums stored that ``options`` ask for. Golden model of ``TransmitChecksum`` together
    with the patching in ``TransmitBuffer``. With TSE the length from TUCSS on joins the TCP/UDP sum (manual 3.5)."""
    insertions: list[tuple[int, int]] = []

    def insert(start: int, end: int, offset: int, seed: int, zero: int) -> None:
        if start < len(frame) and offset < len(frame) - 1:
            value = TRANSMIT_SUM.compute(frame, start=start, end=end, seed=seed) ^ 0xFFFF
            insertions.append((offset, value or zero))

    if options.legacy:
        if options.ic:
            insert(options.css, 0, options.cso, 0, 0xFFFF)
    else:
        if options.ixsm:
            insert(context.ipcss, context.ipcse, context.ipcso, 0, 0)
        if options.txsm:
            seed = (len(frame) - context.tucss) % 0x10000 if options.tse else 0
            insert(context.tucss, context.tucse, context.tucso, seed, 0 if context.tcp else 0xFFFF)
    result = bytearray(frame)
    for offset, value in insertions:
        result[offset : offset + 2] = value.to_bytes(2, "big")
    return bytes(result)


class TransmitChecksum(wiring.Component):
    """Sums each frame while it passes to the packet buffer, and says at its end what is to be stored where.

    Members
    -------
    segments : In(stream of SegmentWord)
    words : Out(stream of FrameWord), the same frames
    info : Out(stream of FrameInfo), one after the last word of each frame, but for aborted ones
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "segments": In(stream.Signature(SegmentWord)),
                "words": Out(stream.Signature(FrameWord)),
                "info": Out(stream.Signature(FrameInfo)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ip = ip = TRANSMIT_SUM.create()
        m.submodules.transport = transport = TRANSMIT_SUM.create()

        segment = self.segments.payload
        moved = Signal()
        m.d.comb += [
            moved.eq(self.segments.valid & self.segments.ready),
            self.words.payload.packet.eq(segment.packet),
            self.words.payload.abort.eq(segment.abort),
            transport.seed.eq(segment.control.addend),
        ]
        for processor, control in ((ip, segment.control.ip), (transport, segment.control.transport)):
            m.d.comb += [
                processor.valid.eq(moved),
                processor.word.eq(segment.packet),
                processor.start.eq(control.start),
                processor.end.eq(control.end),
            ]

        length = Signal(FrameInfo["length"].width)
        aborted = Signal()
        control = Signal(FrameControl)
        info = self.info.payload
        m.d.comb += [info.length.eq(length), *(info[name].eq(control[name]) for name in ("ifcs", "vle", "special"))]

        with m.FSM():
            with m.State("WORDS"):
                m.d.comb += [self.words.valid.eq(self.segments.valid), self.segments.ready.eq(self.words.ready)]
                with m.If(moved):
                    m.d.sync += length.eq(length + segment.packet.count)
                    with m.If(segment.packet.last):
                        m.d.sync += [control.eq(segment.control), aborted.eq(segment.abort)]
                        m.next = "SUM"
            with m.State("SUM"):
                for insertion, part in ((info.ip, control.ip), (info.transport, control.transport)):
                    in_range = (part.start < length) & (part.offset + 1 < length)
                    m.d.sync += [insertion.enable.eq(part.enable & in_range), insertion.offset.eq(part.offset)]
                with m.If(transport.done):
                    ones = control.zero_to_ones & (transport.sum == 0xFFFF)
                    m.d.sync += [
                        info.ip.value.eq(~ip.sum),
                        info.transport.value.eq(Mux(ones, 0xFFFF, ~transport.sum)),
                    ]
                    with m.If(aborted):
                        m.d.sync += length.eq(0)
                        m.next = "WORDS"
                    with m.Else():
                        m.next = "INFO"
            with m.State("INFO"):
                m.d.comb += self.info.valid.eq(1)
                with m.If(self.info.ready):
                    m.d.sync += length.eq(0)
                    m.next = "WORDS"
        return m
