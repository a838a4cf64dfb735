"""The transmit packet buffer: store and forward (manual 2.2 "internal architecture", 13.4.16 PBA).

A packet appears at the output only when it is inside whole, so the MAC never runs dry within a frame. The checksum
bytes are known only at the packet's end; they are put in while it is read out.
"""

from amaranth import Module, Mux, Signal
from amaranth.lib import fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from ..interfaces import BufferPointers, PacketWord, TransmitInfo
from .layouts import MAX_PACKET_BYTES, FrameInfo, FrameWord

__all__ = ["TransmitBuffer"]


class TransmitBuffer(wiring.Component):
    """``words`` 64-bit words of packet memory, for at most ``packets`` packets.

    A packet of more than 16288 bytes, or than the memory holds less two words, is dropped whole. An aborted one leaves
    no trace.
    Words leave at one per four cycles or slower, twice what the wire takes.

    Members
    -------
    words : In(stream of FrameWord)
    frames : In(stream of FrameInfo), one after each packet that is not aborted
    info : Out(stream of TransmitInfo), one per packet
    packets : Out(stream of PacketWord)
    oversize : Out(1), pulses for a packet dropped because of its length
    pointers : Out(BufferPointers)
    """

    def __init__(self, *, words: int = 2048, packets: int = 64) -> None:
        if words < 8 or words & (words - 1):
            raise ValueError(f"words must be a power of two of at least 8, not {words!r}")
        if packets < 2:
            raise ValueError(f"packets must be at least 2, not {packets!r}")
        self._words = words
        self._packets = packets
        super().__init__(
            {
                "words": In(stream.Signature(FrameWord)),
                "frames": In(stream.Signature(FrameInfo)),
                "info": Out(stream.Signature(TransmitInfo)),
                "packets": Out(stream.Signature(PacketWord)),
                "oversize": Out(1),
                "pointers": Out(BufferPointers),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.storage = storage = memory.Memory(shape=64, depth=self._words, init=[])
        m.submodules.committed = committed = fifo.SyncFIFOBuffered(width=FrameInfo.size, depth=self._packets)
        write = storage.write_port()
        read = storage.read_port()

        # Pointers have one bit more than the address, which tells full from empty.
        pointer = exact_log2(self._words) + 1
        write_pointer = Signal(pointer)
        packet_start = Signal(pointer)
        read_pointer = Signal(pointer)
        self._write_side(m, write, committed, write_pointer, packet_start, read_pointer)
        self._read_side(m, read, committed, read_pointer)
        pointers = self.pointers
        m.d.comb += [
            pointers.head.eq(read_pointer[:-1]),
            pointers.tail.eq(packet_start[:-1]),
            pointers.packets.eq(committed.level),
        ]
        with m.If(self.frames.valid & self.frames.ready & committed.w_en):
            m.d.sync += pointers.tail_saved.eq(packet_start[:-1])
        with m.If(committed.r_en):
            m.d.sync += pointers.head_saved.eq(read_pointer[:-1])
        return m

    def _write_side(
        self,
        m: Module,
        write: memory.WritePort,
        committed: fifo.SyncFIFOBuffered,
        write_pointer: Signal,
        packet_start: Signal,
        read_pointer: Signal,
    ) -> None:
        word = self.words.payload
        limit = min(self._words - 2, MAX_PACKET_BYTES // 8)
        stored = Signal(range(limit + 1))
        at_limit = Signal()  # ``stored`` is ``limit``
        dropping = Signal()
        used = Signal.like(write_pointer)
        full = Signal()
        # A cycle late, so that no comparison stands at the head of the ready chain; hence the two spare words.
        m.d.sync += full.eq(used > self._words - 2)
        m.d.comb += [
            used.eq(write_pointer - read_pointer),
            write.addr.eq(write_pointer[:-1]),
            write.data.eq(word.packet.data),
            committed.w_data.eq(self.frames.payload),
        ]
        empty = [stored.eq(0), at_limit.eq(0), dropping.eq(0)]
        rewind = [write_pointer.eq(packet_start), *empty]
        with m.FSM(name="write_state"):
            with m.State("WORDS"):
                m.d.comb += self.words.ready.eq(~full | dropping | at_limit)
                with m.If(self.words.valid & self.words.ready):
                    with m.If(at_limit):
                        m.d.sync += dropping.eq(1)
                    with m.Else():
                        m.d.comb += write.en.eq(1)
                        m.d.sync += [
                            write_pointer.eq(write_pointer + 1),
                            stored.eq(stored + 1),
                            at_limit.eq(stored == limit - 1),
                        ]
                    with m.If(word.packet.last):
                        with m.If(word.abort):
                            m.d.sync += rewind
                        with m.Else():
                            m.next = "COMMIT"
            with m.State("COMMIT"):
                m.d.comb += [
                    committed.w_en.eq(self.frames.valid & ~dropping),
                    self.frames.ready.eq(dropping | committed.w_rdy),
                ]
                with m.If(self.frames.valid & self.frames.ready):
                    m.d.sync += empty
                    with m.If(dropping):
                        m.d.comb += self.oversize.eq(1)
                        m.d.sync += rewind
                    with m.Else():
                        m.d.sync += packet_start.eq(write_pointer)
                    m.next = "WORDS"

    def _read_side(
        self, m: Module, read: memory.ReadPort, committed: fifo.SyncFIFOBuffered, read_pointer: Signal
    ) -> None:
        frame = Signal(FrameInfo)
        head = FrameInfo(committed.r_data)
        words_left = Signal(range(MAX_PACKET_BYTES // 8 + 1))
        # No insertion reaches beyond byte 256; the count of words stops past that.
        index = Signal(6)
        out = self.packets.payload

        m.d.comb += read.addr.eq(read_pointer[:-1])
        with m.If(self.info.valid & self.info.ready):
            m.d.sync += self.info.valid.eq(0)
        with m.FSM(name="read_state"):
            with m.State("PACKET"):
                m.d.sync += [frame.eq(head), index.eq(0), words_left.eq((head.length - 1)[3:])]
                with m.If(committed.r_rdy & ~self.info.valid):
                    m.d.comb += committed.r_en.eq(1)
                    m.d.sync += [
                        self.info.valid.eq(1),
                        *(self.info.payload[name].eq(head[name]) for name in TransmitInfo.members),
                    ]
                    m.next = "READ"
            with m.State("READ"):
                m.d.sync += read_pointer.eq(read_pointer + 1)
                m.next = "WORD"
            with m.State("WORD"):
                final = words_left == 0
                m.d.sync += [
                    out.data.eq(read.data),
                    out.count.eq(Mux(final, ((frame.length - 1)[:3] + 1), 8)),
                    out.last.eq(final),
                ]
                m.next = "PATCH"
            with m.State("PATCH"):
                for insertion in (frame.ip, frame.transport):
                    for part in range(2):
                        place = Signal(9)
                        m.d.comb += place.eq(insertion.offset + part)
                        with m.If(insertion.enable & (place[3:] == index)):
                            value = insertion.value[8:] if part == 0 else insertion.value[:8]
                            m.d.sync += out.data.word_select(place[:3], 8).eq(value)
                m.d.sync += self.packets.valid.eq(1)
                m.next = "SEND"
            with m.State("SEND"), m.If(self.packets.ready):
                m.d.sync += [
                    self.packets.valid.eq(0),
                    words_left.eq(words_left - 1),
                    index.eq(Mux(index == 63, 63, index + 1)),
                ]
                with m.If(out.last):
                    m.next = "PACKET"
                with m.Else():
                    m.next = "READ"
