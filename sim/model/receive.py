"""The receive path: from the wire to host memory (``hw.receive``)."""

import zlib
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from hw.descriptors import RECEIVE
from hw.mac.fcs import FCS_BYTES, PREAMBLE_BYTES
from hw.receive.dma import WRITTEN_BACK
from hw.receive.filter import FilterSettings
from hw.vlan import strip
from sim.model.events import Events
from sim.model.memory_port import MemoryPort
from sim.model.receive_checksum import checksums
from sim.model.receive_filter import ReceiveFilter, ReceiveTally, Verdict
from sim.model.receive_settings import Looked, ReceiveSettings, SettingsHistory
from sim.model.ring import Prefetch
from sim.model.timing import Timing
from sim.model.write_back import Used, WriteBack

__all__ = ["BUFFER_WORDS", "GOOD_RESIDUE", "Receive", "ReceiveBatch"]

BUFFER_WORDS: Final = 6144
"""Words of 8 bytes in the packet buffer (``hw.receive.path.ReceivePath``)."""

# With a type, since mypyc calls slower operators on what it knows none of.
_LINE_PREAMBLE: Final[int] = PREAMBLE_BYTES + 1
_GAP: Final = 12
_WORD: Final = 8
_WORD_CYCLES: Final = 5
"""Cycles that a word takes at the filter and the checksum."""
_FIRST_WORD: Final = 20
"""Cycles from the begin of the preamble to the frame's first word at the filter: preamble, word, and the FIFO between
the clocks."""
_ENABLED: Final = 25
"""Cycles from the begin of the preamble to where RCTL.EN and the link count."""
_STAGES: Final = 5
"""Words of a frame that the buffer's reader and the DMA engine hold while there is no descriptor."""
GOOD_RESIDUE: Final = 0x2144DF1C
"""CRC-32 over a frame with its FCS, if that is right."""


class _Stored(NamedTuple):
    """A frame in the packet buffer: its bytes as they are to be in memory, the upper half of its last descriptor but
    the length, the packet checksum, and the words that it takes."""

    data: bytes
    status: int
    checksum: int
    words: int


def _place(name: str) -> int:
    """The lowest bit of a field in a descriptor's upper half."""
    lowest: int = RECEIVE.fields[name][0]
    return lowest - 8 * int(WRITTEN_BACK)


class ReceiveBatch(Protocol):
    """What ``hw`` does with frames, one after the other, without an event for each step."""

    def take(self, arrivals: list[tuple[int, int, bytes]]) -> bool:
        """Take frames off the front, as many as it can. Returns whether there was one."""


_DD: Final = 1 << _place("dd")
_EOP: Final = 1 << _place("eop")
_CHECKSUM: Final = _place("checksum")
_SPECIAL: Final = _place("special")
_BITS: Final = {name: 1 << _place(name) for name in ("ixsm", "ipcs", "ipe", "tcpcs", "tcpe", "ce", "pif", "vp")}
_NOT_CHECKED: Final = _BITS["ixsm"]
_IP_GOOD: Final = _BITS["ipcs"]
_IP_BAD: Final = _BITS["ipcs"] | _BITS["ipe"]
_TCP_GOOD: Final = _BITS["tcpcs"]
_TCP_BAD: Final = _BITS["tcpcs"] | _BITS["tcpe"]
_CRC_ERROR: Final = _BITS["ce"]
_INEXACT: Final = _BITS["pif"]
_TAGGED: Final = _BITS["vp"]


