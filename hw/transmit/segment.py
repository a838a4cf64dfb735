"""TCP and UDP segmentation (manual 3.5; IPv4: RFC 791, IPv6: RFC 8200, TCP: RFC 9293, UDP: RFC 768).

The header is the first HDRLEN bytes of the packet; PAYLEN bytes follow, cut into pieces of MSS bytes. Each frame is
the header, with the edits below, and a piece. For the frame n with P bytes of payload:

====================  ====================================  =======================================
at                    when                                  becomes
====================  ====================================  =======================================
IPCSS+2               IPv4                                  P + HDRLEN - IPCSS
IPCSS+4               IPv4                                  the given identification + n
IPCSS+4               IPv6                                  P + HDRLEN - IPCSS - 40 (RFC 8200)
TUCSS+4               TCP                                   the given sequence number + n * MSS
TUCSS+13              TCP, not the last frame               FIN and PSH cleared
TUCSS+4               UDP                                   P + HDRLEN - TUCSS
====================  ====================================  =======================================

All are modulo their width. Bad input has these outcomes:

- MSS = 0, HDRLEN = 0 or HDRLEN > 240: nothing is sent.
- EOP before HDRLEN bytes: nothing is sent.
- EOP before PAYLEN bytes: the frames whose payload is complete are sent, the rest is not.
- Bytes beyond HDRLEN + PAYLEN: dropped up to EOP.
- PAYLEN = 0: one frame of the header alone.
- A field, or part of one, that lies outside of the header is not written; where an IP field and a TCP or UDP field
  share a byte, the IP field wins. Identification and sequence number read 0 where they lie outside.
- A frame of more than 16288 bytes: dropped (by ``TransmitBuffer``), the others are sent.
"""

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.ahead import take_ahead

from .checksum import insert_checksums
from .gather import Context, PacketOptions
from .layouts import MAX_HEADER_BYTES, MAX_PACKET_BYTES, Chunk, PacketPlan, SegmentWord
from .pack import TransmitPacker

__all__ = ["TransmitSegmenter", "segment", "segment_frame"]

_IPV6_HEADER_BYTES = 40
_FIN_PSH = 0x09


