"""Reno's slow start and congestion avoidance (RFC 5681), counted in bytes (RFC 3465)."""

from stack.tcp.congestion import CongestionControl
from stack.tcp.rate import RateSample

__all__ = ["Reno"]


class Reno(CongestionControl):
    """RFC 5681. With the sender's recovery (RFC 6582 without SACK) this is NewReno."""

    name = "reno"

    def threshold(self, flight: int, now: int) -> int:
        # Equation 4.
        return max(flight // 2, 2 * self.mss)

    def on_ack(self, sample: RateSample) -> None:
        acked = sample.delivered
        if self.cwnd < self.ssthresh:
            # All that was acknowledged counts, also when one ACK covers many segments of a large packet.
            acked = self.slow_start(acked)
        if acked:
            self.additive_increase(acked, self.cwnd)
