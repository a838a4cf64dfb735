"""Congestion control: what an algorithm decides (Linux's tcp_congestion_ops).

Which segment to send again, and the reduction of the window during recovery, are common to all
(``stack.tcp.recovery``); an algorithm says how the window grows and where it falls to.
"""

from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import ClassVar, Final

from mypy_extensions import mypyc_attr

from stack.tcp.rate import RateSample

__all__ = ["INFINITE", "CongestionControl", "CongestionEvent"]

_ETHERNET_MSS: Final = 1460
"""RFC 6928 limits 10 segments to 14600 bytes, unless two segments are more."""
INFINITE: Final = 1 << 62


class CongestionEvent(Enum):
    """What else an algorithm may want to know (Linux's tcp_ca_event)."""

    TX_START = auto()
    """Something is sent after nothing was on its way."""
    CWND_RESTART = auto()
    """The window starts again after an idle period."""
    COMPLETE_CWR = auto()
    """The reduction is over."""
    LOSS = auto()
    """The retransmission timer expired."""


@mypyc_attr(allow_interpreted_subclasses=True)
class CongestionControl(ABC):
    """The window of one connection. Sizes in bytes; ``mss`` is the sender's segment size."""

    name: ClassVar[str]

    def __init__(self, mss: int, *, initial_segments: int) -> None:
        self.mss = mss
        self.initial_window = min(initial_segments * mss, max(2 * mss, initial_segments * _ETHERNET_MSS))
        self.cwnd = self.initial_window
        self.ssthresh = INFINITE
        """RFC 5681 section 3.1: arbitrarily high at first."""
        self.pacing_rate: int | None = None
        """Bytes/s, by an algorithm that sets it itself."""
        self._growth = 0

    @abstractmethod
    def threshold(self, flight: int, now: int) -> int:
        """The slow start threshold after a loss or congestion mark with ``flight`` bytes unacknowledged
        (``ssthresh``)."""

    @abstractmethod
    def on_ack(self, sample: RateSample) -> None:
        """New data was acknowledged and the window may grow (``cong_avoid``)."""

    def on_sample(self, sample: RateSample) -> None:  # noqa: B027
        """Every ACK that acknowledges anything, recovery included (``pkts_acked``, ``cong_control``)."""

    def on_event(self, event: CongestionEvent, now: int) -> None:  # noqa: B027
        """See ``CongestionEvent`` (``cwnd_event``)."""

    def undo_window(self, prior: int) -> int:
        """The window after a reduction that proved wrong (``undo_cwnd``); ``prior`` was that before it."""
        return max(self.cwnd, prior)

    def syn_was_lost(self) -> None:
        """RFC 5681 section 3.1: start with one segment."""
        self.initial_window = self.cwnd = self.mss

    def after_idle(self, now: int) -> None:
        """Nothing was sent for longer than the retransmission timeout (RFC 5681 section 4.1)."""
        self.cwnd = min(self.cwnd, self.initial_window)
        self.on_event(CongestionEvent.CWND_RESTART, now)

    def slow_start(self, acked: int) -> int:
        """Grow by what was acknowledged, to the threshold. Returns what is left for congestion avoidance."""
        grown = min(self.cwnd + acked, self.ssthresh)
        left = acked - (grown - self.cwnd)
        self.cwnd = grown
        return left

    def additive_increase(self, acked: int, per_segment: int) -> None:
        """Grow by a segment for each ``per_segment`` bytes that are acknowledged (RFC 3465; tcp_cong_avoid_ai)."""
        self._growth += acked
        if self._growth >= per_segment:
            segments = self._growth // per_segment
            self._growth -= segments * per_segment
            self.cwnd += segments * self.mss
