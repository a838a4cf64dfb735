"""SipHash-2-4 (Aumasson, Bernstein: SipHash, a fast short-input PRF, 2012): a short keyed hash of 64 bits."""

import struct
from typing import Final

__all__ = ["KEY_BYTES", "siphash"]

KEY_BYTES: Final = 16
_MASK: Final = (1 << 64) - 1
_INITIAL: Final = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_COMPRESSION_ROUNDS: Final = 2
_FINALIZATION_ROUNDS: Final = 4


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 64 - bits) & _MASK


def _rounds(v: tuple[int, int, int, int], count: int) -> tuple[int, int, int, int]:
    v0, v1, v2, v3 = v
    for _ in range(count):
        v0 = v0 + v1 & _MASK
        v2 = v2 + v3 & _MASK
        v1 = _rotate(v1, 13) ^ v0
        v3 = _rotate(v3, 16) ^ v2
        v0 = _rotate(v0, 32) + v3 & _MASK
        v2 = v2 + v1 & _MASK
        v3 = _rotate(v3, 21) ^ v0
        v1 = _rotate(v1, 17) ^ v2
        v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


def siphash(key: bytes, data: bytes) -> bytes:
    """Eight bytes, little-endian as in the paper, from a key of ``KEY_BYTES``."""
    halves = struct.unpack("<QQ", key) * 2
    v0, v1, v2, v3 = (constant ^ half for constant, half in zip(_INITIAL, halves, strict=True))
    padded = data + bytes(7 - len(data) % 8) + bytes((len(data) & 0xFF,))
    for (word,) in struct.iter_unpack("<Q", padded):
        v0, v1, v2, v3 = _rounds((v0, v1, v2, v3 ^ word), _COMPRESSION_ROUNDS)
        v0 ^= word
    v0, v1, v2, v3 = _rounds((v0, v1, v2 ^ 0xFF, v3), _FINALIZATION_ROUNDS)
    return struct.pack("<Q", v0 ^ v1 ^ v2 ^ v3)
