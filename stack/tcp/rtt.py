"""Round-trip time and retransmission timeout (RFC 6298), in integer nanoseconds."""

from typing import Final

from stack.tcp.parameters import TcpParameters

__all__ = ["RttEstimator"]

_GRANULARITY: Final = 1
"""G: the clock counts nanoseconds."""
_FALLBACK_RTO: Final = 3_000_000_000
"""Rule 5.7: after a lost SYN, data starts with this timeout."""
_MIN_RTT_WINDOW: Final = 300_000_000_000
"""A minimum older than this no longer counts (Linux's tcp_min_rtt_wlen)."""


class RttEstimator:
    """SRTT, RTTVAR, RTO and the least RTT of late. ``rto`` includes the back-off."""

    __slots__ = (
        "_maximum",
        "_minimum",
        "_minimum_at",
        "backoff",
        "latest",
        "min_rtt",
        "recent",
        "rto",
        "rttvar",
        "srtt",
    )

    def __init__(self, parameters: TcpParameters) -> None:
        self._minimum = parameters.minimum_rto
        self._maximum = parameters.maximum_rto
        self.srtt = 0
        """Smoothed round-trip time, 0 before the first sample."""
        self.recent = 0
        """Smoothed too, but every sample weighs an eighth, as in Linux's srtt_us: it follows a queue that grows within
        a round trip. What is sent at once is bounded by it."""
        self.rttvar = 0
        self.rto = parameters.initial_rto
        self.backoff = 0
        """How often the timeout was doubled since the last sample."""
        self.latest = 0
        self.min_rtt = 0
        """0 before the first sample."""
        self._minimum_at = 0

    def sample(self, rtt: int, now: int, *, per_round: int = 1) -> None:
        """Take a measurement (section 2), one of about ``per_round`` in a round trip: so many weigh as one (RFC 7323
        appendix G). Ends the back-off."""
        self.latest = rtt
        if self.srtt == 0:
            self.srtt = self.recent = max(rtt, 1)
            self.rttvar = rtt // 2
        else:
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) // (4 * per_round)
            self.srtt += (rtt - self.srtt) // (8 * per_round)
            self.recent += (rtt - self.recent) // 8
        if not self.min_rtt or rtt <= self.min_rtt or now - self._minimum_at > _MIN_RTT_WINDOW:
            self.min_rtt = max(rtt, 1)
            self._minimum_at = now
        self.backoff = 0
        self.rto = self._timeout()

    def _timeout(self) -> int:
        """Rule 2.3. The least timeout is what the variation must be given at least, as in Linux (tcp_rto_min): then a
        path whose round trip is long and steady is no closer to a spurious timeout than a short one."""
        return min(self.srtt + max(_GRANULARITY, 4 * self.rttvar, self._minimum), self._maximum)

    def back_off(self) -> None:
        """The timer has expired (rule 5.5)."""
        self.backoff += 1
        self.rto = min(2 * self.rto, self._maximum)

    def undo_back_off(self) -> None:
        """The timeout was spurious: nothing was lost (RFC 4015 section 3.3)."""
        if self.backoff and self.srtt:
            self.backoff = 0
            self.rto = self._timeout()

    def syn_was_lost(self) -> None:
        """The connection opened after a timeout: start data with 3 s (rule 5.7)."""
        if self.srtt == 0:
            self.backoff = 0
            self.rto = min(max(_FALLBACK_RTO, self._minimum), self._maximum)
