"""SOCK_STREAM over TCP (tcp(7))."""

import errno
import struct
from collections import deque

from stack.socket.base import Address, error
from stack.socket.constants import (
    AF_INET6,
    IPPROTO_IP,
    IPPROTO_IPV6,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    MSG_WAITALL,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLPRI,
    POLLRDHUP,
    SHUT_RD,
    SHUT_RDWR,
    SHUT_WR,
    SO_ACCEPTCONN,
    SO_BINDTODEVICE,
    SO_BINDTOIFINDEX,
    SO_DOMAIN,
    SO_ERROR,
    SO_LINGER,
    SO_OOBINLINE,
    SO_PROTOCOL,
    SO_RCVTIMEO,
    SO_REUSEPORT,
    SO_SNDTIMEO,
    SO_TYPE,
    SOF_TIMESTAMPING_OPT_ID,
    SOF_TIMESTAMPING_OPT_TSONLY,
    SOF_TIMESTAMPING_SOFTWARE,
    SOL_SOCKET,
    TCP_CM_INQ,
)
from stack.socket.control import ControlMessage, fitting
from stack.socket.error_queue import timestamp_messages, zero_copy_message
from stack.socket.names import format_name
from stack.socket.stream_ioctl import stream_ioctl
from stack.socket.stream_options import get_option, set_option
from stack.socket.stream_send import SendingStream
from stack.tcp.connection import Connection
from stack.tcp.fast_open import FastOpenMode
from stack.tcp.info import TcpInfo, tcp_info
from stack.tcp.state import State
from stack.tcp.tcp import IPPROTO_TCP
from stack.tcp.transmit_timestamps import Transmitted

__all__ = ["StreamSocket"]

_INTEGER = struct.Struct("<i")
_LINGER = struct.Struct("<ii")
"""``struct linger``: on or off, seconds."""
_SECOND = 1_000_000_000
_IP_LEVELS = (IPPROTO_IP, IPPROTO_IPV6)
_DEVICE = (SO_BINDTODEVICE, SO_BINDTOIFINDEX, SO_REUSEPORT)


