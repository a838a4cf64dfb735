"""What the receiver reports in SACK options (RFC 2018 section 4) and as duplicate SACK (RFC 2883 section 4)."""

from typing import Final

__all__ = ["SelectiveAcks"]

_KEPT: Final = 4
"""As many blocks as an option can hold."""


class SelectiveAcks:
    """Blocks of data above RCV.NXT, the one that changed last first."""

    __slots__ = ("blocks", "duplicates")

    def __init__(self) -> None:
        self.blocks: list[tuple[int, int]] = []
        self.duplicates: tuple[int, int] | None = None
        """Data that the last segment brought although it was there already."""

    def add(self, start: int, end: int) -> None:
        """Data from ``start`` to ``end`` has been kept out of order: join it with its neighbours."""
        others = []
        for left, right in self.blocks:
            if left <= end and start <= right:
                start = min(start, left)
                end = max(end, right)
            else:
                others.append((left, right))
        self.blocks = [(start, end), *others][:_KEPT]

    def advance(self, nxt: int) -> None:
        """RCV.NXT has moved over some blocks."""
        self.blocks = [block for block in self.blocks if block[1] > nxt]

    def duplicate(self, start: int, end: int) -> None:
        """Data arrived again. Only the first of a segment is told."""
        if self.duplicates is None and start < end:
            self.duplicates = (start, end)

    def report(self, room: int, *, dsack: bool) -> list[tuple[int, int]]:
        """At most ``room`` blocks for an option that is sent now. A duplicate is told once, and first."""
        duplicates, self.duplicates = self.duplicates, None
        if duplicates is not None and dsack:
            return [duplicates, *self.blocks][:room]
        return self.blocks[:room]
