"""How a TCP socket opens a connection, also with the first data (RFC 7413), and what it sends (tcp(7))."""

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, BinaryIO

from stack.address import IN6ADDR_ANY, IN6ADDR_LOOPBACK, INADDR_ANY, INADDR_LOOPBACK, any_of, is_ipv4
from stack.ports import Binding
from stack.socket.base import Address, Socket, error
from stack.socket.constants import (
    AF_INET6,
    MSG_DONTWAIT,
    MSG_EOR,
    MSG_FASTOPEN,
    MSG_MORE,
    MSG_OOB,
    MSG_ZEROCOPY,
    SO_SNDTIMEO,
    SOCK_STREAM,
)
from stack.socket.control import ControlMessage
from stack.socket.ip_options import IpOptions
from stack.socket.names import format_name, parse_name
from stack.tcp.connection import Connection
from stack.tcp.fast_open import FastOpenMode
from stack.tcp.listener import Listener
from stack.tcp.parameters import UNLIMITED, SocketOptions
from stack.tcp.state import State
from stack.tcp.tcp import IPPROTO_TCP

if TYPE_CHECKING:
    from stack.host import NetworkStack

__all__ = ["SendingStream"]

_Data = bytes | bytearray | memoryview
_FILE_PIECE = 64 * 1024
"""What Linux's sendfile moves at once: a pipe of 16 pages."""


