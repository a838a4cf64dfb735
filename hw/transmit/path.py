"""The transmit path: descriptors in, packets for the MAC out (manual 3.3 to 3.6)."""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..interfaces import BufferPointers, Descriptor, MemoryPort, PacketWord, TransmitInfo
from ..thresholds import Thresholds
from .buffer import TransmitBuffer
from .checksum import TransmitChecksum
from .gather import TransmitGather
from .request import TransmitRequester
from .segment import TransmitSegmenter
from .writeback import TransmitWriteBack

__all__ = ["TransmitPath"]


class TransmitPath(wiring.Component):
    """Fetches, segments, checksums and stores packets, and writes descriptors back.

    Parameters are those of ``TransmitRequester`` (``data_words``, ``items``) and ``TransmitBuffer``
    (``buffer_words``, ``buffer_packets``).

    Members
    -------
    descriptors : In(stream of Descriptor)
    memory : Out(MemoryPort()), the read side for data, the write side for status; ``tag`` is left 0
    info : Out(stream of TransmitInfo)
        One per packet, taken by the MAC before the packet's words. The packet is inside whole by then.
    packets : Out(stream of PacketWord)
        Before VLAN tag, padding and FCS. Bytes past ``count`` are undefined.
    base, length, tail, thresholds, timer_running, flush, flushed, head_written, head_value, head, low_threshold,
    written, delayed, empty, low
        As in ``TransmitWriteBack``.
    segmented, cut_short : Out(1), as in ``TransmitSegmenter``
    oversize : Out(1), pointers : Out(BufferPointers), as in ``TransmitBuffer``
    """

    def __init__(
        self, *, data_words: int = 512, items: int = 32, buffer_words: int = 2048, buffer_packets: int = 64
    ) -> None:
        self._requester = TransmitRequester(data_words=data_words, items=items)
        self._buffer = TransmitBuffer(words=buffer_words, packets=buffer_packets)
        super().__init__(
            {
                "descriptors": In(stream.Signature(Descriptor)),
                "memory": Out(MemoryPort()),
                "info": Out(stream.Signature(TransmitInfo)),
                "packets": Out(stream.Signature(PacketWord)),
                "base": In(64),
                "length": In(20),
                "tail": In(16),
                "thresholds": In(Thresholds),
                "timer_running": In(1),
                "flush": In(1),
                "flushed": Out(1),
                "head_written": In(1),
                "head_value": In(16),
                "head": Out(16),
                "low_threshold": In(7),
                "written": Out(1),
                "delayed": Out(1),
                "empty": Out(1),
                "low": Out(1),
                "segmented": Out(1),
                "cut_short": Out(1),
                "oversize": Out(1),
                "pointers": Out(BufferPointers),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.requester = requester = self._requester
        m.submodules.gather = gather = TransmitGather()
        m.submodules.segmenter = segmenter = TransmitSegmenter()
        m.submodules.checksum = checksum = TransmitChecksum()
        m.submodules.buffer = buffer = self._buffer
        m.submodules.writeback = writeback = TransmitWriteBack()

        connect(m, flipped(self.descriptors), requester.descriptors)
        connect(m, flipped(self.memory.read_request), requester.read_request)
        connect(m, flipped(self.memory.read_data), requester.read_data)
        connect(m, requester.items, gather.items)
        connect(m, requester.words, gather.words)
        connect(m, gather.plans, segmenter.plans)
        connect(m, gather.chunks, segmenter.chunks)
        connect(m, segmenter.words, checksum.segments)
        connect(m, checksum.words, buffer.words)
        connect(m, checksum.info, buffer.frames)
        connect(m, buffer.info, flipped(self.info))
        connect(m, buffer.packets, flipped(self.packets))
        connect(m, gather.completions, writeback.completions)
        connect(m, writeback.write_request, flipped(self.memory.write_request))
        connect(m, writeback.write_data, flipped(self.memory.write_data))
        m.d.comb += [
            *(
                getattr(writeback, name).eq(getattr(self, name))
                for name in ("base", "length", "tail", "thresholds", "timer_running", "flush", "low_threshold")
            ),
            *(getattr(writeback, name).eq(getattr(self, name)) for name in ("head_written", "head_value")),
            *(
                getattr(self, name).eq(getattr(writeback, name))
                for name in ("flushed", "head", "written", "delayed", "empty", "low")
            ),
            self.segmented.eq(segmenter.segmented),
            self.cut_short.eq(segmenter.cut_short),
            self.oversize.eq(buffer.oversize),
            self.pointers.eq(buffer.pointers),
        ]
        return m
