"""Transmit descriptor write-back (manual 3.3.3.3 status field, 3.4.2.2 write-back, 13.4.39 TDH, 13.4.43 LWTHRESH).

WTHRESH = 0: the status byte of each descriptor with RS is written as soon as the descriptor is done.
"""

from amaranth import Cat, Module, Mux, Signal
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
    low_threshold : In(7), TXDCTL.LWTHRESH, in units of 8 descriptors
    written : Out(1), pulses per status written (cause TXDW)
    delayed : Out(1), with ``written``: the descriptor has IDE, so the cause is to be delayed
    empty : Out(1), pulses when the head meets the tail (cause TXQE)
    low : Out(1), pulses when the descriptors left have fallen to the threshold (cause TXD_LOW)
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
                "low_threshold": In(7),
                "written": Out(1),
                "delayed": Out(1),
                "empty": Out(1),
                "low": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        completion = Signal(Completion)
        following = Signal(16)
        advance = Signal()
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
                m.d.comb += [advance.eq(1), self.written.eq(completion.report), self.empty.eq(following == self.tail)]
                m.next = "IDLE"
        m.d.comb += self.delayed.eq(completion.delayed)
        with m.If(self.head_written):
            m.d.sync += self.head.eq(self.head_value)
        self._low(m, advance)
        return m

    def _low(self, m: Module, advance: Signal) -> None:
        """The threshold for TXD_LOW, which is looked at in two steps after the head has moved."""
        left = Signal(16)
        moved = Signal(2)
        m.d.sync += [
            moved.eq(Cat(advance, moved)),
            left.eq(self.tail - self.head + Mux(self.tail < self.head, self.length // DESCRIPTOR_BYTES, 0)),
        ]
        m.d.comb += self.low.eq(moved[1] & (left == 8 * self.low_threshold))
