"""ICMP for both families (RFC 792, RFC 1122 section 3.2.2; RFC 4443): echo, and errors both ways."""

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from stack.address import MAPPED, embed_scope, strip_scope
from stack.checksum import checksum, is_valid, pseudo_header, store
from stack.counters import DropReason
from stack.environment import Cause
from stack.ip.errors import IPV4_CODES, IPV6_CODES, IcmpError, ipv4_error, ipv6_error
from stack.ip.family import IPV4, IPV6, Family, family_of
from stack.ip.fragment import IPPROTO_FRAGMENT
from stack.ip.ipv6_headers import upper_layer
from stack.ip.membership import MLD_QUERY, mld_query
from stack.ip.ndisc import REDIRECT, ROUTER_SOLICITATION
from stack.ip.rate_limit import RateLimit
from stack.skbuff import IpSummed, SkBuff

if TYPE_CHECKING:
    from stack.ip.interface import Interface
    from stack.ip.ip import Ip
    from stack.ip.path import Path

__all__ = ["IPPROTO_ICMP", "IPPROTO_ICMPV6", "ErrorHandler", "Icmp"]

IPPROTO_ICMP: Final = 1
IPPROTO_ICMPV6: Final = 58
_HEADER: Final = struct.Struct("!BBHHH")
"""Type, code, checksum; identifier and sequence number of an echo."""
_ERROR: Final = struct.Struct("!BBHI")
_ECHO: Final = {4: 8, 6: 128}
_ECHO_REPLY: Final = {4: 0, 6: 129}
_INFORMATIONAL: Final = 128
"""From this type on an ICMPv6 message is no error."""
_IPV4_ERRORS: Final = (3, 4, 5, 11, 12)
_QUOTED_BYTES: Final = 8
"""Of the datagram's data that an error message must carry (RFC 792)."""
_LONGEST: Final = {4: 576, 6: 1280}
"""Bytes of an error message (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 c)."""
_DISCOVERY_HOP_LIMIT: Final = 255

ErrorHandler = Callable[[IcmpError, int, int, memoryview, int, int], None]
"""Called with (error, local address, remote address, what was sent from the transport header on as far as it is quoted,
MTU or 0, who says so)."""

_COUNTERS: Final = {
    4: {3: "DestUnreachs", 11: "TimeExcds", 12: "ParmProbs", 8: "Echos", 0: "EchoReps", 5: "Redirects"},
    6: {
        1: "DestUnreachs",
        2: "PktTooBigs",
        3: "TimeExcds",
        4: "ParmProblems",
        128: "Echos",
        129: "EchoReplies",
        130: "GroupMembQueries",
        143: "MLDv2Reports",
        133: "RouterSolicits",
        134: "RouterAdvertisements",
        135: "NeighborSolicits",
        136: "NeighborAdvertisements",
        137: "Redirects",
    },
}


