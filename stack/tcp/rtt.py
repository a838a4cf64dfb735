"""Round-trip time and retransmission timeout (RFC 6298), in integer nanoseconds."""

from stack.tcp.parameters import TcpParameters

__all__ = ["RttEstimator"]

_GRANULARITY = 1
"""G: the clock counts nanoseconds."""
_FALLBACK_RTO = 3_000_000_000
"""Rule 5.7: after a lost SYN, data starts with this timeout."""


class RttEstimator:
    """SRTT, RTTVAR and RTO, from one segment timed per round trip. ``rto`` includes the back-off."""

    __slots__ = ("_maximum", "_minimum", "_timed_at", "_timed_end", "backoff", "rto", "rttvar", "srtt")

    def __init__(self, parameters: TcpParameters) -> None:
        self._minimum = parameters.minimum_rto
        self._maximum = parameters.maximum_rto
        self.srtt = 0
        """Smoothed round-trip time, 0 before the first sample."""
        self.rttvar = 0
        self.rto = parameters.initial_rto
        self.backoff = 0
        """How often the timeout was doubled since the last sample."""
        self._timed_end: int | None = None
        self._timed_at = 0

    def start(self, end: int, now: int) -> None:
        """A segment whose last number is before ``end`` is sent for the first time: time it, if none is timed."""
        if self._timed_end is None:
            self._timed_end = end
            self._timed_at = now

    def spoil(self) -> None:
        """Something was sent again, so that an ACK tells no time any more (Karn's rule, section 3)."""
        self._timed_end = None

    def acknowledged(self, ack: int, now: int) -> None:
        """All before ``ack`` has arrived."""
        if self._timed_end is not None and ack >= self._timed_end:
            self._timed_end = None
            self.sample(now - self._timed_at)

    def sample(self, rtt: int) -> None:
        """Take a measurement (section 2). Ends the back-off."""
        if self.srtt == 0:
            self.srtt = rtt
            self.rttvar = rtt // 2
        else:
            self.rttvar += (abs(self.srtt - rtt) - self.rttvar) // 4
            self.srtt += (rtt - self.srtt) // 8
        self.backoff = 0
        self.rto = min(max(self.srtt + max(_GRANULARITY, 4 * self.rttvar), self._minimum), self._maximum)

    def back_off(self) -> None:
        """The timer has expired (rule 5.5)."""
        self.backoff += 1
        self.rto = min(2 * self.rto, self._maximum)

    def syn_was_lost(self) -> None:
        """The connection opened after a timeout: start data with 3 s (rule 5.7)."""
        if self.srtt == 0:
            self.backoff = 0
            self.rto = min(max(_FALLBACK_RTO, self._minimum), self._maximum)
