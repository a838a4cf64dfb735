"""The system calls of scripts, over the stack's sockets."""

import errno
import os
from collections.abc import Awaitable, Callable

import stack.socket.constants as constants
from sim.packetdrill.messages import (
    ANCILLARY_BYTES,
    buffers,
    fields,
    in_script_time,
    integer,
    number,
    shown,
    wanted_messages,
)
from sim.packetdrill.script import Call, Structure, UnsupportedError
from sim.packetdrill.wire import Addresses
from stack.environment import Environment
from stack.host import NetworkStack
from stack.socket import Address, Epoll, Poll, StreamSocket, error

__all__ = ["LOCAL_PORT", "REMOTE_PORT", "Calls", "describe"]

LOCAL_PORT = 8080
"""Of ``bind(fd, ..., ...)``."""
REMOTE_PORT = 8080
"""Of ``connect(fd, ..., ...)``."""
_MS = 1_000_000
_LEVELS = {
    "SOL_SOCKET": constants.SOL_SOCKET,
    "SOL_TCP": 6,
    "IPPROTO_TCP": 6,
    "SOL_IP": constants.IPPROTO_IP,
    "IPPROTO_IP": constants.IPPROTO_IP,
    "IPPROTO_IPV6": constants.IPPROTO_IPV6,
}
_O_RDWR = 2
_O_NONBLOCK = 0x800
_DOUBLED = ("SO_SNDBUF", "SO_RCVBUF")
"""Linux doubles what it is given, for its overhead (socket(7))."""


