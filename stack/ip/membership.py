"""Telling routers and switches which groups an interface is in: IGMPv3 (RFC 3376) and MLDv2 (RFC 3810), the host's part
without source filters.

A group is in the report because somebody here wants all its sources (exclude mode without sources), or not at all.
Queries of all versions are answered, with reports of the newest only.
"""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from stack.address import ALL_NODES, IN6ADDR_ANY, INADDR_ANY, MAPPED, embed_scope, is_ipv4, is_link_local, strip_scope
from stack.checksum import checksum, is_valid, store
from stack.counters import DropReason
from stack.environment import Cause, Timer
from stack.ethernet import multicast_mac
from stack.skbuff import SkBuff

if TYPE_CHECKING:
    from stack.ip.interface import Interface
    from stack.ip.ip import Ip

__all__ = ["ALL_SYSTEMS", "IPPROTO_IGMP", "MLD_QUERY", "MLD_REPORT", "Membership", "igmp_input", "mld_query"]

IPPROTO_IGMP: Final = 2
MLD_QUERY: Final = 130
MLD_REPORT: Final = 143
ALL_SYSTEMS: Final = MAPPED | 0xE0000001
_IGMP_REPORTERS: Final = MAPPED | 0xE0000016
"""224.0.0.22 (RFC 3376 section 4.2.14)."""
_MLD_REPORTERS: Final = 0xFF02 << 112 | 0x16
"""ff02::16 (RFC 3810 section 5.2.14)."""
_IGMP_QUERY: Final = 0x11
_IGMP_REPORT: Final = 0x22
_MODE_IS_EXCLUDE: Final = 2
_CHANGE_TO_INCLUDE: Final = 3
_CHANGE_TO_EXCLUDE: Final = 4
_IPV4: Final = struct.Struct("!BBHHHBBHII")
_IPV4_HLEN: Final = 24
_ROUTER_ALERT_IPV4: Final = 0x94040000
"""RFC 2113."""
_IPV6: Final = struct.Struct("!IHBB16s16s8s")
_ROUTER_ALERT_IPV6: Final = bytes((58, 0, 5, 2, 0, 0, 1, 0))
"""A hop-by-hop header for ICMPv6 with the option for MLD (RFC 2711), and padding."""
_INTERNETWORK_CONTROL: Final = 0xC0
"""Type of service (RFC 3376 section 4)."""
_DONT_FRAGMENT: Final = 0x4000
_TENTH: Final = 100_000_000
_MS: Final = 1_000_000
_UNSOLICITED_INTERVAL: Final = 1_000 * _MS
"""Section 8.11, RFC 3810 section 9.11."""
_IGMP_QUERY_BYTES: Final = (8, 12)
_MLD_QUERY_BYTES: Final = (24, 28)
"""Of the versions before, and at least of the newest."""
_OVERHEAD: Final = 40 + 8 + 8
"""Headers in front of the records, at most."""


def _exponential(code: int, mantissa_bits: int) -> int:
    """A code of the queries: itself, or from half its range on a floating-point number (section 4.1.1, RFC 3810 section
    5.1.3)."""
    if code >> mantissa_bits < 8:
        return code
    mantissa = code & (1 << mantissa_bits) - 1 | 1 << mantissa_bits
    return mantissa << (code >> mantissa_bits & 7) + 3


