"""What can be set in TCP, and what names a connection.

Settings come with Linux's defaults unless said otherwise. Times in nanoseconds, sizes in bytes."""

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["FourTuple", "SocketOptions", "TcpParameters"]

_MS = 1_000_000
_SECOND = 1_000 * _MS


@dataclass(frozen=True, kw_only=True)
class TcpParameters:
    """One host's settings (``net.ipv4.tcp_*``). Raises ``ValueError`` for what cannot work."""

    send_buffer: int = 256 * 1024
    receive_buffer: int = 256 * 1024
    initial_rto: int = _SECOND
    """RFC 6298 rule 2.1."""
    minimum_rto: int = 200 * _MS
    """RFC 6298 rule 2.4 says 1 s; Linux, and simulated short links, need less."""
    maximum_rto: int = 120 * _SECOND
    delayed_ack: int = 40 * _MS
    """RFC 9293 section 3.8.6.3 allows up to 500 ms."""
    time_wait: int = 60 * _SECOND
    """2 MSL."""
    fin_timeout: int = 60 * _SECOND
    """How long a closed socket waits for the peer's FIN in FIN-WAIT-2."""
    syn_retries: int = 6
    synack_retries: int = 5
    retries: int = 15
    """Timeouts in a row before the connection is given up (RFC 1122's R2)."""
    initial_window_segments: int = 10
    """RFC 6928."""
    window_scaling: bool = True

    def __post_init__(self) -> None:
        for name in ("send_buffer", "receive_buffer", "initial_rto", "minimum_rto", "time_wait", "fin_timeout"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)!r}")
        if not 0 <= self.delayed_ack <= 500 * _MS:
            raise ValueError(f"delayed_ack must be 0 to 500 ms (RFC 9293), not {self.delayed_ack!r} ns")
        if self.maximum_rto < self.minimum_rto:
            raise ValueError(f"maximum_rto {self.maximum_rto!r} is below minimum_rto {self.minimum_rto!r}")


class FourTuple(NamedTuple):
    """What names a connection."""

    local: int
    local_port: int
    remote: int
    remote_port: int


@dataclass(slots=True)
class SocketOptions:
    """What ``setsockopt`` sets; a connection takes them over from its socket or listener."""

    send_buffer: int
    receive_buffer: int
    nodelay: bool = False
    reuse: bool = False
