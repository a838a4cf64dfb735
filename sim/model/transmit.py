"""The transmit path: from descriptors to packets for the MAC (``hw.transmit``)."""

from collections.abc import Callable
from typing import Final, Protocol

from hw.interfaces import MAX_BURST_BYTES
from hw.transmit.layouts import MAX_HEADER_BYTES, MAX_PACKET_BYTES
from sim.model.events import Events
from sim.model.gather import Asked, Gatherer
from sim.model.mac_transmit import MacTransmit, Outgoing
from sim.model.memory_port import LAST_ADDRESS, MemoryPort
from sim.model.ring import Prefetch
from sim.model.segment import insert_checksums, segment_frame
from sim.model.timing import Timing
from sim.model.transmit_records import Burst, Item, Segmentation, reported
from sim.model.write_back import Used, WriteBack

__all__ = ["Transmit"]

_EMPTY: Final = 3
"""Cycles from a descriptor without data to the gatherer: the queue between."""
_LONGEST_BURST: Final[int] = MAX_BURST_BYTES
_ITEMS: Final = 32
"""Descriptors whose data has been asked for and not used (``hw.transmit.request.TransmitRequester``)."""
_DATA_WORDS: Final = 512
_BEHIND: Final = 3
"""Words of a packet that find room though the buffer is full: two behind the one that it takes to be the last
(``hw.transmit.buffer``), and the one that its reader holds."""
_BETWEEN: Final = 9
"""The same, seen from the gatherer: six are between it and the buffer."""

_RS: Final = 1 << 27
_IDE: Final = 1 << 31
_EOP: Final = 1 << 24
_REPORTED_LATER: Final = _EOP | _RS | _IDE
_CUT: Final = 1 << 29 | 1 << 26
"""DEXT and TSE."""
"""Of a descriptor's upper half."""


def _words(packet: Outgoing) -> int:
    """Words of the buffer that a packet takes, or has taken before it is found too long and dropped."""
    return len(packet.data[:MAX_PACKET_BYTES]) + 7 >> 3


def _outgoing(frame: bytes, asked: Asked) -> Outgoing:
    return Outgoing(frame, asked.ifcs, asked.vle, asked.special, None)


def _completed(frame: bytes, asked: Asked) -> bytes:
    return frame if asked.plain else insert_checksums(asked.context, asked.options, frame)


class PacketPut(Protocol):
    """What does what follows from a packet's being put in one step, if it can."""

    def put(self) -> bool:
        """The packet that waits can be put in the present cycle. Returns whether there is nothing left to do."""


