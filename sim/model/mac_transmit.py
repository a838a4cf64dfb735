"""The transmit packet buffer and the MAC (``hw.transmit.buffer``, ``hw.mac.transmit``, ``hw.mac.pause``)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from mypy_extensions import mypyc_attr

from hw.frame_records import Transmitted, transmit_increments
from hw.interfaces import MAX_BURST_BYTES
from hw.mac.fcs import PREAMBLE_BYTES
from hw.mac.transmit import GAP_OFFSET, MINIMUM_BYTES
from hw.vlan import insert
from sim.model.events import Events
from sim.model.timing import Timing
from sim.wire import fcs

__all__ = ["BUFFER_WORDS", "FrameBegun", "MacSettings", "MacTransmit", "Outgoing", "TransmitTally"]

_PACKETS: Final = 64
"""Packets in the queue of ``TransmitBuffer``; it offers one more to the MAC."""
BUFFER_WORDS: Final = 2048
"""Words of 8 bytes in the packet buffer (``hw.transmit.path.TransmitPath``)."""

_WORDS: Final = BUFFER_WORDS - 2
_LINE_PREAMBLE: Final[int] = PREAMBLE_BYTES + 1
_GAP_OFFSET: Final[int] = GAP_OFFSET
_MINIMUM_BYTES: Final[int] = MINIMUM_BYTES
_TWO_BURSTS: Final[int] = 2 * (MAX_BURST_BYTES // 8 + 1)
"""Words that the packet that waits and the one behind it take at most, where each is one burst."""
_CONTROL: Final = 60
"""Bytes of a pause frame, which may go first, at least."""
_LINE: Final = 4
"""Cycles from the MAC to the wire: a frame is taken, and its last byte gone, so many before that can be seen there."""


@mypyc_attr(free_list_len=1)  # as often made as forgotten
class Outgoing:
    """A packet on its way to the MAC: its bytes without tag, padding and FCS, and ``hw.interfaces.TransmitInfo``."""

    __slots__ = ("data", "ifcs", "pause", "special", "vle")

    def __init__(self, data: bytes, ifcs: bool, vle: bool, special: int, pause: int | None) -> None:
        self.data = data
        self.ifcs = ifcs
        self.vle = vle
        self.special = special
        self.pause = pause
        """Quanta of a pause frame that the NIC made."""


@dataclass
class MacSettings:
    """Register fields: TCTL.PSP, TIPG.IPGT, CTRL.VME, VET."""

    pad: bool = False
    gap: int = 8
    vme: bool = False
    vet: int = 0


class TransmitTally:
    """Frames that are to be counted (``hw.frame_records``)."""

    def __init__(self) -> None:
        self._unicast: dict[int, int] = {}
        """How many to one station, by length."""
        self._frames: dict[tuple[int, bool, bool, int | None], int] = {}
        """How many of the others, by length, whether to all or to a group, and quanta."""

    def add(self, frame: bytes, pause: int | None) -> None:
        if pause is None and not frame[0] & 1:
            length = len(frame)
            self._unicast[length] = self._unicast.get(length, 0) + 1
            return
        # Of a frame that is shorter than an address, all there is of it.
        broadcast = frame[:6] == b"\xff" * 6 or (len(frame) < 6 and not frame.strip(b"\xff"))
        key = (len(frame), broadcast, not broadcast, pause)
        self._frames[key] = self._frames.get(key, 0) + 1

    def clear(self) -> None:
        self._unicast.clear()
        self._frames.clear()

    def increments(self) -> dict[str, int]:
        """What they add to which counter; they are forgotten then."""
        total: dict[str, int] = {}
        to_one = [((length, False, False, None), count) for length, count in self._unicast.items()]
        for (length, broadcast, multicast, pause), count in [*to_one, *self._frames.items()]:
            frame = Transmitted(
                length=length,
                broadcast=broadcast,
                multicast=multicast,
                xon=pause == 0,
                xoff=bool(pause),
            )
            for name, amount in transmit_increments(frame).items():
                total[name] = total.get(name, 0) + count * amount
        self.clear()
        return total


class FrameBegun(Protocol):
    """What does what follows from the begin of a frame in one step, if it can."""

    def begun(self, end: int) -> bool:
        """A frame begins in the present cycle, and ends in another. Returns whether there is nothing left to do."""


@mypyc_attr(free_list_len=1)  # as often made as forgotten
class _Sent:
    """A frame on the wire, the cycle in which its preamble began, and the quanta of a pause frame."""

    __slots__ = ("frame", "pause", "start")

    def __init__(self, start: int, frame: bytes, pause: int | None) -> None:
        self.start = start
        self.frame = frame
        self.pause = pause


class MacTransmit:
    """Packets in, frames on the wire.

    ``on_frame`` is given each frame with FCS and the cycle in which its preamble began, when its end has passed;
    ``on_room`` is called when there may be room for a packet that found none.
    """

    def __init__(
        self, events: Events, timing: Timing, on_frame: Callable[[int, bytes], None], on_room: Callable[[], None]
    ) -> None:
        self._events = events
        self._timing = timing
        self._on_frame = on_frame
        self._on_room = on_room
        self.batch: FrameBegun | None = None
        self.settings = MacSettings()
        self.tally = TransmitTally()
        self.cut = 0
        """Frames that a reset has cut on the wire."""
        self.busy = False
        """A frame is on the wire."""
        self.paused = False
        self._starting = False
        self._waiting: list[Outgoing] = []
        self._ends = 0
        self._epoch = 0
        self.reset()

    def reset(self) -> None:
        self._epoch += 1
        now = self._events.now
        gone = self.busy and self._ends - now <= _LINE
        self._gone_epoch = self._epoch - 1 if gone else -1
        taken = self._starting and self._taken() and self._may_begin() and bool(self._waiting) and not self.paused
        self.cut += taken or (self.busy and not gone)
        self.settings = MacSettings()
        self.tally.clear()
        self.enabled = False
        self._disabled = now - _LINE
        self.paused = False
        self._paused_since = now
        self._waiting.clear()
        self.words = 0
        """Of the buffer, in use."""
        self._free = now
        self._start_at = now
        self._ends = now
        self._data_first = False
        """A frame has been taken before the pause frame that waits."""
        self._reading_words = 0
        self._began = 0
        self.busy = False
        self._starting = False
        self.control: Callable[[], Outgoing | None] = lambda: None
        """Gives a pause frame that is to go first, if there is one."""
        self._control_waits = False
        """There may be one."""
        self.on_control_sent: Callable[[], None] = lambda: None
        self._head = self._tail = self._head_saved = self._tail_saved = 0

    def pointers(self) -> tuple[int, int, int, int, int]:
        """``hw.interfaces.BufferPointers``: head, tail, both saved ones, packets. The buffer's reader holds the first
        word of a packet that waits."""
        head, saved, packets = self._head, self._head_saved, len(self._waiting)
        if packets and not (self.busy and self._reading_words):
            head, saved, packets = (head + 1) % BUFFER_WORDS, head, packets - 1
        return head, self._tail, saved, self._tail_saved, packets

    @property
    def active(self) -> bool:
        """There are frames, or may be at once."""
        return self.busy or self._starting or bool(self._waiting)

    @property
    def ends(self) -> int | None:
        """The cycle before which no frame's end passes, None if that is not known."""
        if self.busy:
            return self._ends
        if not self._starting or not self._waiting:
            return None
        return self._start_at + _LINE_PREAMBLE + min(len(self._waiting[0].data), _CONTROL)

    @property
    def begins(self) -> bool:
        """What is to be sent next has been taken."""
        return self._starting and self._events.now >= self._free

    @property
    def packets(self) -> int:
        return len(self._waiting)

    def slot_at(self) -> int | None:
        """The cycle in which one more packet can wait, or None if that is not known yet. The next one leaves the queue
        with the last word of that on the wire."""
        now = self._events.now
        last_word = self.last_word
        reading = self.busy and now < last_word
        queued = len(self._waiting) - (not reading)
        if queued < _PACKETS:
            return now
        return last_word if reading and queued == _PACKETS else None

    def backlogged(self) -> bool:
        """A packet is on the wire, and all places behind it are taken, yet there is room for more words than two
        bursts have."""
        return len(self._waiting) == _PACKETS and self.words < _WORDS - _TWO_BURSTS and self._reading_words > 0

    @property
    def last_word(self) -> int:
        """The cycle in which the last word of the packet on the wire makes the next one leave the queue."""
        return self._began + self._timing.mac_next + 8 * (self._reading_words - 1)

    @property
    def gap(self) -> int:
        """Cycles from the end of a frame to the preamble of the next one."""
        return self.settings.gap + _GAP_OFFSET

    def full(self, words: int) -> bool:
        """So many words more may have to wait for room."""
        return self.words + words >= _WORDS

    def room_at(self, words: int, spare: int) -> int | None:
        """The cycle from which the last of ``words`` finds room, or None if that is not known yet.

        So many as ``spare`` find it beside the buffer.
        """
        excess = self.words + words - _WORDS
        if excess <= 0:
            return 0
        read = self._reading_words if self.busy else 0
        if excess <= read + spare and (self.busy or self._waiting):
            return self._began + self._timing.mac_read + 8 * (excess if self.busy else excess + self._reading_words)
        return None

    def put(self, packet: Outgoing) -> None:
        """A packet is in the buffer, whole."""
        words = len(packet.data) + 7 >> 3
        self._waiting.append(packet)
        self.words += words
        self._tail_saved = self._tail
        self._tail = (self._tail + words) % BUFFER_WORDS
        self.look(0)

    def enable(self, on: bool) -> None:
        """TCTL.EN and the link."""
        self.enabled = on
        if not on:
            self._disabled = self._events.now
        self.look(self._timing.mac_enable)

    def pause(self, on: bool) -> None:
        self.paused = on
        self._paused_since = self._events.now
        self.look(self._timing.mac_enable)

    def control_waits(self) -> None:
        """``control`` has a frame to give."""
        self._control_waits = True
        if self._starting and self._taken() and self._waiting and not self.paused:
            self._data_first = True
        self.look(1)

    def _taken(self) -> bool:
        """What is to begin at ``_start_at`` is on its way there."""
        return self._start_at - self._events.now < _LINE

    def _may_begin(self) -> bool:
        """Whether the transmitter was on, or is, when a frame that begins now is taken."""
        return self.enabled or self._disabled > self._events.now - _LINE

    def look(self, delay: int) -> None:
        """There may be a frame to begin."""
        if not self.busy and not self._starting and self.enabled:
            self._starting = True
            now = self._events.now
            start = now + delay
            self._start_at = start if start > self._free else self._free
            self._events.at(self._start_at, self._start, self._epoch)

    def _start(self, epoch: int) -> None:
        """Begin a frame, and end it, and so on, as long as nothing else is due."""
        if epoch != self._epoch:
            return
        events = self._events
        while True:
            self._starting = False
            sent = self._begin()
            if sent is None:
                return
            followed = self.batch is not None and self.batch.begun(self._ends)
            if not (followed and events.passes(self._ends)):
                events.at(self._ends, self._end, epoch, sent)
                if not followed:
                    self._on_room()
                return
            events.now = self._ends
            self._finish(sent)
            start = events.now + self.gap
            if not (self.enabled and events.passes(start)):
                self.look(self.gap)
                return
            events.now = start

    def _begin(self) -> _Sent | None:
        """The frame that begins in the present cycle, if there is one."""
        if self.busy or not self._may_begin():
            return None
        now = self._events.now
        packet = None
        if self._control_waits and not self._data_first:
            packet = self.control()
            self._control_waits = packet is not None
        self._data_first = False
        if packet is None:
            if not self._waiting or (self.paused and self._paused_since <= now - _LINE):
                return None
            packet = self._waiting.pop(0)
            self._reading_words = len(packet.data) + 7 >> 3
        else:
            self._reading_words = 0
        self._began = now
        self.busy = True
        frame = self._frame(packet)
        self._ends = now + _LINE_PREAMBLE + len(frame)
        return _Sent(now, frame, packet.pause)

    def _frame(self, packet: Outgoing) -> bytes:
        """With tag, padding and FCS (``hw.mac.transmit.line_bytes``)."""
        settings = self.settings
        data, with_fcs = packet.data, packet.ifcs
        if packet.vle and settings.vme:
            data, with_fcs = insert(data, settings.vet, packet.special), True
        if settings.pad and len(data) < _MINIMUM_BYTES:
            data = data.ljust(_MINIMUM_BYTES, b"\0")
        return data + fcs(data) if with_fcs else data

    def _end(self, epoch: int, sent: _Sent) -> None:
        if epoch != self._epoch:
            if epoch == self._gone_epoch:
                self._on_frame(sent.start, sent.frame)
            return
        self._finish(sent)
        self._on_room()
        self.look(self.gap)

    def _finish(self, sent: _Sent) -> None:
        """The end of a frame."""
        self.busy = False
        self.words -= self._reading_words
        if self._reading_words:
            self._head_saved = self._head
            self._head = (self._head + self._reading_words) % BUFFER_WORDS
        self._free = self._events.now + self.gap
        self.tally.add(sent.frame, sent.pause)
        self._on_frame(sent.start, sent.frame)
        if sent.pause is not None:
            self.on_control_sent()
