"""HyStart++ (RFC 9406): leave slow start when the round-trip time grows, before the queue overflows."""

from typing import Final

__all__ = ["HyStart"]

_MIN_RTT_THRESH: Final = 4_000_000
_MAX_RTT_THRESH: Final = 16_000_000
_MIN_RTT_DIVISOR: Final = 8
_N_RTT_SAMPLE: Final = 8
_CSS_GROWTH_DIVISOR: Final = 4
_CSS_ROUNDS: Final = 5
"""Section 4.3."""
_UNKNOWN: Final = 1 << 62


class HyStart:
    """Section 4.2. ``growth`` says by how much the window may grow, ``done`` that slow start is over.

    For the first slow start of a connection only, as section 4.3 recommends.
    """

    __slots__ = ("_baseline", "_css_rounds", "_current", "_last", "_samples", "_window_end", "done", "in_css")

    def __init__(self) -> None:
        self.done = False
        self.in_css = False
        """Conservative slow start."""
        self._window_end = 0
        self._last = _UNKNOWN
        self._current = _UNKNOWN
        self._samples = 0
        self._baseline = _UNKNOWN
        self._css_rounds = 0

    def growth(self, acked: int, rtt: int | None, una: int, nxt: int) -> int:
        """An ACK of ``acked`` bytes in slow start: bytes by which the window grows."""
        if rtt is not None:
            self._current = min(self._current, rtt)
            self._samples += 1
            if self._samples >= _N_RTT_SAMPLE:
                self._look()
        if una >= self._window_end:
            self._window_end = nxt
            self._last = self._current
            self._current = _UNKNOWN
            self._samples = 0
            if self.in_css:
                self._css_rounds += 1
                self.done = self._css_rounds >= _CSS_ROUNDS
        return acked // _CSS_GROWTH_DIVISOR if self.in_css else acked

    def _look(self) -> None:
        if self.in_css:
            if self._current < self._baseline:
                # The delay was a spike: back to slow start.
                self.in_css = False
                self._baseline = _UNKNOWN
            return
        if self._last == _UNKNOWN:
            return
        threshold = max(_MIN_RTT_THRESH, min(self._last // _MIN_RTT_DIVISOR, _MAX_RTT_THRESH))
        if self._current >= self._last + threshold:
            self.in_css = True
            self._baseline = self._current
            self._css_rounds = 0
