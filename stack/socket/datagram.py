"""SOCK_DGRAM over UDP (udp(7))."""

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING

from stack.address import IN6ADDR_ANY, IN6ADDR_LOOPBACK, INADDR_ANY, INADDR_LOOPBACK, any_of, is_ipv4
from stack.ip.errors import IcmpError
from stack.ip.interface import Interface
from stack.ip.path import Path
from stack.ports import Binding
from stack.socket.base import Address, Socket, check_buffer, error
from stack.socket.constants import (
    AF_INET6,
    FIONREAD,
    IP_ADD_MEMBERSHIP,
    IP_DROP_MEMBERSHIP,
    IP_MTU,
    IP_MULTICAST_IF,
    IP_PMTUDISC_DO,
    IP_PMTUDISC_DONT,
    IP_PMTUDISC_PROBE,
    IP_RECVERR,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_JOIN_GROUP,
    IPV6_LEAVE_GROUP,
    IPV6_MTU,
    IPV6_MULTICAST_IF,
    IPV6_RECVERR,
    MSG_ERRQUEUE,
    MSG_PEEK,
    MSG_TRUNC,
    POLLERR,
    POLLIN,
    POLLOUT,
    SIOCOUTQ,
    SO_DOMAIN,
    SO_ERROR,
    SO_PROTOCOL,
    SO_RCVBUF,
    SO_RCVTIMEO,
    SO_SNDBUF,
    SO_SNDTIMEO,
    SO_TYPE,
    SOCK_DGRAM,
    SOL_SOCKET,
)
from stack.socket.control import ControlMessage, Outgoing, describe, fitting, parse_control
from stack.socket.error_queue import ErrorQueue, SocketError
from stack.socket.ip_options import IpOptions, membership, multicast_interface
from stack.socket.names import format_name, parse_name
from stack.udp import IPPROTO_UDP, Datagram, UdpEndpoint

if TYPE_CHECKING:
    from stack.host import NetworkStack

__all__ = ["DatagramSocket"]

_Data = bytes | bytearray | memoryview


