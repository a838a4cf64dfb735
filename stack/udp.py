"""UDP over IPv4 and IPv6 (RFC 768, RFC 1122 section 4.1, RFC 8200 section 8.1)."""

import errno
import struct
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from stack.address import any_of, is_ipv4
from stack.checksum import checksum, fold, is_valid, store
from stack.counters import Counters, DropReason
from stack.environment import Cause, Cpu, Random
from stack.ip.errors import ERRNO, IcmpError
from stack.ip.ip import Ip
from stack.ip.path import Path
from stack.net_device import Features
from stack.ports import Binding, PortTable
from stack.skbuff import IpSummed, SkBuff

__all__ = ["IPPROTO_UDP", "LONGEST", "Datagram", "Udp", "UdpEndpoint"]

IPPROTO_UDP: Final = 17
_HEADER: Final = struct.Struct("!HHHH")
_CHECKSUM_OFFSET: Final = 6
LONGEST: Final = {4: 0xFFFF - 20 - _HEADER.size, 6: 0xFFFF - _HEADER.size}
"""Bytes of data that fit an IP packet."""
_FATAL: Final = (
    IcmpError.PORT_UNREACHABLE,
    IcmpError.PROTOCOL_UNREACHABLE,
    IcmpError.PROHIBITED,
    IcmpError.PACKET_TOO_BIG,
)
"""Errors that a connected socket hears of; others may pass (RFC 1122 section 4.1.3.3, as Linux reads it)."""


def _nothing() -> None:
    """What an endpoint without a socket does when it changes."""


class Datagram(NamedTuple):
    """One received datagram, and all that ``recvmsg`` can tell of it."""

    data: bytes
    source: int
    source_port: int
    destination: int
    interface: int
    """Index of where it arrived."""
    hop_limit: int
    dsfield: int
    time: int


class UdpEndpoint:
    """The protocol half of a datagram socket: a receive queue bounded in bytes, and what is queued to be sent."""

    __slots__ = (
        "binding",
        "error",
        "failed",
        "groups",
        "peer",
        "queue",
        "readable",
        "receive_limit",
        "receive_used",
        "send_limit",
        "send_used",
        "writable",
    )

    def __init__(self, *, receive_limit: int, send_limit: int) -> None:
        self.binding: Binding | None = None
        self.peer: tuple[int, int] | None = None
        self.groups: set[tuple[int, int]] = set()
        """(group, interface index) that this socket has joined."""
        self.queue: deque[Datagram] = deque()
        self.receive_limit = receive_limit
        self.receive_used = 0
        self.send_limit = send_limit
        self.send_used = 0
        self.error = 0
        self.failed: Callable[[IcmpError, bytes, int, int, int, int], None] | None = None
        """Hears of each packet that did not arrive: (error, data as far as quoted, destination, port, MTU or 0, who
        says so)."""
        self.readable: Callable[[], None] = _nothing
        self.writable: Callable[[], None] = _nothing

    def receive(self) -> Datagram:
        """Take the oldest datagram. Raises ``IndexError`` if there is none."""
        datagram = self.queue.popleft()
        self.receive_used -= len(datagram.data)
        return datagram

    def sent(self, skb: SkBuff) -> None:
        """Destructor of what is sent: its memory is free again (sock_wfree)."""
        self.send_used -= skb.cb
        self.writable()


