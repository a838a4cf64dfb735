"""Timestamps (RFC 7323 sections 3 to 5): the clock, TS.Recent and protection against wrapped sequence numbers."""

from typing import Final

from stack.tcp.sequence import MASK

__all__ = ["Timestamps"]

_TICK: Final = 1_000_000
"""The clock ticks every millisecond (section 5.4: between 1 ms and 1 s)."""
_HALF: Final = 0x80000000
_OUTDATED: Final = 24 * 24 * 3600 * 1_000_000_000
"""Section 5.5: TS.Recent of an idle connection is void after 24 days."""


class Timestamps:
    """One connection's, once both SYN have carried the option (``enabled``)."""

    __slots__ = ("_offset", "enabled", "first", "recent", "recent_at")

    def __init__(self, offset: int) -> None:
        self._offset = offset
        """Random, so that the clock tells nobody how long this host has been up (section 7.1)."""
        self.enabled = False
        self.first = 0
        """TSval of the first SYN, or before."""
        self.recent = 0
        """TS.Recent."""
        self.recent_at = 0

    def value(self, now: int) -> int:
        """TSval of a segment that is sent now."""
        return now // _TICK + self._offset & MASK

    def accept(self, tsval: int, now: int) -> None:
        """TS.Recent from a SYN."""
        self.recent = tsval
        self.recent_at = now

    def echoes(self, tsecr: int, now: int) -> bool:
        """Whether ``tsecr`` may be of a SYN of ours (tcp_rcv_synsent_state_process). 0 is of a peer that has none to
        echo."""
        return not tsecr or (tsecr - self.first & MASK) <= (self.value(now) - self.first & MASK)

    def is_old(self, tsval: int, now: int) -> bool:
        """PAWS (section 5.3, R1): the segment is from before TS.Recent."""
        return (tsval - self.recent & MASK) >= _HALF and now - self.recent_at < _OUTDATED

    def round_trip(self, tsecr: int, now: int) -> int | None:
        """Nanoseconds since ``tsecr`` was sent, to a tick; None if that cannot be (section 4.1)."""
        ticks = self.value(now) - tsecr & MASK
        return max(ticks, 1) * _TICK if ticks < _HALF else None

    def before(self, tsecr: int, sent_at: int) -> bool:
        """Whether ``tsecr`` is of a segment from before ``sent_at``: the ACK answers an original, not what was sent
        again then (Eifel detection, RFC 3522)."""
        return (tsecr - self.value(sent_at) & MASK) >= _HALF
