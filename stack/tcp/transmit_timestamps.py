"""When what a call has sent was queued, given to the device and acknowledged (SO_TIMESTAMPING, Linux's
Documentation/networking/timestamping.rst)."""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from stack.skbuff import TransmitStage

__all__ = ["TransmitTimestamps", "Transmitted"]

_MOST_EVENTS: Final = 64
"""That wait for the program; then the oldest stay, as a full receive buffer has it."""


class Transmitted(NamedTuple):
    """What became of the last byte of a call."""

    stage: TransmitStage
    time: int
    """Nanoseconds."""
    key: int
    """Number of the byte, counted from where the option was set."""


class TransmitTimestamps:
    """One connection's. Of calls whose last bytes go in one packet only the last is told of, and of each stage the
    first time: what is sent again was given to the device before."""

    __slots__ = ("_base", "_pending", "_told", "events", "stages")

    def __init__(self, base: int, told: Callable[[], None]) -> None:
        self._base = base
        self._told = told
        self._pending: deque[int] = deque()
        """Sequence numbers after the last byte of each call that is not acknowledged."""
        self.stages: frozenset[TransmitStage] = frozenset()
        """That the program wants to know of."""
        self.events: deque[Transmitted] = deque()

    def restart(self, base: int) -> None:
        """Bytes are counted from here on."""
        self._base = base

    def ask(self, end: int) -> None:
        """A call queues bytes up to this number."""
        self._pending.append(end)

    def packet(self, start: int, end: int) -> Callable[[TransmitStage, int], None] | None:
        """Who is to hear of a packet that is sent for the first time, or None."""
        inside = [one for one in self._pending if start < one <= end]
        if not inside:
            return None
        for one in inside[:-1]:
            self._pending.remove(one)
        return partial(self._note, inside[-1])

    def acknowledged(self, una: int, now: int) -> None:
        """The peer has all before ``una``."""
        while self._pending and self._pending[0] <= una:
            self._note(self._pending.popleft(), TransmitStage.ACKNOWLEDGED, now)

    def _note(self, end: int, stage: TransmitStage, now: int) -> None:
        if stage in self.stages and len(self.events) < _MOST_EVENTS:
            self.events.append(Transmitted(stage, now, end - 1 - self._base & 0xFFFFFFFF))
            self._told()