class SendingStream(Socket):
    """What a TCP socket has of its connection: how it comes to one, and what it sends."""

    def __init__(self, stack: "NetworkStack", family: int, connection: Connection | None = None) -> None:
        super().__init__(stack, family, SOCK_STREAM, IPPROTO_TCP)
        self._options = SocketOptions()
        self._ip_options = IpOptions()
        self._inline = False
        """SO_OOBINLINE."""
        self._linger: int | None = None
        """SO_LINGER in seconds, None for off."""
        self._listener: Listener | None = None
        self._connection: Connection | None = None
        self._failed: Connection | None = None
        self._bound: Binding | None = None
        self._connecting = False
        """A connection was opened by MSG_FASTOPEN, and no call has seen it open."""
        if connection is not None:
            self._options = connection.options
            self._attach(connection)

    def _attach(self, connection: Connection) -> None:
        self._connection, self._failed = connection, None
        connection.readable = self._changed_readable
        connection.writable = self._changed_writable

    @property
    def connection(self) -> Connection | None:
        """What TCP has of this socket, or had if it could not be opened, for those who watch it."""
        return self._connection or self._failed

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

    # Names

    def _any(self) -> int:
        return IN6ADDR_ANY if self.family == AF_INET6 else INADDR_ANY

    def _bind(self, address: int, port: int) -> Binding:
        dual = self.family == AF_INET6 and not self._ip_options.v6only
        reuse_port = self._ip_options.reuse_port
        wanted = Binding(address, port, reuse=self._options.reuse, dual=dual, reuse_port=reuse_port)
        taken = self.stack.tcp.bind(wanted)
        if isinstance(taken, int):
            raise error(taken)
        self._bound = taken
        return taken

    async def bind(self, address: Address) -> None:
        """Take a local address. EADDRINUSE, EADDRNOTAVAIL; EINVAL if the socket has one."""
        self._enter()
        if self._bound is not None or self._connection is not None:
            raise error(errno.EINVAL)
        self._bind(*parse_name(address, self.family))
        await self._leave()

    def getsockname(self) -> Address:
        """The local address and port."""
        if self._connection is not None:
            return format_name(self._connection.key.local, self._connection.key.local_port, self.family)
        if self._bound is not None:
            return format_name(self._bound.address, self._bound.port, self.family)
        return format_name(self._any(), 0, self.family)

    def getpeername(self) -> Address:
        """The remote address and port. ENOTCONN if there is none."""
        key = self._connected().key
        return format_name(key.remote, key.remote_port, self.family)

    def _start(self, address: Address, *, fast: bool) -> Connection:
        """Open a connection; ``fast``: its SYN waits."""
        remote, remote_port = parse_name(address, self.family)
        if remote == any_of(remote):
            remote = INADDR_LOOPBACK if is_ipv4(remote) else IN6ADDR_LOOPBACK
        bound = self._bound
        local, port = (bound.address, bound.port) if bound is not None else (0, 0)
        if local == any_of(local):
            local = 0
        elif is_ipv4(local) is not is_ipv4(remote):
            raise error(errno.ENETUNREACH)
        found = self.stack.tcp.connect(local, port, remote, remote_port, self._options, fast=fast)
        if isinstance(found, int):
            raise error(found)
        self._attach(found)
        return found

    async def _opened(self, connection: Connection, deadline: int | None, flags: int = 0) -> None:
        """Wait for the end of the handshake. EINPROGRESS if that may not be waited for."""
        while connection.opening():
            await self._wait_writable(flags, deadline, errno.EINPROGRESS)
        if connection.state is State.CLOSED:
            failure = self._take_error()
            self._failed, self._connection = connection, None
            raise error(failure or errno.ECONNABORTED)

    # Sending

    async def send(self, data: _Data, flags: int = 0) -> int:
        """Queue all of ``data``, waiting for room; without waiting, what there is room for. Returns how much was
        queued, which is less otherwise only if the connection broke meanwhile. EPIPE after ``shutdown`` or once the
        connection has ended."""
        self._enter()
        connection = self._connected()
        if connection.deferred():
            return await self._open_fast(connection, memoryview(data).cast("B"), flags)
        view = memoryview(data).cast("B")
        deadline = self._deadline(SO_SNDTIMEO)
        sent = 0
        while connection.can_send():
            taken = min(len(view) - sent, connection.room)
            if taken:
                self._copy(taken)
                # What is copied is sent after it, not before: interrupts cut into a long copy.
                await self._leave()
                if not connection.can_send():
                    break
                urgent = flags & MSG_OOB and sent + taken == len(view)
                if flags & MSG_EOR and sent + taken == len(view):
                    connection.sender.end_record(connection.sender.end + taken)
                whole = sent + taken == len(view)
                if whole or not self._blocking or flags & MSG_DONTWAIT:
                    # Of a call that may wait for room, only the last byte is told of.
                    connection.stamp(connection.sender.end + taken)
                # MSG_MORE holds back what this call would send; what comes later, an ACK too, lets it go.
                connection.sender.cork = connection.options.cork or flags & MSG_MORE != 0
                (connection.write_urgent if urgent else connection.write)(view[sent : sent + taken])
                connection.sender.cork = connection.options.cork
                sent += taken
            if sent == len(view):
                break
            if taken and connection.notsent_lowat != UNLIMITED and connection.room:
                # What was written has gone out, or the last packet is not full yet.
                continue
            connection.no_space = True
            connection.sender.starve(self.stack.cpu.now)
            try:
                await self._wait_writable(flags, deadline)
            except BlockingIOError:
                if not sent:
                    raise
                break
            finally:
                connection.sender.starved = False
        if connection.opening() and not sent:
            connection.write_pending = True
            try:
                await self._wait_writable(flags, deadline)
            finally:
                connection.write_pending = False
            return await self.send(data, flags)
        if sent < len(view) and not sent:
            raise error(self._take_error() or errno.EPIPE)
        if sent < len(view) and self._blocking and not flags & MSG_DONTWAIT:
            # It has ended early, perhaps with all that it took on its way.
            connection.stamp(connection.sender.end)
        if sent and flags & MSG_ZEROCOPY and self._options.zero_copy:
            connection.sent_zero_copy()
        await self._leave()
        return sent

    async def sendall(self, data: _Data, flags: int = 0) -> None:
        """Queue all of ``data`` or raise what kept it from being queued."""
        view = memoryview(data).cast("B")
        sent = 0
        while sent < len(view):
            sent += await self.send(view[sent:], flags)

    async def sendfile(self, file: BinaryIO, offset: int = 0, count: int | None = None) -> int:
        """Send a file from ``offset`` on, ``count`` bytes of it or all to its end, a piece at a time (sendfile(2), with
        the signature of Python's ``socket.sendfile``). Returns how much was queued, where the file is left, too: less
        than there is only without waiting, or if the connection broke meanwhile. EINVAL for negative numbers."""
        if offset < 0 or (count is not None and count < 0):
            raise error(errno.EINVAL)
        file.seek(offset)
        sent = 0
        piece = file.read(_FILE_PIECE if count is None else min(_FILE_PIECE, count))
        while piece:
            left = None if count is None else count - sent - len(piece)
            following = file.read(_FILE_PIECE if left is None else min(_FILE_PIECE, left))
            try:
                # A segment is not cut short where a piece ends.
                taken = await self.send(piece, MSG_MORE if following else 0)
            except OSError:
                if not sent:
                    raise
                break
            sent += taken
            if taken < len(piece):
                break
            piece = following
        file.seek(offset + sent)
        return sent

    async def sendto(self, data: _Data, flags: int = 0, address: Address | tuple[()] | None = None) -> int:
        """``send``; EISCONN with an address. MSG_FASTOPEN: ``connect`` and ``send`` in one, with data in the SYN if the
        server's cookie is known (RFC 7413); EOPNOTSUPP if the host does not, or for an address of no family, which is
        ()."""
        if flags & MSG_FASTOPEN:
            return await self._connect_fast(data, flags & ~MSG_FASTOPEN, address)
        if address is not None:
            raise error(errno.EISCONN if self._connection is not None else errno.EPIPE)
        return await self.send(data, flags)

    async def _connect_fast(self, data: _Data, flags: int, address: Address | tuple[()] | None) -> int:
        self._enter()
        if not self.stack.tcp.parameters.fast_open & FastOpenMode.CLIENT_ENABLE or address == ():
            raise error(errno.EOPNOTSUPP)
        connection = self._connection
        if connection is not None and not connection.deferred():
            if connection.opening():
                raise error(errno.EALREADY)
            if not self._connecting and connection.state is not State.CLOSED:
                raise error(errno.EISCONN)
            # The program learns only now that the connection is there.
            self._connecting = False
            return await self.send(data, flags)
        if connection is None:
            if not address:
                raise error(errno.EINVAL)
            connection = self._start(address, fast=True)
        return await self._open_fast(connection, memoryview(data).cast("B"), flags)

    async def _open_fast(self, connection: Connection, view: memoryview, flags: int) -> int:
        """Send a SYN that has waited, and the rest of the data after it. Without waiting: what the SYN carries, or
        EINPROGRESS."""
        assert connection.fast_open is not None
        deadline = self._deadline(SO_SNDTIMEO)
        sent = connection.fast_open.send(view)
        self._copy(sent)
        connection.write_pending = sent < len(view)
        self._connecting = True
        zero_copy = flags & MSG_ZEROCOPY and self._options.zero_copy
        if sent and zero_copy and sent == len(view):
            connection.sent_zero_copy()
        try:
            await self._opened(connection, deadline, flags)
        except BlockingIOError:
            if not sent:
                raise
            if zero_copy and sent < len(view):
                connection.sent_zero_copy()
            await self._leave()
            return sent
        finally:
            connection.write_pending = False
        self._connecting = False
        await self._leave()
        return sent + (await self.send(view[sent:], flags) if sent < len(view) else 0)

    async def sendmsg(
        self,
        buffers: Iterable[_Data],
        ancdata: Iterable[ControlMessage] = (),
        flags: int = 0,
        address: Address | tuple[()] | None = None,
    ) -> int:
        """``sendto`` of buffers in a row. A stream has no control messages: EINVAL."""
        if tuple(ancdata):
            raise error(errno.EINVAL)
        return await self.sendto(b"".join(buffers), flags, address)
