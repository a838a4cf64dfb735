"""What the program has written and the peer has not acknowledged."""

from bisect import bisect_right
from typing import Final

__all__ = ["SendBuffer"]

_JOIN_BELOW: Final = 4096
"""Pieces that are smaller are joined, so that many small writes are no many pieces."""


class SendBuffer:
    """Pieces as they were written, addressed by sequence number. Nothing is moved when bytes are written or released:
    with megabytes on their way that would cost more than all the rest of TCP."""

    __slots__ = ("_pieces", "_starts", "end")

    def __init__(self, start: int) -> None:
        self._starts: list[int] = []
        self._pieces: list[bytes] = []
        self.end = start
        """Sequence number after the last byte."""

    def append(self, data: "bytes | memoryview") -> None:
        """Put bytes behind those that are there."""
        size = len(data)
        pieces = self._pieces
        if pieces and len(pieces[-1]) + size <= _JOIN_BELOW:
            pieces[-1] += data
        else:
            self._starts.append(self.end)
            pieces.append(bytes(data))
        self.end += size

    def take(self, start: int, length: int) -> bytes:
        """A copy of ``length`` bytes from number ``start`` on, which must be there."""
        index = bisect_right(self._starts, start) - 1
        piece = self._pieces[index]
        offset = start - self._starts[index]
        if offset + length <= len(piece):
            return piece[offset : offset + length]
        parts = [piece[offset:]]
        length -= len(parts[0])
        while length > 0:
            index += 1
            parts.append(self._pieces[index][:length])
            length -= len(parts[-1])
        return b"".join(parts)

    def release(self, ack: int) -> None:
        """Nothing before ``ack`` is needed any more."""
        count = 0
        for start, piece in zip(self._starts, self._pieces, strict=True):
            if start + len(piece) > ack:
                break
            count += 1
        if count:
            del self._starts[:count]
            del self._pieces[:count]

    def clear(self) -> None:
        """Nothing is needed any more."""
        self._starts.clear()
        self._pieces.clear()
