"""Pacing: what is sent is spread over the round trip (Linux's tcp_update_pacing_rate and tcp_pacing_check)."""

from typing import TYPE_CHECKING, Final

from stack.tcp.parameters import TcpParameters
from stack.tcp.timers import DeadlineTimer

if TYPE_CHECKING:
    from stack.tcp.send import Sender

__all__ = ["Pacing"]

_SECOND: Final = 1_000_000_000
_UNKNOWN: Final = 1 << 40
"""Bytes/s before the first round-trip time: no limit."""
_PACKET_TIME_SHIFT: Final = 10
"""A packet holds about a millisecond of the rate (tcp_tso_autosize)."""
_MINIMUM_SEGMENTS: Final = 2
_UNPACED_SEGMENTS: Final = 10


class Pacing:
    """When the next packet may leave."""

    __slots__ = ("_next", "_parameters", "_unpaced", "departure", "enabled", "limit", "timer")

    def __init__(self, parameters: TcpParameters, timer: DeadlineTimer) -> None:
        self._parameters = parameters
        self.timer = timer
        self.enabled = parameters.pacing
        self.limit: int | None = None
        """SO_MAX_PACING_RATE, bytes/s."""
        self.departure = 0
        """When the packet that is sent now is to leave; 0: at once."""
        self._next = 0
        self._unpaced = _UNPACED_SEGMENTS

    def rate(self, sender: "Sender") -> int:
        """Bytes/s: the algorithm's own, or a multiple of cwnd / SRTT."""
        congestion = sender.congestion
        srtt = sender.rtt.recent
        if congestion.pacing_rate is not None:
            rate = congestion.pacing_rate
        elif not srtt:
            rate = _UNKNOWN
        else:
            slow_start = congestion.cwnd < congestion.ssthresh // 2
            ratio = self._parameters.pacing_ss_ratio if slow_start else self._parameters.pacing_ca_ratio
            rate = congestion.cwnd * ratio * _SECOND // (100 * srtt)
        return rate if self.limit is None else min(rate, self.limit)

    def active(self) -> bool:
        return self.enabled or self.limit is not None

    def quantum(self, chunk: int, sender: "Sender") -> int:
        """Payload of a packet, out of at most ``chunk``."""
        if not self.active():
            return chunk
        mss = sender.mss
        return min(chunk, max((self.rate(sender) >> _PACKET_TIME_SHIFT) // mss, _MINIMUM_SEGMENTS) * mss)

    def may_send(self, now: int, *, held: bool) -> bool:
        """Whether it is time, or the packet will be ``held`` below until it is. If neither, the timer is set."""
        if now >= self._next or held or not self.active():
            return True
        self.timer.start(self._next)
        return False

    def sent(self, length: int, now: int, sender: "Sender") -> None:
        """A packet leaves. The first of a connection are not paced, as in Linux (tcp_update_skb_after_send): the
        initial window is no burst that grows."""
        if self._unpaced > 0:
            self._unpaced -= -(-length // sender.mss)
        elif self.active():
            self.departure = max(self._next, now)
            self._next = self.departure + length * _SECOND // max(self.rate(sender), 1)
