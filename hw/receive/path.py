"""The receive path (manual chapter 3.2.1): from the MAC's words to host memory.

    MAC -> filter, checksum, buffer (each word goes to all three) -> DMA

When a frame's last word has come, the filter's word decides whether the buffer keeps it.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.interfaces import Descriptor, MemoryPort
from hw.mac.fcs import FCS_BYTES
from hw.mac.receive import ReceiveWord
from hw.receive.buffer import ReceiveBuffer
from hw.receive.checksum import ReceiveChecksum
from hw.receive.dma import ReceiveDma
from hw.receive.filter import ReceiveFilter
from hw.receive.layouts import ChecksumControl, Drops, ReceiveControl
from hw.register_file import ArraySignature
from hw.registers import BY_NAME

__all__ = ["ReceivePath"]


class ReceivePath(wiring.Component):
    """Receives frames into host memory, at line rate from 64 bytes up.

    Parameters
    ----------
    mac_address : bytes
        What reset puts into entry 0 of the address table.
    buffer_words : int
        Size of the packet buffer in words of 64 bits.

    Members
    -------
    words : ``In(stream.Signature(ReceiveWord))``
        From ``MacReceive``. A word is taken every 4 cycles, and the next frame's first at the latest 12 cycles after
        a frame's last (24 after its first, if that is later).
    descriptors : ``In(stream.Signature(Descriptor))``
        From the receive ring.
    memory : ``Out(MemoryPort())``
        Its read side is unused.
    rctl : ``In(ReceiveControl)``, rxcsum : ``In(ChecksumControl)``, link : ``In(1)``
        Register fields, and whether there is a link.
    ral, rah : ``In(ArraySignature(...))``
        The address table, for the register file.
    base, length, tail, head_written, head_value, head, stored, minimum
        As in ``ReceiveDma``.
    missed : ``Out(1)``
        Pulse: a frame was lost since the buffer or the MAC had no room (cause RXO, statistic MPC).
    drops : ``Out(Drops)``
        Pulses: frames that the filter dropped.
    """

    words: In(stream.Signature(ReceiveWord))
    descriptors: In(stream.Signature(Descriptor))
    memory: Out(MemoryPort())
    rctl: In(ReceiveControl)
    rxcsum: In(ChecksumControl)
    link: In(1)
    ral: In(ArraySignature(BY_NAME["RAL"]))
    rah: In(ArraySignature(BY_NAME["RAH"]))
    base: In(64)
    length: In(20)
    tail: In(16)
    head_written: In(1)
    head_value: In(16)
    head: Out(16)
    stored: Out(1)
    minimum: Out(1)
    missed: Out(1)
    drops: Out(Drops)

    def __init__(self, *, mac_address: bytes, buffer_words: int = 6144) -> None:
        self._filter = ReceiveFilter(mac_address=mac_address)
        self._buffer = ReceiveBuffer(words=buffer_words)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.filter = filter_ = self._filter
        m.submodules.checksum = checksum = ReceiveChecksum()
        m.submodules.buffer = buffer = self._buffer
        m.submodules.dma = dma = ReceiveDma()

        taken = Signal()
        passing = Signal()
        short_tail = Signal()  # the last word holds nothing but FCS
        m.d.comb += [
            taken.eq(self.words.valid & self.words.ready),
            checksum.words.payload.eq(self.words.payload),
            checksum.words.valid.eq(self.words.valid & passing),
            self.words.ready.eq(checksum.words.ready),
            checksum.pcss.eq(self.rxcsum.pcss),
            checksum.ip_offload.eq(self.rxcsum.ipofl),
            checksum.tcp_offload.eq(self.rxcsum.tuofl),
            checksum.strip_crc.eq(self.rctl.secrc),
            filter_.word.eq(self.words.payload),
            filter_.taken.eq(taken),
            filter_.rctl.eq(self.rctl),
            filter_.link.eq(self.link),
            self.drops.eq(filter_.drops),
            buffer.word.eq(self.words.payload.data),
            buffer.write.eq(taken),
        ]
        wiring.connect(m, wiring.flipped(self.ral), filter_.ral)
        wiring.connect(m, wiring.flipped(self.rah), filter_.rah)

        m.d.sync += self.missed.eq(filter_.drops.overrun)
        with m.If(taken):
            m.d.sync += short_tail.eq(self.words.payload.count <= FCS_BYTES)
        with m.FSM():
            with m.State("PASS"):
                m.d.comb += passing.eq(1)
                with m.If(taken & self.words.payload.last):
                    m.next = "DECIDE"
            with m.State("DECIDE"), m.If(filter_.decided & checksum.done):
                m.next = "PASS"
                with m.If(filter_.keep & ~buffer.overflowed):
                    m.d.comb += buffer.commit.eq(1)
                with m.Else():
                    m.d.comb += buffer.rewind.eq(1)
                with m.If(filter_.keep & buffer.overflowed):
                    m.d.sync += self.missed.eq(1)

        stripped = Mux(filter_.length > FCS_BYTES, filter_.length - FCS_BYTES, 0)
        m.d.comb += [
            buffer.drop_last.eq(self.rctl.secrc & short_tail),
            buffer.info.length.eq(Mux(self.rctl.secrc, stripped, filter_.length)),
            buffer.info.ce.eq(filter_.ce),
            buffer.info.rxe.eq(filter_.rxe),
            *(buffer.info[name].eq(checksum.result[name]) for name in checksum.result.shape().members),
        ]

        wiring.connect(m, buffer.frames, dma.frames)
        wiring.connect(m, buffer.packets, dma.packets)
        wiring.connect(m, wiring.flipped(self.descriptors), dma.descriptors)
        wiring.connect(m, dma.write_request, wiring.flipped(self.memory.write_request))
        wiring.connect(m, dma.write_data, wiring.flipped(self.memory.write_data))
        m.d.comb += [
            dma.rctl.eq(self.rctl),
            *(
                getattr(dma, name).eq(getattr(self, name))
                for name in ("base", "length", "tail", "head_written", "head_value")
            ),
            *(getattr(self, name).eq(getattr(dma, name)) for name in ("head", "stored", "minimum")),
        ]
        return m