class Icmp:
    """One host's. ``echo_replies`` maps an identifier to who waits for replies: called with (sequence number, data)."""

    def __init__(self, ip: "Ip") -> None:
        self.ip = ip
        self.echo_replies: dict[int, Callable[[int, bytes], None]] = {}
        self._limit = RateLimit(ip.parameters)
        ip.handlers[IPPROTO_ICMP] = ip.handlers[IPPROTO_ICMPV6] = self.input

    def _count(self, family: Family, direction: str, kind: int) -> None:
        """One message of a type, in or out."""
        mib = self.ip.counters.mib
        prefix = "Icmp" if family.version == 4 else "Icmp6"
        mib[f"{prefix}.{direction}Msgs"] += 1
        name = _COUNTERS[family.version].get(kind)
        if name is not None:
            mib[f"{prefix}.{direction}{name}"] += 1

    def _bad(self, family: Family, reason: DropReason) -> None:
        self.ip.counters.mib["Icmp.InErrors" if family.version == 4 else "Icmp6.InErrors"] += 1
        self.ip.counters.drop(reason)

    def input(self, skb: SkBuff, source: int, destination: int) -> None:
        """One message."""
        family = family_of(source)
        if (family is IPV4) != (family_of(destination) is IPV4):
            return
        data = memoryview(skb.data)
        self._count(family, "In", data[0] if len(data) else -1)
        if len(data) < _HEADER.size:
            self._bad(family, DropReason.PKT_TOO_SMALL)
            return
        if skb.ip_summed is not IpSummed.UNNECESSARY:
            self.ip.cpu.charge(Cause.CHECKSUM, size=len(data))
            if not is_valid(data, self._pseudo(family, source, destination, len(data))):
                self.ip.counters.mib["Icmp.InCsumErrors" if family is IPV4 else "Icmp6.InCsumErrors"] += 1
                self._bad(family, DropReason.ICMP_CSUM)
                return
        kind, code, _, identifier, sequence = _HEADER.unpack_from(data)
        body = data[_HEADER.size :]
        if kind == _ECHO[family.version]:
            self._echo(family, source, destination, identifier, sequence, body)
        elif kind == _ECHO_REPLY[family.version]:
            waiting = self.echo_replies.get(identifier)
            if waiting is not None:
                waiting(sequence, bytes(body))
        elif family is IPV6 and kind == MLD_QUERY:
            mld_query(self.ip, skb, source)
        elif family is IPV6 and ROUTER_SOLICITATION <= kind <= REDIRECT:
            assert skb.interface is not None
            skb.data = data
            skb.interface.ndisc.input(skb, kind, code, source, destination)
        else:
            error = ipv4_error(kind, code) if family is IPV4 else ipv6_error(kind, code)
            if error is not None:
                # The MTU of RFC 1191 is in the last two bytes, that of RFC 4443 in all four.
                mtu = sequence if family is IPV4 else identifier << 16 | sequence
                self._error(family, error, body, mtu, skb.interface, source)

    @staticmethod
    def _pseudo(family: Family, source: int, destination: int, length: int) -> int:
        """ICMPv6 sums a pseudo-header too (RFC 4443 section 2.3)."""
        if family is IPV4:
            return 0
        return pseudo_header(strip_scope(source), strip_scope(destination), IPPROTO_ICMPV6, length)

    def _echo(
        self, family: Family, source: int, destination: int, identifier: int, sequence: int, body: memoryview
    ) -> None:
        group = self.ip.is_group(destination)
        # RFC 1122 section 3.2.2.6: an echo request to a broadcast address may be discarded.
        if (group and family is IPV4) or source == family.any:
            return
        path = self.ip.path(source, family.icmp, 0 if group else destination)
        if path is None:
            return
        reply = _HEADER.pack(_ECHO_REPLY[family.version], 0, 0, identifier, sequence) + body
        self._send(path, reply)

    def _error(
        self,
        family: Family,
        error: IcmpError,
        quoted: memoryview,
        mtu: int,
        interface: "Interface | None",
        offender: int = 0,
    ) -> None:
        """A packet of ours did not arrive: tell its transport protocol."""
        parsed = self._parse(family, quoted, interface.index if interface is not None else 0)
        if parsed is None:
            self._bad(family, DropReason.HDR_TRUNC)
            return
        local, remote, protocol, header = parsed
        if error is IcmpError.PACKET_TOO_BIG:
            path = self.ip.path(remote, protocol, local) if local in self.ip.addresses else None
            if path is None:
                return
            if not mtu and family is IPV4:
                # A router from before RFC 1191: the next smaller of its plateaus (section 7.1).
                mtu = _plateau(int.from_bytes(quoted[2:4], "big"))
            if mtu and self.ip.path_mtu.reduce(remote, mtu, path.mtu):
                mtu = path.mtu
        handler = self.ip.error_handlers.get(protocol)
        if handler is not None and len(header) >= _QUOTED_BYTES:
            # Without an offender it is this host that found no neighbour.
            handler(error, local, remote, header, mtu, offender or local)

    @staticmethod
    def _parse(family: Family, packet: memoryview, index: int) -> tuple[int, int, int, memoryview] | None:
        """(source, destination, protocol, transport header) of a quoted packet, None if it is damaged."""
        if family is IPV4:
            header_bytes = (packet[0] & 0xF) * 4 if len(packet) else 0
            if not 20 <= header_bytes <= len(packet) - _QUOTED_BYTES:
                return None
            source, destination = int.from_bytes(packet[12:16], "big"), int.from_bytes(packet[16:20], "big")
            return MAPPED | source, MAPPED | destination, packet[9], packet[header_bytes:]
        if len(packet) < 40:
            return None
        found = upper_layer(packet)
        if found is None:
            return None
        source, destination = int.from_bytes(packet[8:24], "big"), int.from_bytes(packet[24:40], "big")
        return embed_scope(source, index), embed_scope(destination, index), found[0], packet[found[1] :]

    def host_unreachable(self, skb: SkBuff) -> None:
        """A packet (IP header first in ``head``) found no neighbour: tell its sender, a local one directly."""
        packet = memoryview(skb.frame())
        family = IPV4 if packet[0] >> 4 == 4 else IPV6
        if skb.interface is None:
            self._error(family, IcmpError.HOST_UNREACHABLE, packet, 0, skb.interface)
        else:
            self.send_error(IcmpError.HOST_UNREACHABLE, skb, packet)

    def send_error(self, error: IcmpError, skb: SkBuff, packet: "memoryview | None" = None, value: int = 0) -> None:
        """Answer a received packet that cannot be delivered. ``packet`` is it from its IP header on (else it is put
        together from ``skb``), ``value`` the MTU, or the position of what is wrong.

        Never to an error, to what was meant for many, nor to a fragment other than the first (RFC 1122 section 3.2.2,
        RFC 4443 section 2.4 e)."""
        ip = self.ip
        if packet is None:
            packet = memoryview(b"".join((skb.network_header, skb.data)))
        family = IPV4 if packet[0] >> 4 == 4 else IPV6
        index = skb.interface.index if skb.interface is not None else 0
        if family is IPV4:
            source = MAPPED | int.from_bytes(packet[12:16], "big")
            destination = MAPPED | int.from_bytes(packet[16:20], "big")
            header_bytes = (packet[0] & 0xF) * 4
            later = (packet[6] << 8 | packet[7]) & 0x1FFF != 0
            answer = packet[9] == IPPROTO_ICMP and len(packet) > header_bytes and packet[header_bytes] in _IPV4_ERRORS
            kind, code = IPV4_CODES[error]
            if error is IcmpError.PARAMETER_PROBLEM:
                value <<= 24
        else:
            source = embed_scope(int.from_bytes(packet[8:24], "big"), index)
            destination = embed_scope(int.from_bytes(packet[24:40], "big"), index)
            found = upper_layer(packet)
            later = found is None or found[0] == IPPROTO_FRAGMENT
            answer = (
                found is not None
                and found[0] == IPPROTO_ICMPV6
                and (found[1] >= len(packet) or packet[found[1]] < _INFORMATIONAL or packet[found[1]] == REDIRECT)
            )
            kind, code = IPV6_CODES[error]
        to_group = ip.is_group(destination) or bool(len(skb.mac_header) and skb.mac_header[0] & 1)
        allowed_to_group = family is IPV6 and error in (IcmpError.PACKET_TOO_BIG, IcmpError.UNKNOWN_OPTION)
        if answer or (to_group and not allowed_to_group) or ip.is_group(source) or source == family.any:
            return
        if later and error not in (IcmpError.PARAMETER_PROBLEM, IcmpError.REASSEMBLY_TIMEOUT, IcmpError.UNKNOWN_OPTION):
            return
        prefix = "Icmp" if family is IPV4 else "Icmp6"
        if not self._limit.allows(source, ip.cpu.now):
            ip.counters.mib[f"{prefix}.OutRateLimitHost"] += 1
            return
        path = ip.path(source, family.icmp, destination if destination in ip.addresses else 0)
        if path is None:
            return
        room = _LONGEST[family.version] - family.header_bytes - _ERROR.size
        self._send(path, _ERROR.pack(kind, code, 0, value) + packet[:room])

    def send_echo(self, destination: int, identifier: int, sequence: int, data: bytes) -> bool:
        """Send an echo request; False if there is no route."""
        family = family_of(destination)
        path = self.ip.path(destination, family.icmp)
        if path is None:
            return False
        self._send(path, _HEADER.pack(_ECHO[family.version], 0, 0, identifier, sequence) + data)
        return True

    def send_discovery(self, interface: "Interface", kind: int, source: int, destination: int, body: bytes) -> None:
        """Send a message of neighbour discovery (RFC 4861 section 4)."""
        path = self.ip.path(
            destination,
            IPPROTO_ICMPV6,
            source,
            interface=interface,
            hop_limit=_DISCOVERY_HOP_LIMIT,
            loop=False,
            choose=False,
        )
        if path is None:
            return
        self._send(path, bytes((kind, 0, 0, 0)) + body)

    def _send(self, path: "Path", message: bytes) -> None:
        path.send_datagram(SkBuff(self.complete(path, message)))

    def complete(self, path: "Path", message: bytes) -> bytes:
        """A message that is about to be sent, with its checksum."""
        family = path.family
        self._count(family, "Out", message[0])
        self.ip.cpu.charge(Cause.CHECKSUM, size=len(message))
        value = checksum(message, self._pseudo(family, path.source, path.destination, len(message)))
        return store(message, 2, value)

    def reassembly_expired(self, family: Family, header: bytes, data: bytes) -> None:
        """Of a datagram the first fragment came, but not all in time."""
        packet = memoryview(header + data)
        self.send_error(IcmpError.REASSEMBLY_TIMEOUT, SkBuff(b""), packet)


def _plateau(length: int) -> int:
    """RFC 1191 section 7.1."""
    for mtu in (32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296):
        if mtu < length:
            return mtu
    return 68
