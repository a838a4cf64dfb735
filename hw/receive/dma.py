"""Receive DMA and descriptor write-back (manual 3.2.3 to 3.2.6, 13.4.22 BSIZE, BSEX and RDMTS, 13.4.28 RDH).

A frame's data is written to its buffers before the descriptors say so. RXDCTL.WTHRESH = 0: each descriptor is written
back when it is done.
"""

from collections.abc import Iterator, Mapping

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE
from hw.interfaces import MAX_BURST_BYTES, Descriptor, PacketWord, WriteData, WriteRequest
from hw.receive.align import WriteAligner
from hw.receive.layouts import ReceiveControl, ReceiveInfo

__all__ = ["ReceiveDescriptor", "ReceiveDma", "buffer_bytes", "store"]

ReceiveDescriptor = data.FlexibleLayout(
    8 * DESCRIPTOR_BYTES, {name: data.Field(width, lsb) for name, (lsb, width) in RECEIVE.fields.items()}
)
"""The receive descriptor for gateware."""

_WRITTEN_BACK = 8
"""Byte at which the half of a descriptor begins that the NIC writes."""

_STATUS_LAST = ("ixsm", "ipcs", "ipe", "tcpcs", "tcpe", "ce", "rxe", "pif", "vp", "special")
"""What only a frame's last descriptor carries, beside EOP."""


def buffer_bytes(*, bsize: int, bsex: int) -> int:
    """Size of receive buffers in bytes. BSEX = 1 with BSIZE = 0 is reserved, and means 2048 here."""
    return (2048 if bsize == 0 or not bsex else 32768) >> bsize


def store(
    frame: bytes, info: Mapping[str, int], descriptors: Iterator[tuple[int, int]], *, base: int, size: int
) -> Iterator[tuple[int, bytes]]:
    """What is written to memory for one frame, as ``(address, bytes)`` in order (golden function of ``ReceiveDma``).

    ``info`` has the fields of ``ReceiveInfo``, ``descriptors`` gives ``(index, buffer address)``, ``base`` is the
    address of the ring and ``size`` that of the buffers.
    """
    done = 0
    while True:
        index, address = next(descriptors)
        values: dict[str, int] = {"dd": 1}
        end = False
        if address:
            piece = frame[done : done + size]
            end = done + size >= len(frame)
            values |= {"length": len(piece)}
            if piece:
                yield address, piece
            if done == 0:
                values |= {"checksum": info["checksum"]}
            if end:
                values |= {"eop": 1} | {name: info[name] for name in _STATUS_LAST}
            done += len(piece)
        yield base + DESCRIPTOR_BYTES * index + _WRITTEN_BACK, RECEIVE.pack(**values)[_WRITTEN_BACK:]
        if end:
            return


