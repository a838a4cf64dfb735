"""What can be set in TCP.

Settings come with Linux's defaults unless said otherwise. Times in nanoseconds, sizes in bytes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from stack.ip.interface import Interface

__all__ = ["UNLIMITED", "SocketOptions", "TcpParameters"]

UNLIMITED: Final = 0xFFFFFFFF
"""Of ``notsent_lowat``: none."""

_MS: Final = 1_000_000
_SECOND: Final = 1_000 * _MS
_POSITIVE: Final = (
    "send_buffer",
    "receive_buffer",
    "send_buffer_maximum",
    "receive_buffer_maximum",
    "initial_rto",
    "minimum_rto",
    "time_wait",
    "fin_timeout",
    "initial_window_segments",
    "keepalive_time",
    "keepalive_interval",
    "keepalive_probes",
    "notsent_lowat",
    "limit_output_bytes",
    "tso_win_divisor",
    "reordering",
    "somaxconn",
    "max_syn_backlog",
    "base_mss",
    "mtu_probe_floor",
    "mtu_probe_interval",
    "retries1",
    "memory_low",
    "memory_pressure",
    "memory_high",
    "pacing_ss_ratio",
    "pacing_ca_ratio",
)
_NOT_NEGATIVE: Final = (
    "ack_compression_delay",
    "compressed_acks",
    "fast_open",
    "fast_open_blackhole_timeout",
    "syn_retries",
    "synack_retries",
    "retries",
    "mtu_probe_threshold",
)
_CHOICES: Final = {"ecn": (0, 1, 2), "syncookies": (0, 1, 2), "mtu_probing": (0, 1, 2)}


@dataclass(frozen=True, kw_only=True)
class TcpParameters:
    """One host's settings (``net.ipv4.tcp_*``). Raises ``ValueError`` for what cannot work."""

    # Buffers
    send_buffer: int = 256 * 1024
    """What a socket starts with."""
    receive_buffer: int = 256 * 1024
    send_buffer_maximum: int = 4 * 1024 * 1024
    """What it may grow to by itself, unless SO_SNDBUF was set."""
    receive_buffer_maximum: int = 6 * 1024 * 1024
    notsent_lowat: int = UNLIMITED
    """Bytes that may wait unsent before writers have to (tcp_notsent_lowat)."""
    memory_low: int = 192 * 1024 * 1024
    """Of all connections together (tcp_mem), as Linux sets it with 4 GiB: below, memory is no concern,"""
    memory_pressure: int = 256 * 1024 * 1024
    """above, buffers do not grow,"""
    memory_high: int = 384 * 1024 * 1024
    """above, they take nothing."""
    moderate_receive_buffer: bool = True
    """Receive buffers grow with what their reader takes (tcp_moderate_rcvbuf)."""

    # Timers
    initial_rto: int = _SECOND
    """RFC 6298 rule 2.1."""
    minimum_rto: int = 200 * _MS
    """Beyond the round-trip time. RFC 6298 rule 2.4 says 1 s; Linux, and simulated short links, need less."""
    maximum_rto: int = 120 * _SECOND
    delayed_ack: int = 40 * _MS
    """RFC 9293 section 3.8.6.3 allows up to 500 ms."""
    ack_compression_delay: int = _MS
    """How long ACKs of what lies beyond a gap may wait for each other (tcp_comp_sack_delay_ns), and"""
    compressed_acks: int = 44
    """how many (tcp_comp_sack_nr); 0: none waits."""
    time_wait: int = 60 * _SECOND
    """2 MSL."""
    fin_timeout: int = 60 * _SECOND
    """How long a closed socket waits for the peer's FIN in FIN-WAIT-2."""
    keepalive_time: int = 7200 * _SECOND
    keepalive_interval: int = 75 * _SECOND
    keepalive_probes: int = 9
    syn_retries: int = 6
    synack_retries: int = 5
    retries: int = 15
    """Timeouts in a row before the connection is given up (RFC 1122's R2)."""

    # Options that a SYN offers
    window_scaling: bool = True
    timestamps: bool = True
    """RFC 7323."""
    sack: bool = True
    """RFC 2018."""
    dsack: bool = True
    """RFC 2883."""
    ecn: int = 2
    """RFC 3168: 0 never, 1 ask for it and accept it, 2 accept it."""

    # Fast open (RFC 7413)
    fast_open: int = 1
    """Bits of ``stack.tcp.fast_open.FastOpenMode`` (tcp_fastopen); others mean nothing, as in Linux."""
    fast_open_blackhole_timeout: int = 0
    """How long none is tried after a path has swallowed several segments of one; 0: paths are not watched for that."""

    # Congestion control and recovery
    congestion_control: str = "cubic"
    initial_window_segments: int = 10
    """RFC 6928."""
    slow_start_after_idle: bool = True
    """RFC 5681 section 4.1."""
    reordering: int = 3
    """Duplicate ACKs that a path may cause without loss (RFC 5681's DupThresh)."""
    tail_loss_probe: bool = True
    """RFC 8985 section 7 (tcp_early_retrans)."""
    frto: bool = True
    """RFC 5682."""
    pacing: bool = False
    """Spread what is sent over the round trip (Linux leaves that to the fq qdisc or BBR)."""
    pacing_ss_ratio: int = 200
    """Per cent of cwnd / SRTT in slow start, and below after it."""
    pacing_ca_ratio: int = 120
    tso_win_divisor: int = 3
    """A packet need not hold more than this part of the window."""
    limit_output_bytes: int = 1024 * 1024
    """Of one connection in qdisc and device at once (TCP small queues)."""

    # Path MTU discovery by segments (RFC 4821)
    mtu_probing: int = 0
    """0 never, 1 once a black hole is suspected, 2 always."""
    base_mss: int = 1024
    """What a search begins with; options are counted in."""
    mtu_probe_floor: int = 48
    """Payload below which no black hole is suspected."""
    mtu_probe_threshold: int = 8
    """Bytes: a search ends when the bounds are closer."""
    mtu_probe_interval: int = 600 * _SECOND
    """Then it starts anew after this long."""
    retries1: int = 3
    """Timeouts in a row after which a black hole is suspected."""

    # Listening
    somaxconn: int = 4096
    """Largest backlog."""
    max_syn_backlog: int = 1024
    """Connections in SYN-RECEIVED per listener, at most."""
    syncookies: int = 1
    """0 never, 1 once the SYN queue is full, 2 always."""
    abort_on_overflow: bool = False
    """Reset a connection that finds the accept queue full, instead of letting the peer try again."""

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)!r}")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)!r}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, not {getattr(self, name)!r}")
        if not 0 <= self.delayed_ack <= 500 * _MS:
            raise ValueError(f"delayed_ack must be 0 to 500 ms (RFC 9293), not {self.delayed_ack!r} ns")
        if not self.memory_low <= self.memory_pressure <= self.memory_high:
            raise ValueError("memory_low, memory_pressure and memory_high must rise")
        if self.maximum_rto < self.minimum_rto:
            raise ValueError(f"maximum_rto {self.maximum_rto!r} is below minimum_rto {self.minimum_rto!r}")


