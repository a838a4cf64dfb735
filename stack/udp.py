"""UDP (RFC 768, RFC 1122 section 4.1)."""

import errno
import struct
from collections import deque
from collections.abc import Callable
from operator import itemgetter

from stack.checksum import checksum, fold, is_valid, pseudo_header, store
from stack.counters import Counters, DropReason
from stack.environment import Cause, Cpu, Random
from stack.icmp import PORT_UNREACHABLE, PROTOCOL_UNREACHABLE, Icmp
from stack.ipv4 import HEADER_BYTES, Ipv4, Path
from stack.net_device import Features
from stack.ports import ephemeral_ports
from stack.skbuff import IpSummed, SkBuff

__all__ = ["IPPROTO_UDP", "MAXIMUM_PAYLOAD", "Udp", "UdpEndpoint"]

IPPROTO_UDP = 17
_HEADER = struct.Struct("!HHHH")
_CHECKSUM_OFFSET = 6
_CHECKSUM_START = 14 + HEADER_BYTES
MAXIMUM_PAYLOAD = 0xFFFF - HEADER_BYTES - _HEADER.size


def _nothing() -> None:
    """What an endpoint without a socket does when it changes."""


class UdpEndpoint:
    """The protocol half of a datagram socket: a receive queue bounded in bytes, and what is queued to be sent."""

    __slots__ = (
        "error",
        "local",
        "peer",
        "queue",
        "readable",
        "receive_limit",
        "receive_used",
        "reuse",
        "send_limit",
        "send_used",
        "writable",
    )

    def __init__(self, *, receive_limit: int, send_limit: int) -> None:
        self.local = (0, 0)
        self.peer: tuple[int, int] | None = None
        self.queue: deque[tuple[bytes, int, int]] = deque()
        """Received: (data, address, port)."""
        self.receive_limit = receive_limit
        self.receive_used = 0
        self.send_limit = send_limit
        self.send_used = 0
        self.reuse = False
        self.error = 0
        self.readable: Callable[[], None] = _nothing
        self.writable: Callable[[], None] = _nothing

    def receive(self) -> tuple[bytes, int, int]:
        """Take the oldest datagram. Raises ``IndexError`` if there is none."""
        datagram = self.queue.popleft()
        self.receive_used -= len(datagram[0])
        return datagram

    def sent(self, skb: SkBuff) -> None:
        """Destructor of what is sent: its memory is free again (sock_wfree)."""
        self.send_used -= skb.cb
        self.writable()