class Membership:
    """One interface's, both families."""

    def __init__(self, interface: "Interface") -> None:
        self._interface = interface
        self._timers: dict[tuple[str, int], tuple[int, Timer]] = {}
        """What is still to be reported: (when, timer) by kind and group, for a general query the unspecified one."""

    def joined(self, group: int) -> None:
        """The first member here: the device has to listen, and others to be told."""
        device = self._interface.device
        for one in self._needed(group):
            device.dev_mc_add(one)
        self._changed(group, _CHANGE_TO_EXCLUDE)

    def left(self, group: int) -> None:
        """Nobody here wants it any more."""
        for one in self._needed(group):
            self._interface.device.dev_mc_del(one)
        self._cancel(("query", group))
        self._changed(group, _CHANGE_TO_INCLUDE)

    @staticmethod
    def _needed(group: int) -> tuple[bytes, ...]:
        """Addresses to listen to: the group's, and for IPv4 that of queries, which no host has joined."""
        own = multicast_mac(group)
        return (own, multicast_mac(ALL_SYSTEMS)) if is_ipv4(group) else (own,)

    def _changed(self, group: int, kind: int) -> None:
        """Section 5.1: tell it at once, and again in case that is lost."""
        if not self._is_reported(group) or self._interface is self._interface.ip.loopback:
            return
        self._tell_change(group, kind, self._interface.ip.parameters.group_robustness)

    def _tell_change(self, group: int, kind: int, times: int) -> None:
        if times <= 0:
            return
        self._report([(kind, group)])
        if times > 1:
            delay = self._draw(_UNSOLICITED_INTERVAL)
            self._later(("change", group), delay, lambda: self._tell_change(group, kind, times - 1))

    def query(self, group: int, longest: int) -> None:
        """A router asks for one group, or with the unspecified address for all of that family, to be told within
        ``longest`` ns (section 5.2)."""
        group = embed_scope(group, self._interface.index)
        general = group in (INADDR_ANY, IN6ADDR_ANY)
        if not general and group not in self._interface.groups:
            return
        key = ("query", group)
        everything = self._timers.get(("query", INADDR_ANY if is_ipv4(group) else IN6ADDR_ANY))
        pending = self._timers.get(key)
        delay = self._draw(longest)
        now = self._interface.device.cpu.now
        for earlier in (everything, pending):
            if earlier is not None and earlier[0] <= now + delay:
                return
        self._later(key, delay, lambda: self._answer(group, general=general))

    def _answer(self, group: int, *, general: bool) -> None:
        groups = self._interface.groups if general else [group]
        self._report(
            [(_MODE_IS_EXCLUDE, one) for one in groups if is_ipv4(one) is is_ipv4(group) and self._is_reported(one)]
        )

    @staticmethod
    def _is_reported(group: int) -> bool:
        """All hosts are in the first group of each family, and interface-local ones leave no host (section 5, RFC 3810
        section 6)."""
        number = strip_scope(group)
        return number not in (ALL_SYSTEMS, ALL_NODES) and number >> 112 & 0xFF0F not in (0xFF00, 0xFF01)

    # Timers

    def _draw(self, longest: int) -> int:
        return self._interface.ip.env.random.randrange(max(longest, 1))

    def _later(self, key: tuple[str, int], delay: int, function: Callable[[], None]) -> None:
        self._cancel(key)
        when = self._interface.device.cpu.now + delay

        def run() -> None:
            self._timers.pop(key, None)
            function()

        self._timers[key] = when, self._interface.ip.env.call_at(when, run)

    def _cancel(self, key: tuple[str, int]) -> None:
        pending = self._timers.pop(key, None)
        if pending is not None:
            pending[1].cancel()

    def close(self) -> None:
        """Leave no timer behind."""
        for key in list(self._timers):
            self._cancel(key)

    # Reports

    def _report(self, records: list[tuple[int, int]]) -> None:
        """Send records (kind, group) of one family, in as many messages as they need."""
        if not records:
            return
        ipv4 = is_ipv4(records[0][1])
        size = 8 if ipv4 else 20
        room = max((self._interface.mtu(4 if ipv4 else 6) - _OVERHEAD) // size, 1)
        for start in range(0, len(records), room):
            some = records[start : start + room]
            body = b"".join(
                bytes((kind, 0, 0, 0)) + strip_scope(group).to_bytes(16, "big")[12 if ipv4 else 0 :]
                for kind, group in some
            )
            message = bytes(4) + len(some).to_bytes(4, "big") + body
            if ipv4:
                self._send_igmp(bytes((_IGMP_REPORT,)) + message[1:])
            else:
                self._send_mld(bytes((MLD_REPORT,)) + message[1:])

    def _send_igmp(self, message: bytes) -> None:
        interface, ip = self._interface, self._interface.ip
        source = next((one.address for one in interface.addresses.values() if is_ipv4(one.address)), INADDR_ANY)
        path = ip.path(
            _IGMP_REPORTERS, IPPROTO_IGMP, source, interface=interface, hop_limit=1, loop=False, choose=False
        )
        if path is None:
            return
        header = _IPV4.pack(
            0x40 | _IPV4_HLEN // 4,
            _INTERNETWORK_CONTROL,
            _IPV4_HLEN + len(message),
            ip.next_identification() & 0xFFFF,
            _DONT_FRAGMENT,
            1,
            IPPROTO_IGMP,
            0,
            source & 0xFFFFFFFF,
            _IGMP_REPORTERS & 0xFFFFFFFF,
        ) + _ROUTER_ALERT_IPV4.to_bytes(4, "big")
        ip.counters.mib["Igmp.OutMsgs"] += 1
        ip.cpu.charge(Cause.CHECKSUM, size=len(message))
        path.send_with_header(SkBuff(store(message, 2, checksum(message)), head=store(header, 10, checksum(header))))

    def _send_mld(self, message: bytes) -> None:
        interface, ip = self._interface, self._interface.ip
        # RFC 3590: until there is a link-local address, from the unspecified one.
        source = interface.link_local() or IN6ADDR_ANY
        path = ip.path(_MLD_REPORTERS, 0, source, interface=interface, hop_limit=1, loop=False, choose=False)
        if path is None:
            return
        header = _IPV6.pack(
            6 << 28,
            len(_ROUTER_ALERT_IPV6) + len(message),
            0,
            1,
            strip_scope(source).to_bytes(16, "big"),
            _MLD_REPORTERS.to_bytes(16, "big"),
            _ROUTER_ALERT_IPV6,
        )
        path.send_with_header(SkBuff(ip.icmp.complete(path, message), head=header))


def igmp_input(ip: "Ip", skb: SkBuff, source: int) -> None:
    """One IGMP message: a query is answered, all else is a router's business."""
    if not is_ipv4(source):
        return
    data = memoryview(skb.data)
    mib, interface = ip.counters.mib, skb.interface
    mib["Igmp.InMsgs"] += 1
    if len(data) < _IGMP_QUERY_BYTES[0] or not is_valid(data):
        mib["Igmp.InErrors"] += 1
        ip.counters.drop(DropReason.PKT_TOO_SMALL if len(data) < _IGMP_QUERY_BYTES[0] else DropReason.IP_CSUM)
        return
    if data[0] != _IGMP_QUERY or interface is None:
        return
    # Version 1 leaves the field empty, and means ten seconds (section 7.1).
    code = data[1] or 100
    longest = _exponential(code, 4) if len(data) >= _IGMP_QUERY_BYTES[1] else code
    interface.membership.query(MAPPED | int.from_bytes(data[4:8], "big"), longest * _TENTH)


def mld_query(ip: "Ip", skb: SkBuff, source: int) -> None:
    """One query, ``skb.data`` from the ICMPv6 header on, its checksum good (RFC 3810 section 6.2)."""
    data = memoryview(skb.data)
    if len(data) < _MLD_QUERY_BYTES[0]:
        ip.counters.drop(DropReason.PKT_TOO_SMALL)
        return
    if skb.interface is None or skb.network_header[7] != 1 or not is_link_local(source):
        # Only a neighbour may ask.
        ip.counters.drop(DropReason.IPV6_NDISC_HOP_LIMIT)
        return
    code = int.from_bytes(data[4:6], "big")
    longest = _exponential(code, 12) if len(data) >= _MLD_QUERY_BYTES[1] else code
    skb.interface.membership.query(int.from_bytes(data[8:24], "big"), longest * _MS)
