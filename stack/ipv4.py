"""IPv4 (RFC 791, RFC 1122 section 3): input checks, routes, output with a prepared header."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from stack.address import INADDR_BROADCAST, is_multicast, parse_ipv4
from stack.checksum import fold, is_valid, pseudo_header
from stack.counters import Counters, DropReason
from stack.environment import Cause, Cpu
from stack.ethernet import ETH_P_IP
from stack.interface import Interface
from stack.skbuff import GsoType, SkBuff

__all__ = ["HEADER_BYTES", "Handler", "Ipv4", "Path", "Route"]

HEADER_BYTES = 20
_HEADER = struct.Struct("!BBHHHBBHII")
_VERSION_4 = 0x45
_DONT_FRAGMENT = 0x4000
_MORE_FRAGMENTS_OR_OFFSET = 0x3FFF
_DEFAULT_TTL = 64


class Handler(Protocol):
    """A protocol above IPv4: gets the packet without its IP header, which stays in ``skb.network_header``."""

    def __call__(self, skb: SkBuff, source: int, destination: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the routing table. ``gateway`` is 0 for a network that is directly connected."""

    network: int
    prefix: int
    gateway: int
    interface: Interface

    @property
    def mask(self) -> int:
        return INADDR_BROADCAST << (32 - self.prefix) & INADDR_BROADCAST


class Path:
    """The way from this host to one destination, for one protocol: interface, next hop and a prepared header.

    A socket keeps it (Linux's ``dst`` in the socket), so that a packet costs no routing decision.
    """

    header_bytes = HEADER_BYTES
    gso_type = GsoType.TCPV4

    __slots__ = ("_constant_sum", "_next_hop", "_prefix", "destination", "interface", "ipv4", "protocol", "source")

    def __init__(
        self, ipv4: "Ipv4", interface: Interface, *, source: int, destination: int, next_hop: int, protocol: int
    ) -> None:
        self.ipv4 = ipv4
        self.interface = interface
        self.source = source
        self.destination = destination
        self.protocol = protocol
        self._next_hop = next_hop
        words = (_VERSION_4 << 8) + _DONT_FRAGMENT + (_DEFAULT_TTL << 8) + protocol
        self._constant_sum = words + (source >> 16) + (source & 0xFFFF) + (destination >> 16) + (destination & 0xFFFF)

    @property
    def mtu(self) -> int:
        """Bytes of the largest IP packet."""
        return self.interface.device.mtu

    @property
    def pseudo_sum(self) -> int:
        """Folded sum of the pseudo-header, with a length of 0."""
        return pseudo_header(self.source, self.destination, self.protocol, 0)

    def send(self, skb: SkBuff, identification: int) -> bool:
        """Send a packet: put the IP header in front and give it to the next hop. False if it was dropped at once.

        ``identification`` is that of the first segment if the device cuts the packet.
        """
        ipv4 = self.ipv4
        ipv4.cpu.charge(Cause.PROTOCOL_TX)
        ipv4.counters.mib["Ip.OutRequests"] += 1
        length = HEADER_BYTES + len(skb)
        identification &= 0xFFFF
        header = _HEADER.pack(
            _VERSION_4,
            skb.dsfield,
            length,
            identification,
            _DONT_FRAGMENT,
            _DEFAULT_TTL,
            self.protocol,
            0xFFFF - fold(self._constant_sum + skb.dsfield + length + identification),
            self.source,
            self.destination,
        )
        skb.head = header + skb.head
        skb.protocol = ETH_P_IP
        return self.interface.arp.output(self._next_hop, skb)


