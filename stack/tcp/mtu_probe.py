"""Packetization layer path MTU discovery (RFC 4821; Linux's tcp_mtu_probe): larger segments are tried now and then, and
a path that swallows large ones without a word is found out by timeouts."""

from typing import TYPE_CHECKING, Final

from stack.tcp.progress import CaState
from stack.tcp.segment import ACK, PSH

if TYPE_CHECKING:
    from stack.tcp.scoreboard import Sent
    from stack.tcp.send import Sender

__all__ = ["MtuProbe"]

_LEAST_WINDOW_SEGMENTS: Final = 11
"""Below this a lost probe could not be told from other losses (RFC 4821 section 7.4)."""


class MtuProbe:
    """One connection's search, between ``low``, which is known to pass, and ``high``, which may: payload of a segment
    in bytes. The search is on at once, or only once a black hole was found (``enabled``)."""

    __slots__ = ("_end", "_limit", "_sender", "_settled_at", "_size", "_start", "enabled", "high", "low")

    def __init__(self, sender: "Sender", *, overhead: int, enabled: bool) -> None:
        """``overhead``: bytes of options in each segment."""
        self._sender = sender
        self.enabled = enabled
        self._limit = self.high = sender.mss
        self.low = min(max(sender.parameters.base_mss - overhead, 1), sender.mss)
        self._start = self._end = self._size = 0
        self._settled_at = 0

    def limit(self, mss: int) -> None:
        """A router, or the peer, allows no more than this."""
        self._limit = min(self._limit, mss)
        self.high = min(self.high, mss)
        self.low = min(self.low, mss)

    def send(self, now: int) -> None:
        """Send one larger segment of new data, if the search goes on and nothing is wrong."""
        sender = self._sender
        parameters = sender.parameters
        if self._size or not self.enabled or sender.recovery.state is not CaState.OPEN or sender.board.sacked:
            return
        if self.high - self.low < max(parameters.mtu_probe_threshold, 1):
            if now - self._settled_at < parameters.mtu_probe_interval:
                return
            # RFC 4821 section 7.7: paths change.
            self.high = self._limit
            if self.high - self.low < max(parameters.mtu_probe_threshold, 1):
                return
        size = (self.high + self.low + 1) // 2
        # What follows the probe tells of its loss.
        needed = size + (parameters.reordering + 1) * sender.mss
        window = sender.congestion.cwnd
        if (
            window < _LEAST_WINDOW_SEGMENTS * sender.mss
            or sender.end - sender.nxt < needed
            or sender.una + sender.window - sender.nxt < needed
            or sender.in_flight + size > window
        ):
            return
        self._size, self._start, self._end = size, sender.nxt, sender.nxt + size
        sender.counters.mib["TcpExt.TCPMTUProbes"] += 1
        sender.send_one(size, ACK | PSH, now)

    def acknowledged(self, now: int) -> None:
        """SND.UNA has moved: the probe may have arrived."""
        sender = self._sender
        if not self._size or sender.una < self._end:
            return
        size, self._size = self._size, 0
        sender.counters.mib["TcpExt.TCPMTUPSuccess"] += 1
        self.low = size
        self._settled_at = now
        sender.mss = sender.congestion.mss = size

    def is_probe(self, sent: "Sent") -> bool:
        """Whether a record is the probe that is on its way."""
        return self._size > 0 and sent.start == self._start

    def failed(self, now: int) -> None:
        """The probe alone was lost: that says something of its size, nothing of congestion (RFC 4821 section 7.6.2)."""
        sender = self._sender
        sender.counters.mib["TcpExt.TCPMTUPFail"] += 1
        self.high = self._size - 1
        self._size = 0
        self._settled_at = now
        sender.cut_segments(sender.mss, now)

    def timed_out(self, now: int) -> None:
        """The retransmission timer has expired: a probe says nothing any more; after several times in a row large
        segments are suspected (RFC 4821 section 7.7)."""
        sender = self._sender
        parameters = sender.parameters
        if self._size:
            self._size = 0
            sender.board.resize(sender.mss)
        if sender.retransmits < parameters.retries1:
            return
        if self.enabled:
            self.low = max(min(self.low >> 1, parameters.base_mss), parameters.mtu_probe_floor)
        self.enabled = True
        self._settled_at = now
        self.low = min(self.low, sender.mss)
        self.high = min(self.high, max(sender.mss, self.low))
        if self.low < sender.mss:
            sender.mss = sender.congestion.mss = self.low
            sender.board.resize(self.low)
