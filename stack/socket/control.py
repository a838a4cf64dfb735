"""Control messages of ``sendmsg`` and ``recvmsg`` (cmsg(3), ip(7), ipv6(7), RFC 3542): what a datagram's packet was
like, or is to be like. Values are packed as Linux packs them on a little-endian machine."""

import errno
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stack.address import MAPPED, embed_scope, is_ipv4, strip_scope
from stack.ip.interface import Interface
from stack.socket.base import error
from stack.socket.constants import (
    IP_PKTINFO,
    IP_TOS,
    IP_TTL,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_HOPLIMIT,
    IPV6_PKTINFO,
    IPV6_TCLASS,
    MSG_CTRUNC,
    SO_TIMESTAMPNS,
    SOL_SOCKET,
)
from stack.socket.ip_options import IpOptions
from stack.udp import Datagram

if TYPE_CHECKING:
    from stack.host import NetworkStack

__all__ = ["ControlMessage", "Outgoing", "describe", "fitting", "parse_control"]

ControlMessage = tuple[int, int, bytes]
"""(level, type, data), as in Python's ``socket``."""

_HEADER_BYTES = 16
_ALIGNMENT = 8
_IPV4_INFO = struct.Struct("<i4s4s")
"""Interface, local address of the packet, destination in its header (``struct in_pktinfo``)."""
_IPV6_INFO = struct.Struct("<16sI")
_INTEGER = struct.Struct("<i")
_TIMESPEC = struct.Struct("<qq")


@dataclass(slots=True)
class Outgoing:
    """What control messages ask of a packet; None for what they do not mention."""

    source: int = 0
    interface: Interface | None = None
    hop_limit: int | None = None
    dsfield: int | None = None


def _integer(data: bytes, least: int, greatest: int) -> int:
    if len(data) == 1:
        value = data[0]
    elif len(data) == _INTEGER.size:
        value = _INTEGER.unpack(data)[0]
    else:
        raise error(errno.EINVAL)
    if not least <= value <= greatest:
        raise error(errno.EINVAL)
    return value


def parse_control(stack: "NetworkStack", messages: Iterable[ControlMessage]) -> Outgoing:
    """Raises EINVAL for a message that is malformed or not known, ENODEV for an interface that is not there."""
    outgoing = Outgoing()
    for level, kind, data in messages:
        index = 0
        if (level, kind) == (IPPROTO_IP, IP_PKTINFO) and len(data) == _IPV4_INFO.size:
            index, local, _ = _IPV4_INFO.unpack(data)
            number = int.from_bytes(local, "big")
            outgoing.source = MAPPED | number if number else 0
        elif (level, kind) == (IPPROTO_IPV6, IPV6_PKTINFO) and len(data) == _IPV6_INFO.size:
            packed, index = _IPV6_INFO.unpack(data)
            outgoing.source = embed_scope(int.from_bytes(packed, "big"), index)
        elif (level, kind) in ((IPPROTO_IP, IP_TTL), (IPPROTO_IPV6, IPV6_HOPLIMIT)):
            outgoing.hop_limit = _integer(data, 1 if level == IPPROTO_IP else 0, 255)
        elif (level, kind) in ((IPPROTO_IP, IP_TOS), (IPPROTO_IPV6, IPV6_TCLASS)):
            outgoing.dsfield = _integer(data, 0, 255)
        else:
            raise error(errno.EINVAL)
        if index:
            if index not in stack.ip.interfaces:
                raise error(errno.ENODEV)
            outgoing.interface = stack.ip.interfaces[index]
        if outgoing.source and not stack.ip.is_local(outgoing.source):
            raise error(errno.EINVAL)
    return outgoing


def describe(options: IpOptions, datagram: Datagram, room: int) -> tuple[list[ControlMessage], int]:
    """The control messages that a socket has asked for, as many as fit ``room`` bytes, and MSG_CTRUNC if not all."""
    ipv4 = is_ipv4(datagram.destination)
    level = IPPROTO_IP if ipv4 else IPPROTO_IPV6
    wanted: list[ControlMessage] = []
    if options.timestamp:
        wanted.append((SOL_SOCKET, SO_TIMESTAMPNS, _TIMESPEC.pack(*divmod(datagram.time, 1_000_000_000))))
    if options.packet_info:
        address = strip_scope(datagram.destination)
        if ipv4:
            packed = (address & 0xFFFFFFFF).to_bytes(4, "big")
            wanted.append((level, IP_PKTINFO, _IPV4_INFO.pack(datagram.interface, packed, packed)))
        else:
            wanted.append((level, IPV6_PKTINFO, _IPV6_INFO.pack(address.to_bytes(16, "big"), datagram.interface)))
    if options.receive_hop_limit:
        wanted.append((level, IP_TTL if ipv4 else IPV6_HOPLIMIT, _INTEGER.pack(datagram.hop_limit)))
    if options.receive_dsfield:
        # Linux gives one byte for IPv4, four for IPv6.
        data = bytes((datagram.dsfield,)) if ipv4 else _INTEGER.pack(datagram.dsfield)
        wanted.append((level, IP_TOS if ipv4 else IPV6_TCLASS, data))
    return fitting(wanted, room)


def fitting(wanted: list[ControlMessage], room: int) -> tuple[list[ControlMessage], int]:
    """Of control messages as many as fit ``room`` bytes, and MSG_CTRUNC if not all."""
    given: list[ControlMessage] = []
    for message in wanted:
        room -= _HEADER_BYTES + -(-len(message[2]) // _ALIGNMENT) * _ALIGNMENT
        if room < 0:
            return given, MSG_CTRUNC
        given.append(message)
    return given, 0
