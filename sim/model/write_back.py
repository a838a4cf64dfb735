"""Used descriptors back to memory, and the head (``hw.write_back``)."""

from collections import deque
from collections.abc import Callable
from typing import Final

from hw.descriptors import DESCRIPTOR_BYTES
from hw.thresholds import ON_CHIP
from hw.write_back import WriteBackRule
from sim.model.events import Events
from sim.model.memory_port import MemoryPort
from sim.model.ring import Ring
from sim.model.timing import Timing

__all__ = ["USE_CYCLES", "Used", "WriteBack"]

USE_CYCLES: Final = 4
_PERIOD: Final = 4
"""Cycles from a used descriptor being taken to its joining, and to the next: state IDLE twice, LOW and HIGH."""
_ENDLESS: Final = 1 << 16
"""Descriptors of a ring whose end is not met."""
_FETCH: Final = 3
"""Cycles by which a status is asked for later than its first word's time says (``first_word`` of the port): the data of
the next frame, or of the next buffer, is asked for before it."""
_BURST: Final = 3
"""From a burst's last word to the next request: BOUND, FIT and REQUEST."""


class Used:
    """A used descriptor as it is to be in memory, and what it asks for (``hw.write_back.UsedDescriptor``)."""

    __slots__ = ("data", "event", "index", "prompt", "report")

    def __init__(self, index: int, data: bytes, *, report: bool, event: bool, prompt: bool) -> None:
        self.index = index
        self.data = data
        self.report = report
        self.event = event
        self.prompt = prompt


