"""The receive queue of sockets that get whole packets (raw(7), packet(7)): bounded in bytes."""

from collections import deque
from typing import Generic, TypeVar

from stack.counters import Counters, DropReason

__all__ = ["PacketQueue"]

T = TypeVar("T")


class PacketQueue(Generic[T]):
    """First in, first out; what does not fit is dropped and counted."""

    def __init__(self, limit: int, counters: Counters) -> None:
        self.limit = limit
        self._counters = counters
        self._packets: deque[tuple[bytes, T]] = deque()
        self._used = 0

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, data: bytes, about: T) -> bool:
        """Keep a packet and what is known of it; False if there is no room."""
        if self._used + len(data) > self.limit:
            self._counters.drop(DropReason.SOCKET_RCVBUFF)
            return False
        self._packets.append((data, about))
        self._used += len(data)
        return True

    def take(self, *, peek: bool) -> tuple[bytes, T]:
        """The oldest, which stays with ``peek``. Raises ``IndexError`` if there is none."""
        if peek:
            return self._packets[0]
        packet = self._packets.popleft()
        self._used -= len(packet[0])
        return packet

    def next_size(self) -> int:
        """Bytes of the oldest, 0 if there is none."""
        return len(self._packets[0][0]) if self._packets else 0

    def clear(self) -> None:
        """Drop all."""
        self._packets.clear()
        self._used = 0
