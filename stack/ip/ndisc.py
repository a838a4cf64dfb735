"""Neighbour discovery for IPv6 (RFC 4861): neighbours, routers, redirects. Duplicate addresses and what routers
announce are in ``stack.ip.autoconf``."""

import struct
from collections import deque
from collections.abc import Iterator
from typing import Final

from stack.address import (
    ALL_NODES,
    IN6ADDR_ANY,
    embed_scope,
    is_link_local,
    is_multicast,
    solicited_node,
    strip_scope,
)
from stack.counters import DropReason
from stack.ip.family import IPV6
from stack.ip.neighbour import NeighbourTable, NudState
from stack.skbuff import SkBuff

__all__ = [
    "NEIGHBOUR_ADVERTISEMENT",
    "NEIGHBOUR_SOLICITATION",
    "REDIRECT",
    "ROUTER_ADVERTISEMENT",
    "ROUTER_SOLICITATION",
    "SOURCE_LINK_ADDRESS",
    "NeighbourDiscovery",
    "options",
    "pack_link_address",
]

ROUTER_SOLICITATION: Final = 133
ROUTER_ADVERTISEMENT: Final = 134
NEIGHBOUR_SOLICITATION: Final = 135
NEIGHBOUR_ADVERTISEMENT: Final = 136
REDIRECT: Final = 137

SOURCE_LINK_ADDRESS: Final = 1
_TARGET_LINK_ADDRESS: Final = 2
_TARGET: Final = struct.Struct("!I16s")
"""After the ICMPv6 header's first four bytes: flags or reserved, target address."""
_ROUTER: Final = 0x80000000
_SOLICITED: Final = 0x40000000
_OVERRIDE: Final = 0x20000000
_HOP_LIMIT: Final = 255
"""RFC 4861: what a router has forwarded is not from a neighbour."""
_UNIT: Final = 8


def options(data: "bytes | memoryview") -> Iterator[tuple[int, memoryview]] | None:
    """(type, whole option) of each option (section 4.6), None if one is malformed: then nothing of the message
    counts."""
    view = memoryview(data)
    found: list[tuple[int, memoryview]] = []
    at = 0
    while at < len(view):
        if at + 2 > len(view) or not view[at + 1] or at + view[at + 1] * _UNIT > len(view):
            return None
        end = at + view[at + 1] * _UNIT
        found.append((view[at], view[at:end]))
        at = end
    return iter(found)


def pack_link_address(kind: int, address: bytes) -> bytes:
    """A link-layer address option for Ethernet (RFC 2464 section 6)."""
    return bytes((kind, 1)) + address


def _link_address(found: Iterator[tuple[int, memoryview]], kind: int) -> bytes:
    for number, option in found:
        if number == kind and len(option) == _UNIT:
            return bytes(option[2:8])
    return b""


