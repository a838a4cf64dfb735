"""SOCK_DGRAM over UDP."""

import errno
from typing import TYPE_CHECKING

from stack.address import format_ipv4, parse_ipv4
from stack.ipv4 import Path
from stack.socket import (
    SO_ERROR,
    SO_RCVBUF,
    SO_SNDBUF,
    SOL_SOCKET,
    Address,
    Socket,
    check_buffer,
    check_port,
    error,
)
from stack.udp import UdpEndpoint

if TYPE_CHECKING:
    from stack.host import NetworkStack

__all__ = ["DatagramSocket"]


class DatagramSocket(Socket):
    """A UDP socket."""

    def __init__(self, stack: "NetworkStack") -> None:
        super().__init__(stack)
        parameters = stack.tcp.parameters
        self._endpoint = UdpEndpoint(receive_limit=parameters.receive_buffer, send_limit=parameters.send_buffer)
        self._endpoint.readable = self._readable.set
        self._endpoint.writable = self._writable.set
        self._path: Path | None = None
        """The way to the last destination."""

    def _take_error(self) -> int:
        pending, self._endpoint.error = self._endpoint.error, 0
        return pending

    def _autobind(self) -> None:
        if not self._endpoint.local[1]:
            failure = self.stack.udp.bind(self._endpoint, 0, 0)
            if failure:
                raise error(failure)

    async def bind(self, address: Address) -> None:
        """Take a local address. EADDRINUSE, EADDRNOTAVAIL; EINVAL if the socket has one."""
        self._enter()
        if self._endpoint.local[1]:
            raise error(errno.EINVAL)
        failure = self.stack.udp.bind(self._endpoint, parse_ipv4(address[0]), check_port(address[1]))
        if failure:
            raise error(failure)
        await self._leave()

    async def connect(self, address: Address) -> None:
        """Fix the peer: ``send`` goes there, and only from there something is received."""
        self._enter()
        self._autobind()
        peer = (parse_ipv4(address[0]), check_port(address[1]))
        self._route(peer[0])
        self._endpoint.peer = peer
        await self._leave()

    def _route(self, destination: int) -> Path:
        if self._path is None or self._path.destination != destination:
            found = self.stack.udp.route(self._endpoint, destination)
            if isinstance(found, int):
                raise error(found)
            self._path = found
        return self._path

    async def sendto(self, data: "bytes | bytearray | memoryview", address: Address) -> int:
        """Send one datagram. EMSGSIZE if it does not fit a packet, ENETUNREACH, EACCES for a broadcast address."""
        return await self._send(data, (parse_ipv4(address[0]), check_port(address[1])))

    async def send(self, data: "bytes | bytearray | memoryview") -> int:
        """Send one datagram to the connected peer. EDESTADDRREQ if there is none."""
        if self._endpoint.peer is None:
            raise error(errno.EDESTADDRREQ)
        return await self._send(data, self._endpoint.peer)

    async def _send(self, data: "bytes | bytearray | memoryview", peer: tuple[int, int]) -> int:
        self._enter()
        endpoint = self._endpoint
        pending = self._take_error()
        if pending:
            raise error(pending)
        if not peer[1]:
            raise error(errno.EINVAL)
        self._autobind()
        path = self._route(peer[0])
        while endpoint.send_used and endpoint.send_used + len(data) > endpoint.send_limit:
            await self._wait_writable()
        self._copy(len(data))
        failure = self.stack.udp.send(endpoint, bytes(data), path, peer[1])
        if failure:
            raise error(failure)
        await self._leave()
        return len(data)

    async def recvfrom(self, size: int) -> tuple[bytes, Address]:
        """The oldest datagram, cut to ``size`` bytes, and where it came from."""
        self._enter()
        endpoint = self._endpoint
        while not endpoint.queue:
            pending = self._take_error()
            if pending:
                raise error(pending)
            await self._wait_readable()
        data, address, port = endpoint.receive()
        data = data[:size]
        self._copy(len(data))
        await self._leave()
        return data, (format_ipv4(address), port)

    async def recv(self, size: int) -> bytes:
        """The oldest datagram, cut to ``size`` bytes."""
        data, _ = await self.recvfrom(size)
        return data

    async def close(self) -> None:
        if self._closed:
            return
        self._enter()
        self._closed = True
        self.stack.udp.close(self._endpoint)
        self._readable.set()
        self._writable.set()
        await self._leave()

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """SO_SNDBUF, SO_RCVBUF; ENOPROTOOPT for any other."""
        self._enter()
        if (level, option) == (SOL_SOCKET, SO_SNDBUF):
            self._endpoint.send_limit = check_buffer(value)
        elif (level, option) == (SOL_SOCKET, SO_RCVBUF):
            self._endpoint.receive_limit = check_buffer(value)
        else:
            raise error(errno.ENOPROTOOPT)

    def getsockopt(self, level: int, option: int) -> int:
        """The value of an option that ``setsockopt`` sets, or SO_ERROR: the pending error, which it clears."""
        self._enter()
        if level == SOL_SOCKET and option == SO_ERROR:
            return self._take_error()
        if level == SOL_SOCKET and option in (SO_SNDBUF, SO_RCVBUF):
            return self._endpoint.send_limit if option == SO_SNDBUF else self._endpoint.receive_limit
        raise error(errno.ENOPROTOOPT)

    def getsockname(self) -> Address:
        local, port = self._endpoint.local
        return format_ipv4(local), port

    def getpeername(self) -> Address:
        if self._endpoint.peer is None:
            raise error(errno.ENOTCONN)
        return format_ipv4(self._endpoint.peer[0]), self._endpoint.peer[1]
