"""Received frames back to back in one step each: what ``Receive``, ``Prefetch``, ``WriteBack`` and ``DelayTimers`` do
by events, for the case that is by far the most frequent, with the same times.

It is: a good frame in one burst into one descriptor that is there, status alone written back, no delay timers, nothing
else going on until that is done, and nothing that is done meanwhile to be seen by anyone. All else is left to events.
"""

import zlib
from typing import TYPE_CHECKING, Final

from hw.interfaces import MAX_BURST_BYTES
from sim.model.interrupts import CAUSE
from sim.model.receive import GOOD_RESIDUE
from sim.model.receive_filter import Counted, Verdict
from sim.model.write_back import USE_CYCLES

if TYPE_CHECKING:
    from sim.model.nic import Nic

__all__ = ["Batch"]

_LONGEST_BURST: Final[int] = MAX_BURST_BYTES
_DONE: Final = 0x3 << 32
"""DD and EOP in a descriptor's upper half."""
_CHECKSUM: Final = 16
_RXT0: Final = CAUSE["RXT0"]
_REMEMBERED: Final = 256


class _Kind:
    """Frames of the same header and length, which are received all in the same way: the filter's verdict, and where
    they are counted. ``verdict`` is None if they need more than this."""

    __slots__ = ("counted", "header", "length", "verdict")

    def __init__(self, header: bytes, length: int, verdict: Verdict | None, counted: Counted) -> None:
        self.header = header
        self.length = length
        self.verdict = verdict
        self.counted = counted


_NO_KIND: Final = _Kind(b"", -1, None, Counted())
"""That of no frame."""


class Batch:
    """Works on the parts of a NIC."""

    def __init__(self, nic: "Nic") -> None:
        self._nic = nic
        timing = nic.timing
        # From the descriptor to the first word on the bus; from the last word to the status's request, to its word, and
        # to the events.
        write = nic.port.first_word
        self._first = timing.receive_dma_request + write
        self._status = (
            -timing.arbiter_early + timing.receive_dma_status + USE_CYCLES + timing.write_back_request + write
        )
        self._used = -timing.arbiter_early + timing.receive_dma_status
        self._report = -timing.arbiter_early + timing.write_back_report
        self.lag = self._first + nic.port.write_latency
        """Cycles from the decision on a frame to the first that memory shows of it, at the earliest."""
        self._idle = timing.write_back_idle
        self._version = -1
        self._usable = False
        self._minimum = 0
        self._kinds: dict[tuple[bytes, int], _Kind] = {}
        """By header and length, as long as no register changes."""
        self._latest = _NO_KIND
        """The kind of the latest frame: that of the next, most often."""

    def take(self, arrivals: list[tuple[int, int, bytes]]) -> bool:
        nic = self._nic
        if nic.window.version != self._version:
            self._look_at_registers()
        receive, prefetch, write_back = nic.receive, nic.receive_prefetch, nic.receive_write_back
        if not self._usable or nic.wake.armed or not (receive.idle() and write_back.idle()) or nic.port.observers:
            return False
        events, port, interrupts, ring = nic.events, nic.port, nic.interrupts, nic.receive_ring
        limit, steady, crc32 = events.limit, receive.history.steady, zlib.crc32
        first, status, used, report = self._first, self._status, self._used, self._report
        base, count, tail, largest, memory_end = ring.base + 8, ring.size, ring.tail, receive.buffer_size, port.size
        latency, steady_from = port.write_latency, receive.history.steady_from
        taken = 0
        for decided, begin, frame in arrivals:
            length = len(frame)
            descriptor = prefetch.at_hand(decided)
            if descriptor is None or not prefetch.suffices() or length > largest:
                break
            if not receive.enabled_for(begin) or begin < steady_from:
                break
            index, address = descriptor.index, descriptor.address
            if not address or address % _LONGEST_BURST + length > _LONGEST_BURST or address + length > memory_end:
                break
            last = decided + first + 2 * ((address + length + 7 >> 3) - (address >> 3) - 1)
            status_last = last + status
            done = status_last + report
            if decided > limit or not events.nothing_until(done):
                break
            if port.write_free > decided + first or write_back.free > last + used:
                break
            left = tail - index - 1
            place = base + 16 * index
            if (left if left >= 0 else left + count) == self._minimum or place + 8 > memory_end:
                break
            if crc32(frame) != GOOD_RESIDUE:
                break
            kind = self._latest
            if length != kind.length or not frame.startswith(kind.header):
                kind = self._latest = self._kind_of(frame)
            if kind.verdict is None:
                break
            upper, checksum = receive.status(frame, kind.verdict, steady)
            upper |= _DONE | length | checksum << _CHECKSUM
            taken += 1
            prefetch.take(decided)
            kind.counted.frames += 1
            # Memory shows it at once if neither the host nor another part of the NIC can look before its time.
            unseen = limit if events.nothing_until(status_last + latency) else 0
            port.place(last, address, frame, unseen)
            port.place(status_last, place, upper.to_bytes(8, "little"), unseen)
            write_back.wrote(index, done + self._idle)
            receive.passed(length)
            if done > limit:
                events.at(done, nic.receive_delay.event)
                break
            events.now = done
            if not interrupts.causes & _RXT0:
                nic.receive_delay.event()
        if taken:
            del arrivals[:taken]
        return taken > 0

    def _look_at_registers(self) -> None:
        nic = self._nic
        receive = nic.receive
        self._version = nic.window.version
        self._kinds.clear()
        self._latest = _NO_KIND
        self._minimum = nic.receive_ring.size >> nic.receive_minimum_shift()
        self._usable = (
            nic.port.full_width
            and not nic.receive_ring.wthresh_field
            and not nic.receive_delay.packet_delay
            and not nic.receive_delay.running
            and not receive.history.now.strip_tag
            and not receive.history.now.strip_crc
            and not nic.window["RSRPD"]
        )

    def _kind_of(self, frame: bytes) -> _Kind:
        """What there is to know of a good frame."""
        receive = self._nic.receive
        header, length = receive.filter.header(frame), len(frame)
        key = header, length
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= _REMEMBERED:
                self._kinds.clear()
            verdict = receive.filter.judge(frame, crc_error=False)
            counted = receive.tally.counted(verdict, length, lost=False, no_buffer=False)
            simple = verdict.keep and verdict.control is None
            kind = self._kinds[key] = _Kind(header, length, verdict if simple else None, counted)
        return kind