class Udp:
    """One host's."""

    def __init__(self, ip: Ip, cpu: Cpu, random: Random, counters: Counters) -> None:
        self.ip = ip
        self.cpu = cpu
        self.counters = counters
        self.ports: PortTable[UdpEndpoint, UdpEndpoint] = PortTable(random)
        ip.handlers[IPPROTO_UDP] = self.input
        ip.error_handlers[IPPROTO_UDP] = self._unreachable

    def bind(self, endpoint: UdpEndpoint, wanted: Binding) -> int:
        """Take a port (0: any free one). Returns 0 or an errno."""
        address = wanted.address
        if address != any_of(address) and not self.ip.is_local(address) and not self.ip.is_group(address):
            return errno.EADDRNOTAVAIL
        # Datagram sockets that share an address by SO_REUSEADDR all hear its groups.
        taken = self.ports.bind(wanted._replace(reuse_port=wanted.reuse_port or wanted.reuse))
        if isinstance(taken, int):
            return taken
        endpoint.binding = taken
        self.ports.listen(taken, endpoint)
        return 0

    def connect(self, endpoint: UdpEndpoint, local: int, peer: tuple[int, int]) -> int:
        """Hear only ``peer`` from now on. Returns 0 or an errno."""
        assert endpoint.binding is not None
        key = (local, endpoint.binding.port, *peer)
        if self.ports.exact.get(key) not in (None, endpoint):
            return errno.EADDRINUSE
        self.disconnect(endpoint)
        self.ports.unlisten(endpoint.binding, endpoint)
        self.ports.connect(key, endpoint)
        endpoint.binding, endpoint.peer = endpoint.binding._replace(address=local), peer
        return 0

    def disconnect(self, endpoint: UdpEndpoint) -> None:
        """Hear everybody again."""
        if endpoint.peer is None or endpoint.binding is None:
            return
        self.ports.disconnect((endpoint.binding.address, endpoint.binding.port, *endpoint.peer), endpoint)
        endpoint.peer = None
        self.ports.listen(endpoint.binding, endpoint)

    def close(self, endpoint: UdpEndpoint, taken: Binding | None) -> None:
        """Give the port (``taken`` as it was bound) back and drop what was not read."""
        self.disconnect(endpoint)
        if endpoint.binding is not None and taken is not None:
            self.ports.unlisten(endpoint.binding, endpoint)
            self.ports.unbind(taken)
        for group, index in endpoint.groups:
            self.ip.interfaces[index].leave(group)
        endpoint.groups.clear()
        endpoint.queue.clear()
        endpoint.receive_used = 0

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
        if skb.ip_summed is not IpSummed.UNNECESSARY and (field or not is_ipv4(source)):
            # RFC 8200 section 8.1: over IPv6 there must be a checksum.
            self.cpu.charge(Cause.CHECKSUM, size=length)
            if not field or not is_valid(data, self.ip.pseudo_sum(source, destination, IPPROTO_UDP) + length):
                mib["Udp.InErrors"] += 1
                mib["Udp.InCsumErrors"] += 1
                self.counters.drop(DropReason.UDP_CSUM)
                return
        key = (destination, destination_port, source, source_port)
        endpoint = self.ports.lookup(key)
        if self.ip.is_group(destination):
            self._deliver_to_group(skb, key, data)
        elif endpoint is None:
            mib["Udp.NoPorts"] += 1
            self.counters.drop(DropReason.NO_SOCKET)
            self.ip.icmp.send_error(IcmpError.PORT_UNREACHABLE, skb)
        else:
            self._queue(endpoint, skb, key, data)

    def _deliver_to_group(self, skb: SkBuff, key: tuple[int, int, int, int], data: "bytes | memoryview") -> None:
        """All who have bound the port get it, of a group's packets those who have joined it there."""
        group, port, _, _ = key
        index = skb.interface.index if skb.interface is not None else 0
        multicast = not is_ipv4(group) or group >> 28 == 0xFFFFE
        found = 0
        for name in {(group, port), (any_of(group), port)}:
            for endpoint in self.ports.wild.get(name, ()):
                if not multicast or (group, index) in endpoint.groups:
                    found += 1
                    self._queue(endpoint, skb, key, data)
        connected = self.ports.exact.get(key)
        if connected is not None:
            found += 1
            self._queue(connected, skb, key, data)
        if not found:
            self.counters.mib["Udp.NoPorts"] += 1
            self.counters.drop(DropReason.NO_SOCKET)

    def _queue(
        self, endpoint: UdpEndpoint, skb: SkBuff, key: tuple[int, int, int, int], data: "bytes | memoryview"
    ) -> None:
        mib = self.counters.mib
        size = len(data) - _HEADER.size
        if endpoint.receive_used + size > endpoint.receive_limit:
            mib["Udp.InErrors"] += 1
            mib["Udp.RcvbufErrors"] += 1
            self.counters.drop(DropReason.SOCKET_RCVBUFF)
            return
        mib["Udp.InDatagrams"] += 1
        endpoint.receive_used += size
        header = skb.network_header
        endpoint.queue.append(
            Datagram(
                bytes(data[_HEADER.size :]),
                key[2],
                key[3],
                key[0],
                skb.interface.index if skb.interface is not None else 0,
                header[8] if header[0] >> 4 == 4 else header[7],
                skb.dsfield,
                self.cpu.now,
            )
        )
        endpoint.readable()

    def send(
        self,
        endpoint: UdpEndpoint,
        data: bytes,
        path: Path,
        port: int,
        *,
        dsfield: int = 0,
        fragment: bool = False,
        whole: bool = False,
    ) -> int:
        """Send one datagram from a bound endpoint; ``fragment`` and ``whole`` as for ``Path.send_datagram``. Returns 0
        or an errno."""
        assert endpoint.binding is not None
        if len(data) > LONGEST[path.family.version]:
            return errno.EMSGSIZE
        length = _HEADER.size + len(data)
        pseudo = path.pseudo_sum + length
        header = _HEADER.pack(endpoint.binding.port, port, length, 0)
        skb = SkBuff(data, dsfield=dsfield)
        fits = path.header_bytes + length <= path.mtu
        if fits and path.interface.device.features & Features.HW_CSUM:
            skb.head = store(header, _CHECKSUM_OFFSET, fold(pseudo))
            skb.ip_summed = IpSummed.PARTIAL
            skb.csum_start = path.transport_offset
            skb.csum_offset = _CHECKSUM_OFFSET
        else:
            self.cpu.charge(Cause.CHECKSUM, size=length)
            # A sum of 0 is sent as 0xFFFF: 0 says that there is none (RFC 768).
            skb.head = store(header, _CHECKSUM_OFFSET, checksum(header + data, pseudo) or 0xFFFF)
        skb.cb = len(data)
        skb.destructor = endpoint.sent
        endpoint.send_used += len(data)
        self.counters.mib["Udp.OutDatagrams"] += 1
        path.send_datagram(skb, fragment=fragment, whole=whole)
        return 0

    def _unreachable(
        self, error: IcmpError, local: int, remote: int, header: memoryview, mtu: int, offender: int
    ) -> None:
        """RFC 1122 section 4.1.3.3: errors go to the application; as in BSD, only to a connected socket, unless it asks
        for all (IP_RECVERR)."""
        source_port, destination_port, _, _ = _HEADER.unpack_from(header)
        endpoint = self.ports.lookup((local, source_port, remote, destination_port))
        if endpoint is None:
            return
        if endpoint.failed is not None:
            endpoint.failed(error, bytes(header[_HEADER.size :]), remote, destination_port, mtu, offender)
        elif endpoint.peer is None or (error not in _FATAL and error is not IcmpError.HOST_UNREACHABLE):
            return
        endpoint.error = ERRNO[error]
        endpoint.readable()
        endpoint.writable()
