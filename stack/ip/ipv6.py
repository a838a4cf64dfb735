"""IPv6 input (RFC 8200)."""

import struct
from typing import TYPE_CHECKING, Final

from stack.address import IN6ADDR_LOOPBACK, embed_scope, is_link_local, is_multicast
from stack.counters import DropReason
from stack.ip.errors import IcmpError
from stack.ip.family import IPV6
from stack.ip.fragment import FRAGMENT_HEADER, IPPROTO_FRAGMENT
from stack.ip.ipv6_headers import (
    IPPROTO_DSTOPTS,
    IPPROTO_HOPOPTS,
    IPPROTO_NONE,
    IPPROTO_ROUTING,
    Problem,
    check_options,
    check_routing,
    header_length,
)
from stack.skbuff import IpSummed, SkBuff

if TYPE_CHECKING:
    from stack.ip.interface import Interface
    from stack.ip.ip import Ip

__all__ = ["Ipv6"]

_HEADER: Final = struct.Struct("!IHBB")
_HEADER_BYTES: Final = 40
_MOST_HEADERS: Final = 8


class Ipv6:
    """One host's."""

    def __init__(self, ip: "Ip") -> None:
        self._ip = ip

    def input(self, skb: SkBuff, interface: "Interface", *, looped: bool = False) -> None:
        """One packet, its IP header first in ``data``; ``looped`` if this host has sent it to a group."""
        ip = self._ip
        counters = ip.counters
        mib = counters.mib
        mib["Ip6.InReceives"] += 1
        packet = memoryview(skb.data)
        if len(packet) < _HEADER_BYTES:
            mib["Ip6.InHdrErrors"] += 1
            counters.drop(DropReason.PKT_TOO_SMALL)
            return
        word, length, protocol, _ = _HEADER.unpack_from(packet)
        if word >> 28 != 6:
            mib["Ip6.InHdrErrors"] += 1
            counters.drop(DropReason.IP_INHDR)
            return
        if _HEADER_BYTES + length > len(packet):
            mib["Ip6.InTruncatedPkts"] += 1
            counters.drop(DropReason.PKT_TOO_SMALL)
            return
        packet = packet[: _HEADER_BYTES + length]
        source = int.from_bytes(packet[8:24], "big")
        destination = int.from_bytes(packet[24:40], "big")
        skb.data = packet[_HEADER_BYTES:]
        skb.network_header = packet[:_HEADER_BYTES]
        skb.dsfield = word >> 20 & 0xFF
        skb.interface = interface
        if (
            source >> 32 == 0xFFFF
            or destination >> 32 == 0xFFFF
            or (
                # Mapped addresses are for programs, not for wires (RFC 4942 section 2.2); ::1 neither.
                interface is not ip.loopback and IN6ADDR_LOOPBACK in (source, destination)
            )
        ):
            mib["Ip6.InAddrErrors"] += 1
            counters.drop(DropReason.IP_INADDRERRORS)
            return
        if is_link_local(source):
            source = embed_scope(source, interface.index)
        if is_link_local(destination):
            destination = embed_scope(destination, interface.index)
        at = _HEADER_BYTES
        if protocol == IPPROTO_HOPOPTS:
            # The only header that every node on the way looks at.
            length_or_none = self._header(skb, packet, at, IPPROTO_HOPOPTS, destination)
            if length_or_none is None:
                return
            protocol, at = packet[at], at + length_or_none
        if not ip.accept(skb, source, destination, IPV6, looped=looped):
            return
        self._chain(skb, packet, source, destination, protocol, at)

    def _chain(self, skb: SkBuff, packet: memoryview, source: int, destination: int, protocol: int, at: int) -> None:
        """The headers for the destination, one after the other, up to the transport protocol."""
        ip = self._ip
        for _ in range(_MOST_HEADERS):
            if protocol in (IPPROTO_DSTOPTS, IPPROTO_ROUTING):
                length = self._header(skb, packet, at, protocol, destination)
                if length is None:
                    return
                protocol, at = packet[at], at + length
            elif protocol == IPPROTO_FRAGMENT:
                whole = self._reassemble(skb, packet, source, destination, at)
                if whole is None:
                    return
                packet, protocol = whole
            else:
                skb.network_header, skb.data = packet[:at], packet[at:]
                if protocol != IPPROTO_NONE:
                    ip.deliver(skb, source, destination, protocol, "Ip6.InDelivers")
                return
        ip.counters.mib["Ip6.InHdrErrors"] += 1
        ip.counters.drop(DropReason.IPV6_BAD_EXTHDR)

    def _header(self, skb: SkBuff, packet: memoryview, at: int, protocol: int, destination: int) -> int | None:
        """The length of one header, None if the packet goes no further."""
        length = header_length(packet, at)
        problem: Problem | None = Problem(0, "")
        if length is not None:
            header = packet[at : at + length]
            problem = check_routing(header) if protocol == IPPROTO_ROUTING else check_options(header)
        if problem is None:
            return length
        counters = self._ip.counters
        counters.mib["Ip6.InHdrErrors"] += 1
        counters.drop(DropReason.IPV6_BAD_EXTHDR)
        if problem.report and (problem.groups or not is_multicast(destination)):
            error = IcmpError.UNKNOWN_OPTION if problem.report == "option" else IcmpError.PARAMETER_PROBLEM
            self._ip.icmp.send_error(error, skb, packet, at + problem.offset)
        return None

    def _reassemble(
        self, skb: SkBuff, packet: memoryview, source: int, destination: int, at: int
    ) -> tuple[memoryview, int] | None:
        """(the packet without its fragment header at ``at``, the protocol behind it), None if more is to come. An
        atomic fragment is no fragment (RFC 6946)."""
        ip = self._ip
        if at + FRAGMENT_HEADER.size > len(packet):
            ip.counters.mib["Ip6.InHdrErrors"] += 1
            ip.counters.drop(DropReason.IPV6_BAD_EXTHDR)
            return None
        protocol, _, field, identification = FRAGMENT_HEADER.unpack_from(packet, at)
        offset, more = field & ~7, field & 1
        data = packet[at + FRAGMENT_HEADER.size :]
        header = packet[:at]
        if not offset and not more:
            return memoryview(b"".join((header, data))), protocol
        wrong = 4 if more and len(data) % 8 else at + 2 if offset + len(data) > 0xFFFF else 0
        if wrong:
            ip.counters.mib["Ip6.InHdrErrors"] += 1
            ip.counters.drop(DropReason.IPV6_BAD_EXTHDR)
            ip.icmp.send_error(IcmpError.PARAMETER_PROBLEM, skb, packet, wrong)
            return None
        key = (source, destination, identification)
        # What is kept of the header is what an error message would quote.
        kept = b"".join((header, packet[at : at + FRAGMENT_HEADER.size]))
        whole = ip.reassembly.add(IPV6, key, offset, bool(more), kept, data, skb.dsfield)
        if whole is None:
            return None
        first, body, codepoint = whole
        skb.dsfield = skb.dsfield & ~3 | codepoint
        skb.ip_summed = IpSummed.NONE
        restored = bytearray(first[: -FRAGMENT_HEADER.size])
        protocol = first[-FRAGMENT_HEADER.size]
        restored[4:6] = min(len(restored) - _HEADER_BYTES + len(body), 0xFFFF).to_bytes(2, "big")
        return memoryview(b"".join((restored, body))), protocol
