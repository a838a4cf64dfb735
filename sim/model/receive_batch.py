"""Received frames back to back in one step each: what ``Receive``, ``Prefetch``, ``WriteBack`` and ``DelayTimers`` do by
events, for the case that is by far the most frequent, with the same times.

It is: a good frame in one burst into one descriptor that is there, status alone written back, no delay timers, nothing
else going on until that is done, and nothing that is done meanwhile to be seen by anyone. All else is left to events.
"""

import zlib
from collections import deque
from typing import TYPE_CHECKING

from hw.interfaces import MAX_BURST_BYTES
from sim.model.interrupts import CAUSE
from sim.model.receive import GOOD_RESIDUE, status_bits
from sim.model.receive_filter import Verdict

if TYPE_CHECKING:
    from sim.model.nic import Nic

__all__ = ["Batch"]

_DONE = 0x3 << 32
"""DD and EOP in a descriptor's upper half."""
_CHECKSUM = 16
_RXT0 = CAUSE["RXT0"]
_REMEMBERED = 256


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
        self._idle = timing.write_back_idle
        self._known: dict[tuple[bytes, Verdict, tuple[int, int]], int] = {}
        """Upper halves by frame and verdict: traffic of one frame over and over is what speed is measured with."""

    def take(self, arrivals: deque[tuple[int, int, bytes]]) -> bool:
        nic = self._nic
        receive, prefetch, write_back = nic.receive, nic.receive_prefetch, nic.receive_write_back
        if not (
            receive.idle()
            and write_back.idle()
            and nic.port.full_width
            and not nic.receive_ring.wthresh_field
            and not nic.receive_delay.packet_delay
            and not nic.receive_delay.running
            and not receive.strip_tag
            and not receive.strip_crc
            and not nic.window["RSRPD"]
            and not nic.wake.armed
        ):
            return False
        events, port, interrupts = nic.events, nic.port, nic.interrupts
        nothing_until, limit, judge, tally = events.nothing_until, events.limit, receive.filter.judge, receive.tally
        first, status, used, report, idle = self._first, self._status, self._used, self._report, self._idle
        fields, ring = nic.receive_fields(), nic.receive_ring
        minimum, size = ring.size >> nic.receive_minimum_shift(), receive.buffer_size
        taken = False
        while arrivals:
            decided, begin, frame = arrivals[0]
            length = len(frame)
            descriptor = prefetch.at_hand(decided)
            if descriptor is None or length > size or not receive.enabled_for(begin):
                break
            index, address = descriptor
            if not address or (address % MAX_BURST_BYTES) + length > MAX_BURST_BYTES or address + length > port.size:
                break
            last = decided + first + 2 * ((address + length + 7 >> 3) - (address >> 3) - 1)
            status_last = last + status
            done = status_last + report
            if done + 1 > limit or not nothing_until(done + 1):
                break
            if port.write_free > decided + first or write_back.free > last + used:
                break
            left = ring.tail - index - 1
            if left < 0:
                left += ring.size
            if left == minimum or zlib.crc32(frame) != GOOD_RESIDUE:
                break
            verdict = judge(frame, crc_error=False)
            if not verdict.keep or verdict.control is not None:
                break
            place = ring.base + 16 * index + 8
            if place + 8 > port.size:
                break
            arrivals.popleft()
            taken = True
            prefetch.take(decided)
            key = (frame, verdict, fields)
            upper = self._known.get(key)
            if upper is None:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                sums = receive.checksums(frame)
                upper = _DONE | length | sums.checksum << _CHECKSUM | status_bits(sums, verdict)
                self._known[key] = upper
            tally.add(verdict, length, lost=False, no_buffer=False)
            port.place(last, address, frame)
            port.place(status_last, place, upper.to_bytes(8, "little"))
            write_back.wrote(index, done + idle)
            receive.passed(length)
            events.now = done
            if not interrupts.causes & _RXT0:
                nic.receive_delay.event()
                if not nothing_until(limit):
                    break
        return taken
