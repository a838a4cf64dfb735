"""Receive DMA (manual 3.2.3 to 3.2.6, 13.4.22 BSIZE and BSEX).

A buffer's data is handed to memory before its descriptor goes to the write-back, and writes become visible in order: so
the data is there before DD is.
"""

from collections.abc import Iterator, Mapping

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.ahead import take_ahead
from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE
from hw.interfaces import MAX_BURST_BYTES, Descriptor, PacketWord, WriteData, WriteRequest
from hw.receive.align import WriteAligner
from hw.receive.layouts import ReceiveControl, ReceiveInfo
from hw.write_back import UsedDescriptor

__all__ = ["WRITTEN_BACK", "ReceiveDescriptor", "ReceiveDma", "buffer_bytes", "store"]

ReceiveDescriptor = data.FlexibleLayout(
    8 * DESCRIPTOR_BYTES, {name: data.Field(width, lsb) for name, (lsb, width) in RECEIVE.fields.items()}
)
"""The receive descriptor for gateware."""

WRITTEN_BACK = 8
"""Byte at which the half of a descriptor begins that the NIC fills in."""

_STATUS_LAST = ("ixsm", "ipcs", "ipe", "tcpcs", "tcpe", "ce", "rxe", "pif", "vp", "special")
"""What only a frame's last descriptor carries, beside EOP."""


def buffer_bytes(*, bsize: int, bsex: int) -> int:
    """Size of receive buffers in bytes. BSEX = 1 with BSIZE = 0 is reserved, and means 2048 here."""
    return (2048 if bsize == 0 or not bsex else 32768) >> bsize


def store(
    frame: bytes, info: Mapping[str, int], descriptors: Iterator[tuple[int, int]], *, base: int, size: int
) -> Iterator[tuple[int, bytes]]:
    """What is written to memory for one frame, as ``(address, bytes)`` in order, if each descriptor is written back as
    soon as it is used (golden function of ``ReceiveDma``).

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
        yield base + DESCRIPTOR_BYTES * index + WRITTEN_BACK, RECEIVE.pack(**values)[WRITTEN_BACK:]
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
    used : ``Out(stream.Signature(UsedDescriptor))``
        Each descriptor as it is to be written back; ``event`` for a frame's last.
    rctl : ``In(ReceiveControl)``
        BSIZE and BSEX (buffer size).
    used_bytes : ``Out(15)``
        Length in memory of the frame whose last descriptor was taken last from ``used``.
    """

    frames: In(stream.Signature(ReceiveInfo))
    packets: In(stream.Signature(PacketWord))
    descriptors: In(stream.Signature(Descriptor))
    write_request: Out(stream.Signature(WriteRequest))
    write_data: Out(stream.Signature(WriteData))
    used: Out(stream.Signature(UsedDescriptor))
    rctl: In(ReceiveControl)
    used_bytes: Out(15)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.aligner = aligner = WriteAligner()
        word = Signal(PacketWord)
        waiting = Signal()
        # The buffer, whose memories are far apart, does not wait for the way from the memory port's ``ready`` to here.
        take_ahead(m, self.packets, item=word, present=waiting, taken=aligner.packets.ready)
        m.d.comb += [aligner.packets.valid.eq(waiting), aligner.packets.payload.eq(word)]

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
        further = Signal()  # the next burst is not the buffer's first
        room = Signal(range(MAX_BURST_BYTES + 1))
        size = Signal(16)
        place = Signal(64)  # of the buffer, as the descriptor has it
        block_bits = exact_log2(MAX_BURST_BYTES)
        m.d.comb += [
            self.write_request.payload.address.eq(address),
            self.write_request.payload.length.eq(burst),
            room.eq(MAX_BURST_BYTES - Mux(further, 0, address[:block_bits])),
            size.eq(Mux(self.rctl.bsex & (self.rctl.bsize != 0), 32768, 2048) >> self.rctl.bsize),
            aligner.address.eq(address),
            aligner.length.eq(piece),
        ]

        status = Signal(ReceiveDescriptor)
        m.d.comb += status.dd.eq(1)
        with m.If(~null):
            m.d.comb += [
                status.length.eq(piece),
                status.checksum.eq(Mux(first, info.checksum, 0)),
                status.eop.eq(final),
            ]
            m.d.comb += [status[name].eq(Mux(final, info[name], 0)) for name in _STATUS_LAST]
        wiring.connect(m, aligner.output, wiring.flipped(self.write_data))
        used = self.used.payload
        m.d.comb += [
            used.data.eq(Cat(place, status.as_value()[8 * WRITTEN_BACK :])),
            used.index.eq(index),
            used.report.eq(1),
            used.event.eq(final & ~null),
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
                    place.eq(self.descriptors.payload.data[:64]),
                    piece.eq(Mux(left > size, size, left)),
                    final.eq(left <= size),
                ]
                with m.If(self.descriptors.valid):
                    m.next = "BUFFER"

            with m.State("BUFFER"):
                m.d.comb += aligner.begin.eq(1)
                m.d.sync += [null.eq(address == 0), unasked.eq(piece), further.eq(0)]
                with m.If((address == 0) | (piece == 0)):
                    m.next = "STATUS"
                with m.Else():
                    m.d.sync += left.eq(left - piece)
                    m.next = "BURST"

            with m.State("BURST"):
                m.d.sync += burst.eq(Mux(unasked > room, room, unasked))
                with m.If(further):
                    # Only a buffer's first burst begins elsewhere than at a multiple of the longest burst.
                    m.d.sync += address.eq(Cat(Const(0, block_bits), address[block_bits:] + 1))
                m.next = "REQUEST"

            with m.State("REQUEST"):
                m.d.comb += self.write_request.valid.eq(1)
                with m.If(self.write_request.ready):
                    m.d.sync += unasked.eq(unasked - burst)
                    m.next = "DATA"

            with m.State("DATA"):
                m.d.comb += aligner.enable.eq(1)
                m.d.sync += further.eq(1)
                with m.If(aligner.burst_end):
                    m.next = "BURST"
                    with m.If(unasked == 0):
                        m.next = "STATUS"

            with m.State("STATUS"):
                m.d.comb += self.used.valid.eq(~aligner.output.valid)
                with m.If(self.used.valid & self.used.ready):
                    m.d.sync += first.eq(first & null)
                    m.next = "DESCRIPTOR"
                    with m.If(used.event):
                        m.d.sync += self.used_bytes.eq(info.length)
                        m.next = "FRAME"
        return m
