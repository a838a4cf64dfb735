"""Register accesses, one after the other, when the RTL performs them (``hw.register_file``)."""

from collections.abc import Callable
from typing import Final

from hw.registers import BY_NAME, STATISTICS
from sim.model.events import Events
from sim.model.registers import RegisterWindow
from sim.model.timing import Timing

__all__ = ["Accesses"]

_RDT: Final = BY_NAME["RDT"].offset
_TDT: Final = BY_NAME["TDT"].offset
_BLOCK: Final = range(min(item.offset for item in STATISTICS), max(item.offset for item in STATISTICS) + 4)


class _Access:
    """An access on its way: its arrival, the register's offset, the value to be written, and who is to have the one
    that is read."""

    __slots__ = ("answer", "arrival", "offset", "value")

    def __init__(self, arrival: int, offset: int, value: int, answer: Callable[[int, int], None] | None) -> None:
        self.arrival = arrival
        self.offset = offset
        self.value = value
        self.answer = answer


class Accesses:
    """Between the bus and ``window``."""

    def __init__(self, events: Events, timing: Timing, window: RegisterWindow) -> None:
        self._events = events
        self._timing = timing
        self._window = window
        self._waiting: list[_Access] = []
        """The last to arrive first: most are put there."""
        self._served: _Access | None = None
        self._start = 0
        """The cycle in which that one is begun."""
        self._on_write: Callable[..., None] = self._write
        """Bound once."""
        self._turn = 0
        """Which access that is, since an event of one that another has come before is void."""
        self.awaited = 0
        """Accesses on their way of which something may be seen from outside: all but new tails of the rings."""
        self.doorbells = 0
        """New tails of the transmit ring on their way."""
        self.doorbell_at = -1
        """The cycle in which TDT is written, if that is what is performed now."""
        self._free = 0
        self.held_until = 0
        """None is performed before this cycle."""

    def write(self, arrival: int, offset: int, value: int) -> bool:
        """A register write reaches the NIC in a cycle. Returns whether what is next of what can be seen from outside
        may be another now: behind an access of which something may be seen, one changes nothing about that, nor does a
        doorbell behind another."""
        first = not self.awaited
        if offset == _TDT:
            first = first and not self.doorbells
            self.doorbells += 1
        elif offset != _RDT:
            self.awaited += 1
        access = _Access(arrival, offset, value, None)
        self._queue(access)
        return first or self._served is access

    def read(self, arrival: int, offset: int, answer: Callable[[int, int], None]) -> None:
        """A register read does. ``answer`` gets the value and the cycle in which it is on the bus."""
        self.awaited += 1
        self._queue(_Access(arrival, offset, 0, answer))

    def _queue(self, access: _Access) -> None:
        """Accesses are performed in the order in which they arrive. Two flows of control of the processor may ask in
        another one."""
        accesses = self._waiting
        if self._served is not None and self._served.arrival > access.arrival:
            # That one has not come yet.
            accesses.append(self._served)
            self._served = None
            self._turn += 1
        place = 0
        while place < len(accesses) and accesses[place].arrival > access.arrival:
            place += 1
        accesses.insert(place, access)
        self._serve()

    def _serve(self) -> None:
        """Begin the next access, if none is being performed."""
        if self._served is not None or not self._waiting:
            return
        self._served = served = self._waiting.pop()
        self._start = start = max(served.arrival, self._free)
        self._turn = turn = self._turn + 1
        self.doorbell_at = -1
        if served.answer is None:
            due = start + self._timing.register_access + 1
            if served.offset == _TDT:
                self.doorbell_at = due
            self._events.at(due, self._on_write, turn)
        else:
            # What comes in the cycle of a read is read.
            self._events.at_end(start + self._timing.register_access, self._read, turn)

    def _write(self, turn: int) -> None:
        served = self._served
        if turn != self._turn or served is None:
            return  # another came first
        held = self.held_until - self._events.now
        if held > 0:
            self._start += held
            self._events.at(self.held_until, self._on_write, turn)
            return
        self._window.write(served.offset, served.value)
        if served.offset == _TDT:
            self.doorbells -= 1
        elif served.offset != _RDT:
            self.awaited -= 1
        self._free = self._start + self._timing.register_write_busy
        self._served = None
        self.doorbell_at = -1  # it may have been performed ahead of its time
        self._serve()

    def _read(self, turn: int) -> None:
        served = self._served
        if turn != self._turn or served is None:
            return
        answer = served.answer
        assert answer is not None
        held = self.held_until - self._events.now
        if held > 0:
            self._start += held
            self._events.at_end(self.held_until, self._read, turn)
            return
        extra = self._timing.register_block if served.offset in _BLOCK else 0
        value = self._window.read(served.offset)
        # What memory is to show before the answer is known when that is on the bus.
        self._events.at_end(self._events.now + self._timing.register_answer + extra, self._answer, answer, value)
        self._free = self._start + self._timing.register_read_busy + extra
        self._served = None
        self._serve()

    def _answer(self, answer: Callable[[int, int], None], value: int) -> None:
        self.awaited -= 1
        answer(value, self._events.now)
