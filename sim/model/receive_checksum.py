"""Checksums of received frames, as ``hw.receive.checksum`` makes them, for the kinds of frames that there are most of.

The golden function says everything of every frame; here are frames of Ethernet II without a tag, for which it takes
long in comparison with all else that the model does.
"""

from typing import Final

from hw.mac.fcs import FCS_BYTES
from hw.receive.checksum import ChecksumResult, receive_checksum
from stack.checksum import checksum, is_valid

__all__ = ["checksums"]

# With a type, since mypyc calls slower operators on what it knows none of.
_FCS: Final[int] = FCS_BYTES
_ETHERNET: Final = 14
_SHORTEST_TYPE: Final = 0x0600
_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD
_IPV4_HEADER: Final = 20
_IPV6_HEADER: Final = 40
_TCP: Final = 6
_UDP: Final = 17
_TCP_HEADER: Final = 20
_UDP_HEADER: Final = 8
_FRAGMENT: Final = 0x3FFF
"""More fragments, or an offset."""
_LENGTH: Final = 4
_CHECKSUM: Final = 6
"""Offsets of fields of UDP's header."""


def checksums(
    frame: bytes, *, pcss: int, ip_offload: bool, tcp_offload: bool, strip_crc: bool, strip_tag: bool, vet: int
) -> tuple[int, bool, bool, bool, bool]:
    """The packet checksum of a frame with FCS, and IPCS, IPE, TCPCS and TCPE; see ``receive_checksum``."""
    end = len(frame) - _FCS
    kind = frame[12] << 8 | frame[13] if end >= _ETHERNET else 0
    if kind < _SHORTEST_TYPE or kind == vet:
        result: ChecksumResult = receive_checksum(
            frame,
            pcss=pcss,
            ip_offload=ip_offload,
            tcp_offload=tcp_offload,
            strip_crc=strip_crc,
            strip_tag=strip_tag,
            vet=vet,
        )
        return result.checksum, result.ipcs, result.ipe, result.tcpcs, result.tcpe
    whole = checksum(frame[pcss:end] if strip_crc else frame[pcss:]) ^ 0xFFFF
    if kind == _IPV4 and end >= _ETHERNET + _IPV4_HEADER and frame[14] >> 4 == 4:
        header, total, protocol = 4 * (frame[14] & 15), frame[16] << 8 | frame[17], frame[23]
        ipcs = ip_offload and _IPV4_HEADER <= header <= total <= end - _ETHERNET
        ipe = ipcs and not is_valid(frame[_ETHERNET : _ETHERNET + header])
        if (frame[20] << 8 | frame[21]) & _FRAGMENT or header < _IPV4_HEADER:
            return whole, ipcs, ipe, False, False
        addresses = frame[26:34]
    elif kind == _IPV6 and end >= _ETHERNET + _IPV6_HEADER and frame[14] >> 4 == 6:
        header, total, protocol = _IPV6_HEADER, _IPV6_HEADER + (frame[18] << 8 | frame[19]), frame[20]
        ipcs = ipe = False
        addresses = frame[22:54]
    else:
        return whole, False, False, False, False
    segment = frame[_ETHERNET + header : _ETHERNET + total]
    length = len(segment)
    if total > end - _ETHERNET or not tcp_offload:
        checked = False
    elif protocol == _TCP:
        checked = length >= _TCP_HEADER
    elif protocol == _UDP and length >= _UDP_HEADER:
        told = segment[_LENGTH] << 8 | segment[_LENGTH + 1]
        checked = told == length and (segment[_CHECKSUM] | segment[_CHECKSUM + 1]) != 0
    else:
        checked = False
    return whole, ipcs, ipe, checked, checked and not is_valid(addresses + segment, protocol + length)
