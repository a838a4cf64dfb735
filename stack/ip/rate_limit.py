"""How often ICMP errors may be sent, to all and to each (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 f)."""

from typing import Final

from stack.ip.parameters import IpParameters

__all__ = ["RateLimit"]

_SECOND: Final = 1_000_000_000
_BURST: Final = 6
"""Linux's XRLIM_BURST_FACTOR."""
_DESTINATIONS: Final = 4096
"""Of which is known when they last got one; the oldest gives way."""


class RateLimit:
    """Two token buckets, as in Linux's ``icmp_global_allow`` and ``inet_peer_xrlim_allow``."""

    def __init__(self, parameters: IpParameters) -> None:
        self._parameters = parameters
        self._credit = parameters.icmp_burst * _SECOND
        self._refilled_at = 0
        self._peers: dict[int, tuple[int, int]] = {}
        """(tokens in nanoseconds, when last looked at)."""

    def allows(self, destination: int, now: int) -> bool:
        """Whether one may go now; if so it is counted."""
        parameters = self._parameters
        full = parameters.icmp_burst * _SECOND
        grown = (now - self._refilled_at) * parameters.icmp_messages_per_second
        self._credit = min(self._credit + grown, full)
        self._refilled_at = now
        if self._credit < _SECOND:
            return False
        interval = parameters.icmp_destination_interval
        tokens, last = self._peers.pop(destination, (_BURST * interval, now))
        tokens = min(tokens + now - last, _BURST * interval)
        allowed = tokens >= interval
        if len(self._peers) >= _DESTINATIONS:
            del self._peers[next(iter(self._peers))]
        self._peers[destination] = (tokens - interval if allowed else tokens, now)
        if allowed:
            self._credit -= _SECOND
        return allowed
