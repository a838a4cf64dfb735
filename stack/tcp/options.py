"""TCP's options: maximum segment size (RFC 9293 section 3.2), window scale, timestamps (RFC 7323), SACK (RFC 2018),
Fast Open (RFC 7413)."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = [
    "MAXIMUM_OPTION_BYTES",
    "TIMESTAMP_BYTES",
    "TIMESTAMP_WORD",
    "FastOpenOption",
    "Options",
    "find_sack",
    "find_timestamps",
    "maximum_sack_blocks",
    "pack_sack",
    "pack_syn_options",
    "pack_timestamps",
    "parse_options",
]

_END_OF_LIST: Final = 0
_NO_OPERATION: Final = 1
_MAXIMUM_SEGMENT_SIZE: Final = 2
_WINDOW_SCALE: Final = 3
_SACK_PERMITTED: Final = 4
_SACK: Final = 5
_TIMESTAMPS: Final = 8
_FAST_OPEN: Final = 34
_EXPERIMENTAL: Final = 254
_FAST_OPEN_MAGIC: Final = b"\xf9\x89"
"""RFC 7413 appendix A, RFC 6994: Fast Open among the options that share the kind for experiments."""
_COOKIE_BYTES: Final = range(4, 17, 2)
"""RFC 7413 section 4.1.1: 4 to 16, an even number."""
_MAXIMUM_SHIFT: Final = 14
"""RFC 7323 section 2.3: a larger shift is taken as 14."""

MAXIMUM_OPTION_BYTES: Final = 40
TIMESTAMP_BYTES: Final = 12
TIMESTAMP_WORD: Final = 0x0101080A
"""NOP, NOP, kind, length: the first word of the layout that RFC 7323 appendix A recommends."""
_TIMESTAMP_OPTION: Final = struct.Struct("!III")
_PAIR: Final = struct.Struct("!II")


@dataclass(frozen=True, slots=True)
class FastOpenOption:
    """A cookie, or without one the request for it."""

    cookie: bytes = b""
    experimental: bool = False
    """As before RFC 7413."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a SYN; None is absent."""

    maximum_segment_size: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    timestamps: tuple[int, int] | None = None
    """(TSval, TSecr)."""
    fast_open: FastOpenOption | None = None


def _walk(data: "bytes | memoryview") -> Iterator[tuple[int, "bytes | memoryview"]]:
    """(kind, value) of each option. What is malformed ends the list, as in Linux: the segment is not to blame."""
    position = 0
    while position < len(data):
        kind = data[position]
        if kind == _END_OF_LIST:
            return
        if kind == _NO_OPERATION:
            position += 1
            continue
        if position + 1 >= len(data):
            return
        length = data[position + 1]
        if length < 2 or position + length > len(data):
            return
        yield kind, data[position + 2 : position + length]
        position += length


def parse_options(data: "bytes | memoryview") -> Options:
    """Read the options of a SYN."""
    size: int | None = None
    scale: int | None = None
    sack = False
    timestamps: tuple[int, int] | None = None
    fast_open: FastOpenOption | None = None
    for kind, value in _walk(data):
        if kind == _MAXIMUM_SEGMENT_SIZE and len(value) == 2:
            size = value[0] << 8 | value[1]
        elif kind == _WINDOW_SCALE and len(value) == 1:
            scale = min(value[0], _MAXIMUM_SHIFT)
        elif kind == _SACK_PERMITTED and not value:
            sack = True
        elif kind == _TIMESTAMPS and len(value) == 8:
            timestamps = _PAIR.unpack(value)
        elif kind == _FAST_OPEN:
            fast_open = _fast_open(value, experimental=False)
        elif kind == _EXPERIMENTAL and value[:2] == _FAST_OPEN_MAGIC:
            fast_open = _fast_open(value[2:], experimental=True)
    return Options(size, scale, sack, timestamps, fast_open)


def _fast_open(cookie: "bytes | memoryview", *, experimental: bool) -> FastOpenOption | None:
    """None for a cookie of a length that none has: as if it were not there."""
    if cookie and len(cookie) not in _COOKIE_BYTES:
        return None
    return FastOpenOption(bytes(cookie), experimental)


def find_timestamps(data: "bytes | memoryview") -> tuple[int, int] | None:
    """(TSval, TSecr), None if absent."""
    for kind, value in _walk(data):
        if kind == _TIMESTAMPS and len(value) == 8:
            return _PAIR.unpack(value)
    return None


def find_sack(data: "bytes | memoryview") -> tuple[tuple[int, int], ...]:
    """SACK blocks (left edge, right edge), () if absent."""
    for kind, value in _walk(data):
        if kind == _SACK and value and len(value) % _PAIR.size == 0:
            return tuple(_PAIR.iter_unpack(value))
    return ()


def pack_syn_options(options: Options) -> bytes:
    """The bytes of a SYN's options in Linux's order, padded to whole words."""
    built = b""
    if options.maximum_segment_size is not None:
        built += bytes((_MAXIMUM_SEGMENT_SIZE, 4)) + options.maximum_segment_size.to_bytes(2, "big")
    permitted = bytes((_SACK_PERMITTED, 2)) if options.sack_permitted else bytes((_NO_OPERATION, _NO_OPERATION))
    if options.timestamps is not None:
        built += permitted + bytes((_TIMESTAMPS, 10)) + _PAIR.pack(*options.timestamps)
    elif options.sack_permitted:
        built += bytes((_NO_OPERATION, _NO_OPERATION)) + permitted
    if options.window_scale is not None:
        built += bytes((_NO_OPERATION, _WINDOW_SCALE, 3, options.window_scale))
    if options.fast_open is not None:
        cookie = options.fast_open.cookie
        kind, value = (
            (_EXPERIMENTAL, _FAST_OPEN_MAGIC + cookie) if options.fast_open.experimental else (_FAST_OPEN, cookie)
        )
        built += bytes((kind, 2 + len(value))) + value
    return built + bytes((_NO_OPERATION,)) * (-len(built) % 4)


def pack_timestamps(tsval: int, tsecr: int) -> bytes:
    """The timestamps option behind two NOP, 12 bytes."""
    return _TIMESTAMP_OPTION.pack(TIMESTAMP_WORD, tsval, tsecr)


def maximum_sack_blocks(used: int) -> int:
    """Blocks that fit beside ``used`` bytes of other options: 4, or 3 with timestamps (RFC 2018 section 3)."""
    return max((MAXIMUM_OPTION_BYTES - used - 4) // _PAIR.size, 0)


def pack_sack(blocks: Sequence[tuple[int, int]]) -> bytes:
    """The SACK option behind two NOP; edges as on the wire."""
    head = bytes((_NO_OPERATION, _NO_OPERATION, _SACK, 2 + _PAIR.size * len(blocks)))
    return head + b"".join(_PAIR.pack(left, right) for left, right in blocks)
