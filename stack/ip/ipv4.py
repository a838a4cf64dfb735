"""IPv4 input (RFC 791, RFC 1122 section 3.2.1), with the checks in the order of Linux's ip_rcv."""

import struct
from typing import TYPE_CHECKING, Final

from stack.address import MAPPED
from stack.checksum import is_valid
from stack.counters import DropReason
from stack.ip.errors import IcmpError
from stack.ip.family import IPV4
from stack.ip.ipv4_options import check_options
from stack.skbuff import IpSummed, SkBuff

if TYPE_CHECKING:
    from stack.ip.interface import Interface
    from stack.ip.ip import Ip

__all__ = ["Ipv4"]

_HEADER: Final = struct.Struct("!BBHHHBBHII")
_HEADER_BYTES: Final = 20
_MORE_FRAGMENTS: Final = 0x2000
_OFFSET: Final = 0x1FFF
_FRAGMENT: Final = _MORE_FRAGMENTS | _OFFSET


class Ipv4:
    """One host's."""

    def __init__(self, ip: "Ip") -> None:
        self._ip = ip

    def input(self, skb: SkBuff, interface: "Interface", *, looped: bool = False) -> None:
        """One packet, its IP header first in ``data``; ``looped`` if this host has sent it to a group."""
        ip = self._ip
        counters = ip.counters
        mib = counters.mib
        mib["Ip.InReceives"] += 1
        data = skb.data
        if len(data) < _HEADER_BYTES:
            mib["Ip.InHdrErrors"] += 1
            counters.drop(DropReason.PKT_TOO_SMALL)
            return
        version, dsfield, length, identification, fragment, _, protocol, _, source, destination = _HEADER.unpack_from(
            data
        )
        header_bytes = (version & 0xF) * 4
        if version >> 4 != 4 or header_bytes < _HEADER_BYTES or len(data) < header_bytes:
            mib["Ip.InHdrErrors"] += 1
            counters.drop(DropReason.IP_INHDR)
            return
        header = skb.pull(header_bytes)
        if not is_valid(header):
            mib["Ip.InHdrErrors"] += 1
            counters.drop(DropReason.IP_CSUM)
            return
        if length < header_bytes:
            mib["Ip.InHdrErrors"] += 1
            counters.drop(DropReason.IP_INHDR)
            return
        if length > len(data):
            mib["Ip.InTruncatedPkts"] += 1
            counters.drop(DropReason.PKT_TOO_SMALL)
            return
        # What is left behind the packet is padding to Ethernet's minimum.
        skb.data = skb.data[: length - header_bytes]
        skb.network_header = header
        skb.dsfield = dsfield
        skb.interface = interface
        source |= MAPPED
        destination |= MAPPED
        if header_bytes > _HEADER_BYTES and not self._options(skb):
            return
        if not ip.accept(skb, source, destination, IPV4, looped=looped):
            return
        if fragment & _FRAGMENT:
            reassembled = self._reassemble(skb, source, destination, protocol, identification, fragment)
            if not reassembled:
                return
        handler = ip.handlers.get(protocol)
        if handler is None or ip.raw:
            ip.deliver(skb, source, destination, protocol, "Ip.InDelivers")
            return
        mib["Ip.InDelivers"] += 1
        handler(skb, source, destination)

    def _options(self, skb: SkBuff) -> bool:
        """False if the packet goes no further: for a malformed option, or a source route (RFC 7126 section 4.3)."""
        wrong, source_route = check_options(skb.network_header)
        if wrong is None and not source_route:
            return True
        self._ip.counters.mib["Ip.InHdrErrors"] += 1
        self._ip.counters.drop(DropReason.IP_INHDR)
        if wrong is not None:
            self._ip.icmp.send_error(IcmpError.PARAMETER_PROBLEM, skb, value=wrong)
        return False

    def _reassemble(
        self, skb: SkBuff, source: int, destination: int, protocol: int, identification: int, fragment: int
    ) -> bool:
        """True if ``skb`` is a whole datagram now."""
        more = fragment & _MORE_FRAGMENTS != 0
        if more and (len(skb.data) % 8 or not skb.data):
            # Only the last may have such a length (RFC 791 section 3.2).
            self._ip.counters.mib["Ip.ReasmReqds"] += 1
            self._ip.counters.mib["Ip.ReasmFails"] += 1
            self._ip.counters.drop(DropReason.IP_INHDR)
            return False
        key = (source, destination, identification, protocol)
        offset = (fragment & _OFFSET) * 8
        whole = self._ip.reassembly.add(IPV4, key, offset, more, skb.network_header, skb.data, skb.dsfield)
        if whole is None:
            return False
        header, data, codepoint = whole
        if len(header) + len(data) > 0xFFFF:
            self._ip.counters.mib["Ip.ReasmFails"] += 1
            self._ip.counters.drop(DropReason.PKT_TOO_BIG)
            return False
        skb.network_header, skb.data = header, data
        skb.dsfield = skb.dsfield & ~3 | codepoint
        # The device has seen pieces only.
        skb.ip_summed = IpSummed.NONE
        return True
