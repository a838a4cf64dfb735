"""CUBIC (RFC 9438) with HyStart++ (RFC 9406). Windows in segments are floats here, as the RFC's formulas have them."""

from typing import Final

from stack.tcp.congestion import CongestionControl, CongestionEvent
from stack.tcp.hystart import HyStart
from stack.tcp.rate import RateSample

__all__ = ["Cubic"]

_BETA: Final = 0.7
"""What is left of the window after a loss (section 4.6)."""
_C = 0.4
"""Segments per second cubed (section 5)."""
_ALPHA: Final = 3 * (1 - _BETA) / (1 + _BETA)
"""Segments per round trip that make a Reno with this beta as fast as Reno (section 4.3)."""
_SECOND: Final = 1e9


class Cubic(CongestionControl):
    """Names as in RFC 9438 section 4.1."""

    name = "cubic"
    fast_convergence = True
    """Section 4.7, which says that a flow that is always alone should do without."""

    def __init__(self, mss: int, *, initial_segments: int) -> None:
        super().__init__(mss, initial_segments=initial_segments)
        self.hystart = HyStart()
        self._w_max = 0.0
        self._k = 0.0
        self._epoch: int | None = None
        """When the current congestion avoidance stage began."""
        self._origin = 0.0
        """The plateau of the curve: W_max, or the window at the start if that is above it."""
        self._w_est = 0.0
        self._cwnd_prior = 0.0
        """The window just before the last reduction."""
        self._min_rtt = 0
        self._fraction = 0.0
        """Of a byte, that the window has grown and cwnd does not show."""
        self._idle_since: int | None = None
        self._before: tuple[float, float] = (0.0, 0.0)

    def threshold(self, flight: int, now: int) -> int:
        window = self.cwnd / self.mss
        self._before = (self._w_max, self._cwnd_prior)
        self._cwnd_prior = window
        # A flow that lost before its old plateau makes room for others. Windows are compared in whole segments, as in
        # Linux: a part of one sends nothing, and is no other flow's doing.
        early = self.fast_convergence and int(window) < int(self._w_max)
        self._w_max = window * (1 + _BETA) / 2 if early else window
        self._epoch = None
        self.hystart.done = True
        return max(int(flight * _BETA), 2 * self.mss)

    def undo_window(self, prior: int) -> int:
        """Section 4.9: a loss that was none leaves no trace."""
        self._w_max, self._cwnd_prior = self._before
        self._epoch = None
        return super().undo_window(prior)

    def on_event(self, event: CongestionEvent, now: int) -> None:
        if event in (CongestionEvent.LOSS, CongestionEvent.CWND_RESTART):
            # Section 4.8: first slow start, and then a curve from where that ends.
            self._epoch = None

    def on_sample(self, sample: RateSample) -> None:
        rtt = sample.rtt
        if rtt is not None and (not self._min_rtt or rtt < self._min_rtt):
            self._min_rtt = rtt
        if not sample.cwnd_limited and self._idle_since is None:
            self._idle_since = sample.now

    def on_ack(self, sample: RateSample) -> None:
        acked = sample.delivered
        if self.cwnd < self.ssthresh:
            if not self.hystart.done:
                acked = self.hystart.growth(acked, sample.rtt, sample.una, sample.nxt)
            acked = self.slow_start(acked)
            if self.hystart.done and self.hystart.in_css:
                # RFC 9406 section 4.2: conservative slow start has lasted its rounds.
                self.hystart.in_css = False
                self.ssthresh = self.cwnd
        if acked:
            self._avoid(acked, sample.now)

    def _avoid(self, acked: int, now: int) -> None:
        """Congestion avoidance (sections 4.2 to 4.5)."""
        window = self.cwnd / self.mss
        if self._epoch is None:
            self._epoch = now
            self._w_est = window
            self._k = ((self._w_max - window) / _C) ** (1 / 3) if window < self._w_max else 0.0
            self._origin = max(self._w_max, window)
        elif self._idle_since is not None:
            # Section 5.8: time in which the program did not fill the window is no time on the curve.
            self._epoch += now - self._idle_since
        self._idle_since = None
        elapsed = (now - self._epoch) / _SECOND
        # Section 4.3: once the estimate has reached the window before the reduction, it grows as Reno does.
        alpha = 1.0 if self._w_est >= self._cwnd_prior else _ALPHA
        self._w_est += alpha * (acked / self.mss) / window
        if self._curve(elapsed) < self._w_est:
            self.cwnd = max(self.cwnd, int(self._w_est * self.mss))
            return
        target = min(max(self._curve(elapsed + self._min_rtt / _SECOND), window), 1.5 * window)
        self._fraction += (target - window) / window * acked
        whole = int(self._fraction)
        self._fraction -= whole
        self.cwnd += whole

    def _curve(self, elapsed: float) -> float:
        """W_cubic (section 4.2, figure 1)."""
        return self._origin + _C * (elapsed - self._k) ** 3
