"""Stateless address autoconfiguration (RFC 4862) and what a host learns from routers (RFC 4861 section 6.3)."""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from stack.address import (
    ALL_ROUTERS,
    IN6ADDR_ANY,
    embed_scope,
    is_link_local,
    is_multicast,
)
from stack.counters import DropReason
from stack.environment import Timer
from stack.ip.ndisc import ROUTER_SOLICITATION, SOURCE_LINK_ADDRESS, options, pack_link_address
from stack.ip.neighbour import Neighbour
from stack.ip.route import Route, RouteKind, mask

if TYPE_CHECKING:
    from stack.ip.interface import Interface, InterfaceAddress

__all__ = ["AutoConfiguration", "interface_identifier"]

_ADVERTISEMENT: Final = struct.Struct("!BBHII")
"""Hop limit, flags, router lifetime (s), reachable time (ms), retransmission timer (ms): section 4.2."""
_PREFIX: Final = struct.Struct("!BBBBIII16s")
"""Type, length, prefix length, flags, valid and preferred lifetime (s), reserved, prefix: section 4.6.2."""
_MTU: Final = struct.Struct("!BBHI")
_PREFIX_INFORMATION: Final = 3
_MTU_OPTION: Final = 5
_ON_LINK: Final = 0x80
_AUTONOMOUS: Final = 0x40
_SECOND: Final = 1_000_000_000
_TWO_HOURS: Final = 2 * 3600
_INFINITE: Final = 0xFFFFFFFF
_IDENTIFIER_BITS: Final = 64
_LINK_LOCAL: Final = 0xFE80 << 112
_MOST_ADDRESSES: Final = 16
_MOST_PREFIXES: Final = 16
_MOST_ROUTERS: Final = 16
"""That one interface takes from advertisements (Linux's ``max_addresses``)."""


def interface_identifier(mac: bytes) -> int:
    """Modified EUI-64 (RFC 4291 appendix A)."""
    return int.from_bytes(bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:], "big")


