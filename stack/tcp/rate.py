"""Delivery rate of a connection (Linux's tcp_rate.c; draft-ietf-ccwg-bbr section 4.1, delivery rate samples)."""

from dataclasses import dataclass

from stack.tcp.scoreboard import Sent

__all__ = ["DeliveryRate", "RateSample"]


@dataclass(slots=True)
class RateSample:
    """What one ACK tells congestion control. Sizes in bytes, times in nanoseconds."""

    now: int
    acked: int
    """Newly acknowledged cumulatively."""
    delivered: int
    """Newly acknowledged, cumulatively or selectively: what a window may grow by, so that no segment counts twice."""
    lost: int
    """Newly believed lost."""
    rtt: int | None
    """Of the newest segment that it acknowledges and that was sent once."""
    in_flight: int
    """After it."""
    prior_in_flight: int
    """Before it."""
    una: int
    nxt: int
    cwnd_limited: bool
    """The window was in full use when it was last sent into."""
    app_limited: bool = False
    rate: int | None = None
    """Delivery rate, bytes/s, if the ACK spans a whole interval."""


class DeliveryRate:
    """Counts what was delivered, and marks segments with it as they are sent."""

    __slots__ = ("_best", "app_limited", "delivered", "delivered_at", "first_sent_at", "rate", "segments")

    def __init__(self) -> None:
        self.delivered = 0
        self.segments = 0
        """That ``delivered`` came in."""
        self.delivered_at = 0
        self.first_sent_at = 0
        """When the first segment of the current sample was sent."""
        self.app_limited = 0
        """Samples up to this count of delivered bytes were limited by the program; 0: none is."""
        self.rate = 0
        """The last sample not limited by the program, bytes/s."""
        self._best: Sent | None = None

    def on_send(self, now: int, *, idle: bool) -> None:
        """Segments are sent; ``idle`` if nothing was on its way."""
        if idle:
            self.first_sent_at = self.delivered_at = now

    def on_delivered(self, sent: Sent, size: int, now: int) -> None:
        """So many bytes, up to this segment, are newly acknowledged, one way or the other. The segment sent last makes
        the sample."""
        self.delivered += size
        self.delivered_at = now
        best = self._best
        if (
            best is None
            or sent.delivered > best.delivered
            or (sent.delivered == best.delivered and sent.sent_at >= best.sent_at)
        ):
            self._best = sent

    def take(self, min_rtt: int) -> tuple[int | None, bool]:
        """The sample of one ACK: (bytes/s or None, limited by the program)."""
        best, self._best = self._best, None
        if self.app_limited and self.delivered > self.app_limited:
            self.app_limited = 0
        if best is None:
            return None, False
        # The longer of the two phases: a burst of ACK must not look like a faster path than the sending was.
        interval = max(best.sent_at - best.first_sent_at, self.delivered_at - best.delivered_at)
        self.first_sent_at = best.sent_at
        if interval < max(min_rtt, 1):
            return None, best.app_limited
        rate = (self.delivered - best.delivered) * 1_000_000_000 // interval
        if not best.app_limited or rate >= self.rate:
            self.rate = rate
        return rate, best.app_limited
