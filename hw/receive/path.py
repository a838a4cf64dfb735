"""The receive path (manual chapter 3.2.1): from the MAC's words to host memory.

    MAC -> filter, checksum, tag stripper and buffer (each word goes to all three) -> DMA

When a frame's last word has come, the filter's word decides whether the buffer keeps it.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.descriptors import DESCRIPTOR_BYTES
from hw.frame_records import ReceivedRecord, ReceiveWatch
from hw.interfaces import BufferPointers, Descriptor, MemoryPort
from hw.mac.fcs import FCS_BYTES
from hw.mac.receive import ReceiveWord
from hw.receive.buffer import ReceiveBuffer
from hw.receive.checksum import ReceiveChecksum
from hw.receive.dma import WRITTEN_BACK, ReceiveDma
from hw.receive.filter import ReceiveFilter
from hw.receive.layouts import ChecksumControl, Drops, ReceiveControl, TypeControl, WakeVerdict
from hw.receive.strip import TagStripper
from hw.register_file import ArraySignature
from hw.registers import BY_NAME
from hw.thresholds import Thresholds
from hw.vlan import TAG_BYTES
from hw.write_back import DescriptorWriteBack

__all__ = ["ReceivePath"]


class ReceivePath(wiring.Component):
    """Receives frames into host memory, at line rate from 64 bytes up.

    Parameters
    ----------
    buffer_words : int
        Size of the packet buffer in words of 64 bits.

    Members
    -------
    words : ``In(stream.Signature(ReceiveWord))``
        From ``MacReceive``. A word is taken every 4 cycles, and the next frame's first at the latest 12 cycles after
        a frame's last (24 after its first, if that is later).
    descriptors : ``In(stream.Signature(Descriptor))``
        From the receive ring.
    memory : ``Out(MemoryPort())``, descriptor_memory : ``Out(MemoryPort())``
        For the frames' data, and for descriptors written back. Their read sides are unused. What one has written must
        be visible before what the other one asks for later.
    rctl : ``In(ReceiveControl)``, rxcsum : ``In(ChecksumControl)``, types : ``In(TypeControl)``, link : ``In(1)``
        Register fields, and whether there is a link.
    ral, rah, mta, vfta : ``In(ArraySignature(...))``
        The tables of the filter, for the register file.
    base, length, tail, thresholds, timer_running, flush, flushed, head_written, head_value, head
        As in ``DescriptorWriteBack``.
    stored : ``Out(1)``
        Pulse for each frame whose last descriptor counts as used (cause RXT0).
    stored_bytes : ``Out(15)``
        Length of the frame that ``stored`` tells of, as it is in memory. Steady from the cycle before ``stored``.
    minimum : ``Out(1)``
        Pulse when the free descriptors have fallen to 1/2, 1/4 or 1/8 of the ring (RDMTS 0, 1, 2; cause RXDMT0).
    missed : ``Out(1)``
        Pulse: a frame was lost since the buffer or the MAC had no room (cause RXO, statistic MPC).
    drops : ``Out(Drops)``
        Pulses: frames that the filter dropped.
    pause, quanta : ``Out``
        Pause frames, as in ``ReceiveFilter``.
    fill : ``Out(13)``
        As in ``ReceiveBuffer``.
    records : ``Out(stream.Signature(ReceivedRecord))``
        One for each frame that comes while the receiver is on.
    pointers : ``Out(BufferPointers)``
        Those of the packet buffer.
    watched : ``In(1)``
        The wake-up unit keeps up: while low no word is taken, nor is it decided of a frame that has ended. Once high
        it stays so until a word is taken. High unless connected.
    taken : ``Out(1)``
        A word is taken.
    decided : ``Out(1)``, verdict : ``Out(WakeVerdict)``, frame_length : ``Out(15)``
        Pulse behind each frame, with or without a receiver: what the filter says of it, and its bytes with FCS. The
        verdict is there from the cycle before, the length from 2 before.
    """

    words: In(stream.Signature(ReceiveWord))
    descriptors: In(stream.Signature(Descriptor))
    memory: Out(MemoryPort())
    descriptor_memory: Out(MemoryPort())
    rctl: In(ReceiveControl)
    rxcsum: In(ChecksumControl)
    types: In(TypeControl)
    link: In(1)
    ral: In(ArraySignature(BY_NAME["RAL"]))
    rah: In(ArraySignature(BY_NAME["RAH"]))
    mta: In(ArraySignature(BY_NAME["MTA"]))
    vfta: In(ArraySignature(BY_NAME["VFTA"]))
    base: In(64)
    length: In(20)
    tail: In(16)
    thresholds: In(Thresholds)
    timer_running: In(1)
    flush: In(1)
    flushed: Out(1)
    head_written: In(1)
    head_value: In(16)
    head: Out(16)
    stored: Out(1)
    stored_bytes: Out(15)
    minimum: Out(1)
    missed: Out(1)
    drops: Out(Drops)
    pause: Out(1)
    quanta: Out(16)
    fill: Out(13)
    records: Out(stream.Signature(ReceivedRecord, always_ready=True))
    pointers: Out(BufferPointers)
    watched: In(1, init=1)
    taken: Out(1)
    decided: Out(1)
    verdict: Out(WakeVerdict)
    frame_length: Out(15)

    def __init__(self, *, buffer_words: int = 6144) -> None:
        self._filter = ReceiveFilter()
        self._buffer = ReceiveBuffer(words=buffer_words)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.filter = filter_ = self._filter
        m.submodules.checksum = checksum = ReceiveChecksum()
        m.submodules.stripper = stripper = TagStripper()
        m.submodules.buffer = buffer = self._buffer
        m.submodules.dma = dma = ReceiveDma()
        m.submodules.write_back = write_back = DescriptorWriteBack(
            status_byte=WRITTEN_BACK, status_bytes=DESCRIPTOR_BYTES - WRITTEN_BACK
        )
        m.submodules.watch = watch = ReceiveWatch()

        taken = self.taken
        passing = Signal()
        m.d.comb += [
            taken.eq(self.words.valid & self.words.ready),
            self.verdict.eq(filter_.verdict),
            self.frame_length.eq(filter_.length),
            self.pointers.eq(buffer.pointers),
            checksum.words.payload.eq(self.words.payload),
            checksum.words.valid.eq(self.words.valid & passing & self.watched),
            self.words.ready.eq(checksum.words.ready),
            checksum.pcss.eq(self.rxcsum.pcss),
            checksum.ip_offload.eq(self.rxcsum.ipofl),
            checksum.tcp_offload.eq(self.rxcsum.tuofl),
            checksum.strip_crc.eq(self.rctl.secrc),
            checksum.strip_tag.eq(self.types.vme),
            checksum.vet.eq(self.types.vet),
            # The checksum takes 4 cycles for a word, which is more than what the stripper needs.
            stripper.word.eq(self.words.payload),
            stripper.taken.eq(taken),
            stripper.types.eq(self.types),
            filter_.word.eq(self.words.payload),
            filter_.taken.eq(taken),
            filter_.rctl.eq(self.rctl),
            filter_.types.eq(self.types),
            filter_.link.eq(self.link),
            self.drops.eq(filter_.drops),
            self.pause.eq(filter_.pause),
            self.quanta.eq(filter_.quanta),
            self.fill.eq(buffer.fill),
            buffer.word.eq(stripper.output),
            buffer.write.eq(stripper.write),
        ]
        for table in ("ral", "rah", "mta", "vfta"):
            wiring.connect(m, wiring.flipped(getattr(self, table)), getattr(filter_, table))

        m.d.sync += [self.missed.eq(filter_.drops.overrun), self.decided.eq(0)]
        settled = Signal()
        with m.FSM() as fsm:
            m.d.sync += settled.eq(fsm.ongoing("DECIDE") & filter_.decided & checksum.done & self.watched)
            with m.State("PASS"):
                m.d.comb += passing.eq(1)
                with m.If(taken & self.words.payload.last):
                    m.next = "DECIDE"
            with m.State("DECIDE"), m.If(settled):
                m.d.sync += self.decided.eq(1)
                m.next = "PASS"
                with m.If(filter_.keep & ~buffer.overflowed):
                    m.d.comb += [buffer.commit.eq(1), watch.kept.eq(1)]
                with m.Else():
                    m.d.comb += buffer.rewind.eq(1)
                with m.If(filter_.keep & buffer.overflowed):
                    m.d.comb += watch.lost.eq(1)
                    m.d.sync += self.missed.eq(1)

        taken_off = Signal(range(FCS_BYTES + TAG_BYTES + 1))
        length = Signal.like(filter_.length)
        m.d.comb += taken_off.eq(Mux(self.rctl.secrc, FCS_BYTES, 0) + Mux(stripper.stripped, TAG_BYTES, 0))
        m.d.sync += length.eq(Mux(filter_.length > taken_off, filter_.length - taken_off, 0))
        m.d.comb += [
            buffer.drop_last.eq(self.rctl.secrc & stripper.short_tail),
            buffer.info.length.eq(length),
            *(buffer.info[name].eq(getattr(filter_, name)) for name in ("ce", "rxe", "pif", "vp")),
            buffer.info.special.eq(filter_.tag),
            *(buffer.info[name].eq(checksum.result[name]) for name in checksum.result.shape().members),
        ]

        m.d.sync += watch.no_buffer.eq(write_back.left == 0)
        m.d.comb += [
            watch.word.eq(self.words.payload),
            watch.taken.eq(taken),
            watch.drops.eq(filter_.drops),
            watch.control.eq(filter_.control),
            watch.length.eq(filter_.length),
            watch.crc_error.eq(filter_.ce),
            watch.alignment.eq(filter_.alignment),
            watch.rx_error.eq(filter_.rxe),
        ]
        wiring.connect(m, watch.records, wiring.flipped(self.records))
        wiring.connect(m, buffer.frames, dma.frames)
        wiring.connect(m, buffer.packets, dma.packets)
        wiring.connect(m, wiring.flipped(self.descriptors), dma.descriptors)
        wiring.connect(m, dma.write_request, wiring.flipped(self.memory.write_request))
        wiring.connect(m, dma.write_data, wiring.flipped(self.memory.write_data))
        wiring.connect(m, dma.used, write_back.used)
        wiring.connect(m, write_back.write_request, wiring.flipped(self.descriptor_memory.write_request))
        wiring.connect(m, write_back.write_data, wiring.flipped(self.descriptor_memory.write_data))
        for name in ("base", "length", "tail", "thresholds", "timer_running", "flush", "head_written", "head_value"):
            m.d.comb += getattr(write_back, name).eq(getattr(self, name))
        m.d.comb += [
            dma.rctl.eq(self.rctl),
            self.flushed.eq(write_back.flushed),
            self.head.eq(write_back.head),
            self.stored.eq(write_back.event),
            self.stored_bytes.eq(dma.used_bytes),
        ]
        count = self.length >> exact_log2(DESCRIPTOR_BYTES)
        m.d.sync += self.minimum.eq(write_back.moved & (write_back.left == count >> (self.rctl.rdmts + 1)))
        return m
