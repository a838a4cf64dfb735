"""What is going to happen inside the NIC, by clock cycle."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

__all__ = ["Events"]

_BEHIND: Final = 1 << 62


class Events:
    """A heap of calls that are due in a cycle of 125 MHz; of those in the same cycle the first asked for is first."""

    __slots__ = ("_heap", "_running", "_sequence", "limit", "now")

    def __init__(self) -> None:
        self.now = 0
        self.limit = 0
        """The cycle up to which calls are being made: nothing that comes from outside changes what happens until then.
        A call that lets something come sooner lowers it."""
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._sequence = 0
        self._running = False

    def at(self, cycle: int, action: Callable[..., None], *arguments: Any) -> None:
        """Call ``action`` in a cycle, at the earliest in the present one."""
        self._sequence = sequence = self._sequence + 1
        heappush(self._heap, (cycle if cycle > self.now else self.now, sequence, action, arguments))

    def at_end(self, cycle: int, action: Callable[..., None], *arguments: Any) -> None:
        """Call ``action`` behind all others of a cycle."""
        self._sequence = sequence = self._sequence + 1
        heappush(self._heap, (cycle if cycle > self.now else self.now, _BEHIND + sequence, action, arguments))

    def nothing_until(self, cycle: int) -> bool:
        """Whether no call is due up to and in a cycle."""
        return not self._heap or self._heap[0][0] > cycle

    def due(self) -> int | None:
        """The cycle of the next call."""
        return self._heap[0][0] if self._heap else None

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
        heap = self._heap
        try:
            while heap and heap[0][0] <= self.limit:
                self.now, _, action, arguments = heappop(heap)
                action(*arguments)
        finally:
            self._running = False
