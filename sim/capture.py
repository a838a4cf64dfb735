"""Writes what a link's tap sees to a pcapng file."""

import heapq
from pathlib import Path

from sim.pcapng import PcapngWriter
from sim.wire import Direction

__all__ = ["Capture"]

_HORIZON = 1_000_000
"""Nanoseconds. A station that serialises by itself reports a frame when it has ended, with the time of its start, so
frames are held back for longer than the longest frame lasts and written in the order of their starts."""


class Capture:
    """A tap (``sim.wire.Tap``) that records frames without their FCS, stamped with the start of the preamble."""

    def __init__(self, path: Path, *, interface: str) -> None:
        self._writer = PcapngWriter(path, interface=interface)
        self._waiting: list[tuple[int, int, bytes]] = []
        self._count = 0

    def __call__(self, direction: Direction, start: int, frame: bytes) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (start, self._count, frame[:-4]))
        while self._waiting[0][0] < start - _HORIZON:
            self._write_first()

    def _write_first(self) -> None:
        start, _, frame = heapq.heappop(self._waiting)
        self._writer.write(start, frame)

    def close(self) -> None:
        """Write what is held back, and close the file."""
        while self._waiting:
            self._write_first()
        self._writer.close()
