"""The way from this host to one destination: next hop, and a prepared IP header.

A socket keeps it (Linux's ``dst`` in the socket), so that a packet costs no look-up until routes change.
"""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, TypedDict, Unpack

from stack.address import strip_scope
from stack.checksum import pseudo_header
from stack.environment import Cause
from stack.ethernet import ETH_HLEN, ETH_P_IP, ETH_P_IPV6
from stack.ip.family import IPV4, IPV6, Family
from stack.ip.fragment import ipv4_fragments, ipv6_fragments
from stack.ip.next_hop import NextHop
from stack.skbuff import GsoType, SkBuff

if TYPE_CHECKING:
    from stack.ip.interface import Interface
    from stack.ip.ip import Ip

__all__ = ["Ipv4Path", "Ipv6Path", "Path"]

_IPV4: Final = struct.Struct("!BBHHHBBHII")
_IPV6: Final = struct.Struct("!IHBB32s")
_VERSION_4: Final = 0x45
_DONT_FRAGMENT: Final = 0x4000


class PathSettings(TypedDict):
    """What a path is made of."""

    source: int
    destination: int
    protocol: int
    hop: NextHop
    bound: "Interface | None"
    """The interface that it is bound to, whatever routes say."""
    hop_limit: int
    loop: bool
    """What goes to a group comes back to this host's members."""
    generation: int
    """Of the routes, when ``hop`` was found."""


class Path:
    """Base of both families. ``source`` and ``destination`` are addresses of this end and of the other."""

    __slots__ = ("_bound", "_generation", "_loop", "destination", "hop_limit", "interface", "ip", "next_hop",
                 "protocol", "source")  # fmt: skip

    family: Family
    header_bytes: int
    """Bytes of the network header."""
    gso_type: GsoType

    def __init__(self, ip: "Ip", **settings: Unpack[PathSettings]) -> None:
        self.ip = ip
        self.source = settings["source"]
        self.destination = settings["destination"]
        self.protocol = settings["protocol"]
        self.hop_limit = settings["hop_limit"]
        self._bound = settings["bound"]
        self._loop = settings["loop"]
        self._generation = settings["generation"]
        self.next_hop = settings["hop"]
        self.interface: Interface = self.next_hop.interface or ip.loopback

    def _refresh(self) -> None:
        """Routes have changed, or there was no room for the neighbour: look again."""
        self.next_hop, self._generation = self.ip.next_hop(self.destination, self.source, self._bound, loop=self._loop)
        self.interface = self.next_hop.interface or self.interface

    @property
    def mtu(self) -> int:
        """Bytes of the largest packet, network header included; may shrink (RFC 1191, RFC 8201)."""
        return self.ip.path_mtu.get(self.destination, self.interface.mtu(self.family.version))

    @property
    def transport_offset(self) -> int:
        """Bytes from the start of the frame to the transport header."""
        return ETH_HLEN + self.header_bytes

    @property
    def pseudo_sum(self) -> int:
        """Folded sum of the pseudo-header, with a length of 0 (RFC 9293 section 3.1)."""
        return pseudo_header(strip_scope(self.source), strip_scope(self.destination), self.protocol, 0)

    def send(self, skb: SkBuff, identification: int, *, fragment: bool = False) -> bool:
        """Send a packet that fits the MTU, or that the device cuts: the IP header in front, and off to the next hop.
        False if it was dropped at once. ``identification`` is that of the first segment; ``fragment`` lets routers
        cut it."""
        raise NotImplementedError

    def send_datagram(self, skb: SkBuff, *, fragment: bool = False, whole: bool = False) -> bool:
        """Send a packet of any size, its checksum made, in fragments if it is larger than the MTU. ``fragment`` lets
        routers cut what fits; ``whole``: it goes in one piece whatever its size."""
        if whole or self.header_bytes + len(skb) <= self.mtu:
            return self.send(skb, self.ip.next_identification(), fragment=fragment)
        self.ip.cpu.charge(Cause.PROTOCOL_TX)
        self.family.count(self.ip.counters, "OutRequests")
        if self._generation != self.ip.routes.generation:
            self._refresh()
        return self.ip.output_fragments(self.next_hop, self._pieces(skb), skb, self.family)

    def send_with_header(self, skb: SkBuff) -> bool:
        """Send a packet that has its IP header already."""
        self.ip.cpu.charge(Cause.PROTOCOL_TX)
        self.family.count(self.ip.counters, "OutRequests")
        if self._generation != self.ip.routes.generation:
            self._refresh()
        skb.protocol = self.family.ethertype
        return self.next_hop.output(skb)

    def _pieces(self, skb: SkBuff) -> Iterator[tuple[bytes, memoryview]]:
        raise NotImplementedError


