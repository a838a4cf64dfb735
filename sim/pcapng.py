"""Writes captures in pcapng with nanosecond stamps (draft-ietf-opsawg-pcapng)."""

import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

__all__ = ["PcapngWriter"]

_LINKTYPE_ETHERNET = 1
_OPTION_END = struct.pack("<HH", 0, 0)
_OPTION_COMMENT = 1
_OPTION_IF_NAME = 2
_OPTION_IF_TSRESOL = 9
_SECTION_HEADER, _INTERFACE, _ENHANCED_PACKET = 0x0A0D0D0A, 1, 6


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


class PcapngWriter:
    """A capture file with one interface. Use it as a context manager."""

    def __init__(self, path: Path, *, interface: str) -> None:
        self._file: BinaryIO = path.open("wb")
        self._file.write(_block(_SECTION_HEADER, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        options = _option(_OPTION_IF_NAME, interface.encode()) + _option(_OPTION_IF_TSRESOL, b"\x09") + _OPTION_END
        self._file.write(_block(_INTERFACE, struct.pack("<HHI", _LINKTYPE_ETHERNET, 0, 0) + options))

    def write(self, time: int, frame: bytes, comment: str = "") -> None:
        """Add a frame (without FCS) seen at ``time`` nanoseconds."""
        options = _option(_OPTION_COMMENT, comment.encode()) + _OPTION_END if comment else b""
        head = struct.pack("<IIIII", 0, time >> 32, time & 0xFFFFFFFF, len(frame), len(frame))
        self._file.write(_block(_ENHANCED_PACKET, head + _padded(frame) + options))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "PcapngWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
