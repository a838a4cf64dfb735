"""SOCK_RAW in the Internet families (raw(7), RFC 3542 section 3): one protocol above IP, header by header.

An IPv4 socket receives packets with their IP header, an IPv6 socket without. With IP_HDRINCL, and for IPPROTO_RAW, an
IPv4 program writes the header itself.
"""

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING

from stack.address import IN6ADDR_ANY, INADDR_ANY, any_of, is_ipv4
from stack.checksum import checksum, store
from stack.ip.icmp import IPPROTO_ICMPV6
from stack.skbuff import SkBuff
from stack.socket.base import Address, Socket, check_buffer, error
from stack.socket.constants import (
    AF_INET,
    FIONREAD,
    IP_HDRINCL,
    IPPROTO_IP,
    MSG_PEEK,
    MSG_TRUNC,
    POLLIN,
    POLLOUT,
    SO_DOMAIN,
    SO_ERROR,
    SO_PROTOCOL,
    SO_RCVBUF,
    SO_RCVTIMEO,
    SO_SNDTIMEO,
    SO_TYPE,
    SOCK_RAW,
    SOL_SOCKET,
)
from stack.socket.control import ControlMessage, Outgoing, describe, parse_control
from stack.socket.ip_options import IpOptions
from stack.socket.names import format_name, parse_name
from stack.socket.queue import PacketQueue
from stack.udp import Datagram

if TYPE_CHECKING:
    from stack.host import NetworkStack

__all__ = ["IPPROTO_RAW", "RawSocket"]

IPPROTO_RAW = 255
_IPV4_HEADER_BYTES = 20
_Data = bytes | bytearray | memoryview