class StreamSocket(SendingStream):
    """A TCP socket."""

    def poll(self) -> int:
        if self._listener is not None:
            return POLLIN if self._listener.accepted else 0
        connection = self._connection
        if connection is None:
            return POLLOUT | POLLHUP
        if connection.opening():
            # A SYN that waits for data wants some.
            return POLLOUT if connection.deferred() else 0
        found = POLLERR if connection.error or self._zero_copied() or self._stamped() else 0
        receiver = connection.receiver
        ended = connection.read_shut or not connection.can_receive()
        if receiver.buffer or ended or connection.error:
            found |= POLLIN
        if ended:
            found |= POLLRDHUP
        if receiver.urgent is not None and receiver.urgent.pending():
            found |= POLLPRI
        if not connection.can_send():
            found |= POLLOUT
            if ended:
                found |= POLLHUP
        elif connection.may_write():
            found |= POLLOUT
        else:
            connection.no_space = True
        return found

    # Opening

    async def listen(self, backlog: int = 128) -> None:
        """Wait for connections. An unbound socket gets a port."""
        self._enter()
        if self._connection is not None:
            raise error(errno.EINVAL)
        if self._listener is not None:
            self._listener.set_backlog(backlog)
        else:
            binding = self._bound or self._bind(self._any(), 0)
            mode = self.stack.tcp.parameters.fast_open
            if mode & FastOpenMode.SERVER_WO_SOCKOPT1 and mode & FastOpenMode.SERVER_ENABLE:
                options = self._options
                options.fast_open_queue = options.fast_open_queue or min(backlog, self.stack.tcp.parameters.somaxconn)
            listener = self.stack.tcp.listen(binding, backlog, self._options)
            if isinstance(listener, int):
                raise error(listener)
            self._listener = listener
            listener.readable = self._changed_readable
        await self._leave()

    async def accept(self, flags: int = 0) -> "tuple[StreamSocket, Address]":
        """The next connection, and its peer's address."""
        self._enter()
        listener = self._listener
        if listener is None:
            raise error(errno.EINVAL)
        deadline = self._deadline(SO_RCVTIMEO)
        while not listener.accepted:
            await self._wait_readable(flags, deadline)
        accepted = StreamSocket(self.stack, self.family, listener.accepted.popleft())
        await self._leave()
        return accepted, accepted.getpeername()

    async def connect(self, address: Address) -> None:
        """Open a connection. ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EISCONN, EALREADY; EINPROGRESS if the
        socket does not block: POLLOUT then tells the end, SO_ERROR the outcome."""
        self._enter()
        if self._listener is not None:
            raise error(errno.EISCONN)
        connection = self._connection
        if connection is not None:
            if connection.opening():
                raise error(errno.EISCONN if connection.deferred() else errno.EALREADY)
            failure = connection.error if connection.state is State.CLOSED else 0
            if not failure:
                raise error(errno.EISCONN)
            self._failed, self._connection = connection, None
            raise error(failure)
        fast = self._options.fast_open_connect
        found = self._start(address, fast=fast)
        if fast and found.fast_open is not None:
            if found.fast_open.possible():
                # The first data goes with the SYN.
                await self._leave()
                return
            found.fast_open.send(b"")
        await self._opened(found, self._deadline(SO_SNDTIMEO))
        await self._leave()

    # Receiving

    async def recv(self, size: int, flags: int = 0) -> bytes:
        """At most ``size`` bytes, at least one; b"" at the end of the stream. ECONNRESET, ETIMEDOUT. MSG_OOB takes the
        urgent byte, MSG_PEEK takes nothing, MSG_WAITALL waits for all."""
        self._enter()
        if size < 0:
            raise ValueError(f"negative buffersize in recv: {size!r}")
        connection = self._connected()
        if flags & MSG_OOB:
            return await self._receive_urgent(connection, flags)
        deadline = self._deadline(SO_RCVTIMEO)
        data = b""
        while True:
            if flags & MSG_PEEK:
                data = connection.receiver.peek(size, inline=self._inline)
            else:
                data += connection.read(size - len(data), inline=self._inline)
            ended = connection.read_shut or not (connection.can_receive() or connection.opening())
            if len(data) == size or (data and (not flags & MSG_WAITALL or ended)):
                break
            pending = self._take_error() if not data else 0
            if pending:
                raise error(pending)
            if ended:
                break
            try:
                await self._wait_readable(flags, deadline)
            except BlockingIOError:
                if not data:
                    raise
                break
        self._copy(len(data))
        await self._leave()
        return data

    async def _receive_urgent(self, connection: Connection, flags: int) -> bytes:
        urgent = connection.receiver.urgent
        if urgent is None or self._inline:
            raise error(errno.EINVAL)
        byte = urgent.take(connection.receiver, peek=flags & MSG_PEEK != 0)
        if byte is None:
            raise error(errno.EINVAL)
        if not byte:
            raise error(errno.EAGAIN)
        await self._leave()
        return byte

    async def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Address]:
        """What ``recv`` gives, and the peer."""
        data = await self.recv(size, flags)
        return data, self.getpeername()

    async def recvmsg(
        self, size: int, ancillary_size: int = 0, flags: int = 0
    ) -> tuple[bytes, list[ControlMessage], int, Address]:
        """(data, control messages, MSG_OOB for an urgent byte, the peer). MSG_ERRQUEUE: time stamps of what was sent
        (SO_TIMESTAMPING), and what became of calls with MSG_ZEROCOPY, instead, EAGAIN if there is no news. TCP_INQ asks
        for a message with the bytes that are left, the end of the stream counted as one."""
        if flags & MSG_ERRQUEUE:
            return await self._receive_error(ancillary_size)
        data = await self.recv(size, flags)
        messages: list[ControlMessage] = []
        truncated = 0
        if self._options.inq:
            receiver = self._connected().receiver
            left = receiver.nxt - receiver.position
            messages, truncated = fitting([(IPPROTO_TCP, TCP_CM_INQ, _INTEGER.pack(left))], ancillary_size)
        return data, messages, flags & MSG_OOB | truncated, self.getpeername()

    def _zero_copied(self) -> "deque[tuple[int, int]]":
        """Ranges of calls with MSG_ZEROCOPY that are completed."""
        connection = self.connection
        zero_copy = connection.zero_copy if connection is not None else None
        return zero_copy.completed if zero_copy is not None else deque()

    def _stamped(self) -> "deque[Transmitted]":
        """Time stamps of what was sent."""
        connection = self.connection
        stamps = connection.transmit_timestamps if connection is not None else None
        return stamps.events if stamps is not None else deque()

    async def _receive_error(self, room: int) -> tuple[bytes, list[ControlMessage], int, Address]:
        self._enter()
        ipv4 = self.family != AF_INET6
        stamped, completed = self._stamped(), self._zero_copied()
        flags = MSG_ERRQUEUE
        if stamped:
            asked = self._options.timestamping
            found = timestamp_messages(
                stamped.popleft(),
                report=asked & SOF_TIMESTAMPING_SOFTWARE != 0,
                number=asked & SOF_TIMESTAMPING_OPT_ID != 0,
                ipv4=ipv4,
            )
            if not asked & SOF_TIMESTAMPING_OPT_TSONLY:
                # The packet, which Linux would give back too, is not kept.
                flags |= MSG_TRUNC
        elif completed:
            found = [zero_copy_message(*completed.popleft(), ipv4=ipv4)]
        else:
            raise error(errno.EAGAIN)
        messages, truncated = fitting(found, room)
        await self._leave()
        return b"", messages, flags | truncated, format_name(self._any(), 0, self.family)

    def ioctl(self, request: int) -> int:
        """FIONREAD, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK. EINVAL for any other, or while listening."""
        self._enter()
        if self._listener is not None:
            raise error(errno.EINVAL)
        return stream_ioctl(self._connection, request, inline=self._inline)

    # Closing

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
        connection = self._connection
        if connection is not None:
            if self._linger == 0:
                connection.abort(0)
            connection.close()
        if self._bound is not None:
            self.stack.tcp.ports.unbind(self._bound)
        self._wake_all()
        if connection is not None and self._linger and self._blocking:
            await self._drain(connection, self.stack.cpu.now + self._linger * _SECOND)
        await self._leave()

    async def _drain(self, connection: Connection, deadline: int) -> None:
        """SO_LINGER: wait until the peer has acknowledged everything, or the time is over."""
        gone = self.stack.env.event()
        connection.writable = gone.set
        timer = self.stack.env.call_at(deadline, gone.set)
        sender = connection.sender
        while not connection.closed() and not sender.fin_acknowledged and self.stack.cpu.now < deadline:
            connection.no_space = True
            gone.clear()
            await gone.wait()
        timer.cancel()

    # Options

    def setsockopt(self, level: int, option: int, value: int | bytes | str) -> None:
        """An option of socket(7), ip(7), ipv6(7) or tcp(7). ENOPROTOOPT for one that is not built, EINVAL for a value
        that cannot be."""
        self._enter()
        name = (level, option)
        if level == SOL_SOCKET and option in (SO_RCVTIMEO, SO_SNDTIMEO):
            self._set_timeout(option, value)
        elif name == (SOL_SOCKET, SO_LINGER):
            if not isinstance(value, bytes) or len(value) != _LINGER.size:
                raise error(errno.EINVAL)
            on, seconds = _LINGER.unpack(value)
            self._linger = max(seconds, 0) if on else None
        elif name == (SOL_SOCKET, SO_OOBINLINE):
            self._inline = bool(value)
        elif level in _IP_LEVELS or (level == SOL_SOCKET and option in _DEVICE):
            self._set_ip_option(level, option, value)
        else:
            set_option(self.stack.tcp, self._options, self._connection, level, option, value)
            self._changed_writable()

    def _set_ip_option(self, level: int, option: int, value: object) -> None:
        options = self._ip_options
        if not options.set(self.stack, self.family, level, option, value):
            raise error(errno.ENOPROTOOPT)
        self._options.dsfield = options.dsfield & ~3
        self._options.hop_limit = None if options.hop_limit < 0 else options.hop_limit
        self._options.interface = options.bound

    def getsockopt(self, level: int, option: int) -> int | str | bytes:
        """The value of an option that ``setsockopt`` sets, or SO_ERROR: the pending error, which it clears."""
        self._enter()
        name = (level, option)
        if name == (SOL_SOCKET, SO_ERROR):
            return self._take_error()
        plain: dict[tuple[int, int], int | bytes] = {
            (SOL_SOCKET, SO_TYPE): self.type,
            (SOL_SOCKET, SO_DOMAIN): self.family,
            (SOL_SOCKET, SO_PROTOCOL): self.proto,
            (SOL_SOCKET, SO_ACCEPTCONN): int(self._listener is not None),
            (SOL_SOCKET, SO_OOBINLINE): int(self._inline),
            (SOL_SOCKET, SO_LINGER): _LINGER.pack(self._linger is not None, self._linger or 0),
            (SOL_SOCKET, SO_RCVTIMEO): self._timeouts[SO_RCVTIMEO] or 0,
            (SOL_SOCKET, SO_SNDTIMEO): self._timeouts[SO_SNDTIMEO] or 0,
        }
        if name in plain:
            return plain[name]
        if level in _IP_LEVELS or (level == SOL_SOCKET and option in _DEVICE):
            value = self._ip_options.get(self.stack, level, option)
            if value is None:
                raise error(errno.ENOPROTOOPT)
            return value
        return get_option(self.stack.tcp, self._options, self._connection, level, option)

    def tcp_info(self) -> TcpInfo:
        """A snapshot of the connection, or of one that could not be opened (TCP_INFO)."""
        return tcp_info(self._failed or self._connected())
