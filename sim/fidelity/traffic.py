"""Frames that tell who they are: a number in their payload."""

import struct
from typing import Final

from stack.checksum import checksum as internet_checksum
from stack.checksum import fold
from stack.skbuff import GsoType, IpSummed, SkBuff

__all__ = ["STATION", "number_of", "plain", "segmented", "udp"]

STATION: Final = bytes.fromhex("020000000001")
_PEER: Final = bytes.fromhex("020000000002")
_ETHERNET: Final = 14
_FCS: Final = 4
_EXPERIMENTAL: Final = b"\x88\xb5"
_TO_STATION: Final = STATION + _PEER + _EXPERIMENTAL
_FROM_STATION: Final = _PEER + STATION + _EXPERIMENTAL
_IPV4: Final = struct.Struct(">BBHHHBBH4s4s")
_NUMBER: Final = struct.Struct(">I")
_HERE: Final = bytes((192, 0, 2, 1))
_THERE: Final = bytes((192, 0, 2, 2))
_UDP: Final = 17
_TCP: Final = 6
_UDP_AT: Final = _ETHERNET + 20
_TCP_HEADER: Final = 20


def plain(number: int, size: int, *, to_station: bool) -> bytes:
    """A frame of ``size`` bytes with FCS, without it here, of no protocol."""
    header = _TO_STATION if to_station else _FROM_STATION
    return (header + _NUMBER.pack(number)).ljust(size - _FCS, b"\xa5")


def udp(number: int, size: int, *, to_station: bool, checksum: bool) -> bytes:
    """The same as UDP over IPv4; with ``checksum`` that of UDP is there, else only the pseudo-header's sum."""
    length = size - _FCS - _ETHERNET
    source, destination = (_THERE, _HERE) if to_station else (_HERE, _THERE)
    payload = _NUMBER.pack(number).ljust(length - 28, b"\xa5")
    pseudo = source + destination + struct.pack(">HH", _UDP, len(payload) + 8)
    header = struct.pack(">HHHH", 1000, 2000, len(payload) + 8, 0)
    total = internet_checksum(pseudo + header + payload) if checksum else fold(internet_checksum(pseudo) ^ 0xFFFF)
    return (
        _header(b"\x08\x00", to_station=to_station)
        + _ip(_UDP, length, source, destination)
        + header[:6]
        + total.to_bytes(2, "big")
        + payload
    )


def segmented(number: int, size: int, segments: int) -> SkBuff:
    """A packet for TSO that becomes ``segments`` frames of ``size`` bytes with FCS."""
    header = _UDP_AT + _TCP_HEADER
    mss = size - _FCS - header
    payload = b"".join(_NUMBER.pack(number + index).ljust(mss, b"\xa5") for index in range(segments))
    tcp = struct.pack(">HHIIBBHHH", 1000, 2000, number, 0, 0x50, 0x10, 0xFFFF, 0, 0)
    frame = (
        _header(b"\x08\x00", to_station=False) + _ip(_TCP, 20 + len(tcp) + len(payload), _HERE, _THERE) + tcp + payload
    )
    return SkBuff(
        frame,
        ip_summed=IpSummed.PARTIAL,
        csum_start=_UDP_AT,
        csum_offset=16,
        gso_size=mss,
        gso_segs=segments,
        gso_type=GsoType.TCPV4,
    )


def number_of(frame: bytes) -> int:
    """The number of a frame, with or without FCS."""
    place = _ETHERNET
    if frame[12:14] != _EXPERIMENTAL:
        place = _UDP_AT + (_TCP_HEADER if frame[23] == _TCP else 8)
    return frame[place] << 24 | frame[place + 1] << 16 | frame[place + 2] << 8 | frame[place + 3]


def _header(kind: bytes, *, to_station: bool) -> bytes:
    return (STATION + _PEER if to_station else _PEER + STATION) + kind


def _ip(protocol: int, length: int, source: bytes, destination: bytes) -> bytes:
    header = _IPV4.pack(0x45, 0, length, 0, 0, 64, protocol, 0, source, destination)
    return header[:10] + internet_checksum(header).to_bytes(2, "big") + header[12:]