class DatagramSocket(Socket):
    """A UDP socket."""

    def __init__(self, stack: "NetworkStack", family: int) -> None:
        super().__init__(stack, family, SOCK_DGRAM, IPPROTO_UDP)
        parameters = stack.tcp.parameters
        self._endpoint = UdpEndpoint(receive_limit=parameters.receive_buffer, send_limit=parameters.send_buffer)
        self._endpoint.readable = self._changed_readable
        self._endpoint.writable = self._changed_writable
        self._options = IpOptions()
        self._errors = ErrorQueue()
        self._taken: Binding | None = None
        """What was bound."""
        self._multicast_from: Interface | None = None
        self._path: Path | None = None
        """The way to the last destination."""

    def poll(self) -> int:
        endpoint = self._endpoint
        found = POLLIN if endpoint.queue else 0
        if endpoint.send_used < endpoint.send_limit:
            found |= POLLOUT
        if endpoint.error:
            found |= POLLIN | POLLERR
        return found | POLLERR if self._errors else found

    def _take_error(self) -> int:
        pending, self._endpoint.error = self._endpoint.error, 0
        return pending

    # Names

    def _any(self) -> int:
        return IN6ADDR_ANY if self.family == AF_INET6 else INADDR_ANY

    def _bind(self, address: int, port: int) -> None:
        options = self._options
        dual = self.family == AF_INET6 and not options.v6only
        wanted = Binding(address, port, reuse=options.reuse, dual=dual, reuse_port=options.reuse_port)
        failure = self.stack.udp.bind(self._endpoint, wanted)
        if failure:
            raise error(failure)
        self._taken = self._endpoint.binding

    def _autobind(self) -> None:
        if self._endpoint.binding is None:
            self._bind(self._any(), 0)

    async def bind(self, address: Address) -> None:
        """Take a local address. EADDRINUSE, EADDRNOTAVAIL; EINVAL if the socket has one."""
        self._enter()
        if self._endpoint.binding is not None:
            raise error(errno.EINVAL)
        self._bind(*parse_name(address, self.family))
        await self._leave()

    async def connect(self, address: Address | None) -> None:
        """Fix the peer: ``send`` goes there, and only from there something is received. None: no peer any more."""
        self._enter()
        if address is None:
            self.stack.udp.disconnect(self._endpoint)
            self._path = None
            await self._leave()
            return
        peer = parse_name(address, self.family)
        self._autobind()
        path = self._route(peer[0], Outgoing())
        failure = self.stack.udp.connect(self._endpoint, path.source, (path.destination, peer[1]))
        if failure:
            raise error(failure)
        await self._leave()

    def getsockname(self) -> Address:
        """The local address and port."""
        binding = self._endpoint.binding
        if binding is None:
            return format_name(self._any(), 0, self.family)
        return format_name(binding.address, binding.port, self.family)

    def getpeername(self) -> Address:
        """The connected peer. ENOTCONN if there is none."""
        if self._endpoint.peer is None:
            raise error(errno.ENOTCONN)
        return format_name(*self._endpoint.peer, self.family)

    # Sending

    def _route(self, destination: int, outgoing: Outgoing) -> Path:
        """The way to a destination; the last one is kept."""
        options, ip = self._options, self.stack.ip
        plain = outgoing == Outgoing()
        if plain and self._path is not None and self._path.destination == destination:
            return self._path
        if destination == any_of(destination):
            # RFC 1122 section 3.2.1.3: "this host".
            destination = INADDR_LOOPBACK if is_ipv4(destination) else IN6ADDR_LOOPBACK
        group = ip.is_group(destination)
        if group and is_ipv4(destination) and destination >> 28 != 0xFFFFE and not options.broadcast:
            raise error(errno.EACCES)
        binding = self._endpoint.binding
        source = outgoing.source
        if not source and binding is not None and binding.address != any_of(binding.address):
            source = 0 if ip.is_group(binding.address) else binding.address
        if source and is_ipv4(source) is not is_ipv4(destination):
            raise error(errno.ENETUNREACH)
        hop_limit = outgoing.hop_limit if outgoing.hop_limit is not None else options.hop_limit_for(destination)
        path = ip.path(
            destination,
            IPPROTO_UDP,
            source,
            interface=outgoing.interface or options.bound or (self._multicast_from if group else None),
            hop_limit=hop_limit,
            loop=options.multicast_loop,
        )
        if path is None:
            raise error(errno.ENETUNREACH)
        if plain:
            self._path = path
        return path

    async def sendto(self, data: _Data, *arguments: "int | Address") -> int:
        """``sendto(data, address)`` or ``sendto(data, flags, address)``: send one datagram. EMSGSIZE if it does not fit
        a packet, ENETUNREACH, EACCES for a broadcast address without SO_BROADCAST."""
        *flags, address = arguments
        if isinstance(address, int) or not all(isinstance(one, int) for one in flags) or len(flags) > 1:
            raise TypeError("sendto takes data, flags if need be, and an address")
        return await self._send((data,), address, int(flags[0]) if flags else 0, Outgoing())  # type: ignore[arg-type]

    async def send(self, data: _Data, flags: int = 0) -> int:
        """Send one datagram to the connected peer. EDESTADDRREQ if there is none."""
        return await self._send((data,), None, flags, Outgoing())

    async def sendmsg(
        self,
        buffers: Iterable[_Data],
        ancdata: Iterable[ControlMessage] = (),
        flags: int = 0,
        address: Address | None = None,
    ) -> int:
        """Send one datagram put together from ``buffers``; control messages may choose its source address, interface,
        hop limit and DS field."""
        return await self._send(buffers, address, flags, parse_control(self.stack, ancdata))

    async def _send(self, buffers: Iterable[_Data], address: Address | None, flags: int, outgoing: Outgoing) -> int:
        self._enter()
        endpoint = self._endpoint
        if address is None:
            if endpoint.peer is None:
                raise error(errno.EDESTADDRREQ)
            peer = endpoint.peer
        else:
            peer = parse_name(address, self.family)
        data = b"".join(buffers)
        deadline = self._deadline(SO_SNDTIMEO)
        pending = self._take_error()
        if pending:
            raise error(pending)
        if not peer[1]:
            raise error(errno.EINVAL)
        self._autobind()
        path = self._route(peer[0], outgoing)
        while endpoint.send_used and endpoint.send_used + len(data) > endpoint.send_limit:
            await self._wait_writable(flags, deadline)
        self._copy(len(data))
        discover = self._options.mtu_discover
        if discover == IP_PMTUDISC_DO and path.header_bytes + 8 + len(data) > path.mtu:
            if self._endpoint.failed is not None:
                self._errors.put(SocketError(None, data, path.destination, peer[1], path.mtu))
                self._changed_readable()
            raise error(errno.EMSGSIZE)
        whole = discover == IP_PMTUDISC_PROBE
        if whole and path.header_bytes + 8 + len(data) > path.interface.mtu(path.family.version):
            raise error(errno.EMSGSIZE)
        failure = self.stack.udp.send(
            endpoint,
            data,
            path,
            peer[1],
            dsfield=self._options.dsfield if outgoing.dsfield is None else outgoing.dsfield,
            fragment=discover == IP_PMTUDISC_DONT,
            whole=whole,
        )
        if failure:
            raise error(failure)
        await self._leave()
        return len(data)

    # Receiving

    async def _receive(self, flags: int) -> Datagram:
        """The oldest datagram, which stays with MSG_PEEK."""
        self._enter()
        endpoint = self._endpoint
        deadline = self._deadline(SO_RCVTIMEO)
        while not endpoint.queue:
            pending = self._take_error()
            if pending:
                raise error(pending)
            await self._wait_readable(flags, deadline)
        return endpoint.queue[0] if flags & MSG_PEEK else endpoint.receive()

    async def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Address]:
        """The oldest datagram, cut to ``size`` bytes, and where it came from."""
        data, _, _, address = await self.recvmsg(size, 0, flags)
        return data, address

    async def recv(self, size: int, flags: int = 0) -> bytes:
        """The oldest datagram, cut to ``size`` bytes."""
        data, _, _, _ = await self.recvmsg(size, 0, flags)
        return data

    async def recvmsg(
        self, size: int, ancillary_size: int = 0, flags: int = 0
    ) -> tuple[bytes, list[ControlMessage], int, Address]:
        """(data, control messages, MSG_TRUNC and MSG_CTRUNC, where it came from) of the oldest datagram."""
        if size < 0 or ancillary_size < 0:
            raise ValueError(f"negative buffersize in recvmsg: {min(size, ancillary_size)!r}")
        if flags & MSG_ERRQUEUE:
            return await self._receive_error(size, ancillary_size)
        datagram = await self._receive(flags)
        data = datagram.data[:size]
        messages, given = describe(self._options, datagram, ancillary_size)
        if len(data) < len(datagram.data):
            given |= MSG_TRUNC
        self._copy(len(data))
        await self._leave()
        return data, messages, given, format_name(datagram.source, datagram.source_port, self.family)

    async def _receive_error(self, size: int, ancillary_size: int) -> tuple[bytes, list[ControlMessage], int, Address]:
        """As ``recvmsg``: what was sent, why it did not arrive, and where it was sent to. EAGAIN if there is no
        error: this never waits."""
        self._enter()
        if not self._errors:
            raise error(errno.EAGAIN)
        failed, self._endpoint.error = self._errors.take()
        messages, given = fitting([failed.control()], ancillary_size)
        data = failed.data[:size]
        given |= MSG_ERRQUEUE | (MSG_TRUNC if len(data) < len(failed.data) else 0)
        self._copy(len(data))
        await self._leave()
        return data, messages, given, format_name(failed.destination, failed.port, self.family)

    def _failed(self, why: IcmpError, data: bytes, destination: int, port: int, mtu: int, offender: int) -> None:
        self._errors.put(SocketError(why, data, destination, port, mtu, offender))

    def ioctl(self, request: int) -> int:
        """FIONREAD: bytes of the next datagram. SIOCOUTQ: bytes that have not left. EINVAL for any other."""
        self._enter()
        if request == FIONREAD:
            return len(self._endpoint.queue[0].data) if self._endpoint.queue else 0
        if request == SIOCOUTQ:
            return self._endpoint.send_used
        raise error(errno.EINVAL)

    async def shutdown(self, how: int) -> None:
        """ENOTCONN without a peer; a connected datagram socket has no direction that could be closed."""
        self._enter()
        if self._endpoint.peer is None:
            raise error(errno.ENOTCONN)
        raise error(errno.EOPNOTSUPP)

    async def close(self) -> None:
        if self._closed:
            return
        self._enter()
        self._closed = True
        self.stack.udp.close(self._endpoint, self._taken)
        self._wake_all()
        await self._leave()

    # Options

    def setsockopt(self, level: int, option: int, value: int | bytes | str) -> None:
        """An option of socket(7), ip(7) or ipv6(7); ENOPROTOOPT for one that is not built."""
        self._enter()
        name = (level, option)
        endpoint = self._endpoint
        self._path = None
        if level == SOL_SOCKET and option in (SO_RCVTIMEO, SO_SNDTIMEO):
            self._set_timeout(option, value)
        elif name in ((SOL_SOCKET, SO_SNDBUF), (SOL_SOCKET, SO_RCVBUF)):
            if not isinstance(value, int):
                raise error(errno.EINVAL)
            size = check_buffer(value)
            if option == SO_SNDBUF:
                endpoint.send_limit = size
            else:
                endpoint.receive_limit = size
        elif name in ((IPPROTO_IP, IP_ADD_MEMBERSHIP), (IPPROTO_IPV6, IPV6_JOIN_GROUP)):
            self._join(level, value)
        elif name in ((IPPROTO_IP, IP_DROP_MEMBERSHIP), (IPPROTO_IPV6, IPV6_LEAVE_GROUP)):
            group, interface = membership(self.stack, level, value)
            if (group, interface.index) not in endpoint.groups:
                raise error(errno.EADDRNOTAVAIL)
            endpoint.groups.remove((group, interface.index))
            interface.leave(group)
        elif name in ((IPPROTO_IP, IP_MULTICAST_IF), (IPPROTO_IPV6, IPV6_MULTICAST_IF)):
            self._multicast_from = multicast_interface(self.stack, value)
        elif name in self._error_options():
            if not isinstance(value, int):
                raise error(errno.EINVAL)
            endpoint.failed = self._failed if value else None
            if not value:
                self._errors.clear()
        elif not self._options.set(self.stack, self.family, level, option, value):
            raise error(errno.ENOPROTOOPT)

    def _error_options(self) -> tuple[tuple[int, int], ...]:
        own = (IPPROTO_IP, IP_RECVERR)
        return (own, (IPPROTO_IPV6, IPV6_RECVERR)) if self.family == AF_INET6 else (own,)

    def _join(self, level: int, value: object) -> None:
        group, interface = membership(self.stack, level, value)
        if (group, interface.index) in self._endpoint.groups:
            raise error(errno.EADDRINUSE)
        try:
            interface.join(group)
        except ValueError as full:
            raise error(errno.ENOBUFS) from full
        self._endpoint.groups.add((group, interface.index))

    def getsockopt(self, level: int, option: int) -> int | bytes:
        """The value of an option that ``setsockopt`` sets, or SO_ERROR: the pending error, which it clears."""
        self._enter()
        name = (level, option)
        if name == (SOL_SOCKET, SO_ERROR):
            return self._take_error()
        plain = {
            (SOL_SOCKET, SO_TYPE): self.type,
            (SOL_SOCKET, SO_DOMAIN): self.family,
            (SOL_SOCKET, SO_PROTOCOL): self.proto,
            (SOL_SOCKET, SO_SNDBUF): self._endpoint.send_limit,
            (SOL_SOCKET, SO_RCVBUF): self._endpoint.receive_limit,
            (SOL_SOCKET, SO_RCVTIMEO): self._timeouts[SO_RCVTIMEO] or 0,
            (SOL_SOCKET, SO_SNDTIMEO): self._timeouts[SO_SNDTIMEO] or 0,
        }
        if name in plain:
            return plain[name]
        if name in self._error_options():
            return int(self._endpoint.failed is not None)
        if name in ((IPPROTO_IP, IP_MTU), (IPPROTO_IPV6, IPV6_MTU)):
            if self._endpoint.peer is None or self._path is None:
                raise error(errno.ENOTCONN)
            return self._path.mtu
        value = self._options.get(self.stack, level, option)
        if value is None:
            raise error(errno.ENOPROTOOPT)
        return value
