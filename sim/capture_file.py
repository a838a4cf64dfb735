"""Reads captures: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng), of Ethernet frames."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sim.errors import UserError

__all__ = ["Packet", "read_capture"]

_ETHERNET = 1
_PCAP = {b"\xd4\xc3\xb2\xa1": ("<", 1000), b"\xa1\xb2\xc3\xd4": (">", 1000)}
_PCAP |= {b"\x4d\x3c\xb2\xa1": ("<", 1), b"\xa1\xb2\x3c\x4d": (">", 1)}
"""First bytes, byte order, and nanoseconds of a tick."""
_SECTION = b"\x0a\x0d\x0d\x0a"
_INTERFACE_BLOCK, _SIMPLE_BLOCK, _ENHANCED_BLOCK = 1, 3, 6
_OPTION_RESOLUTION, _OPTION_OFFSET = 9, 14


@dataclass(frozen=True)
class Packet:
    """One frame without FCS."""

    time: int
    """ns, on the capture's own clock."""
    length: int
    """Bytes on the wire; ``data`` may hold fewer."""
    data: bytes


class _DamagedError(Exception):
    """At byte ``offset``: what is wrong."""

    def __init__(self, offset: int, text: str) -> None:
        super().__init__(f"damaged at byte {offset}: {text}")


def read_capture(path: Path) -> list[Packet]:
    """All frames, in the file's order. Raises ``UserError`` for a file that cannot be read to its end."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if content[:4] in _PCAP:
        frames = _pcap(content)
    elif content[:4] == _SECTION:
        frames = _pcapng(content)
    else:
        raise UserError(f"{path} is no capture: it starts like neither pcap nor pcapng")
    try:
        return list(frames)
    except _DamagedError as error:
        raise UserError(f"{path} is {error}") from None


def _unpack(format: str, content: bytes, offset: int, end: int | None = None) -> tuple[int, ...]:
    size = struct.calcsize(format)
    if offset + size > (len(content) if end is None else end):
        raise _DamagedError(offset, f"{size} bytes expected, and the file or block ends before")
    return struct.unpack_from(format, content, offset)


def _check_link_type(offset: int, kind: int) -> None:
    if kind != _ETHERNET:
        raise _DamagedError(offset, f"link type {kind}; Ethernet ({_ETHERNET}) is what can be replayed")


def _pcap(content: bytes) -> Iterator[Packet]:
    order, tick = _PCAP[content[:4]]
    *_, kind = _unpack(f"{order}HHiIII", content, 4)
    _check_link_type(20, kind & 0x0FFFFFFF)
    offset = 24
    while offset < len(content):
        seconds, fraction, captured, length = _unpack(f"{order}IIII", content, offset)
        if offset + 16 + captured > len(content):
            raise _DamagedError(offset, f"a frame of {captured} bytes does not fit into the file")
        if captured > length:
            raise _DamagedError(offset, f"{captured} bytes captured of a frame of {length}")
        yield Packet(seconds * 1_000_000_000 + fraction * tick, length, content[offset + 16 : offset + 16 + captured])
        offset += 16 + captured


def _pcapng(content: bytes) -> Iterator[Packet]:
    offset = 0
    order = "<"
    interfaces: list[tuple[float, int]] = []
    while offset < len(content):
        if content[offset : offset + 4] == _SECTION:
            order = "<" if content[offset + 8 : offset + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        kind, size = _unpack(f"{order}II", content, offset)
        if size < 12 or size % 4 or offset + size > len(content):
            raise _DamagedError(offset, f"a block of {size} bytes does not fit into the file")
        (again,) = _unpack(f"{order}I", content, offset + size - 4)
        if again != size:
            raise _DamagedError(offset, f"a block has the lengths {size} and {again}")
        end = offset + size - 4
        if kind == _INTERFACE_BLOCK:
            link_type, _, _ = _unpack(f"{order}HHI", content, offset + 8, end)
            _check_link_type(offset, link_type)
            interfaces.append(_clock(content, offset + 16, end, order))
        elif kind == _ENHANCED_BLOCK:
            number, high, low, captured, length = _unpack(f"{order}IIIII", content, offset + 8, end)
            if number >= len(interfaces):
                raise _DamagedError(offset, f"a frame of interface {number}, of which nothing is said before")
            if captured > length or offset + 28 + captured > end:
                raise _DamagedError(offset, f"a frame of {captured} bytes does not fit into its block")
            tick, start = interfaces[number]
            time = start + round((high << 32 | low) * tick)
            yield Packet(time, length, content[offset + 28 : offset + 28 + captured])
        elif kind == _SIMPLE_BLOCK:
            raise _DamagedError(offset, "a simple packet block, which has no time; captures with times can be replayed")
        offset += size


def _clock(content: bytes, offset: int, end: int, order: str) -> tuple[float, int]:
    """Nanoseconds of a tick of an interface, and of its clock's zero, from the options of its block."""
    tick, start = 1000.0, 0
    while offset + 4 <= end:
        code, size = _unpack(f"{order}HH", content, offset, end)
        if offset + 4 + size > end:
            raise _DamagedError(offset, "an option does not fit into its block")
        if code == _OPTION_RESOLUTION and size == 1:
            value = content[offset + 4]
            tick = 1e9 * 2.0 ** -(value & 0x7F) if value & 0x80 else 1e9 * 10.0**-value
        elif code == _OPTION_OFFSET and size == 8:
            start = _unpack(f"{order}q", content, offset + 4, end)[0] * 1_000_000_000
        offset += 4 + size + -size % 4
    return tick, start