class Calls:
    """One process. ``begin`` is where a call of a script starts. Its time is counted from ``started``, and time stamps
    may differ by ``tolerance``, ns."""

    def __init__(
        self, env: Environment, stack: NetworkStack, addresses: Addresses, *, started: int, tolerance: int
    ) -> None:
        self._started = started
        self._tolerance = tolerance
        self._addresses = addresses
        self._env = env
        self._stack = stack
        self._files: dict[int, StreamSocket | Epoll] = {}
        self._result: object = None
        self.latest: StreamSocket | None = None
        """The socket of the last call: the one that code asks for ``tcpi_``."""

    def begin(self, call: Call) -> Awaitable[object]:
        """The coroutine of a call: its result, or ``OSError``; ``AssertionError`` for a value that is not as the script
        says. Raises ``UnsupportedError``."""
        self._result = call.result
        method: Callable[..., Awaitable[object]] | None = getattr(self, f"_{call.name}", None)
        if method is None:
            raise UnsupportedError(f"{call.name}()")
        try:
            return method(*call.arguments)
        except TypeError:
            raise UnsupportedError(f"{call.name}() with {len(call.arguments)} arguments") from None

    def _socket_of(self, fd: object) -> StreamSocket:
        found = self._files.get(integer(fd))
        if not isinstance(found, StreamSocket):
            raise error(errno.EBADF)
        self.latest = found
        return found

    def _open(self, file: StreamSocket | Epoll) -> int:
        # Scripts choose their descriptors as they like, and may leave one behind by giving its number to another.
        fd = self._result if isinstance(self._result, int) else -1
        if fd < 0:
            raise UnsupportedError(f"a descriptor {self._result}")
        self._files[fd] = file
        if isinstance(file, StreamSocket):
            self.latest = file
        return fd

    # Opening and closing

    async def _socket(self, family: object, kind: object, protocol: object) -> int:
        if kind != "SOCK_STREAM" or family not in (None, "AF_INET"):
            raise UnsupportedError(f"socket({family}, {kind}, {protocol})")
        family = constants.AF_INET6 if self._addresses.ipv6 else constants.AF_INET
        return self._open(self._stack.socket(family, constants.SOCK_STREAM))

    async def _bind(self, fd: object, address: object, length: object) -> int:
        await self._socket_of(fd).bind((self._addresses.local, LOCAL_PORT) if address is None else _address(address))
        return 0

    async def _listen(self, fd: object, backlog: object) -> int:
        await self._socket_of(fd).listen(integer(backlog))
        return 0

    async def _accept(self, fd: object, address: object, length: object) -> int:
        socket, _ = await self._socket_of(fd).accept()
        return self._open(socket)

    async def _connect(self, fd: object, address: object, length: object) -> int:
        await self._socket_of(fd).connect(self._peer if address is None else _address(address))
        return 0

    async def _shutdown(self, fd: object, how: object) -> int:
        await self._socket_of(fd).shutdown(number(how))
        return 0

    async def _close(self, fd: object) -> int:
        file = self._files.pop(integer(fd), None)
        if file is None:
            raise error(errno.EBADF)
        if isinstance(file, Epoll):
            file.close()
        else:
            await file.close()
        return 0

    # Data

    async def _read(self, fd: object, buffer: object, size: object) -> int:
        return await self._recv(fd, buffer, size, 0)

    async def _recv(self, fd: object, buffer: object, size: object, flags: object) -> int:
        socket = self._socket_of(fd)
        if buffer == "NULL":
            raise error(errno.EFAULT)
        return len(await socket.recv(integer(size), number(flags)))

    async def _recvfrom(
        self, fd: object, buffer: object, size: object, flags: object, address: object, length: object
    ) -> int:
        return await self._recv(fd, buffer, size, flags)

    async def _recvmsg(self, fd: object, message: object, flags: object) -> int:
        size = sum(map(len, buffers(message)))
        data, messages, _, _ = await self._socket_of(fd).recvmsg(size, ANCILLARY_BYTES, number(flags))
        wanted = wanted_messages(message)
        if wanted is not None:
            found = in_script_time(messages, wanted, started=self._started, tolerance=self._tolerance)
            _equal("control messages", shown(found), shown(wanted))
        return len(data)

    async def _write(self, fd: object, buffer: object, size: object) -> int:
        return await self._send(fd, buffer, size, 0)

    async def _send(self, fd: object, buffer: object, size: object, flags: object) -> int:
        return await self._sendto(fd, buffer, size, flags, None, None)

    async def _sendto(
        self, fd: object, buffer: object, size: object, flags: object, address: object, length: object
    ) -> int:
        socket = self._socket_of(fd)
        if buffer == "NULL":
            raise error(errno.EFAULT)
        return await socket.sendto(bytes(integer(size)), number(flags), self._destination(flags, address))

    async def _sendmsg(self, fd: object, message: object, flags: object) -> int:
        name = fields(message).get("msg_name")
        return await self._socket_of(fd).sendmsg(buffers(message), (), number(flags), self._destination(flags, name))

    @property
    def _peer(self) -> Address:
        """The address that a script writes as ``...``."""
        return self._addresses.remote, REMOTE_PORT

    def _destination(self, flags: object, address: object) -> Address | tuple[()] | None:
        if address == "AF_UNSPEC":
            return ()
        if address is not None:
            return _address(address)
        # Only a call that connects looks at it.
        return self._peer if number(flags) & constants.MSG_FASTOPEN else None

    # Waiting

    async def _poll(self, descriptors: object, count: object, timeout: object) -> int:
        if not isinstance(descriptors, list):
            raise UnsupportedError(f"poll({descriptors!r})")
        poller = Poll(self._stack)
        wanted: dict[StreamSocket, int] = {}
        for one in descriptors:
            asked = fields(one)
            socket = self._socket_of(asked["fd"])
            poller.register(socket, number(asked["events"]))
            wanted[socket] = number(asked.get("revents", 0))
        ready = dict(await poller.poll(_milliseconds(timeout)))
        for socket, events in wanted.items():
            _equal("revents", ready.get(socket, 0), events)
        return len(ready)

    async def _epoll_create(self, size: object) -> int:
        return self._open(Epoll(self._stack))

    def _epoll(self, fd: object) -> Epoll:
        found = self._files.get(integer(fd))
        if not isinstance(found, Epoll):
            raise error(errno.EBADF)
        return found

    async def _epoll_ctl(self, fd: object, operation: object, target: object, event: object) -> int:
        epoll, socket = self._epoll(fd), self._socket_of(target)
        events = number(fields(event)["events"])
        match operation:
            case "EPOLL_CTL_ADD":
                epoll.register(socket, events)
            case "EPOLL_CTL_MOD":
                epoll.modify(socket, events)
            case "EPOLL_CTL_DEL":
                epoll.unregister(socket)
            case _:
                raise UnsupportedError(f"epoll_ctl({operation})")
        return 0

    async def _epoll_wait(self, fd: object, event: object, count: object, timeout: object) -> int:
        ready = await self._epoll(fd).poll(_milliseconds(timeout), integer(count))
        _equal("events", ready[0][1] if ready else 0, number(fields(event)["events"]))
        return len(ready)

    # Options

    async def _fcntl(self, fd: object, command: object, value: object = 0) -> int:
        socket = self._socket_of(fd)
        if command == "F_GETFL":
            return _O_RDWR | (0 if socket.getblocking() else _O_NONBLOCK)
        if command != "F_SETFL":
            raise UnsupportedError(f"fcntl({command})")
        socket.setblocking("O_NONBLOCK" not in str(value).split("|"))
        return 0

    async def _ioctl(self, fd: object, request: object, value: object) -> int:
        _equal(str(request), self._socket_of(fd).ioctl(number(request)), _single(value))
        return 0

    async def _setsockopt(self, fd: object, level: object, option: object, value: object, length: object) -> int:
        setting = value[: integer(length)] if isinstance(value, bytes) else _single(value)
        if option in _DOUBLED and isinstance(setting, int):
            setting *= 2
        socket = self._socket_of(fd)
        try:
            socket.setsockopt(*_option(level, option), setting)
        except OSError as failure:
            raise _not_built(failure, level, option) from None
        return 0

    async def _getsockopt(self, fd: object, level: object, option: object, value: object, length: object) -> int:
        socket = self._socket_of(fd)
        try:
            found = socket.getsockopt(*_option(level, option))
        except OSError as failure:
            raise _not_built(failure, level, option) from None
        _equal(str(option), found, _single(value))
        return 0