def segment(context: Context, options: PacketOptions, payload: bytes) -> list[bytes]:
    """The frames that a packet is sent as, with all checksums inserted, before padding and FCS.

    ``payload`` is all that the packet's descriptors transferred. Golden model of ``TransmitSegmenter``,
    ``TransmitChecksum`` and ``TransmitBuffer`` together.
    """
    if not options.tse:
        return [insert_checksums(context, options, payload)] if 0 < len(payload) <= MAX_PACKET_BYTES else []
    mss, length = context.mss, context.hdrlen
    header = payload[:length]
    if mss == 0 or not 0 < length <= MAX_HEADER_BYTES or len(header) < length:
        return []
    frames = []
    data = payload[length : length + context.paylen]
    for n in range(max(1, -(-context.paylen // mss))):
        piece = data[n * mss : (n + 1) * mss]
        if len(piece) < min(mss, context.paylen - n * mss):
            break
        frame = segment_frame(context, options, header, piece, n)
        if len(frame) <= MAX_PACKET_BYTES:
            frames.append(frame)
    return frames


def segment_frame(context: Context, options: PacketOptions, header: bytes, piece: bytes, n: int) -> bytes:
    """Frame ``n`` of a segmented packet, made of its header and of a piece of its payload."""
    length, mss = context.hdrlen, context.mss
    total = len(piece) + length
    edited = bytearray(header)
    if context.tcp:
        sequence = int.from_bytes(_field(header, context.tucss + 4, 4), "big")
        _put(edited, context.tucss + 4, sequence + n * mss, 4)
        if context.paylen - n * mss > mss and context.tucss + 13 < length:
            edited[context.tucss + 13] &= ~_FIN_PSH & 0xFF
    else:
        _put(edited, context.tucss + 4, total - context.tucss, 2)
    if context.ip:
        identification = int.from_bytes(_field(header, context.ipcss + 4, 2), "big")
        _put(edited, context.ipcss + 2, total - context.ipcss, 2)
        _put(edited, context.ipcss + 4, identification + n, 2)
    else:
        _put(edited, context.ipcss + 4, total - context.ipcss - _IPV6_HEADER_BYTES, 2)
    return insert_checksums(context, options, bytes(edited) + piece)


def _field(header: bytes, position: int, width: int) -> bytes:
    return header[position : position + width].ljust(width, b"\0")


def _put(header: bytearray, position: int, value: int, width: int) -> None:
    """Stores as much of a big-endian field as lies in the header."""
    field = (value % (1 << 8 * width)).to_bytes(width, "big")[: max(0, len(header) - position)]
    header[position : position + len(field)] = field


class TransmitSegmenter(wiring.Component):
    """Makes the frames of each packet: the packet itself, or header and payload pieces.

    Header bytes go one per cycle, since the wire takes no more; all others 8 per cycle.

    Members
    -------
    plans, chunks : In, from ``TransmitGather``
    words : Out(stream of SegmentWord)
    segmented : Out(1)
        Pulses when all frames of a segmented packet have been made.
    cut_short : Out(1)
        Pulses for a segmented packet that ended before PAYLEN was used up, or was bad (see above).
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "plans": In(stream.Signature(PacketPlan)),
                "chunks": In(stream.Signature(Chunk)),
                "words": Out(stream.Signature(SegmentWord)),
                "segmented": Out(1),
                "cut_short": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.packer = packer = TransmitPacker()
        m.submodules.header = header = memory.Memory(shape=8, depth=256, init=[])
        header_write = header.write_port()
        header_read = header.read_port()

        plan = self.plans.payload
        context = plan.context

        # The chunk at hand; taking some of its bytes moves ``offset`` and ``count``.
        chunk = Signal(Chunk)
        loaded = Signal()
        taken = Signal()
        ended = Signal()
        take_ahead(m, self.chunks, item=chunk, present=loaded, taken=taken)
        with m.If(taken & chunk.last):
            m.d.sync += ended.eq(1)

        position = Signal(8)
        # Positions from IPCSS and TUCSS; nine bits, so that none of -255..239 is mistaken for another.
        from_ip = Signal(9)
        from_transport = Signal(9)
        identification = Signal(16)
        sequence = Signal(32)

        unsent = Signal(20)
        size = Signal(16)
        size_left = Signal(16)
        plenty = Signal()  # more of it than two chunks; a cycle late, hence not just one
        m.d.sync += plenty.eq(size_left >= 24)
        final = Signal()
        aborted = Signal()
        from_ip_to_end = Signal(16)
        from_transport_to_end = Signal(16)
        ip_length = Signal(16)
        transport_length = Signal(16)

        edited = Signal(8)
        m.d.comb += edited.eq(header_read.data)
        with m.If(context.tcp):
            for index in range(4):
                with m.If(from_transport == 4 + index):
                    m.d.comb += edited.eq(sequence[24 - 8 * index : 32 - 8 * index])
            with m.If((from_transport == 13) & ~final):
                m.d.comb += edited.eq(header_read.data & ~_FIN_PSH)
        with m.Else():
            for index in range(2):
                with m.If(from_transport == 4 + index):
                    m.d.comb += edited.eq(transport_length[8 - 8 * index : 16 - 8 * index])
        for index in range(2):
            with m.If((from_ip == 2 + index) & context.ip):
                m.d.comb += edited.eq(ip_length[8 - 8 * index : 16 - 8 * index])
            with m.If(from_ip == 4 + index):
                value = Mux(context.ip, identification, ip_length)
                m.d.comb += edited.eq(value[8 - 8 * index : 16 - 8 * index])

        byte = Signal(8)
        m.d.comb += [
            byte.eq(chunk.data.word_select(chunk.offset, 8)),
            header_write.addr.eq(position),
            header_write.data.eq(byte),
            header_read.addr.eq(position),
        ]
        start_over = [position.eq(0), from_ip.eq(-context.ipcss), from_transport.eq(-context.tucss)]
        step = [position.eq(position + 1), from_ip.eq(from_ip + 1), from_transport.eq(from_transport + 1)]
        header_done = Signal()
        m.d.comb += header_done.eq(position + 1 == context.hdrlen)

        piece = packer.pieces.payload
        sent = Signal()
        m.d.comb += [
            piece.data.eq(chunk.data),
            piece.offset.eq(chunk.offset),
            piece.count.eq(chunk.count),
            sent.eq(packer.pieces.valid & packer.pieces.ready),
        ]

        ending = Signal(Chunk)  # of a packet not segmented: the descriptor with EOP

        bad = Signal()
        m.d.comb += bad.eq(
            ~plan.known | (context.mss == 0) | (context.hdrlen == 0) | (context.hdrlen > MAX_HEADER_BYTES)
        )
        with m.FSM():
            with m.State("PACKET"):
                m.d.sync += [
                    ended.eq(0),
                    aborted.eq(0),
                    final.eq(1),
                    unsent.eq(context.paylen),
                    identification.eq(0),
                    sequence.eq(0),
                    *start_over,
                ]
                with m.If(self.plans.valid):
                    with m.If(~plan.tse):
                        m.next = "PLAIN"
                    with m.Elif(bad):
                        m.d.comb += self.cut_short.eq(1)
                        m.next = "DISCARD"
                    with m.Else():
                        m.next = "TAKE_HEADER"

            with m.State("PLAIN"):
                m.d.comb += [packer.pieces.valid.eq(loaded), piece.last.eq(chunk.last), taken.eq(sent)]
                with m.If(sent & chunk.last):
                    m.d.sync += ending.eq(chunk)
                    m.next = "DRAIN"

            with m.State("TAKE_HEADER"):
                m.d.comb += taken.eq(loaded & (chunk.count <= 1))
                with m.If(loaded & (chunk.count != 0)):
                    m.d.comb += header_write.en.eq(1)
                    m.d.sync += step
                    with m.If(~taken):
                        m.d.sync += [chunk.offset.eq(chunk.offset + 1), chunk.count.eq(chunk.count - 1)]
                    for index in range(2):
                        with m.If(from_ip == 4 + index):
                            m.d.sync += identification[8 - 8 * index : 16 - 8 * index].eq(byte)
                    for index in range(4):
                        with m.If(from_transport == 4 + index):
                            m.d.sync += sequence[24 - 8 * index : 32 - 8 * index].eq(byte)
                with m.If(loaded & (chunk.count != 0) & header_done):
                    m.next = "MEASURE"
                with m.Elif(taken & chunk.last):
                    m.d.comb += self.cut_short.eq(1)
                    m.next = "DONE"

            with m.State("MEASURE"):
                m.d.sync += [
                    *start_over,
                    final.eq(unsent <= context.mss),
                    size.eq(Mux(unsent <= context.mss, unsent, context.mss)),
                    from_ip_to_end.eq(context.hdrlen - context.ipcss - Mux(context.ip, 0, _IPV6_HEADER_BYTES)),
                    from_transport_to_end.eq(context.hdrlen - context.tucss),
                ]
                m.next = "LENGTHS"
            with m.State("LENGTHS"):
                m.d.sync += [
                    ip_length.eq(from_ip_to_end + size),
                    transport_length.eq(from_transport_to_end + size),
                    unsent.eq(unsent - size),
                    size_left.eq(size),
                ]
                m.next = "HEADER"

            with m.State("HEADER"):
                # The memory has read byte 0 in LENGTHS; from here on it reads one ahead.
                m.d.comb += [
                    packer.pieces.valid.eq(1),
                    piece.data[:8].eq(edited),
                    piece.offset.eq(0),
                    piece.count.eq(1),
                    header_read.addr.eq(Mux(sent, position + 1, position)),
                ]
                with m.If(sent):
                    m.d.sync += step
                    with m.If(header_done):
                        m.next = "PAYLOAD"

            with m.State("PAYLOAD"):
                whole = Signal()
                m.d.comb += whole.eq(plenty | (chunk.count <= size_left[:5]))
                with m.If((size_left == 0) | ended):
                    m.d.comb += [
                        packer.pieces.valid.eq(1),
                        piece.count.eq(0),
                        piece.last.eq(1),
                        piece.abort.eq(size_left != 0),
                    ]
                    m.d.sync += aborted.eq(size_left != 0)
                    with m.If(sent):
                        m.next = "DRAIN"
                with m.Else():
                    m.d.comb += [
                        packer.pieces.valid.eq(loaded),
                        piece.count.eq(Mux(whole, chunk.count, size_left)),
                        taken.eq(sent & whole),
                    ]
                    with m.If(sent):
                        m.d.sync += size_left.eq(size_left - piece.count)
                        with m.If(~whole):
                            m.d.sync += [
                                chunk.offset.eq(chunk.offset + size_left),
                                chunk.count.eq(chunk.count - size_left),
                            ]

            # The frame's control must stand until its last word has been taken.
            with m.State("DRAIN"), m.If(packer.idle):
                m.d.sync += [identification.eq(identification + 1), sequence.eq(sequence + context.mss)]
                m.d.comb += [self.cut_short.eq(aborted), self.segmented.eq(plan.tse & final & ~aborted)]
                with m.If(plan.tse & ~final & ~aborted):
                    m.next = "MEASURE"
                with m.Elif(~ended):
                    m.next = "DISCARD"
                with m.Else():
                    m.next = "DONE"
            with m.State("DISCARD"):
                m.d.comb += taken.eq(loaded)
                with m.If(taken & chunk.last):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.plans.ready.eq(1)
                m.next = "PACKET"

        frame = self.words.payload
        control = frame.control
        m.d.comb += [
            frame.packet.eq(packer.words.payload.packet),
            frame.abort.eq(packer.words.payload.abort),
            self.words.valid.eq(packer.words.valid),
            packer.words.ready.eq(self.words.ready),
            control.ip.enable.eq(plan.ixsm),
            control.ip.start.eq(context.ipcss),
            control.ip.end.eq(context.ipcse),
            control.ip.offset.eq(context.ipcso),
            control.transport.enable.eq(Mux(plan.legacy, ending.ic, plan.txsm)),
            control.transport.start.eq(Mux(plan.legacy, plan.css, context.tucss)),
            control.transport.end.eq(Mux(plan.legacy, 0, context.tucse)),
            control.transport.offset.eq(Mux(plan.legacy, ending.cso, context.tucso)),
            control.addend.eq(Mux(plan.tse, transport_length, 0)),
            control.zero_to_ones.eq(plan.legacy | ~context.tcp),
            *(control[name].eq(Mux(plan.tse, plan[name], ending[name])) for name in ("ifcs", "vle", "special")),
        ]
        return m