class Udp:
    """One host's UDP: endpoints by (local address or 0, port)."""

    def __init__(self, ipv4: Ipv4, icmp: Icmp, cpu: Cpu, random: Random, counters: Counters) -> None:
        self.ipv4 = ipv4
        self.icmp = icmp
        self.cpu = cpu
        self.random = random
        self.counters = counters
        self._endpoints: dict[tuple[int, int], UdpEndpoint] = {}
        ipv4.handlers[IPPROTO_UDP] = self.input
        icmp.unreachable[IPPROTO_UDP] = self._unreachable

    def bind(self, endpoint: UdpEndpoint, address: int, port: int) -> int:
        """Take a port (0: any free one). Returns 0 or an errno."""
        if address and address not in self.ipv4.addresses:
            return errno.EADDRNOTAVAIL
        for candidate in (port,) if port else ephemeral_ports(self.random):
            if not self._conflict(address, candidate):
                endpoint.local = (address, candidate)
                self._endpoints[endpoint.local] = endpoint
                return 0
        return errno.EADDRINUSE

    def _conflict(self, address: int, port: int) -> bool:
        if address:
            return (address, port) in self._endpoints or (0, port) in self._endpoints
        return any(used == port for _, used in self._endpoints)

    def close(self, endpoint: UdpEndpoint) -> None:
        """Give the port back and drop what was not read."""
        if self._endpoints.get(endpoint.local) is endpoint:
            del self._endpoints[endpoint.local]
        endpoint.queue.clear()
        endpoint.receive_used = 0

    def endpoints(self) -> list[UdpEndpoint]:
        """All that are bound, by address and port."""
        return [endpoint for _, endpoint in sorted(self._endpoints.items(), key=itemgetter(0))]

    def input(self, skb: SkBuff, source: int, destination: int) -> None:
        """One datagram."""
        mib = self.counters.mib
        data = skb.data
        if len(data) < _HEADER.size:
            mib["Udp.InErrors"] += 1
            self.counters.drop(DropReason.PKT_TOO_SMALL)
            return
        source_port, destination_port, length, field = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            mib["Udp.InErrors"] += 1
            self.counters.drop(DropReason.PKT_TOO_SMALL)
            return
        data = data[:length]
        if field and skb.ip_summed is not IpSummed.UNNECESSARY:
            self.cpu.charge(Cause.CHECKSUM, size=length)
            if not is_valid(data, pseudo_header(source, destination, IPPROTO_UDP, length)):
                mib["Udp.InErrors"] += 1
                mib["Udp.InCsumErrors"] += 1
                self.counters.drop(DropReason.UDP_CSUM)
                return
        endpoint = self._endpoints.get((destination, destination_port)) or self._endpoints.get((0, destination_port))
        if endpoint is None or endpoint.peer not in (None, (source, source_port)):
            mib["Udp.NoPorts"] += 1
            self.counters.drop(DropReason.NO_SOCKET)
            self.icmp.send_unreachable(skb, source, destination, PORT_UNREACHABLE)
            return
        size = length - _HEADER.size
        if endpoint.receive_used + size > endpoint.receive_limit:
            mib["Udp.InErrors"] += 1
            mib["Udp.RcvbufErrors"] += 1
            self.counters.drop(DropReason.SOCKET_RCVBUFF)
            return
        mib["Udp.InDatagrams"] += 1
        endpoint.receive_used += size
        endpoint.queue.append((bytes(data[_HEADER.size :]), source, source_port))
        endpoint.readable()

    def route(self, endpoint: UdpEndpoint, destination: int) -> Path | int:
        """The way to a destination, or an errno."""
        if self.ipv4.is_broadcast(destination):
            return errno.EACCES
        return self.ipv4.path(destination, IPPROTO_UDP, endpoint.local[0]) or errno.ENETUNREACH

    def send(self, endpoint: UdpEndpoint, data: bytes, path: Path, port: int) -> int:
        """Send one datagram from a bound endpoint. Returns 0 or an errno."""
        length = _HEADER.size + len(data)
        if HEADER_BYTES + length > path.mtu:
            return errno.EMSGSIZE
        pseudo = pseudo_header(path.source, path.destination, IPPROTO_UDP, length)
        header = _HEADER.pack(endpoint.local[1], port, length, 0)
        skb = SkBuff(data)
        if path.interface.device.features & Features.HW_CSUM:
            skb.head = store(header, _CHECKSUM_OFFSET, fold(pseudo))
            skb.ip_summed = IpSummed.PARTIAL
            skb.csum_start = _CHECKSUM_START
            skb.csum_offset = _CHECKSUM_OFFSET
        else:
            self.cpu.charge(Cause.CHECKSUM, size=length)
            # A sum of 0 is sent as 0xFFFF: 0 says that there is none (RFC 768).
            skb.head = store(header, _CHECKSUM_OFFSET, checksum(header + data, pseudo) or 0xFFFF)
        skb.cb = len(data)
        skb.destructor = endpoint.sent
        endpoint.send_used += len(data)
        self.counters.mib["Udp.OutDatagrams"] += 1
        path.send(skb, self.ipv4.next_identification())
        return 0

    def _unreachable(self, code: int, local: int, remote: int, header: memoryview) -> None:
        """RFC 1122 section 4.1.3.3: errors go to the application; as in BSD, only to a connected socket."""
        source_port, destination_port, _, _ = _HEADER.unpack_from(header)
        endpoint = self._endpoints.get((local, source_port)) or self._endpoints.get((0, source_port))
        if endpoint is None or endpoint.peer != (remote, destination_port):
            return
        refused = code in (PORT_UNREACHABLE, PROTOCOL_UNREACHABLE)
        endpoint.error = errno.ECONNREFUSED if refused else errno.EHOSTUNREACH
        endpoint.readable()
        endpoint.writable()