class RawSocket(Socket):
    """Gets a copy of each packet of its protocol, whoever else takes it."""

    def __init__(self, stack: "NetworkStack", family: int, protocol: int) -> None:
        super().__init__(stack, family, SOCK_RAW, protocol)
        self._options = IpOptions()
        self._queue: PacketQueue[Datagram] = PacketQueue(stack.tcp.parameters.receive_buffer, stack.counters)
        self._local = self._any()
        self._peer: int | None = None
        self._header_included = protocol == IPPROTO_RAW
        if protocol != IPPROTO_RAW:
            stack.ip.raw.setdefault(protocol, []).append(self._arrived)

    def _any(self) -> int:
        return INADDR_ANY if self.family == AF_INET else IN6ADDR_ANY

    def _arrived(self, skb: SkBuff, source: int, destination: int) -> None:
        """A packet of this protocol, from IP."""
        interface = skb.interface
        if is_ipv4(source) is not (self.family == AF_INET):
            return
        if self._local not in (destination, any_of(destination)) or self._peer not in (None, source):
            return
        if self._options.bound is not None and self._options.bound is not interface:
            return
        header = skb.network_header
        data = b"".join((header, skb.data)) if self.family == AF_INET else bytes(skb.data)
        datagram = Datagram(
            b"",
            source,
            0,
            destination,
            interface.index if interface is not None else 0,
            header[8] if self.family == AF_INET else header[7],
            skb.dsfield,
            self.stack.cpu.now,
        )
        if self._queue.put(data, datagram):
            self._changed_readable()

    def poll(self) -> int:
        return POLLOUT | (POLLIN if self._queue else 0)

    async def bind(self, address: Address) -> None:
        """Receive only what is sent to one address of this host. EADDRNOTAVAIL."""
        self._enter()
        local, _ = parse_name(address, self.family)
        if local != self._any() and not self.stack.ip.is_local(local):
            raise error(errno.EADDRNOTAVAIL)
        self._local = local
        await self._leave()

    async def connect(self, address: Address) -> None:
        """Fix the peer."""
        self._enter()
        self._peer, _ = parse_name(address, self.family)
        await self._leave()

    def getsockname(self) -> Address:
        """The local address; the protocol stands in place of a port."""
        return format_name(self._local, self.proto, self.family)

    def getpeername(self) -> Address:
        """The connected peer. ENOTCONN if there is none."""
        if self._peer is None:
            raise error(errno.ENOTCONN)
        return format_name(self._peer, 0, self.family)

    async def send(self, data: _Data, flags: int = 0) -> int:
        """Send one packet to the connected peer. EDESTADDRREQ if there is none."""
        return await self._send((data,), None, Outgoing())

    async def sendto(self, data: _Data, *arguments: "int | Address") -> int:
        """``sendto(data, address)`` or ``sendto(data, flags, address)``."""
        address = arguments[-1]
        if isinstance(address, int) or len(arguments) > 2:
            raise TypeError("sendto takes data, flags if need be, and an address")
        return await self._send((data,), address, Outgoing())

    async def sendmsg(
        self,
        buffers: Iterable[_Data],
        ancdata: Iterable[ControlMessage] = (),
        flags: int = 0,
        address: Address | None = None,
    ) -> int:
        """Send one packet put together from ``buffers``; control messages as for UDP."""
        return await self._send(buffers, address, parse_control(self.stack, ancdata))

    async def _send(self, buffers: Iterable[_Data], address: Address | None, outgoing: Outgoing) -> int:
        self._enter()
        peer = self._peer if address is None else parse_name(address, self.family)[0]
        if peer is None:
            raise error(errno.EDESTADDRREQ)
        data = b"".join(buffers)
        options, ip = self._options, self.stack.ip
        if ip.is_group(peer) and is_ipv4(peer) and peer >> 28 != 0xFFFFE and not options.broadcast:
            raise error(errno.EACCES)
        source = outgoing.source or (0 if self._local == self._any() else self._local)
        hop_limit = outgoing.hop_limit if outgoing.hop_limit is not None else options.hop_limit_for(peer)
        path = ip.path(
            peer,
            self.proto,
            source,
            interface=outgoing.interface or options.bound,
            hop_limit=hop_limit,
            loop=options.multicast_loop,
        )
        if path is None:
            raise error(errno.ENETUNREACH)
        if len(data) + (0 if self._header_included else path.header_bytes) > 0xFFFF:
            raise error(errno.EMSGSIZE)
        self._copy(len(data))
        if self._header_included and self.family == AF_INET:
            if not _IPV4_HEADER_BYTES <= len(data) <= path.mtu or data[0] >> 4 != 4:
                raise error(errno.EINVAL if len(data) < _IPV4_HEADER_BYTES else errno.EMSGSIZE)
            path.send_with_header(SkBuff(b"", head=self._complete(data, path.source)))
        else:
            if self.proto == IPPROTO_ICMPV6 and len(data) >= 4:
                # RFC 3542 section 3.1: the kernel makes this one's checksum.
                zeroed = store(data, 2, 0)
                data = store(zeroed, 2, checksum(zeroed, path.pseudo_sum + len(data)))
            dsfield = options.dsfield if outgoing.dsfield is None else outgoing.dsfield
            path.send_datagram(SkBuff(data, dsfield=dsfield))
        await self._leave()
        return len(data)

    def _complete(self, packet: bytes, source: int) -> bytes:
        """What the system fills in of a program's header (raw(7)): length and checksum always, source and
        identification if they are 0."""
        header_bytes = (packet[0] & 0xF) * 4
        if not _IPV4_HEADER_BYTES <= header_bytes <= len(packet):
            raise error(errno.EINVAL)
        header = bytearray(packet[:header_bytes])
        header[2:4] = len(packet).to_bytes(2, "big")
        if not any(header[4:6]):
            header[4:6] = self.stack.ip.next_identification().to_bytes(2, "big")
        if not any(header[12:16]):
            header[12:16] = (source & 0xFFFFFFFF).to_bytes(4, "big")
        header[10:12] = bytes(2)
        header[10:12] = checksum(header).to_bytes(2, "big")
        return bytes(header) + packet[header_bytes:]

    async def recv(self, size: int, flags: int = 0) -> bytes:
        """The oldest packet, cut to ``size`` bytes."""
        return (await self.recvmsg(size, 0, flags))[0]

    async def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Address]:
        """The oldest packet, cut to ``size`` bytes, and where it came from."""
        data, _, _, address = await self.recvmsg(size, 0, flags)
        return data, address

    async def recvmsg(
        self, size: int, ancillary_size: int = 0, flags: int = 0
    ) -> tuple[bytes, list[ControlMessage], int, Address]:
        """(data, control messages, MSG_TRUNC and MSG_CTRUNC, where it came from) of the oldest packet."""
        self._enter()
        if size < 0 or ancillary_size < 0:
            raise ValueError(f"negative buffersize in recvmsg: {min(size, ancillary_size)!r}")
        deadline = self._deadline(SO_RCVTIMEO)
        while not self._queue:
            await self._wait_readable(flags, deadline)
        data, datagram = self._queue.take(peek=flags & MSG_PEEK != 0)
        messages, given = describe(self._options, datagram, ancillary_size)
        if len(data) > size:
            given |= MSG_TRUNC
        self._copy(min(size, len(data)))
        await self._leave()
        return data[:size], messages, given, format_name(datagram.source, 0, self.family)

    def ioctl(self, request: int) -> int:
        """FIONREAD: bytes of the next packet. EINVAL for any other."""
        self._enter()
        if request != FIONREAD:
            raise error(errno.EINVAL)
        return self._queue.next_size()

    async def close(self) -> None:
        if self._closed:
            return
        self._enter()
        self._closed = True
        takers = self.stack.ip.raw.get(self.proto, [])
        if self._arrived in takers:
            takers.remove(self._arrived)
            if not takers:
                del self.stack.ip.raw[self.proto]
        self._queue.clear()
        self._wake_all()
        await self._leave()

    def setsockopt(self, level: int, option: int, value: int | bytes | str) -> None:
        """An option of socket(7), ip(7) or ipv6(7); ENOPROTOOPT for one that is not built."""
        self._enter()
        name = (level, option)
        if level == SOL_SOCKET and option in (SO_RCVTIMEO, SO_SNDTIMEO):
            self._set_timeout(option, value)
        elif name == (SOL_SOCKET, SO_RCVBUF) and isinstance(value, int):
            self._queue.limit = check_buffer(value)
        elif name == (IPPROTO_IP, IP_HDRINCL) and self.family == AF_INET:
            self._header_included = bool(value)
        elif not self._options.set(self.stack, self.family, level, option, value):
            raise error(errno.ENOPROTOOPT)

    def getsockopt(self, level: int, option: int) -> int | bytes:
        """The value of an option."""
        self._enter()
        plain = {
            (SOL_SOCKET, SO_ERROR): 0,
            (SOL_SOCKET, SO_TYPE): self.type,
            (SOL_SOCKET, SO_DOMAIN): self.family,
            (SOL_SOCKET, SO_PROTOCOL): self.proto,
            (SOL_SOCKET, SO_RCVBUF): self._queue.limit,
            (IPPROTO_IP, IP_HDRINCL): int(self._header_included),
        }
        if (level, option) in plain:
            return plain[level, option]
        value = self._options.get(self.stack, level, option)
        if value is None:
            raise error(errno.ENOPROTOOPT)
        return value
