"""Options at the levels IPPROTO_IP and IPPROTO_IPV6 (ip(7), ipv6(7)), and those of SOL_SOCKET that concern the way of
packets."""

import errno
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stack.address import INADDR_ANY, MAPPED, embed_scope, is_ipv4, is_multicast
from stack.ip.interface import Interface
from stack.socket.base import error
from stack.socket.constants import (
    AF_INET6,
    IP_MTU_DISCOVER,
    IP_MULTICAST_LOOP,
    IP_MULTICAST_TTL,
    IP_PKTINFO,
    IP_PMTUDISC_PROBE,
    IP_PMTUDISC_WANT,
    IP_RECVTOS,
    IP_RECVTTL,
    IP_TOS,
    IP_TTL,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_MTU_DISCOVER,
    IPV6_MULTICAST_HOPS,
    IPV6_MULTICAST_LOOP,
    IPV6_RECVHOPLIMIT,
    IPV6_RECVPKTINFO,
    IPV6_RECVTCLASS,
    IPV6_TCLASS,
    IPV6_UNICAST_HOPS,
    IPV6_V6ONLY,
    SO_BINDTODEVICE,
    SO_BINDTOIFINDEX,
    SO_BROADCAST,
    SO_MARK,
    SO_REUSEADDR,
    SO_REUSEPORT,
    SO_TIMESTAMPNS,
    SOL_SOCKET,
)

if TYPE_CHECKING:
    from stack.host import NetworkStack

__all__ = ["IpOptions", "membership", "multicast_interface"]

_IPV4_REQUEST = struct.Struct("4s4s")
_IPV4_REQUEST_INDEX = struct.Struct("4s4si")
_IPV6_REQUEST = struct.Struct("16sI")

# (attribute, least, greatest); -1 stands for the host's default.
_INTEGERS = {
    (IPPROTO_IP, IP_TTL): ("hop_limit", -1, 255),
    (IPPROTO_IPV6, IPV6_UNICAST_HOPS): ("hop_limit", -1, 255),
    (IPPROTO_IP, IP_MULTICAST_TTL): ("multicast_hop_limit", -1, 255),
    (IPPROTO_IPV6, IPV6_MULTICAST_HOPS): ("multicast_hop_limit", -1, 255),
    (IPPROTO_IP, IP_TOS): ("dsfield", 0, 255),
    (IPPROTO_IPV6, IPV6_TCLASS): ("dsfield", 0, 255),
    (IPPROTO_IP, IP_MTU_DISCOVER): ("mtu_discover", 0, IP_PMTUDISC_PROBE),
    (IPPROTO_IPV6, IPV6_MTU_DISCOVER): ("mtu_discover", 0, IP_PMTUDISC_PROBE),
    (SOL_SOCKET, SO_MARK): ("mark", 0, 0xFFFFFFFF),
}
_SWITCHES = {
    (SOL_SOCKET, SO_REUSEADDR): "reuse",
    (SOL_SOCKET, SO_REUSEPORT): "reuse_port",
    (SOL_SOCKET, SO_BROADCAST): "broadcast",
    (SOL_SOCKET, SO_TIMESTAMPNS): "timestamp",
    (IPPROTO_IP, IP_PKTINFO): "packet_info",
    (IPPROTO_IPV6, IPV6_RECVPKTINFO): "packet_info",
    (IPPROTO_IP, IP_RECVTTL): "receive_hop_limit",
    (IPPROTO_IPV6, IPV6_RECVHOPLIMIT): "receive_hop_limit",
    (IPPROTO_IP, IP_RECVTOS): "receive_dsfield",
    (IPPROTO_IPV6, IPV6_RECVTCLASS): "receive_dsfield",
    (IPPROTO_IP, IP_MULTICAST_LOOP): "multicast_loop",
    (IPPROTO_IPV6, IPV6_MULTICAST_LOOP): "multicast_loop",
    (IPPROTO_IPV6, IPV6_V6ONLY): "v6only",
}