class Transmit:
    """Descriptors in, packets out.

    ``on_segmented`` and ``on_cut_short`` are called when all frames of a segmented packet have been made, or not.
    """

    def __init__(
        self,
        events: Events,
        timing: Timing,
        port: MemoryPort,
        prefetch: Prefetch,
        write_back: WriteBack,
        mac: MacTransmit,
        *,
        on_segmented: Callable[[], None],
        on_cut_short: Callable[[], None],
    ) -> None:
        self._events = events
        self._timing = timing
        self._port = port
        self._prefetch = prefetch
        self._write_back = write_back
        self._mac = mac
        self._on_segmented = on_segmented
        self._on_cut_short = on_cut_short
        self._epoch = 0
        self.batch: PacketPut | None = None
        self.looks_ahead = False
        """What comes from memory is looked up when it is asked for, and ``written`` is to be told of every write since.
        That saves the event for its coming where the gatherer is busy until then."""
        self.reset()

    def reset(self) -> None:
        self._epoch += 1
        self._asking: Item | None = None
        self._waits_for_room = False
        self._items = 0
        self._room = _DATA_WORDS
        self._freed: list[tuple[int, int]] = []
        """Room that is going to be from a cycle on, in words."""
        self._taking = False
        self._requester_free = self._events.now
        self._gatherer = Gatherer()
        self._inbox: list[Burst] = []
        self._ahead: list[Burst] = []
        """Bursts that are known before they come."""
        self._time = self._events.now
        """How far gatherer and segmenter have come."""
        self._item_begun = False
        self._completing: Item | None = None
        self._complete_at = 0
        self._burst: Burst | None = None
        self._position = 0
        self._data = bytearray()
        self._chunks = 0
        """Words of the packet at hand that have been used."""
        self._packet: Asked | None = None
        self._cutting: Segmentation | None = None
        self._was_cut = False
        """The packet that the item at hand ends is one."""
        self._pending: list[Outgoing] = []
        self._fitted = False
        self._stalled = False
        """There is no room for what is to be used next."""
        self._ready = 0
        self._rest = False
        """There are bytes left of the burst at hand."""

    @property
    def active(self) -> bool:
        """There are descriptors inside, or a frame on its way to the buffer."""
        return self._items > 0 or bool(self._pending)

    # Requester

    def offered(self) -> None:
        """The prefetch has a descriptor to offer."""
        if not self._taking and self._asking is None and self._items < _ITEMS:
            self._taking = True
            now = self._events.now
            self._events.at(max(now, self._requester_free), self._take, self._epoch)

    def _take(self, epoch: int) -> None:
        if epoch != self._epoch:
            return
        self._taking = False
        offer = self._prefetch.next_offer()
        if offer is None or self._asking is not None or self._items >= _ITEMS:
            return
        now = self._events.now
        if offer > now:
            self._taking = True
            self._events.at(offer, self._take, epoch)
            return
        item = Item(self._prefetch.take(now))
        self._items += 1
        timing = self._timing
        if not item.left:
            came = now + _EMPTY
            burst = Burst(item, came, came, True, 0, 0, 0)
            burst.known = True
            self._inbox.append(burst)
            self._await(burst)
            self._next_descriptor(now + 1)
            return
        self._asking = item
        self._events.at(now + timing.requester_burst, self._ask, epoch)

    def _ask_for(self, item: Item, now: int, length: int, words: int) -> None:
        """Ask for a burst of an item, for whose words there is room, in a cycle."""
        self._room -= words
        first, last = self._port.request(now, item.address, length)
        item.left -= length
        burst = Burst(item, first, last, item.left == 0, words, item.address, length)
        self._inbox.append(burst)
        if self.looks_ahead:
            data = self._port.peek(item.address, length)
            if data is not None:
                burst.data, burst.known = data, True
                self._ahead.append(burst)
                if self._port.on_write is None:
                    self._port.on_write = self.written
        if not burst.known or len(self._inbox) == 1:
            self._await(burst)

    def _next_descriptor(self, cycle: int) -> None:
        self._requester_free = cycle
        if self._items < _ITEMS and not self._taking:
            self._taking = True
            self._events.at(cycle, self._take, self._epoch)

    def _ask(self, epoch: int) -> None:
        """Ask for the next burst of the item at hand, if there is room for the answer."""
        item = self._asking
        if epoch != self._epoch or item is None:
            return
        length = min(item.left, _LONGEST_BURST - item.address % _LONGEST_BURST)
        words = (item.address + length + 7 >> 3) - (item.address >> 3)
        now = self._events.now
        freed = self._freed
        while freed and freed[0][0] <= now:
            self._room += freed.pop(0)[1]
        if words > self._room:
            if freed:
                self._events.at(freed[0][0], self._ask, epoch)
            else:
                self._waits_for_room = True
            return
        self._ask_for(item, now, length, words)
        item.address = item.address + length & LAST_ADDRESS
        if item.left:
            self._events.at(now + self._timing.requester_burst, self._ask, epoch)
        else:
            self._asking = None
            self._next_descriptor(now + self._timing.requester_next)

    def _await(self, burst: Burst) -> None:
        """Have an event for when a burst comes."""
        if not burst.awaited:
            burst.awaited = True
            self._events.at(burst.last, self._come, self._epoch, burst)

    def written(self, cycle: int, address: int, end: int) -> None:
        """Memory shows something else at some addresses from a cycle on."""
        ahead, now = self._ahead, self._events.now
        while ahead and ahead[0].last <= now:
            ahead.pop(0)
        if not ahead:
            self._port.on_write = None
        for burst in ahead:
            if burst.last >= cycle and burst.address < end and address < burst.address + burst.length:
                burst.known = False
                self._await(burst)

    # Gatherer and segmenter

    def _come(self, epoch: int, burst: Burst) -> None:
        """Bytes of an item have come, or an item without any."""
        if not burst.known:
            burst.data = self._port.load(self._events.now, burst.address, burst.length)
        if epoch == self._epoch:
            burst.come = True
            self._go_on()

    def _has_come(self, burst: Burst) -> bool:
        """Whether the next burst is there; if not, it is awaited."""
        if not burst.awaited:
            if burst.last <= self._events.now:
                return True
            self._await(burst)
        return burst.come

    def _go_on(self) -> None:
        """Work on what has come, as far as the buffer lets it."""
        self._stalled = False
        while self._completing is None and (not self._pending or self._fitted or self._fits()):
            burst = self._burst
            if burst is None or self._rest:
                if self._pending and (burst is not None or self._begins()):
                    return
                if burst is None:
                    if not self._inbox or not self._has_come(self._inbox[0]):
                        return
                    burst = self._burst = self._inbox.pop(0)
                    self._position = 0
                if not self._item_begun:
                    self._begin_item(burst)
                self._rest = self._use(burst)
                if self._stalled:
                    return
                if not self._rest and burst.final and self._packet is not None:
                    self._end_packet(self._packet)
                continue
            self._burst = None
            self._freed.append((self._time - self._timing.requester_room, burst.words))
            if self._waits_for_room:
                self._waits_for_room = False
                self._events.at(self._freed[0][0], self._ask, self._epoch)
            if burst.final:
                self._end_item(burst.item)

    def _begins(self) -> bool:
        """Whether the next descriptor, if there is one, is of a packet: the others do not wait for the one before."""
        return not self._inbox or self._item_begun or self._inbox[0].item.carries

    def _fits(self) -> bool:
        """Whether a frame that has been made has left the gatherer: all of it but what the stages between hold."""
        words = _words(self._pending[0])
        # A buffer that does not begin with a word has one more than its packet, perhaps.
        room = self._mac.room_at(words, _BETWEEN - max(self._chunks - words, 0))
        if room is None:
            return False
        self._time = max(self._time, room)
        self._fitted = True
        return True

    def _begin_item(self, burst: Burst) -> None:
        timing, item = self._timing, burst.item
        self._item_begun = True
        begins = not self._gatherer.inside
        self._packet = self._gatherer.take(item.raw, item.upper)
        if not item.carries:
            self._time = max(self._time, burst.first)
            return
        if begins:
            asked = self._packet or self._gatherer.asked(item.upper)
            self._data = bytearray()
            self._chunks = 0
            self._cutting = Segmentation(asked) if asked.options.tse else None
            if self._cutting:
                self._check(self._cutting)
        self._time += timing.gather_item

    def _check(self, cutting: Segmentation) -> None:
        context = cutting.context
        if not context.mss or not 0 < context.hdrlen <= MAX_HEADER_BYTES:
            cutting.over = True
            self._on_cut_short()

    def _use(self, burst: Burst) -> bool:
        """Use a burst's bytes, all or up to the end of a frame. Returns whether some are left."""
        rest = len(burst.data) - self._position
        if rest:
            self._time = max(self._time, burst.first + self._timing.gather_word - 1)
            cutting = self._cutting
            if cutting is None or cutting.over:
                room = 0
                if cutting is None:
                    length = len(self._data) + rest
                    if self._mac.full(length >> 3):
                        words = (min(length, MAX_PACKET_BYTES) + 7) >> 3
                        found = self._mac.room_at(words, _BETWEEN)
                        if found is None:
                            self._stalled = True
                            return True
                        room = found
                    self._data += burst.data
                    self._chunks += burst.words
                self._time = max(
                    self._time + burst.words * self._timing.segment_chunk, burst.last + self._timing.gather_word, room
                )
                self._position = len(burst.data)
            elif len(cutting.header) < cutting.context.hdrlen:
                self._use_header(burst, cutting)
                return True
            elif cutting.wanted() > 0:
                return self._use_payload(burst, cutting)
        return False

    def _use_header(self, burst: Burst, cutting: Segmentation) -> None:
        """Header bytes go one per cycle."""
        count = min(cutting.context.hdrlen - len(cutting.header), len(burst.data) - self._position)
        cutting.header += burst.data[self._position : self._position + count]
        self._position += count
        self._time += count
        if len(cutting.header) == cutting.context.hdrlen:
            self._begin_frame(cutting)
            if not cutting.wanted():
                self._make_frame(cutting)

    def _begin_frame(self, cutting: Segmentation) -> None:
        self._time += cutting.context.hdrlen

    def _use_payload(self, burst: Burst, cutting: Segmentation) -> bool:
        wanted = cutting.wanted() - len(cutting.piece)
        piece = burst.data[self._position : self._position + wanted]
        cutting.piece += piece
        self._position += len(piece)
        end = burst.last + self._timing.gather_word - (len(burst.data) - self._position >> 3)
        self._time = max(self._time + (len(piece) + 7 >> 3) * self._timing.segment_chunk, end)
        if len(piece) == wanted:
            self._make_frame(cutting)
        return self._position < len(burst.data)

    def _make_frame(self, cutting: Segmentation) -> None:
        """A frame of a segmented packet is whole."""
        context = cutting.context
        frame = segment_frame(
            context, cutting.asked.options, bytes(cutting.header), bytes(cutting.piece), cutting.number
        )
        ready = self._time + self._timing.segment_frame
        cutting.piece.clear()
        cutting.number += 1
        if cutting.number * context.mss >= context.paylen:
            cutting.over = True
            self._on_segmented()
        self._commit(ready, frame, cutting.asked)
        if not cutting.over:
            self._time += self._timing.segment_drain
            self._begin_frame(cutting)

    def _end_item(self, item: Item) -> None:
        """The last byte of a descriptor has been used."""
        self._packet = None
        self._completing = item
        self._item_begun = False
        cut = self._cutting is not None or self._was_cut
        self._complete_at = self._time + (self._timing.segment_complete if cut else self._timing.gather_complete)
        self._was_cut = False
        self._events.at(self._complete_at, self._complete, self._epoch)

    def _end_packet(self, packet: Asked) -> None:
        cutting, self._cutting = self._cutting, None
        self._was_cut = cutting is not None
        if cutting is not None:
            if not cutting.over:
                self._on_cut_short()
            return
        if self._data:
            self._commit(self._time + self._timing.segment_plain, _completed(bytes(self._data), packet), packet)

    def _complete(self, epoch: int) -> None:
        """Hand a descriptor to the write-back."""
        item = self._completing
        now = self._events.now
        if epoch != self._epoch or item is None or now < self._complete_at:
            return
        write_back = self._write_back
        if not write_back.ready():
            if write_back.free > now:
                self._events.at(write_back.free, self._complete, epoch)
            return
        report = bool(item.upper & _RS)
        delayed = bool(item.upper & _IDE)
        data = reported(item.raw) if report else item.raw
        write_back.use(Used(item.index, data, report=report, event=report and delayed, prompt=report and not delayed))
        self._completing = None
        self._items -= 1
        if self._asking is None:
            self._next_descriptor(max(now, self._requester_free))
        if self._cutting is None:
            self._time = max(self._time, now - 1)
        else:
            # The segmenter goes on by itself, unless the write-back has held the gatherer up.
            self._time += now - self._complete_at
        self._go_on()

    def write_back_ready(self) -> None:
        """The write-back takes a descriptor again."""
        if self._completing is not None:
            self._events.at(self._write_back.free, self._complete, self._epoch)

    # In one step (``sim.model.transmit_batch``)

    def backlogged(self) -> bool:
        """A packet waits for its place, no descriptor is being taken, and that of the next packet and all its bytes are
        known: one burst of one descriptor, to be reported by a delay timer, and not to be cut."""
        inbox, pending = self._inbox, self._pending
        if (
            self._taking
            or self._asking is not None
            or self._completing is not None
            or self._burst is not None
            or self._cutting is not None
            or self._freed
            or not (pending and self._fitted)
            or self._ready > self._events.now
            or len(pending[0].data) > _LONGEST_BURST
            or len(inbox) < 2
            or not inbox[1].item.carries
        ):
            return False
        burst = inbox[0]
        item = burst.item
        return (
            burst.final
            and burst.length > 0
            and not self._item_begun
            and not self._gatherer.inside
            and burst.last <= self._events.now
            and (burst.come if burst.awaited else burst.known)
            and item.carries
            and item.upper & _REPORTED_LATER == _REPORTED_LATER
            and item.upper & _CUT != _CUT
        )

    @property
    def next_burst(self) -> Burst:
        """The bytes of the next packet."""
        return self._inbox[0]

    @property
    def time(self) -> int:
        """The cycle up to which the gatherer has come."""
        return self._time

    @property
    def full(self) -> bool:
        """No more descriptors are taken."""
        return self._items == _ITEMS

    @property
    def room_left(self) -> int:
        """Words that can be asked for."""
        return self._room

    @property
    def requester_free(self) -> int:
        """The cycle from which the requester takes a descriptor."""
        return self._requester_free

    def follow(self, *, time: int, ready: int, free: int) -> Outgoing:
        """The packet that waits leaves, which is returned, and the next one waits from ``ready`` on; the gatherer has
        come up to ``time``. The requester is free from a cycle on, and may take a descriptor then."""
        burst = self._inbox.pop(0)
        item = burst.item
        packet = self._gatherer.take(item.raw, item.upper) or self._gatherer.asked(item.upper)
        left = self._pending[0]
        self._pending[0] = _outgoing(_completed(burst.data, packet), packet)
        self._ready = ready
        self._time = time
        self._room += burst.words
        self._items -= 1
        self._requester_free = free
        return left

    def request(self, item: Item, asked: int, length: int, words: int) -> None:
        """The requester takes a descriptor, and asks for all of its data in a cycle."""
        self._items += 1
        self._requester_free = asked + self._timing.requester_next
        self._ask_for(item, asked, length, words)

    # To the buffer

    def _commit(self, ready: int, frame: bytes, asked: Asked) -> None:
        self._pending.append(_outgoing(frame, asked))
        self._fitted = False
        self._ready = ready
        self._events.at(ready, self._put, self._epoch)

    def _put(self, epoch: int) -> None:
        now = self._events.now
        if epoch != self._epoch or not self._pending or now < self._ready:
            return
        room = self._room_at()
        if room is None:
            return
        if room > now:
            self._events.at(room, self._put, epoch)
            return
        if self.batch is not None and self.batch.put():
            return
        packet = self._pending.pop(0)
        if self._cutting is None or now > self._ready:
            self._time = max(self._time, now + self._timing.segment_resume)
        if len(packet.data) <= MAX_PACKET_BYTES:
            self._mac.put(packet)
        self._go_on()

    def _room_at(self) -> int | None:
        """The cycle from which the buffer takes the packet that waits, or None if that is not known yet."""
        slot = self._mac.slot_at()
        if slot is None:
            return None
        room = self._mac.room_at(_words(self._pending[0]), _BEHIND)
        return room if room is None or room > slot else slot

    def room(self) -> None:
        """The buffer may have room for what waits."""
        if self._pending:
            if self._events.now >= self._ready:
                room = self._room_at()
                if room is not None:
                    self._events.at(room, self._put, self._epoch)
            self._go_on()
        elif self._stalled:
            self._go_on()
