"""Transmit descriptor write-back (manual 3.3.3.2 status field, 3.4.2 write-back, 3.4.3 interrupts, 13.4.39 TDH, 13.4.43
TXDCTL).

At WTHRESH = 0 the status byte of each descriptor with RS is written; else whole descriptors, and those with RS have DD.
"""

from amaranth import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..descriptors import TRANSMIT_LEGACY
from ..interfaces import WriteData, WriteRequest
from ..thresholds import Thresholds
from ..write_back import DescriptorWriteBack
from .layouts import Completion, LegacyDescriptor

__all__ = ["TransmitWriteBack"]

_DD_BYTE = TRANSMIT_LEGACY.fields["dd"][0] // 8


class TransmitWriteBack(wiring.Component):
    """Reports completed descriptors to host memory, and keeps the head.

    Members
    -------
    completions : In(stream of Completion), in ring order
    write_request, write_data : as in ``MemoryPort``
    base, length, tail, thresholds, timer_running, flush, flushed, head_written, head_value, head
        As in ``DescriptorWriteBack``.
    low_threshold : In(7), TXDCTL.LWTHRESH, in units of 8 descriptors
    written : Out(1)
        Pulses for a descriptor with RS: with ``delayed`` it has IDE, and the delay timers start; else it has been
        written back, and the cause TXDW is due. Several of a group may share a pulse without ``delayed``.
    delayed : Out(1)
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
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.write_back = write_back = DescriptorWriteBack(status_byte=_DD_BYTE, status_bytes=1)
        connect(m, write_back.write_request, flipped(self.write_request))
        connect(m, write_back.write_data, flipped(self.write_data))
        completion = self.completions.payload
        used = write_back.used.payload
        descriptor = LegacyDescriptor(completion.data)
        m.d.comb += [
            write_back.used.valid.eq(self.completions.valid),
            self.completions.ready.eq(write_back.used.ready),
            used.data.eq(completion.data),
            used.index.eq(completion.index),
            used.report.eq(descriptor.rs),
            used.event.eq(descriptor.rs & descriptor.ide),
            used.prompt.eq(descriptor.rs & ~descriptor.ide),
        ]
        with m.If(descriptor.rs):
            m.d.comb += used.data[8 * _DD_BYTE : 8 * _DD_BYTE + 8].eq(1)
        for name in ("base", "length", "tail", "thresholds", "timer_running", "flush", "head_written", "head_value"):
            m.d.comb += getattr(write_back, name).eq(getattr(self, name))
        m.d.comb += [
            self.flushed.eq(write_back.flushed),
            self.head.eq(write_back.head),
            self.written.eq(write_back.event | write_back.prompt),
            self.delayed.eq(write_back.event),
            self.empty.eq(write_back.advanced & (write_back.head == self.tail)),
            self.low.eq(write_back.moved & (write_back.left == 8 * self.low_threshold)),
        ]
        return m
