"""Proportional rate reduction (RFC 6937; the slow start reduction bound with the conservative choice of RFC 9937)."""

__all__ = ["ProportionalRateReduction"]


class ProportionalRateReduction:
    """How much may be sent while the window goes down to ssthresh. Sizes in bytes; names as in the RFC."""

    __slots__ = ("_delivered", "_recover_window", "sent")

    def __init__(self) -> None:
        self._recover_window = 0
        """RecoverFS: the window at the start. 0: no reduction is under way."""
        self._delivered = 0
        self.sent = 0
        """prr_out, kept by who sends."""

    def start(self, window: int) -> None:
        """A reduction begins."""
        self._recover_window = window
        self._delivered = self.sent = 0

    def window(self, *, delivered: int, ssthresh: int, in_flight: int, mss: int, progress: bool) -> int | None:
        """The congestion window after an ACK that newly delivered so much; ``progress`` if it was cumulative and
        brought no news of a loss. None if it says nothing."""
        if delivered <= 0 or not self._recover_window:
            return None
        self._delivered += delivered
        if in_flight > ssthresh:
            # Proportional: ssthresh / RecoverFS of what is delivered, rounded up.
            count = -(-self._delivered * ssthresh // self._recover_window) - self.sent
        else:
            count = max(self._delivered - self.sent, delivered)
            if progress:
                count += mss
            count = min(ssthresh - in_flight, count)
        # The first retransmission goes out at once, whatever the formula says (section 3.1).
        return in_flight + max(count, 0 if self.sent else mss)
