"""What can be set below the transport protocols. Linux's defaults unless said otherwise; times in nanoseconds."""

from dataclasses import dataclass
from typing import Final

__all__ = ["IpParameters", "NeighbourParameters"]

_MS: Final = 1_000_000
_SECOND: Final = 1_000 * _MS


@dataclass(frozen=True, kw_only=True)
class NeighbourParameters:
    """Of each interface's neighbours (``net.ipv4.neigh.default``, ``net.ipv6.neigh.default``; RFC 4861 section 10)."""

    retransmission_time: int = _SECOND
    """Between two requests."""
    solicitations: int = 3
    """Requests before a neighbour counts as failed (mcast_solicit, ucast_solicit)."""
    reachable_time: int = 30 * _SECOND
    """Mean of how long an answer is believed; each interface draws its own between half and one and a half of it."""
    delay_first_probe: int = 5 * _SECOND
    """How long traffic may confirm an old address before its owner is asked."""
    queue_length: int = 101
    """Packets that wait for one neighbour; the oldest gives way."""
    table_size: int = 1024
    """Neighbours of one interface (gc_thresh3)."""

    def __post_init__(self) -> None:
        for name in ("retransmission_time", "solicitations", "reachable_time", "queue_length", "table_size"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)!r}")


@dataclass(frozen=True, kw_only=True)
class IpParameters:
    """One host's."""

    forwarding: bool = False
    """Both families (``net.ipv4.ip_forward``, ``net.ipv6.conf.all.forwarding``)."""
    hop_limit: int = 64
    """TTL or hop limit of what is sent (ip_default_ttl)."""
    reassembly_time_ipv4: int = 30 * _SECOND
    """``ipfrag_time``. RFC 1122 section 3.3.2 asks for 60 to 120 s."""
    reassembly_time_ipv6: int = 60 * _SECOND
    """RFC 8200 section 4.5."""
    reassembly_memory: int = 4 * 1024 * 1024
    """Bytes that fragments may take at once, all datagrams of both families together (ipfrag_high_thresh)."""
    icmp_messages_per_second: int = 1000
    """Of errors to all (icmp_msgs_per_sec)."""
    icmp_burst: int = 50
    icmp_destination_interval: int = _SECOND
    """Between errors to one destination, after a burst of six (icmp_ratelimit)."""
    path_mtu_expires: int = 600 * _SECOND
    """After this long a smaller path MTU is forgotten (mtu_expires, RFC 8201 section 4)."""
    path_mtu_table: int = 2048
    """Destinations of which one is kept; the oldest gives way."""
    minimum_path_mtu: int = 552
    """Nothing below is believed of IPv4 (min_pmtu)."""
    duplicate_address_probes: int = 1
    """``dad_transmits`` (RFC 4862 section 5.1); 0: new addresses are used at once."""
    group_robustness: int = 2
    """How often it is told that a group is joined or left (``igmp_qrv``, ``mld_qrv``); 0: only who asks is told."""
    router_solicitations: int = 3
    """RFC 4861 section 10."""
    router_solicitation_interval: int = 4 * _SECOND

    def __post_init__(self) -> None:
        if not 1 <= self.hop_limit <= 255:
            raise ValueError(f"hop_limit must be 1 to 255, not {self.hop_limit!r}")
        for name in ("reassembly_time_ipv4", "reassembly_time_ipv6", "icmp_messages_per_second", "icmp_burst"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)!r}")
        for name in ("duplicate_address_probes", "router_solicitations", "reassembly_memory", "group_robustness"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)!r}")
