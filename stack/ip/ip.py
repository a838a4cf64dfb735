"""One host's network layer, for both families: interfaces and addresses, routes, and the ways in and out.

What differs between the families is in ``ipv4.py``, ``ipv6.py`` and ``path.py``.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from stack.address import (
    IN6ADDR_LOOPBACK,
    INADDR_BROADCAST,
    INADDR_LOOPBACK,
    IPV4_PREFIX,
    MAPPED,
    embed_scope,
    format_address,
    is_ipv4,
    is_link_local,
    is_multicast,
    scope_of,
    strip_scope,
)
from stack.checksum import pseudo_header
from stack.classifier import Classifier
from stack.counters import Counters, DropReason
from stack.environment import Cpu, Environment
from stack.ethernet import ETH_P_ARP, ETH_P_IP, ETH_P_IPV6
from stack.ip.errors import IcmpError
from stack.ip.family import IPV4, IPV6, Family, family_of
from stack.ip.forward import forward
from stack.ip.icmp import ErrorHandler, Icmp
from stack.ip.interface import AddressState, Interface, InterfaceAddress
from stack.ip.ipv4 import Ipv4
from stack.ip.ipv6 import Ipv6
from stack.ip.membership import IPPROTO_IGMP, igmp_input
from stack.ip.neighbour import Neighbour
from stack.ip.next_hop import Action, GroupHop, LocalHop, NextHop, UnreachableHop
from stack.ip.parameters import IpParameters, NeighbourParameters
from stack.ip.path import Ipv4Path, Ipv6Path, Path
from stack.ip.path_mtu import PathMtu
from stack.ip.reassembly import Reassembly
from stack.ip.route import Route, RouteKind, RouteTable
from stack.loopback import LoopbackDevice
from stack.net_device import NetDevice
from stack.skbuff import SkBuff

__all__ = ["Handler", "Ip"]

_LOOPBACK_NET: Final = MAPPED | 127 << 24
_MULTICAST_NET: Final = MAPPED | 0xE << 28
_NO_SOURCE: Final = (Action.LOCAL, Action.BROADCAST, Action.MULTICAST)
_BROKEN: Final = -1
"""No generation: who has this looks again with the next packet."""


class Handler(Protocol):
    """A protocol above IP: gets the packet without its IP header, which stays in ``skb.network_header``."""

    def __call__(self, skb: SkBuff, source: int, destination: int) -> None: ...


class Ip:
    """``handlers`` maps a protocol number to the layer above, ``error_handlers`` to who hears of its packets that did
    not arrive, ``raw`` to sockets that get copies of what arrives."""

    def __init__(
        self,
        env: Environment,
        cpu: Cpu,
        counters: Counters,
        parameters: IpParameters,
        neighbours: NeighbourParameters,
    ) -> None:
        self.env = env
        self.cpu = cpu
        self.counters = counters
        self.parameters = parameters
        self._neighbours = neighbours
        self.handlers: dict[int, Handler] = {}
        self.error_handlers: dict[int, ErrorHandler] = {}
        self.raw: dict[int, list[Callable[[SkBuff, int, int], None]]] = {}
        self.routes = RouteTable()
        self.addresses: dict[int, InterfaceAddress] = {}
        """The host's own, usable ones."""
        self.interfaces: dict[int, Interface] = {}
        """By index; the loopback interface has 1."""
        self._classifiers: dict[NetDevice, Classifier] = {}
        self.path_mtu = PathMtu(cpu, parameters)
        self.ipv4 = Ipv4(self)
        self.ipv6 = Ipv6(self)
        self.icmp = Icmp(self)
        self.handlers[IPPROTO_IGMP] = lambda skb, source, destination: igmp_input(self, skb, source)
        self.reassembly = Reassembly(env, cpu, counters, parameters, self.icmp.reassembly_expired)
        self._identification = env.random.getrandbits(16)
        self._fragment_identification = env.random.getrandbits(32)
        self._flow_secret = env.random.getrandbits(64) | 1
        self.loopback = self.add_interface(LoopbackDevice(env, cpu))
        self.local = LocalHop(self.loopback)
        """The next hop of all addresses of this host that others may reach."""
        self._full = UnreachableHop(Action.BLACKHOLE, counters)
        self._permanent_routes()

    def _permanent_routes(self) -> None:
        """What is known before anything is configured."""
        unreachable = UnreachableHop(Action.UNREACHABLE, self.counters)
        group, broadcast = NextHop(Action.MULTICAST, None), NextHop(Action.BROADCAST, None)
        own = LocalHop(self.loopback)
        for destination, length, hop in (
            (MAPPED, IPV4_PREFIX, unreachable),
            (0, 0, unreachable),
            (_MULTICAST_NET, IPV4_PREFIX + 4, group),
            (0xFF << 120, 8, group),
            (INADDR_BROADCAST, 128, broadcast),
            (_LOOPBACK_NET, IPV4_PREFIX + 8, own),
            (IN6ADDR_LOOPBACK, 128, own),
        ):
            kind = RouteKind.LAST_RESORT if hop is unreachable else RouteKind.PERMANENT
            self.routes.add(Route(destination, length, hop, kind))
        for address, length in ((INADDR_LOOPBACK, IPV4_PREFIX + 8), (IN6ADDR_LOOPBACK, 128)):
            one = InterfaceAddress(address, length, self.loopback, AddressState.PREFERRED)
            self.addresses[address] = self.loopback.addresses[address] = one

    # Interfaces and routes

    def add_interface(self, device: NetDevice) -> Interface:
        """Take a device into use. Raises ``ValueError`` if it is in use already."""
        if device in self._classifiers:
            raise ValueError(f"{device.name} is in use already")
        classifier = self._classifiers[device] = Classifier(device, self.counters)
        index = len(self.interfaces) + 1
        interface = Interface(self, device, index=index, neighbours=self._neighbours)
        self.interfaces[index] = interface
        classifier.attach(interface, ETH_P_IP, self.ipv4.input)
        classifier.attach(interface, ETH_P_IPV6, self.ipv6.input)
        classifier.attach(interface, ETH_P_ARP, lambda skb, on: on.arp.input(skb))
        return interface

    def interface_of(self, device: NetDevice) -> Interface | None:
        """The interface that a device is."""
        found = (one for one in self.interfaces.values() if one.device is device)
        return next(found, None)

    def add_route(
        self, destination: int, length: int, gateway: int, *, source: int = 0, source_length: int = 0, metric: int = 0
    ) -> Route:
        """Reach a prefix (lengths in 128 bits) through a gateway on a connected network. Raises ``ValueError``."""
        hop = self.routes.lookup(gateway, 0).next_hop
        neighbour = hop.resolve(gateway)
        if hop.action not in (Action.RESOLVE, Action.UNICAST, Action.HOLD) or neighbour is None:
            raise ValueError(f"gateway {format_address(gateway)} is on no connected network")
        if not isinstance(neighbour, Neighbour) or neighbour.address != gateway:
            raise ValueError(f"gateway {format_address(gateway)} is behind another gateway")
        route = Route(
            destination, length, neighbour, RouteKind.USER, metric, gateway, source=source, source_length=source_length
        )
        self.routes.add(route)
        neighbour.references += 1
        return route

    # Output

    def path(
        self,
        destination: int,
        protocol: int,
        source: int = 0,
        *,
        interface: Interface | None = None,
        hop_limit: int | None = None,
        loop: bool = True,
        choose: bool = True,
    ) -> Path | None:
        """The way to a destination, None without a route. ``source`` 0: the best address, if ``choose``."""
        if interface is not None:
            destination = embed_scope(destination, interface.index)
        hop, generation = self.next_hop(destination, source, interface, loop=loop)
        if hop.action in (Action.UNREACHABLE, Action.BLACKHOLE) and hop is not self._full:
            family_of(destination).count(self.counters, "OutNoRoutes")
            self.counters.drop(DropReason.IP_OUTNOROUTES)
            return None
        leaving = hop.interface or self.loopback
        if not source and choose:
            source = destination if hop.action is Action.LOCAL else self.select_source(destination, leaving)
            if not source:
                family_of(destination).count(self.counters, "OutNoRoutes")
                self.counters.drop(DropReason.IP_OUTNOROUTES)
                return None
        if hop_limit is None:
            hop_limit = 1 if is_multicast(destination) else leaving.hop_limit or self.parameters.hop_limit
        make = Ipv4Path if is_ipv4(destination) else Ipv6Path
        return make(
            self,
            source=source,
            destination=destination,
            protocol=protocol,
            hop=hop,
            bound=interface,
            hop_limit=hop_limit,
            loop=loop,
            generation=generation,
        )

    def next_hop(self, destination: int, source: int, bound: Interface | None, *, loop: bool) -> tuple[NextHop, int]:
        """The next hop for packets to a destination, and the generation of routes that it holds for."""
        generation = self.routes.generation
        hop = self.routes.lookup(destination, source).next_hop
        if hop.action in (Action.MULTICAST, Action.BROADCAST):
            leaving = bound or hop.interface or self._link_of(destination)
            if leaving is None:
                return self._full, _BROKEN
            return GroupHop(leaving, destination, hop.action, loop=loop), generation
        if bound is not None and hop.action is not Action.LOCAL and hop.interface is not bound:
            hop = self._bound_hop(destination, source, bound)
        resolved = hop.resolve(destination)
        # Without room for another neighbour the packet is lost, not the way.
        return (resolved, generation) if resolved is not None else (self._full, _BROKEN)

    def _bound_hop(self, destination: int, source: int, bound: Interface) -> NextHop:
        """The best route that leaves through one interface; failing that, the destination is sought on its link."""
        candidates = [
            route
            for route in self.routes
            if route.next_hop.interface is bound
            and (destination ^ route.destination) >> (128 - route.length) == 0
            and (source ^ route.source) >> (128 - route.source_length) == 0
        ]
        if candidates:
            return max(candidates, key=lambda route: (route.length, route.source_length)).next_hop
        return bound.on_link_hop(destination)

    def _link_of(self, group: int) -> Interface | None:
        """Where to send to a group if nobody has said: the link that its address names, else the first."""
        named = self.interfaces.get(scope_of(group))
        if named is not None or scope_of(group):
            return named
        return next((one for one in self.interfaces.values() if one is not self.loopback), None)

    def select_source(self, destination: int, interface: Interface) -> int:
        """The address to speak from (RFC 6724 section 5, rules 2, 3, 5 and 8), 0 if there is none. IPv4 has no scopes
        and no deprecated addresses, but the same rules."""
        ipv4 = is_ipv4(destination)
        narrow = is_link_local(destination)
        best, best_rank = 0, (False, False, False, -1)
        for one in interface.addresses.values():
            address = one.address
            if is_ipv4(address) is not ipv4 or not one.usable:
                continue
            common = 128 - (address ^ destination).bit_length()
            rank = (
                is_link_local(address) == narrow,
                one.state is AddressState.PREFERRED,
                True,
                min(common, one.length),
            )
            if rank > best_rank:
                best, best_rank = address, rank
        if best_rank[0] or narrow:
            return best
        for other in self.interfaces.values():
            # Weak end system: an address of another interface is better than one of the wrong scope.
            for one in other.addresses.values():
                address = one.address
                if (
                    is_ipv4(address) is ipv4
                    and one.usable
                    and not is_link_local(address)
                    and other is not self.loopback
                ):
                    return address
        return best

    def output_fragments(
        self, hop: NextHop, pieces: "Iterable[tuple[bytes, memoryview]]", skb: SkBuff, family: Family
    ) -> bool:
        """Send a packet in pieces; ``skb``, which they come from, is consumed with the last of them."""
        sent = True
        made = [SkBuff(data, head=header, protocol=family.ethertype) for header, data in pieces]
        made[-1].destructor = lambda last: skb.consume()
        family.count(self.counters, "FragOKs")
        for one in made:
            family.count(self.counters, "FragCreates")
            one.interface = skb.interface
            sent = hop.output(one) and sent
        return sent

    def pseudo_sum(self, source: int, destination: int, protocol: int) -> int:
        """Folded sum of the pseudo-header, with a length of 0 (RFC 9293 section 3.1)."""
        return pseudo_header(strip_scope(source), strip_scope(destination), protocol, 0)

    def next_identification(self) -> int:
        """Identification for packets of no connection (RFC 6864)."""
        self._identification = self._identification + 1 & 0xFFFF
        return self._identification

    def next_fragment_identification(self) -> int:
        """Identification of a fragmented IPv6 packet."""
        self._fragment_identification = self._fragment_identification + 1 & 0xFFFFFFFF
        return self._fragment_identification

    def flow_label(self, ends: int) -> int:
        """20 bits that are the same for all packets between two ends, and not to be guessed (RFC 6437 section 3)."""
        return (ends % 0xFFFFFFFFFFFFFFC5 * self._flow_secret >> 40 & 0xFFFFF) or 1

    # Input

    def is_local(self, address: int) -> bool:
        """Whether an address is one of this host's, 127/8 included."""
        return self.routes.lookup(address, 0).next_hop.action is Action.LOCAL

    def is_group(self, address: int) -> bool:
        """Whether more than one host may be meant."""
        if is_multicast(address):
            return True
        return is_ipv4(address) and self.routes.lookup(address, 0).next_hop.action is Action.BROADCAST

    def accept(self, skb: SkBuff, source: int, destination: int, family: Family, *, looped: bool) -> bool:
        """Whether a received packet is for this host; if not, it is forwarded or dropped here."""
        hop = self.routes.lookup(destination, source).next_hop
        if hop is not self.local and not self._accept_other(skb, hop, source, destination, family):
            return False
        peer = self.routes.hosts.get(source)
        if peer is not None and peer[0].kind is RouteKind.NEIGHBOUR:
            return True
        if skb.interface is not self.loopback and not looped and self._is_no_source(source, destination):
            # RFC 1122 section 3.2.1.3: neither we nor many can be its source.
            family.count(self.counters, "InAddrErrors")
            self.counters.drop(DropReason.IP_INADDRERRORS)
            return False
        return True

    def _is_no_source(self, source: int, destination: int) -> bool:
        return self.routes.lookup(source, destination).next_hop.action in _NO_SOURCE

    def _accept_other(self, skb: SkBuff, hop: NextHop, source: int, destination: int, family: Family) -> bool:
        """A packet for anything but an ordinary address of this host."""
        action, interface, counters = hop.action, skb.interface, self.counters
        assert interface is not None
        if action is Action.LOCAL:
            if interface is self.loopback:
                return True
            # RFC 1122 section 3.2.1.3 g: 127/8 is on no wire.
            family.count(counters, "InAddrErrors")
            counters.drop(DropReason.IP_LOCALNET)
            return False
        if action is Action.BROADCAST:
            family.count(counters, "InBcastPkts")
            return True
        if action is Action.MULTICAST:
            family.count(counters, "InMcastPkts")
            if interface.hears(destination):
                return True
            counters.drop(DropReason.OTHERHOST)
            return False
        if self.parameters.forwarding and not self._is_no_source(source, destination):
            forward(self, skb, hop, source, destination, family)
        else:
            family.count(counters, "InAddrErrors")
            counters.drop(DropReason.OTHERHOST)
        return False

    def deliver(self, skb: SkBuff, source: int, destination: int, protocol: int, counter: str) -> None:
        """A whole packet for this host that not just one protocol gets: raw sockets get copies."""
        handler = self.handlers.get(protocol)
        raw = self.raw.get(protocol)
        if raw:
            for receive in raw:
                receive(skb, source, destination)
        if handler is None:
            if not raw:
                family = family_of(source)
                family.count(self.counters, "InUnknownProtos")
                self.counters.drop(DropReason.IP_NOPROTO)
                # RFC 1122 section 3.2.2.1; RFC 8200 section 4: a pointer to what is not known.
                pointer = self._protocol_field(skb) if family is IPV6 else 0
                self.icmp.send_error(IcmpError.PROTOCOL_UNREACHABLE, skb, value=pointer)
            return
        self.counters.mib[counter] += 1
        handler(skb, source, destination)

    @staticmethod
    def _protocol_field(skb: SkBuff) -> int:
        """Where the last next-header field of a received IPv6 header stands."""
        header = memoryview(skb.network_header)
        field, at = 6, 40
        while at < len(header):
            field, at = at, at + (header[at + 1] + 1) * 8
        return field

    def input_looped(self, skb: SkBuff, interface: Interface) -> None:
        """What this host has sent to a group that it is in."""
        (self.ipv4 if skb.protocol == IPV4.ethertype else self.ipv6).input(skb, interface, looped=True)

    def close(self) -> None:
        """Leave no timer behind, and hear nothing any more."""
        self.reassembly.close()
        for interface in self.interfaces.values():
            interface.close()
        for classifier in self._classifiers.values():
            classifier.close()
