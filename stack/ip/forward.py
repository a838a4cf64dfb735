"""Packets that are for others (RFC 1812 section 5.2, RFC 8200 section 3; Linux's ip_forward)."""

import struct
from typing import TYPE_CHECKING, Final

from stack.address import is_link_local
from stack.checksum import pseudo_header
from stack.counters import DropReason
from stack.environment import Cause
from stack.ethernet import ETH_HLEN
from stack.ip.errors import IcmpError
from stack.ip.family import IPV4, Family
from stack.ip.fragment import ipv4_fragments
from stack.ip.next_hop import Action, NextHop
from stack.skbuff import GsoType, IpSummed, SkBuff

if TYPE_CHECKING:
    from stack.ip.ip import Ip

__all__ = ["forward"]

_FIELD: Final = struct.Struct("!H")
_DONT_FRAGMENT: Final = 0x4000
_TCP_CHECKSUM: Final = 16
_FORWARDED: Final = (Action.UNICAST, Action.HOLD, Action.RESOLVE)


def forward(ip: "Ip", skb: SkBuff, hop: NextHop, source: int, destination: int, family: Family) -> None:
    """Send a received packet (its IP header pulled) on its way."""
    counters = ip.counters
    if len(skb.mac_header) and skb.mac_header[0] & 1:
        # RFC 1812 section 5.3.4: what came to all is not for one far away.
        counters.drop(DropReason.UNICAST_IN_L2_MULTICAST)
        return
    if not source & ~family.any or is_link_local(source) or is_link_local(destination):
        family.count(counters, "InAddrErrors")
        counters.drop(DropReason.IP_INADDRERRORS)
        return
    if hop.action not in _FORWARDED:
        family.count(counters, "InNoRoutes")
        counters.drop(DropReason.IP_OUTNOROUTES)
        if hop.action is Action.UNREACHABLE:
            ip.icmp.send_error(IcmpError.NET_UNREACHABLE, skb)
        return
    header = bytearray(skb.network_header)
    limit_at = 8 if family is IPV4 else 7
    if header[limit_at] <= 1:
        family.count(counters, "InHdrErrors")
        counters.drop(DropReason.IP_INHDR)
        ip.icmp.send_error(IcmpError.HOP_LIMIT_EXCEEDED, skb)
        return
    chosen = hop.resolve(destination)
    if chosen is None or chosen.interface is None:
        return
    mtu = chosen.interface.mtu(family.version)
    too_big = len(header) + (skb.gso_size + _tcp_header(skb) if skb.gso_size else len(skb.data)) > mtu
    if too_big and (family is not IPV4 or _FIELD.unpack_from(header, 6)[0] & _DONT_FRAGMENT or skb.gso_size):
        family.count(counters, "InTooBigErrors" if family is not IPV4 else "FragFails")
        counters.drop(DropReason.PKT_TOO_BIG)
        ip.icmp.send_error(IcmpError.PACKET_TOO_BIG, skb, value=mtu)
        return
    header[limit_at] -= 1
    if family is IPV4:
        # RFC 1624: one less in the high byte of a word is 0x100 more in the sum's complement.
        field = _FIELD.unpack_from(header, 10)[0] + 0x100
        _FIELD.pack_into(header, 10, (field & 0xFFFF) + (field >> 16))
    ip.cpu.charge(Cause.PROTOCOL_TX)
    family.count(counters, "OutForwDatagrams")
    out = SkBuff(skb.data, head=bytes(header), protocol=family.ethertype, interface=skb.interface)
    out.mac_header = skb.mac_header
    if too_big:
        ip.output_fragments(chosen, ipv4_fragments(bytes(header), skb.data, mtu), out, family)
        return
    if skb.gso_size:
        _cut_again(out, skb, source, destination, family)
    if not chosen.output(out):
        family.count(counters, "OutDiscards")


def _tcp_header(skb: SkBuff) -> int:
    return (skb.data[12] >> 4) * 4


def _cut_again(out: SkBuff, skb: SkBuff, source: int, destination: int, family: Family) -> None:
    """What receive offload has put together leaves as the same segments (Linux's tcp_gro_complete): the pseudo-header's
    sum in the checksum field says so."""
    header_bytes = len(skb.network_header)
    tcp = bytearray(skb.data[: _tcp_header(skb)])
    pseudo = pseudo_header(source, destination, 6, len(skb.data))
    _FIELD.pack_into(tcp, _TCP_CHECKSUM, pseudo)
    out.head += bytes(tcp)
    out.data = skb.data[len(tcp) :]
    out.gso_size, out.gso_segs = skb.gso_size, skb.gso_segs
    out.gso_type = GsoType.TCPV4 if family is IPV4 else GsoType.TCPV6
    out.ip_summed = IpSummed.PARTIAL
    out.csum_start = ETH_HLEN + header_bytes
    out.csum_offset = _TCP_CHECKSUM
