"""What TCP asks of the network layer below it. TCP knows no address family beyond this."""

from collections.abc import Callable
from typing import Protocol

from stack.interface import Interface
from stack.skbuff import GsoType, SkBuff

__all__ = ["Network", "Path"]


class Path(Protocol):
    """The way from this host to one destination."""

    @property
    def source(self) -> int:
        """The address of this end."""

    @property
    def interface(self) -> Interface: ...

    @property
    def mtu(self) -> int:
        """Bytes of the largest packet, network header included; may shrink (RFC 1191, RFC 8201)."""

    @property
    def header_bytes(self) -> int:
        """Bytes of the network header."""

    @property
    def pseudo_sum(self) -> int:
        """Folded sum of the pseudo-header, with a length of 0 (RFC 9293 section 3.1)."""

    @property
    def gso_type(self) -> GsoType: ...

    def send(self, skb: SkBuff, identification: int) -> bool:
        """Send a packet with ``skb.dsfield``. False if it was dropped at once: local congestion."""


class Network(Protocol):
    """A network layer."""

    @property
    def addresses(self) -> "dict[int, Interface]":
        """The host's own."""

    @property
    def handlers(self) -> "dict[int, Callable[[SkBuff, int, int], None]]":
        """By protocol number: called with (packet, source, destination)."""

    def path(self, destination: int, protocol: int, source: int = 0) -> Path | None:
        """The way to a destination, None without a route."""

    def is_broadcast(self, address: int) -> bool:
        """Whether more than one host may have been meant."""

    def pseudo_sum(self, source: int, destination: int, protocol: int) -> int:
        """Folded sum of the pseudo-header, with a length of 0."""

    def next_identification(self) -> int:
        """Identification for packets of no connection."""
