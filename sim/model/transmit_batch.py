"""What follows while a frame is on the wire, in one step: what ``Transmit``, ``Prefetch``, ``WriteBack`` and
``DelayTimers`` do by events, for the case that is the most frequent with small packets, with the same times.

It is: all places for packets are taken, and one more waits for that which this one leaves with its last word. It takes
it, and the gatherer goes on to the next packet, which is one descriptor and one burst that has come; that descriptor is
written back by itself, and in its place the data of another one, which is at hand, is asked for. Nothing else goes on
until then that this could disturb, nor can anything from outside arrive. All else is left to events.
"""

from typing import TYPE_CHECKING, Final

from hw.descriptors import DESCRIPTOR_BYTES
from hw.interfaces import MAX_BURST_BYTES
from sim.model.transmit_records import Item, reported
from sim.model.write_back import USE_CYCLES

if TYPE_CHECKING:
    from sim.model.nic import Nic

__all__ = ["TransmitBatch"]

_LONGEST_BURST: Final[int] = MAX_BURST_BYTES
_DESCRIPTOR_BYTES: Final[int] = DESCRIPTOR_BYTES
_MOST_AHEAD: Final = 40
"""Cycles: less than any frame takes from the begin of its preamble to where it makes a difference."""


class TransmitBatch:
    """Works on the parts of a NIC. ``notice`` is how many cycles pass at least before an access that the host makes
    reaches the NIC."""

    def __init__(self, nic: "Nic", notice: int) -> None:
        self._nic = nic
        self._ahead = min(notice, _MOST_AHEAD)
        timing = nic.timing
        # From the descriptor joining to the request for its place in memory, and to that being written.
        self._asked = timing.write_back_group + timing.write_back_request
        self._taken = self._asked + nic.port.first_word + 2
        self._written = self._taken - timing.arbiter_early + timing.write_back_report
        self._version = -1
        self._usable = False

    def begun(self, end: int) -> bool:
        """A packet's preamble begins in the present cycle, and the frame ends in another."""
        return self._follow(end, begun=True)

    def put(self) -> bool:
        """The packet that waits can be put in the present cycle."""
        mac = self._nic.mac
        end = mac.ends if mac.busy else None
        return end is not None and mac.last_word == self._nic.events.now and self._follow(end, begun=False)

    def _follow(self, end: int, *, begun: bool) -> bool:
        """Do what follows, as soon as the frame has begun, whose end is not expected then, or when the packet can be
        put. Returns whether that has been done."""
        nic = self._nic
        if nic.window.version != self._version:
            self._look_at_registers()
        mac, transmit, write_back = nic.mac, nic.transmit, nic.transmit_write_back
        if not self._usable or not mac.backlogged() or not transmit.backlogged() or not write_back.idle():
            return False
        events, timing, delay = nic.events, nic.timing, nic.transmit_delay
        now = events.now
        burst = transmit.next_burst
        used = burst.item
        # The packet that waits is put where there is room from then on; the gatherer goes on.
        put = mac.last_word
        time = max(transmit.time, put + timing.segment_resume) + timing.gather_item
        time = max(time, burst.first + timing.gather_word - 1) + burst.words * timing.segment_chunk
        time = max(time, burst.last + timing.gather_word)
        ready = time + timing.segment_plain
        complete = max(time + timing.gather_complete, put)
        take = max(complete, transmit.requester_free)
        ask = take + timing.requester_burst
        joined = complete + USE_CYCLES
        last = max(joined + self._written, max(ask, ready))  # of two, that is no call
        if (
            put >= end
            or ready > end + mac.gap
            or last > end + self._ahead
            or last > events.limit + self._ahead
            or write_back.free > complete
            or nic.port.write_free > joined + self._asked
            or last - joined >= delay.shortest
            or time - timing.requester_room > ask
            or nic.port.observers
        ):
            return False
        place = nic.transmit_ring.base + _DESCRIPTOR_BYTES * used.index
        if place % _DESCRIPTOR_BYTES or place + _DESCRIPTOR_BYTES > nic.port.size:
            return False
        # The next descriptor is taken, if there is one.
        prefetch = nic.transmit_prefetch
        offered = prefetch.at_hand(take)
        item = None if offered is None else Item(offered)
        length = words = 0
        if item is not None:
            address, length = item.address, item.left
            words = (address + length + 7 >> 3) - (address >> 3)
            if (
                not 0 < length <= _LONGEST_BURST - address % _LONGEST_BURST
                or words > transmit.room_left + burst.words
                or not transmit.full
            ):
                return False
        elif not prefetch.empty:
            return False
        fetches = item is not None and not prefetch.suffices()
        while self._ample(used.index) and not events.nothing_until(last):
            if not begun and events.alone_until(end, last):
                break
            if fetches or not self._harmless():
                events.now = now
                return False
            events.early()
        events.now = now
        if not self._ample(used.index):
            return False
        nic.port.land(now)
        mac.put(transmit.follow(time=max(time, complete - 1), ready=ready, free=take))
        if item is not None:
            events.now = take
            prefetch.take(take)
            transmit.request(item, ask, length, words)
        events.now = joined
        delay.event()
        events.now = now
        # Memory may be looked at before it shows this: by whom the frame's end, which comes first, has woken.
        nic.port.place(joined + self._taken, place, reported(used.raw), 0)
        write_back.wrote(used.index, joined + self._written + timing.write_back_idle)
        return True

    def _look_at_registers(self) -> None:
        nic = self._nic
        ring = nic.transmit_ring
        self._version = nic.window.version
        self._usable = nic.port.full_width and ring.wthresh_field > 0 and ring.wthresh <= 1

    def _ample(self, index: int) -> bool:
        """Neither is the ring empty behind a descriptor, nor does what is left make a cause."""
        ring = self._nic.transmit_ring
        left = ring.tail - index - 1
        if left < 0:
            left += ring.size
        return left > 0 and left != ring.low

    def _harmless(self) -> bool:
        """Whether what is due next makes no difference to what is done here, nor that to it: a new tail far away, or
        the look at a delay timer that has been set anew."""
        nic = self._nic
        due = nic.events.next_alone()
        return due >= 0 and (due == nic.accesses.doorbell_at or due == nic.transmit_delay.idle_look)
