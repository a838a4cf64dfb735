"""Transmit descriptor write-back (manual 3.3.3.3 status field, 3.4.2.2 write-back, 13.4.37 TDH).

WTHRESH = 0: the status byte of each descriptor with RS is written as soon as the descriptor is done.
"""

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..descriptors import DESCRIPTOR_BYTES, TRANSMIT_LEGACY
from ..interfaces import WriteData, WriteRequest
from .layouts import Completion

__all__ = ["TransmitWriteBack"]

_DD_BYTE, _DD_BIT = divmod(TRANSMIT_LEGACY.fields["dd"][0], 8)


class TransmitWriteBack(wiring.Component):
    """Reports completed descriptors to host memory, and keeps the head.

    Members
    -------
    completions : In(stream of Completion), in ring order
    write_request, write_data : as in ``MemoryPort``
    base : In(64), address of the ring, a multiple of 16
    length : In(20), bytes of the ring (TDLEN)
    tail : In(16), TDT
    head_written : In(1), software writes ``head_value`` to TDH
    head_value : In(16)
    head : Out(16)
        Index of the next descriptor to complete. Moves when a descriptor's status has been handed to the port, at
        once if it has no RS.
    written : Out(1), pulses per status written (cause TXDW)
    empty : Out(1), pulses when the head meets the tail (cause TXQE)
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "completions": In(stream.Signature(Completion)),
                "write_request": Out(stream.Signature(WriteRequest)),
                "write_data": Out(stream.Signature(WriteData)),
                "base": In(64),
                "length": In(20),
                "tail": In(16),
                "head_written": In(1),
                "head_value": In(16),
                "head": Out(16),
                "written": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        completion = Signal(Completion)
        following = Signal(16)
        address = Signal(64)
        m.d.comb += [
            self.write_request.payload.address.eq(address),
            self.write_request.payload.length.eq(1),
            self.write_data.payload.data.eq(1 << (8 * (_DD_BYTE % 8) + _DD_BIT)),
            self.write_data.payload.strobe.eq(1 << _DD_BYTE % 8),
            self.write_data.payload.last.eq(1),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.completions.ready.eq(1)
                m.d.sync += completion.eq(self.completions.payload)
                with m.If(self.completions.valid):
                    m.next = "LOCATE"
            with m.State("LOCATE"):
                entry = DESCRIPTOR_BYTES * completion.index + _DD_BYTE
                m.d.sync += address.eq(self.base + entry)
                following_index = completion.index + 1
                wraps = following_index == self.length // DESCRIPTOR_BYTES
                m.d.sync += following.eq(Mux(wraps, 0, following_index))
                with m.If(completion.report):
                    m.next = "REQUEST"
                with m.Else():
                    m.next = "ADVANCE"
            with m.State("REQUEST"):
                m.d.comb += self.write_request.valid.eq(1)
                with m.If(self.write_request.ready):
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += self.write_data.valid.eq(1)
                with m.If(self.write_data.ready):
                    m.next = "ADVANCE"
            with m.State("ADVANCE"):
                m.d.sync += self.head.eq(following)
                m.d.comb += [self.written.eq(completion.report), self.empty.eq(following == self.tail)]
                m.next = "IDLE"
        with m.If(self.head_written):
            m.d.sync += self.head.eq(self.head_value)
        return m