class Ipv4Path(Path):
    """RFC 791."""

    __slots__ = ("_constant_sum",)

    family = IPV4
    header_bytes = 20
    gso_type = GsoType.TCPV4

    def __init__(self, ip: "Ip", **settings: Unpack[PathSettings]) -> None:
        super().__init__(ip, **settings)
        # Both addresses' prefixes are 0xFFFF, and add nothing.
        words = (_VERSION_4 << 8) + (self.hop_limit << 8) + self.protocol
        self._constant_sum = (words + self.source + self.destination) % 0xFFFF

    def send(self, skb: SkBuff, identification: int, *, fragment: bool = False) -> bool:
        ip = self.ip
        ip.cpu.charge(Cause.PROTOCOL_TX)
        ip.counters.mib["Ip.OutRequests"] += 1
        if self._generation != ip.routes.generation:
            self._refresh()
        head = skb.head
        length = 20 + len(head) + len(skb.data)
        flags = 0 if fragment else _DONT_FRAGMENT
        skb.head = self._header(skb.dsfield, length, identification & 0xFFFF, flags) + head
        skb.protocol = ETH_P_IP
        return self.next_hop.output(skb)

    def _header(self, dsfield: int, length: int, identification: int, fragment: int) -> bytes:
        words = self._constant_sum + dsfield + length + identification + fragment
        return _IPV4.pack(
            _VERSION_4,
            dsfield,
            length,
            identification,
            fragment,
            self.hop_limit,
            self.protocol,
            0xFFFF - (words % 0xFFFF or 0xFFFF),
            self.source & 0xFFFFFFFF,
            self.destination & 0xFFFFFFFF,
        )

    def _pieces(self, skb: SkBuff) -> Iterator[tuple[bytes, memoryview]]:
        header = self._header(skb.dsfield, 20 + len(skb), self.ip.next_identification(), 0)
        return ipv4_fragments(header, skb.frame(), self.mtu)


class Ipv6Path(Path):
    """RFC 8200."""

    __slots__ = ("_addresses", "_first_word")

    family = IPV6
    header_bytes = 40
    gso_type = GsoType.TCPV6

    def __init__(self, ip: "Ip", **settings: Unpack[PathSettings]) -> None:
        super().__init__(ip, **settings)
        ends = strip_scope(self.source) << 128 | strip_scope(self.destination)
        self._addresses = ends.to_bytes(32, "big")
        self._first_word = 6 << 28 | ip.flow_label(ends)

    def send(self, skb: SkBuff, identification: int, *, fragment: bool = False) -> bool:
        ip = self.ip
        ip.cpu.charge(Cause.PROTOCOL_TX)
        ip.counters.mib["Ip6.OutRequests"] += 1
        if self._generation != ip.routes.generation:
            self._refresh()
        skb.head = self._header(skb.dsfield, len(skb)) + skb.head
        skb.protocol = ETH_P_IPV6
        return self.next_hop.output(skb)

    def _header(self, dsfield: int, length: int) -> bytes:
        return _IPV6.pack(
            self._first_word | dsfield << 20,
            length,
            self.protocol,
            self.hop_limit,
            self._addresses,
        )

    def _pieces(self, skb: SkBuff) -> Iterator[tuple[bytes, memoryview]]:
        header = self._header(skb.dsfield, len(skb))
        return ipv6_fragments(header, skb.frame(), self.mtu, self.ip.next_fragment_identification())