class WriteBack:
    """Takes used descriptors one after the other.

    ``status`` is the range of bytes that is written at WTHRESH = 0. ``on_event`` and ``on_prompt`` are for the delay
    timers, ``on_flushed`` for what follows a timer, ``on_head`` is called when the head has moved on, ``on_left`` when
    there is one descriptor less, with how many are left.
    """

    def __init__(
        self,
        events: Events,
        timing: Timing,
        port: MemoryPort,
        ring: Ring,
        *,
        status: range,
        timer_running: Callable[[], bool],
        on_event: Callable[[], None],
        on_prompt: Callable[[], None],
        on_flushed: Callable[[], None],
        on_head: Callable[[], None],
        on_left: Callable[[int], None],
        on_ready: Callable[[], None],
    ) -> None:
        self._events = events
        self._timing = timing
        self._port = port
        self._ring = ring
        self._status = status
        self._timer_running = timer_running
        self._on_event = on_event
        self._on_prompt = on_prompt
        self._on_flushed = on_flushed
        self._on_head = on_head
        self._on_left = on_left
        self._on_ready = on_ready
        self._epoch = 0
        self.reset()

    def reset(self) -> None:
        self._restart(0)
        self.free = 0

    def _restart(self, head: int) -> None:
        self._epoch += 1
        self._restarted = self._events.now
        self.head = head
        self.following = head
        """The next descriptor to be used."""
        self._rule = WriteBackRule()
        self._data: deque[bytes] = deque()
        self._prompt = False
        self._flushing = False
        self._joining = False
        self._writing = False
        self._began = -1
        """The cycle in which the group that is being written was begun: one more descriptor is taken in it."""
        self._held: Used | None = None
        """That descriptor."""

    def head_written(self, head: int) -> None:
        self._restart(head)
        self.free = max(self.free, self._events.now + 1)

    def left(self) -> int:
        """Descriptors from the next one to be used up to the tail."""
        return self._ring.tail - self.following + (self._ring.size if self._ring.tail < self.following else 0)

    def ready(self) -> bool:
        """Whether a descriptor is taken now."""
        if self._writing:
            return self._events.now == self._began and self._held is None
        return self._events.now >= self.free

    def idle(self) -> bool:
        """Nothing has gathered, nothing is being written, nor is anything being flushed."""
        return not (self._writing or self._joining or self._flushing or self._rule.group)

    def wrote(self, index: int, free: int) -> None:
        """A descriptor's status has been written in another way than by ``use``; the next is taken from ``free`` on."""
        following = index + 1 if index + 1 != self._ring.size else 0
        self.following = self.head = following
        self.free = free

    def use(self, used: Used) -> None:
        """A descriptor is taken in the present cycle."""
        if self._writing:
            self._held = used
            return
        if self._rule.group and used.index != self.following:
            # Software has moved the head under a running NIC: what has gathered is no run of descriptors with it.
            self._write(self._rule.flush())
        self._joining = True
        self._events.at(self._events.now + USE_CYCLES, self._joined, self._epoch, used)
        self.free = self._events.now + _PERIOD

    def _joined(self, epoch: int, used: Used) -> None:
        if epoch != self._epoch:
            return
        self._joining = False
        size = self._ring.size
        self.following = used.index + 1 if used.index + 1 != size else 0
        self._on_left(self.left())
        group = self._rule.group
        if not group and not used.report:
            self.head = self.following
            self._on_head()
            self._end_flush()
            return
        if self._ring.wthresh_field == 0 and not group:
            self._write_status(used)
            return
        self._data.append(used.data)
        self._prompt |= used.prompt
        if not group and self._ring.wthresh <= 1:
            # As it is with Linux's thresholds: nothing gathers.
            if used.event:
                self._on_event()
            self._write([used.index])
            return
        written = self._rule.use(used.index, report=used.report, wthresh=self._ring.wthresh)
        if used.event:
            self._on_event()
        if not written and (self._flushing or len(group) == ON_CHIP):
            written = self._rule.flush()
        if written:
            self._write(written)
        else:
            self.look()

    def look(self) -> None:
        """Something that decides about waiting descriptors has changed: the tail, or a timer."""
        if self._rule.group and not self._writing and self.following == self._ring.tail:
            written = self._rule.dry(timer_running=self._timer_running())
            if written:
                self._write(written)

    def flush(self) -> None:
        """A delay timer runs out: what waits is written, then ``on_flushed`` is called."""
        self._flushing = True
        if self._rule.group and not self._writing and not self._joining:
            self._write(self._rule.flush())
        else:
            self._end_flush()

    def _end_flush(self) -> None:
        if self._flushing and not (self._writing or self._joining or self._rule.group):
            self._flushing = False
            self._on_flushed()

    def _write_status(self, used: Used) -> None:
        """One descriptor's status alone."""
        self._writing = True
        asked = self._events.now + self._timing.write_back_request
        address = self._ring.base + DESCRIPTOR_BYTES * used.index + self._status.start
        self._events.at(asked + _FETCH, self._ask_status, self._epoch, used, asked, address)

    def _ask_status(self, epoch: int, used: Used, asked: int, address: int) -> None:
        if epoch != self._epoch and self._restarted < asked:
            return
        data = used.data[self._status.start : self._status.stop]
        done = self._port.write(asked, address, data) + self._timing.write_back_report
        self.free = done + self._timing.write_back_idle
        self._events.at(done, self._written_status, epoch, used)

    def _written_status(self, epoch: int, used: Used) -> None:
        if epoch != self._epoch:
            return
        self._writing = False
        self._move_head(used.index)
        if used.event:
            self._on_event()
        if used.prompt:
            self._on_prompt()
        self._end()

    def _write(self, written: list[int]) -> None:
        """A group, whole."""
        self._writing = True
        self._began = self._events.now
        cycle = self._events.now + self._timing.write_back_group + self._timing.write_back_request
        self._events.at(cycle, self._ask, self._epoch, written)

    def _ask(self, epoch: int, written: list[int]) -> None:
        if epoch != self._epoch:
            return
        cycle, timing = self._events.now, self._timing
        size = self._ring.size
        if written[0] >= size:
            size = _ENDLESS  # software has made the ring shorter under a running NIC
        if len(written) == 1:
            address = self._ring.base + DESCRIPTOR_BYTES * written[0]
            handed = self._port.write(cycle, address, self._data.popleft(), step=DESCRIPTOR_BYTES)
        else:
            for address, length in WriteBackRule.requests(written, base=self._ring.base, size=size):
                data = b"".join([self._data.popleft() for _ in range(length // DESCRIPTOR_BYTES)])
                handed = self._port.write(cycle, address, data, step=DESCRIPTOR_BYTES)
                cycle = handed + _BURST
        done = handed + timing.write_back_report
        self.free = done + timing.write_back_idle
        self._events.at(done, self._written, epoch, written[-1])

    def _written(self, epoch: int, last: int) -> None:
        if epoch != self._epoch:
            return
        self._writing = False
        self._move_head(last)
        if self._prompt:
            self._prompt = False
            self._on_prompt()
        self._end()

    def _move_head(self, last: int) -> None:
        self.head = last + 1 if last + 1 != self._ring.size else 0
        self._on_head()

    def _end(self) -> None:
        self._end_flush()
        if self._held is not None:
            held, self._held = self._held, None
            self._joining = True
            self._events.at(self.free + USE_CYCLES, self._joined, self._epoch, held)
            self.free += _PERIOD
        self.look()
        if not self._writing:
            self._on_ready()
