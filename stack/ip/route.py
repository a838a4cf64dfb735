"""The table of routes: one for both families and for all there is to know about a destination.

Keyed by destination and, where a route asks for it, source. Local addresses, broadcasts, groups, connected networks,
gateways and neighbours are all routes; the longest prefix decides (RFC 1812 section 5.2.4.3). There is no cache beside
it: a look-up costs one probe of a dictionary per length of prefix in use, whatever the number of routes, and what is
nearest (this host, a neighbour) is found first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from stack.address import IPV4_PREFIX, format_address, is_ipv4
from stack.ip.next_hop import NextHop

__all__ = ["Route", "RouteKind", "RouteTable", "mask"]

_BITS: Final = 128
_ALL: Final = (1 << _BITS) - 1


def mask(length: int) -> int:
    """The bits of a prefix, 0 to 128 long."""
    return _ALL << (_BITS - length) & _ALL


class RouteKind(IntEnum):
    """Who made a route. Of several for the same prefix the lowest counts."""

    USER = 0
    """Added by ``add_route``."""
    PERMANENT = 1
    """Made with the table."""
    LOCAL = 2
    """An address of this host."""
    CONNECTED = 3
    """The network of an interface's address, or its broadcast address."""
    ROUTER = 4
    """Learned from a router's advertisement (RFC 4861 section 6.3.4)."""
    NEIGHBOUR = 5
    """Learned by ARP or neighbour discovery."""
    LAST_RESORT = 6
    """What there is before there is a default route."""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table. Prefix lengths count from the top of 128 bits, so an IPv4 /24 is a /120.

    ``gateway`` is 0 for what needs none. ``expires`` in nanoseconds, None for never."""

    destination: int
    length: int
    next_hop: NextHop
    kind: RouteKind
    metric: int = 0
    gateway: int = 0
    source: int = 0
    source_length: int = 0
    expires: int | None = None

    def order(self) -> tuple[int, int, int]:
        """Which of several for one prefix comes first."""
        return -self.source_length, self.kind, self.metric

    def __str__(self) -> str:
        """As ``ip route`` shows it."""
        ipv4 = is_ipv4(self.destination) and self.length >= IPV4_PREFIX
        length = self.length - IPV4_PREFIX if ipv4 else self.length
        text = f"{self.next_hop.action.value} {format_address(self.destination)}/{length}"
        if self.source_length:
            text += f" from {format_address(self.source)}/{self.source_length}"
        if self.gateway:
            text += f" via {format_address(self.gateway)}"
        if self.next_hop.interface is not None:
            text += f" dev {self.next_hop.interface.name}"
        return text


_Level = tuple[int, dict[int, tuple[Route, ...]]]


class RouteTable:
    """``generation`` changes whenever a look-up may give another result than before, so that who keeps a next hop
    knows when to look again. A neighbour that comes into being does not count: the routes to it know it already."""

    __slots__ = ("_ipv4", "_ipv6", "_levels", "generation", "hosts")

    def __init__(self) -> None:
        self._ipv4: list[_Level] = []
        """Longest prefix first: (bits to shift away, routes). ::/0 is not meant for IPv4: each family has its own."""
        self._ipv6: list[_Level] = []
        self.hosts: dict[int, tuple[Route, ...]] = {}
        """Routes to single addresses, of both families: the first level, which most packets need alone."""
        self._levels: dict[tuple[bool, int], dict[int, tuple[Route, ...]]] = {
            (True, _BITS): self.hosts,
            (False, _BITS): self.hosts,
        }
        """The same by (whether IPv4's, length)."""
        self.generation = 0
        self._sort()

    def lookup(self, destination: int, source: int) -> Route:
        """The route for a packet. There is always one in a host's table: the default is unreachable until there is a
        better one. Raises ``LookupError`` where even that is missing."""
        found = self.hosts.get(destination)
        if found is not None and not found[0].source_length:
            return found[0]
        for shift, routes in self._ipv4 if destination >> 32 == 0xFFFF else self._ipv6:
            found = routes.get(destination >> shift)
            if found is not None:
                if not found[0].source_length:
                    return found[0]
                for route in found:
                    if (source ^ route.source) >> (_BITS - route.source_length) == 0:
                        return route
        raise LookupError(format_address(destination))

    def find(self, destination: int, length: int, kind: RouteKind) -> Iterator[Route]:
        """The routes for exactly this prefix of one kind."""
        level = self._levels.get(_level(destination, length), {})
        return (route for route in level.get(destination >> (_BITS - length), ()) if route.kind is kind)

    def __iter__(self) -> Iterator[Route]:
        for routes in (self.hosts, *(level for (_, length), level in self._levels.items() if length < _BITS)):
            for same in routes.values():
                yield from same

    def add(self, route: Route) -> None:
        """Take in a route. One of the same kind, metric, source and way gives way. Raises ``ValueError`` for bits
        beyond a prefix."""
        for address, length in ((route.destination, route.length), (route.source, route.source_length)):
            if address & ~mask(length):
                raise ValueError(f"{format_address(address)} has bits beyond its prefix")
        name = _level(route.destination, route.length)
        if name not in self._levels:
            self._levels[name] = {}
            self._sort()
        level = self._levels[name]
        key = route.destination >> (_BITS - route.length)
        kept = (one for one in level.get(key, ()) if _identity(one) != _identity(route))
        level[key] = tuple(sorted((*kept, route), key=Route.order))
        if route.kind is not RouteKind.NEIGHBOUR:
            self.generation += 1

    def remove(self, route: Route) -> None:
        """Take out a route. Raises ``KeyError`` if it is not in."""
        name = _level(route.destination, route.length)
        level = self._levels[name]
        key = route.destination >> (_BITS - route.length)
        kept = tuple(one for one in level[key] if one is not route)
        if len(kept) == len(level[key]):
            raise KeyError(str(route))
        if kept:
            level[key] = kept
        else:
            del level[key]
            if not level and level is not self.hosts:
                del self._levels[name]
                self._sort()
        self.generation += 1

    def _sort(self) -> None:
        """Lengths have come or gone."""
        for ipv4, target in ((True, self._ipv4), (False, self._ipv6)):
            lengths = sorted((length for family, length in self._levels if family is ipv4), reverse=True)
            target[:] = [(_BITS - length, self._levels[ipv4, length]) for length in lengths]


def _level(destination: int, length: int) -> tuple[bool, int]:
    return length >= IPV4_PREFIX and is_ipv4(destination), length


def _identity(route: Route) -> tuple[object, ...]:
    """What no two routes for one prefix share."""
    return route.kind, route.metric, route.source, route.source_length, route.gateway, route.next_hop.interface