class Receive:
    """Frames in, descriptors out.

    ``on_control`` is told of each pause frame's quanta, ``on_lost`` of each frame for which there was no room,
    ``on_fill`` that the buffer's fill may have changed, ``on_decided`` of every frame with its verdict, received or
    not.
    """

    def __init__(
        self,
        events: Events,
        timing: Timing,
        port: MemoryPort,
        prefetch: Prefetch,
        write_back: WriteBack,
        settings: FilterSettings,
        *,
        on_control: Callable[[int], None],
        on_lost: Callable[[], None],
        on_fill: Callable[[], None],
        on_decided: Callable[[bytes, bool, bool], None],
    ) -> None:
        self._events = events
        self._timing = timing
        self._port = port
        self._prefetch = prefetch
        self._write_back = write_back
        self._on_control = on_control
        self._on_lost = on_lost
        self._on_fill = on_fill
        self._on_decided = on_decided
        self.filter = ReceiveFilter(settings)
        self.tally = ReceiveTally()
        self.batch: ReceiveBatch | None = None
        """Takes frames that come back to back in one step, where it can."""
        self._wire_free = 0
        self._epoch = 0
        self.reset(settings)

    def reset(self, settings: FilterSettings) -> None:
        self._epoch += 1
        self.filter.set(settings)
        self.history = SettingsHistory(ReceiveSettings(settings))
        self.tally.clear()
        self.buffer_size = 2048
        self.stored_bytes = 0
        self.arrivals: list[tuple[int, int, bytes]] = []
        """Frames on whose fate is to be decided: in which cycle, when the preamble began, and the frame."""
        self._enabled = False
        self._enabled_before = False
        self._enabled_since = 0
        self._queue: deque[_Stored] = deque()
        self._words = 0
        """Of the frames in the buffer, that at hand among them."""
        self._arriving = 0
        """Words of the frame that comes in."""
        self.watched_fill = 0
        """Fill that is to be told of as soon as it is reached; 0 is none."""
        self._current: _Stored | None = None
        self._done = 0
        self._gone = 0
        """Words of the frame at hand that are in buffers of the host."""
        self._first = False
        self._waiting_for_descriptor = False
        self._waiting_used: Used | None = None
        self._head = self._tail = self._head_saved = self._tail_saved = 0

    def pointers(self) -> tuple[int, int, int, int, int]:
        """``hw.interfaces.BufferPointers``: head, tail, both saved ones, packets."""
        current = self._current
        if current is None:
            return self._head, self._tail, self._head_saved, self._tail_saved, len(self._queue)
        head, saved, packets = (self._head + self._taken()) % BUFFER_WORDS, self._head, len(self._queue)
        if packets and current.words - self._gone < _STAGES - 1:
            # So short that the reader has begun the next.
            head, saved, packets = (head + 1) % BUFFER_WORDS, head, packets - 1
        return head, self._tail, saved, self._tail_saved, packets

    def _taken(self) -> int:
        """Words of the frame at hand that have left the buffer, its word of information among them."""
        return min(1 + self._gone + _STAGES, self._current.words) if self._current else 0

    @property
    def fill(self) -> int:
        """Words of the buffer in use, those of a frame that comes in among them."""
        return self._words - self._taken() + self._arriving

    def enable(self, on: bool) -> None:
        """RCTL.EN and the link; counts at a frame's first word."""
        if on != self._enabled:
            self._enabled_before, self._enabled = self._enabled, on
            self._enabled_since = self._events.now

    def set(self, settings: ReceiveSettings) -> None:
        """Registers have changed, perhaps."""
        if settings.filter is not self.filter.settings:
            self.filter.set(settings.filter)
        self.history.set(self._events.now, settings)

    # The wire

    def arrive(self, begin: int, frame: bytes) -> int:
        """A frame with FCS whose preamble begins in a cycle, or as soon as the wire is free; returns when it does."""
        if begin < self._wire_free:
            begin = self._wire_free
        length = len(frame)
        end = begin + _LINE_PREAMBLE + length
        self._wire_free = end + _GAP
        timing = self._timing
        # The last word waits for the one before if it holds fewer bytes than that takes cycles.
        rest = (length - 1) % 8 + 1
        last = end + (_WORD_CYCLES - rest if rest < _WORD_CYCLES and length > 8 else 0)
        decided = last + timing.receive_decide
        searched = begin + min(length, 16) + timing.receive_search
        arrivals = self.arrivals
        arrivals.append((decided if decided > searched else searched, begin, frame))
        if len(arrivals) == 1:
            self._events.at(arrivals[0][0], self._next, self._epoch)
        if self.watched_fill:
            self._events.at(begin, self._begin_arrival, self._epoch, length)
        return begin

    def _begin_arrival(self, epoch: int, length: int) -> None:
        words = self.watched_fill - self.fill
        if epoch == self._epoch and 0 < words <= length >> 3:
            self._events.at(self._events.now + _FIRST_WORD + _WORD * words, self._come_in, epoch, words)

    def _next(self, epoch: int) -> None:
        """It is decided on a frame that has come."""
        if epoch != self._epoch:
            return
        arrivals = self.arrivals
        if not (self.batch and self.batch.take(arrivals)):
            _, begin, frame = arrivals.pop(0)
            self._decide(begin, frame)
        if arrivals:
            self._events.at(arrivals[0][0], self._next, epoch)

    def enabled_for(self, begin: int) -> bool:
        """Whether the receiver was on at the first word of a frame that began in a cycle."""
        return self._enabled if begin + _ENABLED >= self._enabled_since else self._enabled_before

    def passed(self, length: int) -> None:
        """A frame has gone through in one step."""
        words = (length + 7 >> 3) + 1
        self.stored_bytes = length
        self._head_saved = self._tail_saved = self._tail
        self._head = self._tail = (self._tail + words) % BUFFER_WORDS

    def idle(self) -> bool:
        """No frame is in the buffer, or on its way to memory."""
        return self._current is None and not self._queue

    def _decide(self, begin: int, frame: bytes) -> None:
        if not frame:
            return
        history = self.history
        looked = history.steady
        if begin < history.steady_from:
            looked = history.of(begin, len(frame), self._events.now)
        # It takes room whatever is decided, its FCS too.
        words = len(strip(frame, looked.vet) if looked.strip_tag else frame) + 7 >> 3
        self._come_in(self._epoch, words)
        self._arriving = 0
        self._decide_on(begin, frame, words, looked)
        self._on_fill()

    def _come_in(self, epoch: int, words: int) -> None:
        """So many words of a frame have come."""
        if epoch == self._epoch and words:
            self._arriving = 0
            self._arriving = max(min(words, BUFFER_WORDS - 2 - self.fill), 0)
            self._on_fill()

    def _decide_on(self, begin: int, frame: bytes, words: int, looked: Looked) -> None:
        crc_error = zlib.crc32(frame) != GOOD_RESIDUE
        enabled = self.enabled_for(begin)
        self._on_decided(frame, crc_error, enabled)
        if not enabled:
            return
        filter_ = self.filter if looked is self.history.steady else ReceiveFilter(looked.filter)
        verdict = filter_.judge(frame, crc_error=crc_error)
        length = len(frame)
        if verdict.control in ("xon", "xoff"):
            self._on_control(verdict.quanta)
        no_buffer = verdict.keep and self._write_back.left() == 0
        if not verdict.keep:
            self.tally.add(verdict, length, lost=False, no_buffer=False)
            return
        stored = self._store(frame, verdict, looked)
        if self.fill + words + 1 >= BUFFER_WORDS:
            self.tally.add(verdict, length, lost=True, no_buffer=no_buffer)
            self._on_lost()
            return
        self.tally.add(verdict, length, lost=False, no_buffer=no_buffer)
        self._queue.append(stored)
        self._words += stored.words
        self._tail_saved = self._tail
        self._tail = (self._tail + stored.words) % BUFFER_WORDS
        if self._current is None and len(self._queue) == 1:
            self._begin(self._epoch)

    def _store(self, frame: bytes, verdict: Verdict, looked: Looked) -> _Stored:
        """The frame as the buffer holds it."""
        status, checksum = self.status(frame, verdict, looked)
        data = strip(frame, looked.vet) if looked.strip_tag else frame
        if looked.tell_tag and verdict.tag is not None:
            status |= _TAGGED | verdict.tag << _SPECIAL
        if looked.strip_crc:
            data = data[: max(len(data) - FCS_BYTES, 0)]
        if looked.swapped:
            checksum = (checksum << 8 | checksum >> 8) & 0xFFFF
        # One word of information beside the data.
        return _Stored(data, status, checksum, (len(data) + 7 >> 3) + 1)

    @staticmethod
    def status(frame: bytes, verdict: Verdict, looked: Looked) -> tuple[int, int]:
        """Bits of the upper half of a frame's last descriptor, and its packet checksum."""
        checksum, ipcs, ipe, tcpcs, tcpe = checksums(
            frame,
            pcss=looked.pcss,
            ip_offload=looked.ip_offload,
            tcp_offload=looked.tcp_offload,
            strip_crc=not looked.sum_crc,
            strip_tag=looked.strip_tag,
            vet=looked.vet,
        )
        bits = 0 if ipcs or tcpcs else _NOT_CHECKED
        if ipcs:
            bits |= _IP_BAD if ipe else _IP_GOOD
        if tcpcs:
            bits |= _TCP_BAD if tcpe else _TCP_GOOD
        if verdict.crc_error:
            bits |= _CRC_ERROR
        if verdict.inexact:
            bits |= _INEXACT
        return bits, checksum

    # Memory

    def _begin(self, epoch: int) -> None:
        """The DMA engine takes the next frame."""
        if epoch != self._epoch or self._current is not None or not self._queue:
            return
        self._current = self._queue.popleft()
        self._done = self._gone = 0
        self._first = True
        self._want(0)

    def _want(self, delay: int) -> None:
        """The DMA engine asks for a descriptor after some cycles."""
        self._waiting_for_descriptor = True
        self._events.at(self._events.now + delay, self._take, self._epoch)

    def offered(self) -> None:
        """The prefetch has a descriptor to offer."""
        if self._waiting_for_descriptor:
            self._events.at(self._events.now, self._take, self._epoch)

    def _take(self, epoch: int) -> None:
        if epoch != self._epoch or not self._waiting_for_descriptor:
            return
        offer = self._prefetch.next_offer()
        if offer is None:
            return
        now = self._events.now
        if offer > now:
            self._events.at(offer, self._take, epoch)
            return
        self._waiting_for_descriptor = False
        taken = self._prefetch.take(now)
        self._fill_buffer(taken.index, taken.address)

    def _fill_buffer(self, index: int, address: int) -> None:
        current, timing = self._current, self._timing
        assert current is not None
        upper, end = _DD, False
        cycle = self._events.now
        data = b""
        if address:
            left = len(current.data) - self._done
            piece = min(left, self.buffer_size)
            end = left <= self.buffer_size
            data = current.data if end and not self._done else current.data[self._done : self._done + piece]
            upper |= piece
            if self._first:
                upper |= current.checksum << _CHECKSUM
            if end:
                upper |= _EOP | current.status
            self._done += piece
            self._first = False
        written = address.to_bytes(8, "little") + upper.to_bytes(8, "little")
        used = Used(index, written, report=True, event=end, prompt=False)
        if data:
            self._events.at(cycle + timing.receive_dma_request, self._write, self._epoch, address, data, used)
        else:
            self._events.at(cycle + timing.receive_dma_status, self._report, self._epoch, used)

    def _write(self, epoch: int, address: int, data: bytes, used: Used) -> None:
        """Ask the memory port to take a buffer's data."""
        if epoch == self._epoch:
            handed = self._port.write(self._events.now, address, data)
            self._events.at(handed + self._timing.receive_dma_status, self._report, epoch, used)

    def _report(self, epoch: int, used: Used) -> None:
        """A descriptor is used."""
        if epoch != self._epoch:
            return
        write_back = self._write_back
        if not write_back.ready():
            self._waiting_used = used
            if write_back.free > self._events.now:
                self._events.at(write_back.free, self.write_back_ready)
            return
        self._waiting_used = None
        write_back.use(used)
        current = self._current
        assert current is not None
        if not used.event:
            self._gone = self._done // _WORD
            self._want(self._timing.receive_dma_again)
            return
        self.stored_bytes = len(current.data)
        self._words -= current.words
        self._head_saved = self._head
        self._head = (self._head + current.words) % BUFFER_WORDS
        self._on_fill()
        self._current = None
        if self._queue:
            self._events.at(self._events.now + self._timing.receive_dma_next, self._begin, self._epoch)

    def write_back_ready(self) -> None:
        """The write-back takes a descriptor again."""
        if self._waiting_used is not None:
            self._report(self._epoch, self._waiting_used)