class ReceiveDma(wiring.Component):
    """Stores frames in host memory.

    A descriptor with a null address is used up without taking any of the frame: it gets DD alone. Without descriptors
    the frames wait in the buffer.

    Members
    -------
    frames : ``In(stream.Signature(ReceiveInfo))``, packets : ``In(stream.Signature(PacketWord))``
        From the receive buffer: each frame's information, then its words.
    descriptors : ``In(stream.Signature(Descriptor))``
    write_request, write_data : ``Out``
        As in ``MemoryPort``. A burst's data is offered after its request has been taken.
    rctl : ``In(ReceiveControl)``
        BSIZE and BSEX (buffer size), RDMTS.
    base : ``In(64)``
        Address of the ring in bytes.
    length : ``In(20)``
        Length of the ring in bytes.
    tail : ``In(16)``
        RDT.
    head_written : ``In(1)``, head_value : ``In(16)``
        Software writes RDH.
    head : ``Out(16)``
        Index of the next descriptor to be used up. It moves when a descriptor's write-back has been handed over.
    stored : ``Out(1)``
        Pulse when a frame's last descriptor has been handed over (cause RXT0).
    stored_bytes : ``Out(15)``
        Length of the frame that ``stored`` tells of, as it is in memory. Steady from the cycle before ``stored``.
    minimum : ``Out(1)``
        Pulse when the free descriptors have fallen to 1/2, 1/4 or 1/8 of the ring (RDMTS 0, 1, 2; cause RXDMT0).
    """

    frames: In(stream.Signature(ReceiveInfo))
    packets: In(stream.Signature(PacketWord))
    descriptors: In(stream.Signature(Descriptor))
    write_request: Out(stream.Signature(WriteRequest))
    write_data: Out(stream.Signature(WriteData))
    rctl: In(ReceiveControl)
    base: In(64)
    length: In(20)
    tail: In(16)
    head_written: In(1)
    head_value: In(16)
    head: Out(16)
    stored: Out(1)
    stored_bytes: Out(15)
    minimum: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.aligner = aligner = WriteAligner()
        wiring.connect(m, wiring.flipped(self.packets), aligner.packets)

        info = Signal(ReceiveInfo)
        left = Signal(15)  # bytes of the frame that have no buffer yet
        first = Signal()  # none of the frame has a buffer yet
        index = Signal(16)
        address = Signal(64)  # of the next burst
        null = Signal()
        piece = Signal(15)  # bytes for this buffer
        final = Signal()  # they are the frame's last
        unasked = Signal(15)  # bytes for this buffer in bursts still to come
        burst = Signal(range(MAX_BURST_BYTES + 1))
        room = Signal(range(MAX_BURST_BYTES + 1))
        size = Signal(16)
        entry = Signal(64)
        block_bits = exact_log2(MAX_BURST_BYTES)
        m.d.comb += [
            self.write_request.payload.address.eq(address),
            self.write_request.payload.length.eq(burst),
            room.eq(MAX_BURST_BYTES - address[:block_bits]),
            size.eq(Mux(self.rctl.bsex & (self.rctl.bsize != 0), 32768, 2048) >> self.rctl.bsize),
            aligner.address.eq(address),
            aligner.length.eq(piece),
            self.stored_bytes.eq(info.length),
        ]

        status = Signal(ReceiveDescriptor)
        reporting = Signal()
        advance = Signal()
        m.d.comb += status.dd.eq(1)
        with m.If(~null):
            m.d.comb += [
                status.length.eq(piece),
                status.checksum.eq(Mux(first, info.checksum, 0)),
                status.eop.eq(final),
            ]
            m.d.comb += [status[name].eq(Mux(final, info[name], 0)) for name in _STATUS_LAST]
        m.d.comb += [
            self.write_data.valid.eq(reporting | aligner.output.valid),
            self.write_data.payload.eq(aligner.output.payload),
            aligner.output.ready.eq(self.write_data.ready & ~reporting),
        ]
        with m.If(reporting):
            m.d.comb += [
                self.write_data.payload.data.eq(status.as_value()[8 * _WRITTEN_BACK :]),
                self.write_data.payload.strobe.eq(0xFF),
                self.write_data.payload.last.eq(1),
            ]

        with m.FSM():
            with m.State("FRAME"):
                m.d.comb += self.frames.ready.eq(1)
                m.d.sync += [info.eq(self.frames.payload), left.eq(self.frames.payload.length), first.eq(1)]
                with m.If(self.frames.valid):
                    m.next = "DESCRIPTOR"

            with m.State("DESCRIPTOR"):
                m.d.comb += self.descriptors.ready.eq(1)
                m.d.sync += [
                    index.eq(self.descriptors.payload.index),
                    address.eq(self.descriptors.payload.data[:64]),
                    piece.eq(Mux(left > size, size, left)),
                    final.eq(left <= size),
                ]
                with m.If(self.descriptors.valid):
                    m.next = "BUFFER"

            with m.State("BUFFER"):
                m.d.comb += aligner.begin.eq(1)
                m.d.sync += [
                    null.eq(address == 0),
                    entry.eq(self.base + Cat(Const(_WRITTEN_BACK, 4), index)),
                    unasked.eq(piece),
                ]
                with m.If((address == 0) | (piece == 0)):
                    m.next = "STATUS"
                with m.Else():
                    m.d.sync += left.eq(left - piece)
                    m.next = "BURST"

            with m.State("BURST"):
                m.d.sync += burst.eq(Mux(unasked > room, room, unasked))
                m.next = "REQUEST"

            with m.State("REQUEST"):
                m.d.comb += self.write_request.valid.eq(1)
                with m.If(self.write_request.ready):
                    m.d.sync += unasked.eq(unasked - burst)
                    m.next = "DATA"

            with m.State("DATA"):
                m.d.comb += aligner.enable.eq(1)
                with m.If(aligner.burst_end):
                    # Only a buffer's first burst begins elsewhere than at a multiple of the longest burst.
                    m.d.sync += address.eq(Cat(Const(0, block_bits), address[block_bits:] + 1))
                    m.next = "BURST"
                    with m.If(unasked == 0):
                        m.next = "STATUS"

            with m.State("STATUS"):
                m.d.sync += [address.eq(entry), burst.eq(DESCRIPTOR_BYTES - _WRITTEN_BACK)]
                with m.If(~aligner.output.valid):
                    m.next = "STATUS REQUEST"

            with m.State("STATUS REQUEST"):
                m.d.comb += self.write_request.valid.eq(1)
                with m.If(self.write_request.ready):
                    m.d.sync += reporting.eq(1)
                    m.next = "STATUS DATA"

            with m.State("STATUS DATA"), m.If(self.write_data.ready):
                m.d.sync += reporting.eq(0)
                m.next = "ADVANCE"

            with m.State("ADVANCE"):
                m.d.comb += [advance.eq(1), self.stored.eq(final & ~null)]
                m.d.sync += first.eq(first & null)
                m.next = "DESCRIPTOR"
                with m.If(self.stored):
                    m.next = "FRAME"

        self._head(m, index, advance)
        return m

    def _head(self, m: Module, index: Signal, advance: Signal) -> None:
        """RDH, and the threshold for RXDMT0, which is looked at in two steps after the head has moved."""
        count = Signal(16)  # descriptors of the ring
        free = Signal(16)
        moved = Signal(2)
        m.d.comb += count.eq(self.length >> exact_log2(DESCRIPTOR_BYTES))
        m.d.sync += [
            moved.eq(Cat(advance, moved)),
            free.eq(self.tail - self.head + Mux(self.tail < self.head, count, 0)),
            self.minimum.eq(moved[1] & (free == count >> (self.rctl.rdmts + 1))),
        ]
        with m.If(self.head_written):
            m.d.sync += self.head.eq(self.head_value)
        with m.Elif(advance):
            m.d.sync += self.head.eq(Mux(index + 1 == count, 0, index + 1))
