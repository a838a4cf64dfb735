"""Writes what a link's tap sees to a pcapng file, with a comment on each TCP segment that is sent again."""

import heapq
import struct
from pathlib import Path

from sim.pcapng import PcapngWriter
from sim.wire import Direction

__all__ = ["Capture"]

_ETHERNET, _TCP, _SYN, _FIN = 14, 6, 2, 1
_SHORTEST_TCP = 54
_MASK, _HALF = 0xFFFFFFFF, 1 << 31

_HORIZON = 1_000_000
"""Nanoseconds. A station that serialises by itself reports a frame when it has ended, with the time of its start, so
frames are held back for longer than the longest frame lasts and written in the order of their starts."""


class _Retransmissions:
    """Knows which sequence numbers of TCP over IPv4 have been on the wire."""

    def __init__(self) -> None:
        self._next: dict[bytes, int] = {}
        """By addresses and ports, the sequence number behind all that was sent."""

    def comment(self, frame: bytes) -> str:
        """What to say of a frame; empty if it brings nothing that was sent before."""
        if frame[12:14] != b"\x08\x00" or len(frame) < _SHORTEST_TCP or frame[23] != _TCP:
            return ""
        at = _ETHERNET + 4 * (frame[_ETHERNET] & 0xF)
        if len(frame) < at + 20:
            return ""
        flow = frame[26 : at + 4]
        (length,) = struct.unpack_from("!H", frame, 16)
        (sequence,) = struct.unpack_from("!I", frame, at + 4)
        flags = frame[at + 13]
        size = length - (at - _ETHERNET) - 4 * (frame[at + 12] >> 4)
        size += bool(flags & _SYN) + bool(flags & _FIN)
        if size <= 0:
            return ""
        end = (sequence + size) & _MASK
        known = self._next.get(flow)
        if known is None or (end - known) & _MASK < _HALF:
            self._next[flow] = end
        if known is None or (known - sequence - 1) & _MASK >= _HALF:
            return ""
        again = min((known - sequence) & _MASK, size)
        return f"TCP retransmission: {again} of {size} bytes from sequence number {sequence} were sent before"


class Capture:
    """A tap (``sim.wire.Tap``) that records frames without their FCS, stamped with the start of the preamble."""

    def __init__(self, path: Path, *, interface: str) -> None:
        self._writer = PcapngWriter(path, interface=interface)
        self._waiting: list[tuple[int, int, bytes]] = []
        self._count = 0
        self._retransmissions = _Retransmissions()

    def __call__(self, direction: Direction, start: int, frame: bytes) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (start, self._count, frame[:-4]))
        while self._waiting[0][0] < start - _HORIZON:
            self._write_first()

    def _write_first(self) -> None:
        start, _, frame = heapq.heappop(self._waiting)
        self._writer.write(start, frame, self._retransmissions.comment(frame))

    def close(self) -> None:
        """Write what is held back, and close the file."""
        while self._waiting:
            self._write_first()
        self._writer.close()
