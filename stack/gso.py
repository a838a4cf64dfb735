"""Generic segmentation offload: a packet larger than the MTU is cut on its way into a device that cannot do so itself
(Linux's skb_gso_segment and tcp_gso_segment). The same bytes leave as with TSO, or without any offload."""

import struct
from typing import Final

from stack.checksum import fold
from stack.environment import Cause, Cpu
from stack.skbuff import GsoType, IpSummed, SkBuff

__all__ = ["segment"]

_IPV4_HEADER_BYTES: Final = 20
_IPV6_HEADER_BYTES: Final = 40
_FIELD: Final = struct.Struct("!H")
_SEQUENCE: Final = struct.Struct("!I")
_LENGTH_AND_ID: Final = struct.Struct("!HH")
_FIN_PSH: Final = 0x09
_CWR: Final = 0x80


def segment(skb: SkBuff, cpu: Cpu, *, checksum: bool) -> list[SkBuff]:
    """The packets to send for one with ``gso_size``, all headers in ``head``. With ``checksum`` TCP's is completed
    here, else that is left to the device. The original is consumed with the last of them."""
    head = bytearray(skb.head)
    data = skb.data
    size = skb.gso_size
    transport = skb.csum_start
    sequence_at = transport + 4
    flags_at = transport + 13
    sum_at = transport + skb.csum_offset
    tcp_bytes = len(head) - transport
    sequence = _SEQUENCE.unpack_from(head, sequence_at)[0]
    flags = head[flags_at]
    # The field holds the sum of the pseudo-header with the length of the whole.
    pseudo = _FIELD.unpack_from(head, sum_at)[0] + 0xFFFF - fold(tcp_bytes + len(data))
    identification = 0
    ipv4 = skb.gso_type is GsoType.TCPV4
    network_bytes = _IPV4_HEADER_BYTES if ipv4 else _IPV6_HEADER_BYTES
    network = transport - network_bytes
    base = 0
    if ipv4:
        identification = _FIELD.unpack_from(head, network + 4)[0]
        head[network + 2 : network + 6] = bytes(4)
        head[network + 10 : network + 12] = bytes(2)
        base = int.from_bytes(head[network:transport], "big")
    _FIELD.pack_into(head, sum_at, 0)
    _SEQUENCE.pack_into(head, sequence_at, 0)
    head[flags_at] = flags & ~(_FIN_PSH | _CWR)
    middle_sum = int.from_bytes(head[transport:], "big") % 0xFFFF
    total = len(data)
    packets: list[SkBuff] = []
    if checksum:
        cpu.charge(Cause.CHECKSUM, size=total + tcp_bytes * -(-total // size))
    for start in range(0, total, size):
        piece = data[start : start + size]
        own_flags = flags
        if start:
            own_flags &= ~_CWR
        if start + size < total:
            own_flags &= ~_FIN_PSH
        head[flags_at] = own_flags
        number = sequence + start & 0xFFFFFFFF
        _SEQUENCE.pack_into(head, sequence_at, number)
        length = tcp_bytes + len(piece)
        if ipv4:
            own_id = identification + len(packets) & 0xFFFF
            _LENGTH_AND_ID.pack_into(head, network + 2, network_bytes + length, own_id)
            _FIELD.pack_into(head, network + 10, 0xFFFF - fold(base + network_bytes + length + own_id))
        else:
            # IPv6's field counts what follows its fixed header (RFC 8200 section 3).
            _FIELD.pack_into(head, network + 4, length)
        packet = SkBuff(piece)
        if checksum:
            value = int.from_bytes(piece, "big")
            if len(piece) & 1:
                value <<= 8
            changed = own_flags ^ (flags & ~(_FIN_PSH | _CWR))
            value += pseudo + length + middle_sum + changed + (number >> 16) + (number & 0xFFFF)
            _FIELD.pack_into(head, sum_at, 0xFFFF - fold(value))
        else:
            _FIELD.pack_into(head, sum_at, fold(pseudo + length))
            packet.ip_summed = IpSummed.PARTIAL
            packet.csum_start = transport
            packet.csum_offset = skb.csum_offset
        packet.head = bytes(head)
        packet.protocol = skb.protocol
        packets.append(packet)
    packets[-1].tstamp_tx = skb.tstamp_tx
    packets[-1].destructor = lambda last: skb.consume()
    return packets
