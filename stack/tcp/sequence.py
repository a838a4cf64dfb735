"""Sequence numbers (RFC 9293 section 3.4).

On the wire they count modulo 2**32. Inside of a connection they never wrap: an incoming number is unwrapped once, to
the value nearest to one that is known, so that all other code compares and subtracts plain integers.
"""

from typing import Final

__all__ = ["MASK", "unwrap"]

MASK: Final = 0xFFFFFFFF
_HALF: Final = 0x80000000


def unwrap(number: int, reference: int) -> int:
    """The value congruent to ``number`` modulo 2**32 within [reference - 2**31, reference + 2**31)."""
    return reference + ((number - reference + _HALF) & MASK) - _HALF