class AutoConfiguration:
    """One interface's: duplicate address detection for all addresses; the rest once ``start`` is called."""

    def __init__(self, interface: "Interface") -> None:
        self.interface = interface
        self.accepts = False
        """Whether router advertisements are heard (``accept_ra``)."""
        self._timers: dict[object, Timer] = {}
        self._routes: dict[int, Route] = {}
        """Learned default routes by gateway."""
        self._prefixes: dict[tuple[int, int], Route] = {}

    def start(self) -> None:
        """Make a link-local address, and look for routers once it is ours."""
        self.accepts = True
        self._solicit(self.interface.ip.parameters.router_solicitations)

    def _call(self, key: object, delay: int, function: Callable[[], None]) -> None:
        self._cancel(key)
        env = self.interface.ip.env

        def run() -> None:
            self._timers.pop(key, None)
            function()

        self._timers[key] = env.call_at(self.interface.device.cpu.now + delay, run)

    def _cancel(self, key: object) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Leave no timer behind."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # Duplicate address detection

    def probe(self, address: "InterfaceAddress") -> None:
        """Ask whether somebody has an address, which is usable when nobody has answered (RFC 4862 section 5.4)."""
        self._probe(address, self.interface.ip.parameters.duplicate_address_probes)

    def _probe(self, address: "InterfaceAddress", left: int) -> None:
        if left == 0:
            self.interface.usable(address)
            return
        self.interface.ndisc.ask(address.address, IN6ADDR_ANY, 0)
        wait = self.interface.ndisc.parameters.retransmission_time
        self._call(address, wait, lambda: self._probe(address, left - 1))

    def duplicate(self, address: "InterfaceAddress") -> None:
        """Another host has a tentative address: it is never used (section 5.4.5)."""
        self._cancel(address)
        self.interface.duplicated(address)

    # Routers

    def _solicit(self, left: int) -> None:
        """RFC 4861 section 6.3.7."""
        interface = self.interface
        parameters = interface.ip.parameters
        if left == 0 or self._routes:
            return
        source = interface.link_local()
        body = bytes(4)
        if source:
            body += pack_link_address(SOURCE_LINK_ADDRESS, interface.device.address)
        interface.ndisc.send(ROUTER_SOLICITATION, source, embed_scope(ALL_ROUTERS, interface.index), body)
        self._call("solicit", parameters.router_solicitation_interval, lambda: self._solicit(left - 1))

    def router_advertisement(self, body: memoryview, source: int, destination: int) -> DropReason | None:
        """RFC 4861 sections 6.1.2 and 6.3.4."""
        if not self.accepts:
            return None
        if len(body) < _ADVERTISEMENT.size:
            return DropReason.PKT_TOO_SMALL
        found = options(body[_ADVERTISEMENT.size :])
        if found is None or not is_link_local(source) or is_multicast(source):
            return DropReason.IPV6_NDISC_BAD_OPTIONS
        hop_limit, _, lifetime, _, _ = _ADVERTISEMENT.unpack_from(body)
        interface = self.interface
        if hop_limit:
            interface.hop_limit = hop_limit
        router = interface.ndisc.neighbour(source)
        if router is None:
            return None
        for kind, option in found:
            if kind == SOURCE_LINK_ADDRESS and len(option) == 8:
                router.confirm(bytes(option[2:8]), solicited=False)
            elif kind == _PREFIX_INFORMATION and len(option) == _PREFIX.size:
                self._prefix(option)
            elif kind == _MTU_OPTION and len(option) == _MTU.size:
                mtu = _MTU.unpack_from(option)[3]
                if interface.ndisc.family.minimum_mtu <= mtu <= interface.device.mtu:
                    interface.ipv6_mtu = mtu
                    interface.routes.generation += 1
        router.is_router = True
        self._router(router, lifetime)
        return None

    def _router(self, router: Neighbour, lifetime: int) -> None:
        known = self._routes.get(router.address)
        if not lifetime:
            self.router_gone(router)
            return
        self._cancel("solicit")
        if known is None:
            if len(self._routes) >= _MOST_ROUTERS:
                return
            router.references += 1
            route = Route(0, 0, router, RouteKind.ROUTER, metric=1024, gateway=router.address)
            self._routes[router.address] = route
            self.interface.routes.add(route)
        self._call(("router", router.address), lifetime * _SECOND, lambda: self.router_gone(router))

    def router_gone(self, router: Neighbour) -> None:
        """A router is one no more, or has not been heard of for its lifetime."""
        route = self._routes.pop(router.address, None)
        if route is not None:
            self._cancel(("router", router.address))
            router.references -= 1
            self.interface.routes.remove(route)

    def _prefix(self, option: memoryview) -> None:
        _, _, length, flags, valid, preferred, _, packed = _PREFIX.unpack_from(option)
        if length > 128:
            return
        prefix = int.from_bytes(packed, "big") & mask(length)
        if is_link_local(prefix) or is_multicast(prefix) or preferred > valid:
            return
        if flags & _ON_LINK:
            self._on_link(prefix, length, valid)
        if flags & _AUTONOMOUS and length == 128 - _IDENTIFIER_BITS:
            self._address(prefix, length, valid, preferred)

    def _on_link(self, prefix: int, length: int, valid: int) -> None:
        """RFC 4861 section 6.3.4: who has such an address is a neighbour."""
        name = (prefix, length)
        known = self._prefixes.get(name)
        if not valid:
            if known is not None:
                self._prefix_gone(name)
            return
        if known is None:
            if len(self._prefixes) >= _MOST_PREFIXES:
                return
            route = Route(prefix, length, self.interface.on_link_hop(prefix), RouteKind.ROUTER, metric=256)
            self._prefixes[name] = route
            self.interface.routes.add(route)
        self._cancel(("prefix", name))
        if valid != _INFINITE:
            self._call(("prefix", name), valid * _SECOND, lambda: self._prefix_gone(name))

    def _prefix_gone(self, name: tuple[int, int]) -> None:
        self._cancel(("prefix", name))
        self.interface.routes.remove(self._prefixes.pop(name))

    def _address(self, prefix: int, length: int, valid: int, preferred: int) -> None:
        """RFC 4862 section 5.5.3."""
        interface = self.interface
        number = prefix | interface_identifier(interface.device.address)
        known = interface.addresses.get(number)
        now = interface.device.cpu.now
        if known is None:
            if valid == 0 or len(interface.addresses) >= _MOST_ADDRESSES:
                return
            known = interface.add_address(number, length, connected=False)
        elif known.valid_until is None:
            # Set by hand.
            return
        elif valid <= _TWO_HOURS and now + valid * _SECOND < known.valid_until:
            # Rule e: nobody can take an address away at once.
            valid = min(_TWO_HOURS, (known.valid_until - now) // _SECOND)
        known.valid_until = now + valid * _SECOND
        self._call(("valid", number), valid * _SECOND, lambda: interface.remove_address(number))
        interface.prefer(known, preferred > 0)
        self._cancel(("preferred", number))
        if 0 < preferred < valid:
            self._call(("preferred", number), preferred * _SECOND, lambda: interface.prefer(known, False))

    def link_local(self) -> int:
        """The link-local address that this interface makes of its own (RFC 4862 section 5.3)."""
        return embed_scope(_LINK_LOCAL | interface_identifier(self.interface.device.address), self.interface.index)