@dataclass(slots=True)
class IpOptions:
    """One socket's. Hop limits are -1 for the default."""

    hop_limit: int = -1
    multicast_hop_limit: int = -1
    dsfield: int = 0
    mtu_discover: int = IP_PMTUDISC_WANT
    reuse: bool = False
    reuse_port: bool = False
    broadcast: bool = False
    timestamp: bool = False
    packet_info: bool = False
    receive_hop_limit: bool = False
    receive_dsfield: bool = False
    multicast_loop: bool = True
    v6only: bool = False
    bound: Interface | None = None
    """SO_BINDTODEVICE."""
    mark: int = 0
    """SO_MARK: for rules of policy routing, filters and classes, of which this host has none."""

    def set(self, stack: "NetworkStack", family: int, level: int, option: int, value: object) -> bool:
        """Set an option; False if it is not one of these. Raises EINVAL, ENODEV, ENOPROTOOPT."""
        name = (level, option)
        if level == IPPROTO_IPV6 and family != AF_INET6:
            raise error(errno.ENOPROTOOPT)
        if name in ((SOL_SOCKET, SO_BINDTODEVICE), (SOL_SOCKET, SO_BINDTOIFINDEX)):
            self.bound = _device(stack, value)
            return True
        if name not in _SWITCHES and name not in _INTEGERS:
            return False
        if not isinstance(value, int):
            raise error(errno.EINVAL)
        if name in _SWITCHES:
            setattr(self, _SWITCHES[name], bool(value))
            return True
        field, least, greatest = _INTEGERS[name]
        if not least <= value <= greatest or (field == "hop_limit" and value == 0):
            raise error(errno.EINVAL)
        setattr(self, field, value)
        return True

    def get(self, stack: "NetworkStack", level: int, option: int) -> int | bytes | None:
        """The value of an option, None if it is not one of these."""
        name = (level, option)
        if name == (SOL_SOCKET, SO_BINDTODEVICE):
            return b"" if self.bound is None else self.bound.name.encode() + b"\0"
        if name == (SOL_SOCKET, SO_BINDTOIFINDEX):
            return 0 if self.bound is None else self.bound.index
        if name in _SWITCHES:
            return int(getattr(self, _SWITCHES[name]))
        if name not in _INTEGERS:
            return None
        field = _INTEGERS[name][0]
        value = int(getattr(self, field))
        if value >= 0:
            return value
        return 1 if field == "multicast_hop_limit" else stack.ip.parameters.hop_limit

    def hop_limit_for(self, destination: int) -> int | None:
        """What packets to a destination carry, None for the default."""
        value = self.multicast_hop_limit if is_multicast(destination) else self.hop_limit
        return None if value < 0 else value


def _device(stack: "NetworkStack", value: object) -> Interface | None:
    """The interface that a name or index stands for; b"" and 0 for none."""
    if isinstance(value, int):
        if not value:
            return None
        found = stack.ip.interfaces.get(value)
    elif isinstance(value, bytes | str):
        name = value.rstrip(b"\0").decode(errors="replace") if isinstance(value, bytes) else value
        if not name:
            return None
        found = next((one for one in stack.ip.interfaces.values() if one.name == name), None)
    else:
        raise error(errno.EINVAL)
    if found is None:
        raise error(errno.ENODEV)
    return found


def multicast_interface(stack: "NetworkStack", value: object) -> Interface | None:
    """The interface of IP_MULTICAST_IF or IPV6_MULTICAST_IF: an index, an address, or a ``struct ip_mreqn``."""
    if isinstance(value, int):
        return _device(stack, value)
    if isinstance(value, bytes) and len(value) == _IPV4_REQUEST_INDEX.size:
        _, address, index = _IPV4_REQUEST_INDEX.unpack(value)
        return _device(stack, index) if index else _by_address(stack, address)
    if isinstance(value, bytes) and len(value) == 4:
        return _by_address(stack, value)
    raise error(errno.EINVAL)


def _by_address(stack: "NetworkStack", packed: bytes) -> Interface | None:
    address = MAPPED | int.from_bytes(packed, "big")
    if address == INADDR_ANY:
        return None
    known = stack.ip.addresses.get(address)
    if known is None:
        raise error(errno.EADDRNOTAVAIL)
    return known.interface


def membership(stack: "NetworkStack", level: int, value: object) -> tuple[int, Interface]:
    """(group, interface) of a ``struct ip_mreq``, ``ip_mreqn`` or ``ipv6_mreq``."""
    if not isinstance(value, bytes):
        raise error(errno.EINVAL)
    if level == IPPROTO_IPV6 and len(value) == _IPV6_REQUEST.size:
        packed, index = _IPV6_REQUEST.unpack(value)
        group = int.from_bytes(packed, "big")
        interface = _device(stack, index)
    elif level == IPPROTO_IP and len(value) in (_IPV4_REQUEST.size, _IPV4_REQUEST_INDEX.size):
        group = MAPPED | int.from_bytes(value[:4], "big")
        interface = multicast_interface(stack, value if len(value) > 8 else value[4:8])
    else:
        raise error(errno.EINVAL)
    if interface is None:
        interface = next((one for one in stack.ip.interfaces.values() if one is not stack.ip.loopback), None)
    if interface is None:
        raise error(errno.ENODEV)
    if not is_multicast(group) or is_ipv4(group) is not (level == IPPROTO_IP):
        raise error(errno.EINVAL)
    return embed_scope(group, interface.index), interface