class Ipv4:
    """One host's IPv4 layer. ``handlers`` maps a protocol number to the layer above."""

    def __init__(self, cpu: Cpu, counters: Counters) -> None:
        self.cpu = cpu
        self.counters = counters
        self.handlers: dict[int, Handler] = {}
        self.protocol_unreachable: Callable[[SkBuff, int, int], None] | None = None
        """Called with (packet, source, destination) of a unicast packet that no handler takes (RFC 1122 3.2.2.1)."""
        self.addresses: dict[int, Interface] = {}
        """The host's own addresses."""
        self._broadcasts: set[int] = {INADDR_BROADCAST}
        self._routes: list[Route] = []
        self._identification = 0

    def add_interface(self, interface: Interface) -> None:
        """Take an interface into use: its address, its broadcast address and the route to its network."""
        self.addresses[interface.address] = interface
        connected = Route(interface.address & interface.mask, interface.prefix, 0, interface)
        if interface.prefix < 31:
            self._broadcasts.add(connected.network | ~connected.mask & INADDR_BROADCAST)
        self._add(connected)

    def add_route(self, network: str, prefix: int, gateway: str) -> None:
        """Reach ``network/prefix`` through ``gateway``; ``0.0.0.0/0`` is the default route.

        Raises ``ValueError`` if the gateway is not on a connected network or the network has bits beyond its prefix.
        """
        if not 0 <= prefix <= 32:
            raise ValueError(f"a prefix has 0 to 32 bits, not {prefix!r}")
        hop = self.lookup(parse_ipv4(gateway))
        if hop is None or hop.gateway:
            raise ValueError(f"gateway {gateway} is on no connected network")
        route = Route(parse_ipv4(network), prefix, parse_ipv4(gateway), hop.interface)
        if route.network & ~route.mask:
            raise ValueError(f"{network}/{prefix} has bits beyond its prefix")
        self._add(route)

    def _add(self, route: Route) -> None:
        # Sorted so that the first match is the longest (RFC 1812 section 5.2.4.3).
        self._routes.append(route)
        self._routes.sort(key=lambda one: -one.prefix)

    def lookup(self, destination: int) -> Route | None:
        """The route with the longest matching prefix."""
        for route in self._routes:
            if destination & route.mask == route.network:
                return route
        return None

    def path(self, destination: int, protocol: int, source: int = 0) -> Path | None:
        """The way to a destination, with the interface's address as source if none is given. None without a route."""
        route = self.lookup(destination)
        if route is None:
            self.counters.mib["Ip.OutNoRoutes"] += 1
            self.counters.drop(DropReason.IP_OUTNOROUTES)
            return None
        interface = route.interface
        return Path(
            self,
            interface,
            source=source or interface.address,
            destination=destination,
            next_hop=route.gateway or destination,
            protocol=protocol,
        )

    def next_identification(self) -> int:
        """Identification for packets of no connection (RFC 6864: any value will do in an atomic datagram)."""
        self._identification = self._identification + 1 & 0xFFFF
        return self._identification

    def pseudo_sum(self, source: int, destination: int, protocol: int) -> int:
        """Folded sum of the pseudo-header, with a length of 0."""
        return pseudo_header(source, destination, protocol, 0)

    def is_broadcast(self, address: int) -> bool:
        """Whether more than one host may have been meant."""
        return address in self._broadcasts or is_multicast(address)

    def input(self, skb: SkBuff) -> None:
        """One packet from an interface, its IP header first in ``data``. Checks in the order of Linux's ip_rcv."""
        mib = self.counters.mib
        mib["Ip.InReceives"] += 1
        data = skb.data
        if len(data) < HEADER_BYTES:
            mib["Ip.InHdrErrors"] += 1
            self.counters.drop(DropReason.PKT_TOO_SMALL)
            return
        version, dsfield, length, _, fragment, _, protocol, _, source, destination = _HEADER.unpack_from(data)
        header_bytes = (version & 0xF) * 4
        if version >> 4 != 4 or header_bytes < HEADER_BYTES or len(data) < header_bytes:
            mib["Ip.InHdrErrors"] += 1
            self.counters.drop(DropReason.IP_INHDR)
            return
        header = skb.pull(header_bytes)
        if not is_valid(header):
            mib["Ip.InHdrErrors"] += 1
            self.counters.drop(DropReason.IP_CSUM)
            return
        if length < header_bytes:
            mib["Ip.InHdrErrors"] += 1
            self.counters.drop(DropReason.IP_INHDR)
            return
        if length > len(data):
            mib["Ip.InTruncatedPkts"] += 1
            self.counters.drop(DropReason.PKT_TOO_SMALL)
            return
        # What is left behind the packet is padding to Ethernet's minimum.
        skb.data = skb.data[: length - header_bytes]
        skb.network_header = header
        skb.dsfield = dsfield
        if destination not in self.addresses and not self.is_broadcast(destination):
            mib["Ip.InAddrErrors"] += 1
            self.counters.drop(DropReason.OTHERHOST)
            return
        if self.is_broadcast(source) or source in self.addresses:
            # RFC 1122 section 3.2.1.3: neither can be a source.
            mib["Ip.InAddrErrors"] += 1
            self.counters.drop(DropReason.IP_INADDRERRORS)
            return
        if fragment & _MORE_FRAGMENTS_OR_OFFSET:
            mib["Ip.ReasmReqds"] += 1
            mib["Ip.ReasmFails"] += 1
            self.counters.drop(DropReason.FRAG_REASM_TIMEOUT)
            return
        handler = self.handlers.get(protocol)
        if handler is None:
            mib["Ip.InUnknownProtos"] += 1
            self.counters.drop(DropReason.IP_NOPROTO)
            if self.protocol_unreachable is not None:
                self.protocol_unreachable(skb, source, destination)
            return
        mib["Ip.InDelivers"] += 1
        handler(skb, source, destination)
