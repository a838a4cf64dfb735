"""MSG_ZEROCOPY (Linux's Documentation/networking/msg_zerocopy.rst): which calls' data the peer has acknowledged, so
that the program may use its buffers again."""

from collections import deque

__all__ = ["ZeroCopy"]


class ZeroCopy:
    """One connection's. Calls that have sent something are numbered from 0 on; ``completed`` has ranges (first, last)
    of those whose bytes are all acknowledged, oldest first, as long as the program has not asked."""

    __slots__ = ("_next", "_pending", "completed")

    def __init__(self) -> None:
        self._next = 0
        self._pending: deque[int] = deque()
        """Sequence numbers after the last byte of each call that is not completed."""
        self.completed: deque[tuple[int, int]] = deque()

    def sent(self, end: int) -> None:
        """A call has queued bytes up to this number."""
        self._pending.append(end)
        self._next += 1

    def acknowledged(self, una: int) -> bool:
        """The peer has all before ``una``. True if that completes a call."""
        pending, completed = self._pending, self.completed
        found = False
        while pending and pending[0] <= una:
            number = self._next - len(pending)
            pending.popleft()
            found = True
            if completed and completed[-1][1] + 1 == number:
                completed[-1] = (completed[-1][0], number)
            else:
                completed.append((number, number))
        return found

    def abandon(self) -> bool:
        """The connection is gone, and the buffers with it. True if that completes a call."""
        return bool(self._pending) and self.acknowledged(self._pending[-1])
