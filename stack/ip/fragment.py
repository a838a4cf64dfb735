"""Packets too large for a link, cut (RFC 791 section 3.2, RFC 8200 section 4.5)."""

import struct
from collections.abc import Iterator
from typing import Final

from stack.checksum import checksum

__all__ = ["FRAGMENT_HEADER", "IPPROTO_FRAGMENT", "ipv4_fragments", "ipv6_fragments"]

FRAGMENT_HEADER: Final = struct.Struct("!BBHI")
"""Next header, reserved, offset and flags, identification."""
IPPROTO_FRAGMENT: Final = 44
_FIELD: Final = struct.Struct("!H")
_MORE_FRAGMENTS: Final = 0x2000
_OFFSET: Final = 0x1FFF
_COPIED: Final = 0x80
"""Of an option's type: it goes into every fragment."""
_NO_OPERATION: Final = 1


def ipv4_fragments(header: bytes, data: "bytes | memoryview", mtu: int) -> Iterator[tuple[bytes, memoryview]]:
    """(header, data) of each piece of a packet that may itself be a fragment."""
    view = memoryview(data)
    size = mtu - len(header) & ~7
    bits = _FIELD.unpack_from(header, 6)[0]
    begins, more = bits & _OFFSET, bits & _MORE_FRAGMENTS
    own = bytearray(header)
    for start in range(0, len(view), size):
        piece = view[start : start + size]
        last = start + size >= len(view)
        _FIELD.pack_into(own, 2, len(own) + len(piece))
        _FIELD.pack_into(own, 6, begins + start // 8 | (more if last else _MORE_FRAGMENTS))
        _FIELD.pack_into(own, 10, 0)
        _FIELD.pack_into(own, 10, checksum(own))
        yield bytes(own), piece
        if start == 0:
            _blank_options(own)


def _blank_options(header: bytearray) -> None:
    """Only the first fragment has all options (RFC 791 section 3.1)."""
    at = 20
    while at < len(header) and header[at]:
        length = 1 if header[at] == _NO_OPERATION else header[at + 1]
        if not header[at] & _COPIED:
            header[at : at + length] = bytes((_NO_OPERATION,)) * length
        at += length


def ipv6_fragments(
    header: bytes, data: "bytes | memoryview", mtu: int, identification: int
) -> Iterator[tuple[bytes, memoryview]]:
    """(header, data) of each piece; ``header`` is the fixed header alone, ``data`` all behind it."""
    view = memoryview(data)
    size = mtu - len(header) - FRAGMENT_HEADER.size & ~7
    for start in range(0, len(view), size):
        piece = view[start : start + size]
        more = start + size < len(view)
        own = bytearray(header)
        _FIELD.pack_into(own, 4, FRAGMENT_HEADER.size + len(piece))
        own[6] = IPPROTO_FRAGMENT
        yield bytes(own) + FRAGMENT_HEADER.pack(header[6], 0, start | more, identification), piece
