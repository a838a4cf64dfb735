"""The Internet checksum (RFC 1071): ones' complement sums of 16-bit words.

The sum of 16-bit words modulo 0xFFFF is the value of the whole string modulo 0xFFFF, because 2**16 is 1 modulo 0xFFFF.
One division of a long integer does it, with no loop in Python; where mypyc has compiled this module, a loop over the
words takes a quarter of that time. A ones' complement sum is 0 only if every word is 0;
a nonzero multiple of 0xFFFF is 0xFFFF.
"""

import struct
from types import FunctionType
from typing import Final

from mypy_extensions import i64

__all__ = ["checksum", "fold", "is_valid", "pseudo_header", "store", "sum_of_words"]

_FIELD: Final = struct.Struct("!H")


def fold(value: int) -> int:
    """A sum of 16-bit words, or of folded sums, brought back to 16 bits in ones' complement."""
    return value % 0xFFFF or (0xFFFF if value else 0)


def _total(data: "bytes | bytearray | memoryview") -> int:
    """An integer congruent to the sum of the 16-bit words of ``data``; an odd last byte is the high half of a word."""
    if _COMPILED:
        return sum_of_words(data if isinstance(data, bytes) else bytes(data))
    value = int.from_bytes(data, "big")
    return value << 8 if len(data) & 1 else value


def sum_of_words(data: bytes) -> int:
    """The sum of the 16-bit words of ``data``, one by one. Only for compiled code: interpreted it takes too long."""
    total: i64 = 0
    length: i64 = len(data)
    place: i64 = 0
    while place + 1 < length:
        total += i64(data[place]) * 256 + i64(data[place + 1])
        place += 2
    if place < length:
        total += i64(data[place]) * 256
    return int(total)


_COMPILED: Final = not isinstance(sum_of_words, FunctionType)
"""Whether this module is."""


def pseudo_header(source: int, destination: int, protocol: int, length: int) -> int:
    """Folded sum of the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1); ``length`` in bytes, of header and
    data. Addresses are as on the wire, of 32 or 128 bits; the prefix of a mapped one adds 0xFFFF, which is nothing."""
    return fold(source + destination + protocol + length)


def checksum(data: "bytes | bytearray | memoryview", initial: int = 0) -> int:
    """The checksum field for ``data`` (field itself zero): complement of its sum and of ``initial``, a folded sum."""
    # Folded before the sum: only one operation is then on a long integer.
    return 0xFFFF - fold(fold(_total(data)) + initial)


def is_valid(data: "bytes | bytearray | memoryview", initial: int = 0) -> bool:
    """Whether ``data`` with its checksum field, and ``initial``, sum to 0xFFFF."""
    return (_total(data) % 0xFFFF + initial) % 0xFFFF == 0


def store(header: bytes, offset: int, value: int) -> bytes:
    """``header`` with the 16-bit field at ``offset`` replaced."""
    return header[:offset] + _FIELD.pack(value) + header[offset + 2 :]