@dataclass(slots=True)
class SocketOptions:
    """What ``setsockopt`` sets; a connection takes them over from its socket or listener. None: as the host's."""

    send_buffer: int | None = None
    receive_buffer: int | None = None
    notsent_lowat: int = 0
    """TCP_NOTSENT_LOWAT, bytes; 0: as the host's."""
    nodelay: bool = False
    cork: bool = False
    reuse: bool = False
    keepalive: bool = False
    keepalive_time: int | None = None
    keepalive_interval: int | None = None
    keepalive_probes: int | None = None
    syn_retries: int | None = None
    """TCP_SYNCNT."""
    fast_open_queue: int = 0
    """TCP_FASTOPEN: of a listener, how many connections may have been opened fast and not be acknowledged by their
    peers; 0: none is opened fast."""
    fast_open_keys: tuple[bytes, ...] = ()
    """TCP_FASTOPEN_KEY; (): the host's."""
    fast_open_connect: bool = False
    """TCP_FASTOPEN_CONNECT: ``connect`` leaves the SYN to the first ``send``."""
    fast_open_no_cookie: bool = False
    """TCP_FASTOPEN_NO_COOKIE: as if the host did without cookies."""
    user_timeout: int = 0
    """RFC 5482: nanoseconds that data may stay unacknowledged; 0: as many as the retries take."""
    maximum_segment_size: int | None = None
    """TCP_MAXSEG: neither sent nor advertised beyond."""
    congestion_control: str | None = None
    quickack: bool = True
    zero_copy: bool = False
    """SO_ZEROCOPY: MSG_ZEROCOPY asks to be told when data is acknowledged."""
    timestamping: int = 0
    """SO_TIMESTAMPING: which stages of what is sent the program wants to know of."""
    inq: bool = False
    """TCP_INQ: ``recvmsg`` tells how much is left to read."""
    dsfield: int = 0
    """IP_TOS, IPV6_TCLASS; ECN has the low two bits."""
    hop_limit: int | None = None
    interface: "Interface | None" = None
    """SO_BINDTODEVICE."""
    mark: int = 0
    """SO_MARK: for rules of policy routing, filters and classes, of which this host has none."""
    max_pacing_rate: int | None = None
    """Bytes/s."""
