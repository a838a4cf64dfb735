"""What is going to happen inside the NIC, by clock cycle."""

from collections.abc import Callable
from typing import Any, Final

__all__ = ["Events"]

_NEVER: Final = 1 << 60
"""Behind all, and yet small enough that comparing with it is quick."""


def _nothing() -> None:
    """What is due then."""


class Events:
    """Calls that are due in a cycle of 125 MHz; of those in the same cycle the first asked for is first.

    About ten are due at a time. For so few a sorted list is faster than a heap: taking one compares nothing, and most
    are put near the end, since they are due soon.
    """

    __slots__ = ("_calls", "_halves", "_last", "_running", "limit", "now")

    def __init__(self) -> None:
        self.now = 0
        self.limit = 0
        """Up to and in this cycle nothing that comes from outside changes what happens."""
        self._last = 0
        """The cycle up to which calls are being made."""
        self._halves: list[int] = [_NEVER]
        """In which half of which cycle the calls are due, the last first: twice the cycle, and 1 more at its end."""
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = [(_nothing, ())]
        self._running = False

    def at(self, cycle: int, action: Callable[..., None], *arguments: Any) -> None:
        """Call ``action`` in a cycle, at the earliest in the present one."""
        self._add(2 * (cycle if cycle > self.now else self.now), action, arguments)

    def at_end(self, cycle: int, action: Callable[..., None], *arguments: Any) -> None:
        """Call ``action`` behind all others of a cycle."""
        self._add(2 * (cycle if cycle > self.now else self.now) + 1, action, arguments)

    def _add(self, half: int, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        halves = self._halves
        place = len(halves)
        while halves[place - 1] <= half:
            place -= 1
        halves.insert(place, half)
        self._calls.insert(place, (action, arguments))

    def nothing_until(self, cycle: int) -> bool:
        """Whether no call is due up to and in a cycle."""
        return self._halves[-1] >> 1 > cycle

    def next_alone(self) -> int:
        """The cycle of the next call if no other is due in it, else -1."""
        due = self._halves[-1] >> 1
        return due if len(self._halves) > 1 and self._halves[-2] >> 1 > due else -1

    def early(self) -> None:
        """Make the next call now, though its cycle, in which ``now`` is left, is yet to come."""
        self.now = self._halves.pop() >> 1
        action, arguments = self._calls.pop()
        if len(arguments) == 2:
            action(arguments[0], arguments[1])
        else:
            action(*arguments)

    def passes(self, cycle: int) -> bool:
        """Whether the call that is made may go on to a cycle by itself: nothing is due until then."""
        return self._halves[-1] >> 1 > cycle and cycle <= self._last

    def due(self) -> int | None:
        """The cycle of the next call."""
        return self._halves[-1] >> 1 if len(self._halves) > 1 else None

    def advance(self, cycle: int) -> None:
        """Make all calls up to and in a cycle. No effect from within a call."""
        if not self._running:
            self.go_on(cycle, cycle)
            if cycle > self.now:
                self.now = cycle

    def lower(self, limit: int) -> None:
        """What is being called lets something come from outside sooner."""
        if limit < self.limit:
            self.limit = limit
            if limit < self._last:
                self._last = limit

    def go_on(self, cycle: int, limit: int) -> None:
        """Make all calls up to and in a cycle, or as far as the limit is lowered; it is then that of the last one."""
        self._running = True
        self.limit = limit
        self._last = cycle
        halves, calls = self._halves, self._calls
        try:
            while halves[-1] >> 1 <= self._last:
                self.now = halves.pop() >> 1
                action, arguments = calls.pop()
                # Written out: to unpack arguments takes as long as the rest, compiled.
                if len(arguments) == 1:
                    action(arguments[0])
                elif len(arguments) == 2:
                    action(arguments[0], arguments[1])
                else:
                    action(*arguments)
        finally:
            self._running = False
