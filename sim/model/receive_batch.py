"""Received frames back to back in one step each: what ``Receive``, ``Prefetch``, ``WriteBack`` and ``DelayTimers`` do
by events, for the case that is by far the most frequent, with the same times.

It is: a good frame in one burst into one descriptor that is there, status alone written back, no delay timers, nothing
else going on until that is done, and nothing that is done meanwhile to be seen by anyone. All else is left to events.
"""

import zlib
from collections import deque
from typing import TYPE_CHECKING, Final

from hw.interfaces import MAX_BURST_BYTES
from sim.model.interrupts import CAUSE
from sim.model.receive import GOOD_RESIDUE

if TYPE_CHECKING:
    from sim.model.nic import Nic

__all__ = ["Batch"]

_DONE: Final = 0x3 << 32
"""DD and EOP in a descriptor's upper half."""
_CHECKSUM: Final = 16
_RXT0: Final = CAUSE["RXT0"]
_REMEMBERED: Final = 256


class Batch:
    """Works on the parts of a NIC."""

    def __init__(self, nic: "Nic") -> None:
        self._nic = nic
        timing = nic.timing
        # From the descriptor to the first word on the bus; from the last word to the status's request, to its word, and
        # to the events.
        write, use = nic.port.first_word, nic.receive_write_back.use_cycles
        self._first = timing.receive_dma_request + write
        self._status = -timing.arbiter_early + timing.receive_dma_status + use + timing.write_back_request + write
        self._used = -timing.arbiter_early + timing.receive_dma_status
        self._report = -timing.arbiter_early + timing.write_back_report
        self.lag = self._first + nic.port.write_latency
        """Cycles from the decision on a frame to the first that memory shows of it, at the earliest."""
        self._idle = timing.write_back_idle
        self._version = -1
        self._usable = False
        self._minimum = 0
        self._known: dict[bytes, tuple[bytes, list[int]]] = {}
        """By frame, as long as no register changes: the upper half of its descriptor, and where it is counted."""

    def take(self, arrivals: deque[tuple[int, int, bytes]]) -> bool:
        nic = self._nic
        if nic.window.version != self._version:
            self._look_at_registers()
        receive, prefetch, write_back = nic.receive, nic.receive_prefetch, nic.receive_write_back
        if not self._usable or nic.wake.armed or not (receive.idle() and write_back.idle()):
            return False
        events, port, interrupts, ring = nic.events, nic.port, nic.interrupts, nic.receive_ring
        next_due, limit, at_hand, known = events.due, events.limit, prefetch.at_hand, self._known
        first, status, used, report = self._first, self._status, self._used, self._report
        base, count, tail, largest, memory_end = ring.base + 8, ring.size, ring.tail, receive.buffer_size, port.size
        latency = port.write_latency
        taken = False
        while arrivals:
            decided, begin, frame = arrivals[0]
            length = len(frame)
            descriptor = at_hand(decided)
            if descriptor is None or length > largest or not receive.enabled_for(begin):
                break
            index, address = descriptor
            if not address or address % MAX_BURST_BYTES + length > MAX_BURST_BYTES or address + length > memory_end:
                break
            last = decided + first + 2 * ((address + length + 7 >> 3) - (address >> 3) - 1)
            status_last = last + status
            done = status_last + report
            due = next_due()
            if decided > limit or (due is not None and due <= done):
                break
            if port.write_free > decided + first or write_back.free > last + used:
                break
            left = tail - index - 1
            place = base + 16 * index
            if (left if left >= 0 else left + count) == self._minimum or place + 8 > memory_end:
                break
            found = known.get(frame)
            if found is None:
                found = self._look_at_frame(frame)
                if found is None:
                    break
            upper, counted = found
            arrivals.popleft()
            taken = True
            prefetch.take(decided)
            counted[0] += 1
            # Memory shows it at once if neither the host nor another part of the NIC can look before its time.
            unseen = limit if due is None or due > status_last + latency else 0
            port.place(last, address, frame, unseen)
            port.place(status_last, place, upper, unseen)
            write_back.wrote(index, done + self._idle)
            receive.passed(length)
            if done > limit:
                events.at(done, nic.receive_delay.event)
                break
            events.now = done
            if not interrupts.causes & _RXT0:
                nic.receive_delay.event()
        return taken

    def _look_at_registers(self) -> None:
        nic = self._nic
        receive = nic.receive
        self._version = nic.window.version
        self._known.clear()
        self._minimum = nic.receive_ring.size >> nic.receive_minimum_shift()
        self._usable = (
            nic.port.full_width
            and not nic.receive_ring.wthresh_field
            and not nic.receive_delay.packet_delay
            and not nic.receive_delay.running
            and not receive.strip_tag
            and not receive.strip_crc
            and not nic.window["RSRPD"]
        )

    def _look_at_frame(self, frame: bytes) -> tuple[bytes, list[int]] | None:
        """What ``_known`` has of a good frame, or None if it needs more than this."""
        receive = self._nic.receive
        if zlib.crc32(frame) != GOOD_RESIDUE:
            return None
        verdict = receive.filter.judge(frame, crc_error=False)
        if not verdict.keep or verdict.control is not None:
            return None
        status, checksum = receive.status(frame, verdict)
        upper = _DONE | len(frame) | checksum << _CHECKSUM | status
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        counted = receive.tally.count(verdict, len(frame), lost=False, no_buffer=False)
        found = self._known[frame] = upper.to_bytes(8, "little"), counted
        return found
