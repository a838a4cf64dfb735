"""An interface: one link of a device as the network layer sees it, with its addresses, groups and neighbours."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from stack.address import (
    ALL_NODES,
    INADDR_BROADCAST,
    IPV4_PREFIX,
    embed_scope,
    format_address,
    is_ipv4,
    is_link_local,
    is_multicast,
    solicited_node,
)
from stack.ip.arp import Arp
from stack.ip.autoconf import AutoConfiguration
from stack.ip.family import family_of
from stack.ip.membership import ALL_SYSTEMS, Membership
from stack.ip.ndisc import NeighbourDiscovery
from stack.ip.neighbour import ResolveHop
from stack.ip.next_hop import Action, GroupHop
from stack.ip.parameters import NeighbourParameters
from stack.ip.route import Route, RouteKind, mask
from stack.net_device import NetDevice
from stack.skbuff import IpSummed, SkBuff

if TYPE_CHECKING:
    from stack.ip.ip import Ip

__all__ = ["AddressState", "Interface", "InterfaceAddress"]

_LARGEST_PACKET: Final = 0xFFFF
_MOST_GROUPS: Final = 1024
"""224.0.0.1: every host is in it (RFC 1112 section 4)."""


class AddressState(Enum):
    """RFC 4862 section 2."""

    TENTATIVE = "tentative"
    """Being checked for a duplicate: not ours yet."""
    PREFERRED = "preferred"
    DEPRECATED = "deprecated"
    """Still valid, but not for something new."""
    DUPLICATED = "duplicated"
    """Another host has it: never used."""


@dataclass(eq=False, slots=True)
class InterfaceAddress:
    """One address of an interface. ``length`` is that of its network's prefix in 128 bits, ``valid_until`` None for
    one that was set by hand."""

    address: int
    length: int
    interface: "Interface"
    state: AddressState
    valid_until: int | None = None
    connected: bool = True

    @property
    def usable(self) -> bool:
        return self.state is AddressState.PREFERRED or self.state is AddressState.DEPRECATED

    def __str__(self) -> str:
        length = self.length - IPV4_PREFIX if is_ipv4(self.address) else self.length
        return f"{format_address(self.address)}/{length} {self.state.value}"


class Interface:
    """``index`` is its number among the host's interfaces."""

    def __init__(self, ip: "Ip", device: NetDevice, *, index: int, neighbours: NeighbourParameters) -> None:
        self.ip = ip
        self.device = device
        self.index = index
        self.name = device.name
        self.counters = ip.counters
        self.routes = ip.routes
        self.addresses: dict[int, InterfaceAddress] = {}
        self.groups: dict[int, int] = {}
        """Joined groups: how often."""
        self.hop_limit: int | None = None
        """What a router has advertised."""
        self.ipv6_mtu: int | None = None
        self.arp = Arp(self, neighbours)
        self.ndisc = NeighbourDiscovery(self, neighbours)
        self._resolve = {4: ResolveHop(self.arp), 6: ResolveHop(self.ndisc)}
        self.autoconf = AutoConfiguration(self)
        self.membership = Membership(self)
        self._made: dict[int, list[Route]] = {}
        """Routes by the address that they exist for."""

    def mtu(self, family: int) -> int:
        """Bytes of the largest packet of IPv4 (4) or IPv6 (6)."""
        if family == 6 and self.ipv6_mtu is not None:
            return min(self.ipv6_mtu, self.device.mtu)
        return min(self.device.mtu, _LARGEST_PACKET)

    def on_link_hop(self, address: int) -> ResolveHop:
        """The next hop for neighbours of an address's family."""
        return self._resolve[family_of(address).version]

    def on_link(self, address: int) -> bool:
        """Whether an address belongs to a network of this interface."""
        return any((one.address ^ address) & mask(one.length) == 0 for one in self.addresses.values())

    def source_for(self, destination: int) -> int:
        """The address of this interface to speak to a neighbour with; the unspecified one if there is none."""
        return self.ip.select_source(destination, self)

    def link_local(self) -> int:
        """The usable link-local address, or 0."""
        return next((one.address for one in self.addresses.values() if one.usable and is_link_local(one.address)), 0)

    # Addresses

    def add_address(self, address: int, length: int, *, connected: bool = True) -> InterfaceAddress:
        """Take an address of either family, ``length`` that of its prefix in 128 bits. ``connected``: hosts with the
        same prefix are neighbours. An IPv6 address is usable once nobody else has claimed it."""
        if is_ipv4(address):
            one = InterfaceAddress(address, length, self, AddressState.TENTATIVE, connected=connected)
            self.addresses[address] = one
            self.usable(one)
            return one
        self._enable_ipv6()
        one = InterfaceAddress(address, length, self, AddressState.TENTATIVE, connected=connected)
        self.addresses[address] = one
        self.join(embed_scope(solicited_node(address), self.index))
        self.autoconf.probe(one)
        return one

    def _enable_ipv6(self) -> None:
        """An interface that speaks IPv6 has a link-local address (RFC 4291 section 2.1)."""
        own = self.autoconf.link_local()
        if own in self.addresses or self is self.ip.loopback:
            return
        self.join(embed_scope(ALL_NODES, self.index))
        self.addresses[own] = one = InterfaceAddress(own, 128, self, AddressState.TENTATIVE)
        link = embed_scope(0xFE80 << 112, self.index)
        route = Route(link, 64, self.on_link_hop(link), RouteKind.CONNECTED, metric=self.index)
        self._made[own] = [route]
        self.routes.add(route)
        self.join(embed_scope(solicited_node(own), self.index))
        self.autoconf.probe(one)

    def autoconfigure(self) -> None:
        """Make a link-local address, ask routers, and take what they offer (RFC 4862)."""
        self._enable_ipv6()
        self.autoconf.start()

    def usable(self, one: InterfaceAddress) -> None:
        """An address is ours from now on."""
        one.state = AddressState.PREFERRED
        self.ip.addresses[one.address] = one
        made = self._made.setdefault(one.address, [])
        made.append(Route(one.address, 128, self.ip.local, RouteKind.LOCAL, metric=self.index))
        network = one.address & mask(one.length)
        if one.connected and one.length < 128:
            made.append(
                Route(network, one.length, self.on_link_hop(one.address), RouteKind.CONNECTED, metric=self.index)
            )
        if is_ipv4(one.address) and one.connected and one.length < 127:
            # RFC 3021: a network of two has no broadcast address.
            last = network | ~mask(one.length) & 0xFFFFFFFF
            hop = GroupHop(self, last, Action.BROADCAST, loop=True)
            made.append(Route(last, 128, hop, RouteKind.CONNECTED, metric=self.index))
        for route in made:
            self.routes.add(route)

    def duplicated(self, one: InterfaceAddress) -> None:
        """Another host has an address that we wanted."""
        one.state = AddressState.DUPLICATED

    def prefer(self, one: InterfaceAddress, preferred: bool) -> None:
        """A usable address is preferred, or deprecated."""
        if one.usable:
            one.state = AddressState.PREFERRED if preferred else AddressState.DEPRECATED

    def remove_address(self, address: int) -> None:
        """Give up an address and all that exists because of it. Raises ``KeyError`` for one that it does not have."""
        one = self.addresses.pop(address)
        for route in self._made.pop(address, ()):
            if one.usable or route.kind is RouteKind.CONNECTED:
                self.routes.remove(route)
        if self.ip.addresses.get(address) is one:
            del self.ip.addresses[address]
        if not is_ipv4(address):
            self.leave(embed_scope(solicited_node(address), self.index))

    # Groups

    def join(self, group: int) -> None:
        """Hear a group. Raises ``ValueError`` for what is no group or one too many."""
        if not is_multicast(group) or len(self.groups) >= _MOST_GROUPS:
            raise ValueError(f"{self.name} cannot join {format_address(group)}")
        members = self.groups[group] = self.groups.get(group, 0) + 1
        if members == 1:
            self.membership.joined(group)

    def leave(self, group: int) -> None:
        """Hear it no more. Raises ``KeyError`` if it was not joined."""
        left = self.groups[group] - 1
        if left:
            self.groups[group] = left
        else:
            del self.groups[group]
            self.membership.left(group)

    def hears(self, group: int) -> bool:
        """Whether a group was joined, or is one that every host is in."""
        return group in self.groups or group in (ALL_SYSTEMS, INADDR_BROADCAST)

    # What others ask of it

    def unreachable(self, skb: SkBuff) -> None:
        """A packet (IP header first in ``head``) found no neighbour."""
        self.ip.icmp.host_unreachable(skb)

    def loop_back(self, skb: SkBuff) -> None:
        """What is sent to a group that this host is in comes back to it (dev_loopback_xmit)."""
        clone = skb.clone()
        clone.linearize()
        clone.mac_header = self.device.address * 2
        if clone.ip_summed is IpSummed.PARTIAL:
            clone.ip_summed = IpSummed.UNNECESSARY
        self.device.env.call_at(self.device.cpu.now, lambda: self.ip.input_looped(clone, self))

    def close(self) -> None:
        """Leave no timer behind."""
        self.autoconf.close()
        self.membership.close()
        self.arp.close()
        self.ndisc.close()
