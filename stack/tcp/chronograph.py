"""What a sender's time goes on while it has something to send (Linux's tcp_chrono)."""

from enum import Enum

__all__ = ["Chronograph", "Limit"]


class Limit(Enum):
    """Linux's TCP_CHRONO_*."""

    IDLE = 0
    """Everything that was written is acknowledged."""
    BUSY = 1
    """Whatever else holds it back: the path, congestion control, Nagle."""
    RECEIVE_WINDOW = 2
    """The peer's window is full."""
    SEND_BUFFER = 3
    """The program would write, and the send buffer has no room."""


class Chronograph:
    """Sums of nanoseconds by limit."""

    __slots__ = ("_limit", "_since", "_sums")

    def __init__(self) -> None:
        self._limit = Limit.IDLE
        self._since = 0
        self._sums = [0] * len(Limit)

    def note(self, limit: Limit, now: int) -> None:
        """From now on this is the limit."""
        if limit is not self._limit:
            self._sums[self._limit.value] += now - self._since
            self._limit = limit
            self._since = now

    def total(self, limit: Limit, now: int) -> int:
        """Nanoseconds under this limit up to now."""
        running = now - self._since if limit is self._limit else 0
        return self._sums[limit.value] + running

    def busy(self, now: int) -> int:
        """Nanoseconds in which there was something to send or unacknowledged, whatever the limit."""
        return sum(self.total(limit, now) for limit in (Limit.BUSY, Limit.RECEIVE_WINDOW, Limit.SEND_BUFFER))
