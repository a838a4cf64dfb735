"""Congestion control: Reno's slow start and congestion avoidance (RFC 5681), counted in bytes (RFC 3465).

Loss recovery (which segment to send again) is the sender's; this file decides how much may be on its way.
"""

from abc import ABC, abstractmethod

__all__ = ["CongestionControl", "Reno"]

_ETHERNET_MSS = 1460
"""RFC 6928 limits 10 segments to 14600 bytes, unless two segments are more."""


class CongestionControl(ABC):
    """The window of one connection. Sizes in bytes; ``mss`` is the sender's segment size."""

    def __init__(self, mss: int, *, initial_segments: int) -> None:
        self.mss = mss
        self.initial_window = min(initial_segments * mss, max(2 * mss, initial_segments * _ETHERNET_MSS))
        self.cwnd = self.initial_window
        self.ssthresh = 1 << 62
        """RFC 5681 section 3.1: arbitrarily high at first."""

    def syn_was_lost(self) -> None:
        """RFC 5681 section 3.1: start with one segment."""
        self.initial_window = self.cwnd = self.mss

    def after_idle(self) -> None:
        """Nothing was sent for longer than the retransmission timeout (RFC 5681 section 4.1)."""
        self.cwnd = min(self.cwnd, self.initial_window)

    @abstractmethod
    def on_ack(self, acked: int, now: int) -> None:
        """New data of ``acked`` bytes was acknowledged, outside of recovery, while the window was in full use."""

    @abstractmethod
    def threshold(self, flight: int) -> int:
        """The slow start threshold after a loss with ``flight`` bytes on their way."""

    def on_recovery(self, flight: int) -> None:
        """Three duplicate ACKs: fast recovery starts (RFC 5681 section 3.2, steps 2 and 3)."""
        self.ssthresh = self.threshold(flight)
        self.cwnd = self.ssthresh + 3 * self.mss

    def on_timeout(self, flight: int, *, first: bool) -> None:
        """The retransmission timer expired; ``first`` is False if it did so for this segment before."""
        if first:
            self.ssthresh = self.threshold(flight)
        self.cwnd = self.mss


class Reno(CongestionControl):
    """RFC 5681."""

    def __init__(self, mss: int, *, initial_segments: int) -> None:
        super().__init__(mss, initial_segments=initial_segments)
        self._acked = 0

    def threshold(self, flight: int) -> int:
        return max(flight // 2, 2 * self.mss)

    def on_ack(self, acked: int, now: int) -> None:
        if self.cwnd < self.ssthresh:
            # All that was acknowledged counts, also when one ACK covers many segments of a large packet.
            grown = min(self.cwnd + acked, self.ssthresh)
            acked -= grown - self.cwnd
            self.cwnd = grown
            if not acked:
                return
        self._acked += acked
        if self._acked >= self.cwnd:
            self._acked -= self.cwnd
            self.cwnd += self.mss