class NeighbourDiscovery(NeighbourTable):
    """IPv6 neighbours of one interface."""

    family = IPV6

    def solicit(self, address: int, hardware: bytes, waiting: "deque[SkBuff]") -> None:
        interface = self.interface
        source = 0
        if waiting:
            source = embed_scope(int.from_bytes(waiting[0].head[8:24], "big"), interface.index)
        if source not in interface.addresses:
            source = interface.source_for(address)
        self.ask(address, source, address if hardware else 0)

    def ask(self, target: int, source: int, destination: int) -> None:
        """Send a neighbour solicitation, to ``destination`` or, if that is 0, to the target's group. From the
        unspecified address it is the question whether an address is taken (RFC 4862 section 5.4.2)."""
        body = _TARGET.pack(0, strip_scope(target).to_bytes(16, "big"))
        if source != IN6ADDR_ANY:
            body += pack_link_address(SOURCE_LINK_ADDRESS, self.device.address)
        group = destination or embed_scope(solicited_node(target), self.interface.index)
        self.send(NEIGHBOUR_SOLICITATION, source, group, body)

    def advertise(self, target: int, destination: int, *, solicited: bool) -> None:
        """Say that ``target`` is here."""
        flags = (
            _OVERRIDE | (_SOLICITED if solicited else 0) | (_ROUTER if self.interface.ip.parameters.forwarding else 0)
        )
        body = _TARGET.pack(flags, strip_scope(target).to_bytes(16, "big"))
        body += pack_link_address(_TARGET_LINK_ADDRESS, self.device.address)
        self.send(NEIGHBOUR_ADVERTISEMENT, target, destination, body)

    def send(self, kind: int, source: int, destination: int, body: bytes) -> None:
        """One message of neighbour discovery; ``body`` follows the ICMPv6 header's four bytes."""
        self.interface.ip.icmp.send_discovery(self.interface, kind, source, destination, body)

    def input(self, skb: SkBuff, kind: int, code: int, source: int, destination: int) -> None:
        """One message of neighbour discovery, ``skb.data`` from the ICMPv6 header on, its checksum good."""
        counters = self.interface.counters
        if skb.network_header[7] != _HOP_LIMIT:
            counters.drop(DropReason.IPV6_NDISC_HOP_LIMIT)
            return
        if code:
            counters.drop(DropReason.IPV6_NDISC_BAD_CODE)
            return
        body = memoryview(skb.data)[4:]
        handle = {
            NEIGHBOUR_SOLICITATION: self._solicitation,
            NEIGHBOUR_ADVERTISEMENT: self._advertisement,
            ROUTER_ADVERTISEMENT: self.interface.autoconf.router_advertisement,
            REDIRECT: self._redirect,
        }.get(kind)
        if handle is None:
            # Router solicitations are for routers that announce themselves.
            return
        reason = handle(body, source, destination)
        if reason is not None:
            counters.drop(reason)

    def _solicitation(self, body: memoryview, source: int, destination: int) -> DropReason | None:
        """RFC 4861 sections 7.1.1 and 7.2.3."""
        if len(body) < _TARGET.size:
            return DropReason.PKT_TOO_SMALL
        _, packed = _TARGET.unpack_from(body)
        target = embed_scope(int.from_bytes(packed, "big"), self.interface.index)
        found = options(body[_TARGET.size :])
        if found is None or is_multicast(target):
            return DropReason.IPV6_NDISC_BAD_OPTIONS
        hardware = _link_address(found, SOURCE_LINK_ADDRESS)
        probing = source == IN6ADDR_ANY
        if probing and (hardware or destination != embed_scope(solicited_node(target), self.interface.index)):
            return DropReason.IPV6_NDISC_BAD_OPTIONS
        ours = self.interface.addresses.get(target)
        if ours is None:
            return DropReason.IPV6_NDISC_NS_OTHERHOST
        if not ours.usable:
            # RFC 4862 section 5.4.3: another host wants it too. Who resolves it is not answered yet.
            if probing:
                self.interface.autoconf.duplicate(ours)
            return None
        if not probing and hardware:
            neighbour = self.neighbour(source)
            if neighbour is not None:
                neighbour.confirm(hardware, solicited=False)
        self.advertise(
            target, embed_scope(ALL_NODES, self.interface.index) if probing else source, solicited=not probing
        )
        return None

    def _advertisement(self, body: memoryview, source: int, destination: int) -> DropReason | None:
        """RFC 4861 sections 7.1.2 and 7.2.5."""
        if len(body) < _TARGET.size:
            return DropReason.PKT_TOO_SMALL
        flags, packed = _TARGET.unpack_from(body)
        target = embed_scope(int.from_bytes(packed, "big"), self.interface.index)
        found = options(body[_TARGET.size :])
        if found is None or is_multicast(target) or (is_multicast(destination) and flags & _SOLICITED):
            return DropReason.IPV6_NDISC_BAD_OPTIONS
        ours = self.interface.addresses.get(target)
        if ours is not None:
            if not ours.usable:
                self.interface.autoconf.duplicate(ours)
            return None
        neighbour = self.find(target)
        if neighbour is None:
            return None
        hardware = _link_address(found, _TARGET_LINK_ADDRESS)
        known = neighbour.hardware
        if neighbour.state is NudState.INCOMPLETE and not hardware:
            return None
        if hardware and known and hardware != known and not flags & _OVERRIDE:
            # A proxy's word does not replace what is known, but casts doubt on it.
            neighbour.doubt()
            return None
        if known or hardware:
            was_router = neighbour.is_router
            neighbour.is_router = bool(flags & _ROUTER)
            neighbour.confirm(hardware or known, solicited=bool(flags & _SOLICITED))
            if was_router and not neighbour.is_router:
                self.interface.autoconf.router_gone(neighbour)
        return None

    def _redirect(self, body: memoryview, source: int, destination: int) -> DropReason | None:
        """RFC 4861 section 8: heard for the link-layer address that it teaches; routes stay as they are."""
        if len(body) < 36 or not is_link_local(source):
            return DropReason.PKT_TOO_SMALL if len(body) < 36 else DropReason.IPV6_NDISC_BAD_OPTIONS
        found = options(body[36:])
        if found is None:
            return DropReason.IPV6_NDISC_BAD_OPTIONS
        target = embed_scope(int.from_bytes(body[4:20], "big"), self.interface.index)
        hardware = _link_address(found, _TARGET_LINK_ADDRESS)
        neighbour = self.find(target)
        if neighbour is not None and hardware:
            neighbour.confirm(hardware, solicited=False)
        return None
