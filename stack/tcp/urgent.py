"""Urgent data (RFC 9293 section 3.8.5, RFC 6093): a mark in the stream, and in BSD's reading one byte beside it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stack.tcp.receive import Receiver

__all__ = ["UrgentMark"]


class UrgentMark:
    """The last place that the peer has called urgent.

    The pointer stands behind the urgent byte, as nearly all stacks read it (RFC 6093 section 3.1), so the byte before
    it has the number ``sequence``."""

    __slots__ = ("_byte", "_taken", "sequence")

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self._byte = b""
        """What ``recv`` has gone past."""
        self._taken = False

    def pending(self) -> bool:
        """The program has not taken the urgent byte (POLLPRI)."""
        return not self._taken

    def limit(self, receiver: "Receiver", size: int, *, inline: bool) -> int:
        """How much of ``size`` bytes one read may return: it stops in front of the mark. There, the urgent byte is
        left out unless it is to stay in line (SO_OOBINLINE)."""
        distance = self.sequence - receiver.position
        if distance > 0:
            return min(size, distance)
        if distance == 0 and not inline and receiver.buffer:
            self._byte = bytes(receiver.buffer[:1])
            del receiver.buffer[:1]
        return size

    def take(self, receiver: "Receiver", *, peek: bool) -> bytes | None:
        """The urgent byte (MSG_OOB), once: b"" if it has not come yet, None if it was taken."""
        if self._taken:
            return None
        byte = self._byte
        if not byte:
            offset = self.sequence - receiver.position
            if offset < 0:
                return None
            byte = bytes(receiver.buffer[offset : offset + 1])
        if byte and not peek:
            self._taken = True
        return byte
