"""What TCP asks of the network layer below it. TCP knows no address family beyond this."""

from collections.abc import Callable
from typing import Protocol

from stack.ip.errors import IcmpError
from stack.ip.interface import Interface
from stack.ip.next_hop import NextHop
from stack.skbuff import GsoType, SkBuff

__all__ = ["Network", "Path"]


class Path(Protocol):
    """The way from this host to one destination."""

    @property
    def source(self) -> int:
        """The address of this end."""

    @property
    def destination(self) -> int:
        """The address of the other end."""

    @property
    def interface(self) -> Interface: ...

    @property
    def mtu(self) -> int:
        """Bytes of the largest packet, network header included; may shrink (RFC 1191, RFC 8201)."""

    @property
    def header_bytes(self) -> int:
        """Bytes of the network header."""

    @property
    def transport_offset(self) -> int:
        """Bytes from the start of the frame to the transport header."""

    @property
    def pseudo_sum(self) -> int:
        """Folded sum of the pseudo-header, with a length of 0 (RFC 9293 section 3.1)."""

    @property
    def gso_type(self) -> GsoType: ...

    @property
    def next_hop(self) -> NextHop:
        """Where packets go first. Its ``confirmed_at`` is set when one has arrived (RFC 4861 section 7.3.1)."""

    def send(self, skb: SkBuff, identification: int) -> bool:
        """Send a packet with ``skb.dsfield``. False if it was dropped at once: local congestion."""


class Network(Protocol):
    """A network layer."""

    @property
    def handlers(self) -> "dict[int, Callable[[SkBuff, int, int], None]]":
        """By protocol number: called with (packet, source, destination)."""

    @property
    def error_handlers(self) -> "dict[int, Callable[[IcmpError, int, int, memoryview, int, int], None]]":
        """By protocol number: called with (error, local address, remote address, first bytes of the transport header
        that was sent, MTU or 0)."""

    def path(
        self,
        destination: int,
        protocol: int,
        source: int = 0,
        *,
        interface: Interface | None = None,
        hop_limit: int | None = None,
    ) -> Path | None:
        """The way to a destination, None without a route."""

    def is_group(self, address: int) -> bool:
        """Whether more than one host may be meant."""

    def is_local(self, address: int) -> bool:
        """Whether an address is one of this host's."""

    def pseudo_sum(self, source: int, destination: int, protocol: int) -> int:
        """Folded sum of the pseudo-header, with a length of 0."""

    def next_identification(self) -> int:
        """Identification for packets of no connection."""
