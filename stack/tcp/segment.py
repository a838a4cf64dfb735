"""TCP's wire format (RFC 9293 section 3.1) and its options (section 3.2, RFC 7323 section 2.2)."""

import struct
from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "ACK",
    "CHECKSUM_OFFSET",
    "FIN",
    "HEADER",
    "HEADER_BYTES",
    "PSH",
    "RST",
    "SYN",
    "URG",
    "Options",
    "Segment",
    "build_options",
    "parse",
    "parse_options",
]

FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10
URG = 0x20

HEADER = struct.Struct("!HHIIHHHH")
"""Ports, sequence, acknowledgment, data offset and flags, window, checksum, urgent pointer."""
HEADER_BYTES = 20
CHECKSUM_OFFSET = 16
_FLAGS_MASK = 0x3F

_END_OF_LIST = 0
_NO_OPERATION = 1
_MAXIMUM_SEGMENT_SIZE = 2
_WINDOW_SCALE = 3
_MAXIMUM_SHIFT = 14
"""RFC 7323 section 2.3: a larger shift is taken as 14."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options in use; None is absent."""

    maximum_segment_size: int | None = None
    window_scale: int | None = None


class Segment(NamedTuple):
    """One received segment. Sequence numbers as on the wire; ``options`` are raw bytes, parsed for a SYN only."""

    source_port: int
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    options: memoryview
    payload: memoryview


def parse(data: "bytes | memoryview") -> Segment | None:
    """The segment in ``data``; None if its header is malformed."""
    if len(data) < HEADER_BYTES:
        return None
    source, destination, sequence, acknowledgment, offset_flags, window, _, _ = HEADER.unpack_from(data)
    offset = offset_flags >> 12 << 2
    if not HEADER_BYTES <= offset <= len(data):
        return None
    view = memoryview(data)
    return Segment(
        source,
        destination,
        sequence,
        acknowledgment,
        offset_flags & _FLAGS_MASK,
        window,
        view[HEADER_BYTES:offset],
        view[offset:],
    )


def parse_options(data: "bytes | memoryview") -> Options:
    """Read the options of a SYN. What is malformed ends the list, as in Linux: the segment is not to blame."""
    size: int | None = None
    scale: int | None = None
    position = 0
    while position < len(data):
        kind = data[position]
        if kind == _END_OF_LIST:
            break
        if kind == _NO_OPERATION:
            position += 1
            continue
        if position + 1 >= len(data):
            break
        length = data[position + 1]
        if length < 2 or position + length > len(data):
            break
        if kind == _MAXIMUM_SEGMENT_SIZE and length == 4:
            size = data[position + 2] << 8 | data[position + 3]
        elif kind == _WINDOW_SCALE and length == 3:
            scale = min(data[position + 2], _MAXIMUM_SHIFT)
        position += length
    return Options(size, scale)


def build_options(options: Options) -> bytes:
    """The bytes of a SYN's options, padded to whole words."""
    built = b""
    if options.maximum_segment_size is not None:
        built += bytes((_MAXIMUM_SEGMENT_SIZE, 4)) + options.maximum_segment_size.to_bytes(2, "big")
    if options.window_scale is not None:
        built += bytes((_NO_OPERATION, _WINDOW_SCALE, 3, options.window_scale))
    return built
