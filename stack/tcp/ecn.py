"""Explicit congestion notification (RFC 3168 section 6.1)."""

from typing import Final

from stack.tcp.segment import CWR, ECE

__all__ = ["CONGESTION_EXPERIENCED", "ECT_0", "Ecn"]

ECT_0: Final = 2
CONGESTION_EXPERIENCED: Final = 3
_FIELD: Final = 3
"""The ECN field in the network header's DS byte (section 5)."""


class Ecn:
    """Both halves of one connection. ``enabled`` once both SYN have agreed (section 6.1.1)."""

    __slots__ = ("_echo", "_reduced", "enabled")

    def __init__(self) -> None:
        self.enabled = False
        self._echo = False
        """Congestion was experienced: ECE goes out until the peer says CWR (section 6.1.3)."""
        self._reduced = False
        """The window was reduced: the next new data says CWR (section 6.1.2)."""

    def received(self, flags: int, dsfield: int, *, has_data: bool) -> None:
        """A segment has come."""
        if not self.enabled:
            return
        if flags & CWR and has_data:
            self._echo = False
        if dsfield & _FIELD == CONGESTION_EXPERIENCED:
            self._echo = True

    def reduced(self) -> None:
        """The congestion window was reduced."""
        self._reduced = self.enabled

    def kept(self) -> None:
        """The reduction was taken back before it was told."""
        self._reduced = False

    def flags(self, *, new_data: bool) -> int:
        """ECE and CWR of a segment of an ``enabled`` connection that is sent now, not a SYN."""
        flags = ECE if self._echo else 0
        if new_data and self._reduced:
            self._reduced = False
            flags |= CWR
        return flags

    def must_tell(self) -> bool:
        """The next new data will carry CWR, which one segment alone may do."""
        return self._reduced
