"""SYN cookies: a connection's state travels in the numbers that the peer must send back (RFC 4987 section 3.6).

The initial sequence number holds a slow counter, an index of the MSS and a keyed hash; the low bits of the timestamp
hold what else the SYN has offered.
"""

import hashlib
from typing import Final

from stack.environment import Random
from stack.ports import FourTuple
from stack.tcp.options import Options
from stack.tcp.sequence import MASK

__all__ = ["SynCookies"]

_PERIOD: Final = 64_000_000_000
"""The counter moves every 64 s."""
_MAXIMUM_AGE: Final = 2
"""Counter steps after which a cookie is void."""
_MSS_TABLE: Final = (536, 1220, 1300, 1440, 1460, 8960)
"""The largest that is not above the offer is taken."""
_LOW: Final = 0xFFFFFF
_NO_SCALE: Final = 0xF
_SACK: Final = 0x10
_ECN: Final = 0x20
_OPTION_BITS: Final = 0x3F


class SynCookies:
    """One host's secrets."""

    def __init__(self, random: Random) -> None:
        self._key = random.getrandbits(256).to_bytes(32, "big")

    def _hash(self, key: FourTuple, *more: int) -> int:
        data = b"".join(field.to_bytes(16, "big") for field in (*key, *more))
        return int.from_bytes(hashlib.blake2s(data, key=self._key, digest_size=4).digest(), "big")

    def timestamp_offset(self, key: FourTuple) -> int:
        """The timestamp clock's offset: the same before and after the cookie comes back."""
        return self._hash(key)

    def number(self, key: FourTuple, initial: int, mss: int, now: int) -> int:
        """The sequence number of a SYN and ACK that answers a SYN with number ``initial``."""
        index = max((at for at, size in enumerate(_MSS_TABLE) if size <= mss), default=0)
        count = now // _PERIOD
        low = self._hash(key, initial, count) + index & _LOW
        return self._hash(key, initial) + (count << 24) + low & MASK

    def check(self, key: FourTuple, cookie: int, initial: int, now: int) -> int | None:
        """The MSS in a cookie that was sent lately, None if it is none."""
        value = cookie - self._hash(key, initial) & MASK
        count = now // _PERIOD
        age = count - (value >> 24) & 0xFF
        if age >= _MAXIMUM_AGE or age > count:
            return None
        index = value - self._hash(key, initial, count - age) & _LOW
        return _MSS_TABLE[index] if index < len(_MSS_TABLE) else None

    def stamp(self, tsval: int, offer: Options, *, ecn: bool) -> int:
        """A timestamp, not later than ``tsval``, that holds the rest of the offer."""
        bits = _NO_SCALE if offer.window_scale is None else offer.window_scale
        bits |= _SACK * offer.sack_permitted | _ECN * ecn
        stamped = tsval & ~_OPTION_BITS | bits
        return stamped - (_OPTION_BITS + 1) & MASK if stamped > tsval else stamped

    def offer(self, mss: int, timestamps: tuple[int, int] | None) -> tuple[Options, bool]:
        """What the SYN had offered, from the (TSval, TSecr) of the ACK that brings the cookie back; and whether it
        asked for ECN."""
        if timestamps is None:
            return Options(mss), False
        bits = timestamps[1] & _OPTION_BITS
        scale = bits & _NO_SCALE
        return Options(mss, None if scale == _NO_SCALE else scale, bool(bits & _SACK), timestamps), bool(bits & _ECN)
