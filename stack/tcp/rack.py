"""RACK: loss by time instead of by counting (RFC 8985 sections 5 and 6)."""

from typing import Final

from stack.tcp.scoreboard import Scoreboard, Sent

__all__ = ["Rack"]

_PERSIST: Final = 16
"""Recoveries for which a widened window is kept (section 6.2, step 4)."""


class Rack:
    """What was delivered of the segment sent last, and how much reordering to allow for. Names as in section 5.3."""

    __slots__ = (
        "_dsack_round",
        "_fack",
        "_last",
        "_late",
        "advanced",
        "degree",
        "reo_wnd_mult",
        "reo_wnd_persist",
        "reordering_seen",
        "rtt",
    )

    def __init__(self) -> None:
        self._last = 0
        """Of what was delivered, the transmission made last. The RFC compares times, and numbers when these are equal;
        here several segments, copies among them, may leave in the same nanosecond."""
        self._fack = 0
        """Highest number delivered in any way."""
        self.rtt = 0
        self.reordering_seen = 0
        """In how many ACKs (Linux's reord_seen)."""
        self._late = False
        """The ACK at hand has shown reordering."""
        self.degree = 0
        """Most segments between one that came late and the highest that had come before it."""
        self.reo_wnd_mult = 1
        self.reo_wnd_persist = _PERSIST
        self._dsack_round = -1
        self.advanced = False
        """Something sent later than before was delivered: look for losses."""

    def delivered(self, sent: Sent, now: int, min_rtt: int, mss: int, *, spurious: bool) -> None:
        """A segment was acknowledged, one way or the other (section 6.2, steps 2 and 3). ``spurious``: timestamps
        prove that the ACK is for an earlier copy than the last."""
        if sent.end > self._fack:
            self._fack = sent.end
        elif sent.end < self._fack and not sent.retransmitted:
            if not self._late:
                self._late = True
                self.reordering_seen += 1
            self.degree = max(self.degree, -(-(self._fack - sent.start) // mss))
        rtt = now - sent.sent_at
        if sent.retransmitted and (spurious or rtt < min_rtt):
            return
        self.rtt = rtt
        if sent.order > self._last:
            self._last = sent.order
            self.advanced = True

    def looked_at(self) -> None:
        """All that one list of an ACK, cumulative or selective, has delivered is known."""
        self._late = False

    def in_order(self, sent: Sent, now: int) -> None:
        """As ``delivered``, for a segment that was sent once and has none before it that is not acknowledged."""
        self._fack = sent.end
        self.rtt = now - sent.sent_at
        self._last = sent.order

    def adapt(self, una: int, nxt: int) -> None:
        """A duplicate SACK says that something was sent again in vain: allow for more, once per round trip (step
        4)."""
        if una > self._dsack_round:
            self.reo_wnd_mult += 1
            self.reo_wnd_persist = _PERSIST
            self._dsack_round = nxt

    def keep_window(self) -> None:
        """Another recovery was in vain: the widened window stays."""
        self.reo_wnd_persist = _PERSIST

    def recovered(self) -> None:
        """A recovery is over."""
        self.reo_wnd_persist -= 1
        if self.reo_wnd_persist <= 0:
            self.reo_wnd_persist = _PERSIST
            self.reo_wnd_mult = 1

    def window(self, *, min_rtt: int, srtt: int, in_recovery: bool, sacked_enough: bool) -> int:
        """RACK_update_reo_wnd: nanoseconds by which segments may overtake each other."""
        if not self.reordering_seen and (in_recovery or sacked_enough):
            return 0
        return min(self.reo_wnd_mult * min_rtt // 4, srtt)

    def detect_loss(self, board: Scoreboard, window: int, now: int) -> tuple[list[Sent], int]:
        """Step 5: (segments to be marked lost, nanoseconds until others may be, or 0)."""
        lost: list[Sent] = []
        timeout = 0
        self.advanced = False
        for sent in board.by_time:
            if sent.order > self._last:
                break
            remaining = sent.sent_at + self.rtt + window - now
            if remaining <= 0:
                lost.append(sent)
            elif remaining > timeout:
                timeout = remaining
        return lost, timeout

    def timed_out(self, sent: Sent, window: int, now: int) -> bool:
        """Whether a segment is old enough to be lost when the retransmission timer expires (section 6.3)."""
        return sent.sent_at + self.rtt + window <= now