def _not_built(failure: OSError, level: object, option: object) -> Exception:
    """An option that the stack does not know is one that the script cannot be run for."""
    if failure.errno == errno.ENOPROTOOPT:
        return UnsupportedError(f"socket option {level}, {option}")
    return failure


def _equal(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise AssertionError(f"expected: {what} {wanted}\nactual:   {what} {found}")


def _single(value: object) -> int:
    """A number in brackets: what a pointer leads to."""
    return number(value[0] if isinstance(value, list) and len(value) == 1 else value)


def _milliseconds(timeout: object) -> int | None:
    """A timeout in nanoseconds, None for ever."""
    time = integer(timeout)
    return None if time < 0 else time * _MS


def _address(value: object) -> Address:
    if not isinstance(value, Structure):
        raise UnsupportedError(f"an address written as {value!r}")
    host, port = value.fields.get("sin_addr"), value.fields.get("sin_port")
    if not isinstance(host, bytes) or not isinstance(port, int):
        raise UnsupportedError(f"an address with {sorted(value.fields)}")
    return host.decode(), port


def _option(level: object, option: object) -> tuple[int, int]:
    number = getattr(constants, str(option), None)
    if level not in _LEVELS or not isinstance(number, int):
        raise UnsupportedError(f"socket option {level}, {option}")
    return _LEVELS[str(level)], number


def describe(error: OSError) -> str:
    """As scripts write it."""
    return f"-1 {errno.errorcode.get(error.errno or 0, '?')} ({os.strerror(error.errno or 0)})"
