"""What is going to happen inside the NIC, by clock cycle."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

__all__ = ["Events"]

_Call = tuple[Callable[..., None], tuple[Any, ...]]


class Events:
    """Calls that are due in a cycle of 125 MHz; of those in the same cycle the first asked for is first.

    A heap has the cycles alone, since many calls are in the same one, and numbers compare faster than calls.
    """

    __slots__ = ("_calls", "_halves", "_running", "limit", "now")

    def __init__(self) -> None:
        self.now = 0
        self.limit = 0
        """The cycle up to which calls are being made: nothing that comes from outside changes what happens until then.
        A call that lets something come sooner lowers it."""
        self._halves: list[int] = []
        """In which half of which cycle something is due, as a heap: twice the cycle, and 1 more at its end."""
        self._calls: dict[int, list[_Call]] = {}
        """By half, in order. Those of the half that is going on may be made already."""
        self._running = False

    def at(self, cycle: int, action: Callable[..., None], *arguments: Any) -> None:
        """Call ``action`` in a cycle, at the earliest in the present one."""
        self._add(2 * (cycle if cycle > self.now else self.now), (action, arguments))

    def at_end(self, cycle: int, action: Callable[..., None], *arguments: Any) -> None:
        """Call ``action`` behind all others of a cycle."""
        self._add(2 * (cycle if cycle > self.now else self.now) + 1, (action, arguments))

    def _add(self, half: int, call: _Call) -> None:
        calls = self._calls.get(half)
        if calls is None:
            self._calls[half] = [call]
            heappush(self._halves, half)
        else:
            calls.append(call)

    def nothing_until(self, cycle: int) -> bool:
        """Whether no call is due up to and in a cycle."""
        due = self.due()
        return due is None or due > cycle

    def due(self) -> int | None:
        """The cycle of the next call."""
        halves = self._halves
        while halves:
            half = halves[0]
            if self._calls[half]:
                return half >> 1
            del self._calls[half]
            heappop(halves)
        return None

    def advance(self, cycle: int) -> None:
        """Make all calls up to and in a cycle. No effect from within a call."""
        if not self._running:
            self.go_on(cycle)
            if cycle > self.now:
                self.now = cycle

    def go_on(self, cycle: int) -> None:
        """Make all calls up to and in a cycle, or as far as ``limit`` is lowered; it is then that of the last one."""
        self._running = True
        self.limit = cycle
        try:
            while True:
                due = self.due()
                if due is None or due > self.limit:
                    break
                self.now = due
                action, arguments = self._calls[self._halves[0]].pop(0)
                action(*arguments)
        finally:
            self._running = False
