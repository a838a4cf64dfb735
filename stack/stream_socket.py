"""SOCK_STREAM over TCP."""

import errno
from typing import TYPE_CHECKING

from stack.address import format_ipv4, parse_ipv4
from stack.socket import (
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_ERROR,
    SOL_SOCKET,
    Address,
    Socket,
    check_port,
    error,
)
from stack.stream_options import get_option, set_option
from stack.tcp.connection import Connection
from stack.tcp.info import TcpInfo, tcp_info
from stack.tcp.listener import Listener
from stack.tcp.parameters import SocketOptions
from stack.tcp.state import State

if TYPE_CHECKING:
    from stack.host import NetworkStack

__all__ = ["StreamSocket"]


class StreamSocket(Socket):
    """A TCP socket."""

    def __init__(self, stack: "NetworkStack", connection: Connection | None = None) -> None:
        super().__init__(stack)
        self._options = SocketOptions()
        self._listener: Listener | None = None
        self._connection: Connection | None = None
        self._bound: tuple[int, int] | None = None
        self._bound_reuse = False
        if connection is not None:
            self._options = connection.options
            self._attach(connection)

    def _attach(self, connection: Connection) -> None:
        self._connection = connection
        connection.readable = self._readable.set
        connection.writable = self._writable.set

    def _connected(self) -> Connection:
        if self._connection is None:
            raise error(errno.ENOTCONN)
        return self._connection

    def _take_error(self) -> int:
        """The pending error, once."""
        connection = self._connection
        if connection is None:
            return 0
        pending, connection.error = connection.error, 0
        return pending

    async def bind(self, address: Address) -> None:
        """Take a local address. EADDRINUSE, EADDRNOTAVAIL; EINVAL if the socket has one."""
        self._enter()
        if self._bound is not None or self._connection is not None:
            raise error(errno.EINVAL)
        local = parse_ipv4(address[0])
        port = self.stack.tcp.bind(local, check_port(address[1]), reuse=self._options.reuse)
        if port < 0:
            raise error(-port)
        self._bound = (local, port)
        self._bound_reuse = self._options.reuse
        await self._leave()

    async def listen(self, backlog: int = 128) -> None:
        """Wait for connections. An unbound socket gets a port."""
        self._enter()
        if self._connection is not None:
            raise error(errno.EINVAL)
        if self._listener is not None:
            self._listener.set_backlog(backlog)
        else:
            if self._bound is None:
                self._bound = (0, self.stack.tcp.bind(0, 0, reuse=False))
            listener = self.stack.tcp.listen(*self._bound, backlog, self._options)
            if isinstance(listener, int):
                raise error(listener)
            self._listener = listener
            listener.readable = self._readable.set
        await self._leave()

    async def accept(self) -> "tuple[StreamSocket, Address]":
        """The next connection, and its peer's address."""
        self._enter()
        listener = self._listener
        if listener is None:
            raise error(errno.EINVAL)
        while not listener.accepted:
            await self._wait_readable()
        accepted = StreamSocket(self.stack, listener.accepted.popleft())
        await self._leave()
        return accepted, accepted.getpeername()

    async def connect(self, address: Address) -> None:
        """Open a connection. ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EISCONN, EALREADY."""
        self._enter()
        if self._listener is not None:
            raise error(errno.EISCONN)
        connection = self._connection
        if connection is not None:
            opening = connection.state in (State.SYN_SENT, State.SYN_RECEIVED)
            raise error(errno.EALREADY if opening else errno.EISCONN)
        local, port = self._bound or (0, 0)
        found = self.stack.tcp.connect(local, port, parse_ipv4(address[0]), check_port(address[1]), self._options)
        if isinstance(found, int):
            raise error(found)
        self._attach(found)
        while found.state in (State.SYN_SENT, State.SYN_RECEIVED):
            await self._wait_writable()
        if found.state is State.CLOSED:
            failure = self._take_error()
            self._connection = None
            raise error(failure or errno.ECONNABORTED)
        await self._leave()

    async def send(self, data: "bytes | bytearray | memoryview") -> int:
        """Queue all of ``data``, waiting for room. Returns how much was queued, which is less only if the connection
        broke meanwhile. EPIPE after ``shutdown`` or once the connection has ended."""
        self._enter()
        connection = self._connected()
        view = memoryview(data).cast("B")
        sent = 0
        while True:
            if not connection.can_send():
                break
            taken = min(len(view) - sent, max(connection.sender.room, 0))
            if taken:
                self._copy(taken)
                # What is copied is sent after it, not before: interrupts cut into a long copy.
                await self._leave()
                if not connection.can_send():
                    break
                connection.write(view[sent : sent + taken])
                sent += taken
            if sent == len(view):
                break
            await self._wait_writable()
        if sent < len(view) and not sent:
            raise error(self._take_error() or errno.EPIPE)
        await self._leave()
        return sent

    async def sendall(self, data: "bytes | bytearray | memoryview") -> None:
        """Queue all of ``data`` or raise what kept it from being queued."""
        view = memoryview(data).cast("B")
        sent = 0
        while sent < len(view):
            sent += await self.send(view[sent:])

    async def recv(self, size: int) -> bytes:
        """At most ``size`` bytes, at least one; b"" at the end of the stream. ECONNRESET, ETIMEDOUT."""
        self._enter()
        if size < 0:
            raise ValueError(f"negative buffersize in recv: {size!r}")
        connection = self._connected()
        while True:
            data = connection.read(size)
            if data or size == 0:
                self._copy(len(data))
                break
            pending = self._take_error()
            if pending:
                raise error(pending)
            if connection.read_shut or not connection.can_receive():
                break
            await self._wait_readable()
        await self._leave()
        return data

    async def shutdown(self, how: int) -> None:
        """End one direction or both: SHUT_RD, SHUT_WR, SHUT_RDWR."""
        self._enter()
        if how not in (SHUT_RD, SHUT_WR, SHUT_RDWR):
            raise error(errno.EINVAL)
        connection = self._connected()
        if connection.state in (State.CLOSED, State.TIME_WAIT):
            raise error(errno.ENOTCONN)
        if how in (SHUT_RD, SHUT_RDWR):
            connection.read_shut = True
            connection.readable()
        if how in (SHUT_WR, SHUT_RDWR):
            connection.shutdown_write()
            connection.writable()
        await self._leave()

    async def close(self) -> None:
        if self._closed:
            return
        self._enter()
        self._closed = True
        if self._listener is not None:
            self._listener.close()
        if self._connection is not None:
            self._connection.close()
        if self._bound is not None:
            self.stack.tcp.unbind(*self._bound, reuse=self._bound_reuse)
        self._readable.set()
        self._writable.set()
        await self._leave()

    def setsockopt(self, level: int, option: int, value: int | str) -> None:
        """An option of socket(7) or tcp(7), see ``stack.stream_options``. ENOPROTOOPT for one that is not built, EINVAL
        for a value that cannot be."""
        self._enter()
        set_option(self.stack.tcp, self._options, self._connection, level, option, value)
        self._writable.set()

    def getsockopt(self, level: int, option: int) -> int | str:
        """The value of an option that ``setsockopt`` sets, or SO_ERROR: the pending error, which it clears."""
        self._enter()
        if (level, option) == (SOL_SOCKET, SO_ERROR):
            return self._take_error()
        return get_option(self.stack.tcp, self._options, self._connection, level, option)

    def tcp_info(self) -> TcpInfo:
        """A snapshot of the connection (TCP_INFO)."""
        return tcp_info(self._connected())

    def getsockname(self) -> Address:
        if self._connection is not None:
            return format_ipv4(self._connection.key.local), self._connection.key.local_port
        local, port = self._bound or (0, 0)
        return format_ipv4(local), port

    def getpeername(self) -> Address:
        key = self._connected().key
        return format_ipv4(key.remote), key.remote_port
