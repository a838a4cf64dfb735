"""The system calls of scripts, over the stack's sockets."""

import errno
import os
from collections.abc import Awaitable, Callable
from typing import Any

import stack.socket as names
from sim.packetdrill.script import Call, Structure, UnsupportedError
from sim.packetdrill.wire import LOCAL, REMOTE
from stack.environment import Environment, Task
from stack.host import NetworkStack
from stack.socket import AF_INET, SOCK_STREAM, SOL_SOCKET
from stack.stream_socket import StreamSocket

__all__ = ["LOCAL_PORT", "REMOTE_PORT", "Calls", "describe"]

LOCAL_PORT = 8080
"""Of ``bind(fd, ..., ...)``."""
REMOTE_PORT = 8080
"""Of ``connect(fd, ..., ...)``."""
_STEPS = 16
"""Turns of the scheduler in which a call that need not wait returns."""
_LEVELS = {"SOL_SOCKET": SOL_SOCKET, "SOL_TCP": 6, "IPPROTO_TCP": 6}
_HOW = {"SHUT_RD": 0, "SHUT_WR": 1, "SHUT_RDWR": 2}
_O_RDWR = 2
_O_NONBLOCK = 0x800


class File:
    """An open file of the script's process."""

    def __init__(self, socket: StreamSocket) -> None:
        self.socket = socket
        self.blocking = True
        self.connecting: Task[Any] | None = None
        """A connect that does not block, until its end was asked for."""


class Calls:
    """One process. ``begin`` is where a call of a script starts."""

    def __init__(self, env: Environment, stack: NetworkStack) -> None:
        self._env = env
        self._stack = stack
        self._files: dict[int, File] = {}
        self._result: object = None
        self.latest: StreamSocket | None = None
        """The socket of the last call: the one that code asks for ``tcpi_``."""

    def begin(self, call: Call) -> Awaitable[object]:
        """The coroutine of a call: its result, or ``OSError``. Raises ``UnsupportedError``."""
        self._result = call.result
        method: Callable[..., Awaitable[object]] | None = getattr(self, f"_{call.name}", None)
        if method is None:
            raise UnsupportedError(f"{call.name}()")
        return method(*call.arguments)

    def may_block(self, call: Call) -> bool:
        """Whether a call that does not return at once waits, instead of failing with EAGAIN."""
        file = self._files.get(_integer(call.arguments[0])) if call.arguments else None
        return file is None or file.blocking

    async def _immediately(self, coroutine: Awaitable[Any], file: File) -> Any:
        """A call on a socket that may be non-blocking: EAGAIN if it would have to wait."""
        if file.blocking:
            return await coroutine
        task = self._env.spawn(caught(coroutine))
        for _ in range(_STEPS):
            await self._env.sleep(0)
            if task.done():
                return _value(await task)
        task.cancel()
        raise names.error(errno.EAGAIN)

    def _file(self, fd: object) -> File:
        file = self._files.get(_integer(fd))
        if file is None:
            raise names.error(errno.EBADF)
        self.latest = file.socket
        return file

    def _open(self, socket: StreamSocket) -> int:
        # Scripts choose their descriptors as they like.
        fd = self._result if isinstance(self._result, int) else -1
        if fd < 0 or fd in self._files:
            raise UnsupportedError(f"a descriptor {self._result}")
        self._files[fd] = File(socket)
        self.latest = socket
        return fd

    async def _socket(self, family: object, kind: object, protocol: object) -> int:
        if kind != "SOCK_STREAM" or family not in (None, "AF_INET"):
            raise UnsupportedError(f"socket({family}, {kind}, {protocol})")
        return self._open(self._stack.socket(AF_INET, SOCK_STREAM))

    async def _bind(self, fd: object, address: object, length: object) -> int:
        await self._file(fd).socket.bind((LOCAL, LOCAL_PORT) if address is None else _address(address))
        return 0

    async def _listen(self, fd: object, backlog: object) -> int:
        await self._file(fd).socket.listen(_integer(backlog))
        return 0

    async def _accept(self, fd: object, address: object, length: object) -> int:
        file = self._file(fd)
        socket, _ = await self._immediately(file.socket.accept(), file)
        return self._open(socket)

    async def _connect(self, fd: object, address: object, length: object) -> int:
        file = self._file(fd)
        peer = (REMOTE, REMOTE_PORT) if address is None else _address(address)
        if file.blocking:
            await file.socket.connect(peer)
            return 0
        if file.connecting is not None and file.connecting.done():
            task, file.connecting = file.connecting, None
            _value(await task)
            raise names.error(errno.EISCONN)
        task = self._env.spawn(caught(file.socket.connect(peer)))
        for _ in range(_STEPS):
            await self._env.sleep(0)
            if task.done():
                _value(await task)
                return 0
        file.connecting = task
        raise names.error(errno.EINPROGRESS)

    async def _read(self, fd: object, buffer: object, size: object) -> int:
        file = self._file(fd)
        if buffer == "NULL":
            raise names.error(errno.EFAULT)
        return len(await self._immediately(file.socket.recv(_integer(size)), file))

    async def _recv(self, fd: object, buffer: object, size: object, flags: object) -> int:
        _no_flags("recv", flags)
        return await self._read(fd, buffer, size)

    async def _recvfrom(
        self, fd: object, buffer: object, size: object, flags: object, address: object, length: object
    ) -> int:
        _no_flags("recvfrom", flags)
        return await self._read(fd, buffer, size)

    async def _write(self, fd: object, buffer: object, size: object) -> int:
        file = self._file(fd)
        if buffer == "NULL":
            raise names.error(errno.EFAULT)
        return int(await self._immediately(file.socket.send(bytes(_integer(size))), file))

    async def _send(self, fd: object, buffer: object, size: object, flags: object) -> int:
        _no_flags("send", flags)
        return await self._write(fd, buffer, size)

    async def _sendto(
        self, fd: object, buffer: object, size: object, flags: object, address: object, length: object
    ) -> int:
        _no_flags("sendto", flags)
        return await self._write(fd, buffer, size)

    async def _shutdown(self, fd: object, how: object) -> int:
        await self._file(fd).socket.shutdown(_HOW[how] if isinstance(how, str) else _integer(how))
        return 0

    async def _close(self, fd: object) -> int:
        file = self._file(fd)
        del self._files[_integer(fd)]
        await file.socket.close()
        return 0

    async def _fcntl(self, fd: object, command: object, value: object = 0) -> int:
        file = self._file(fd)
        if command == "F_GETFL":
            return _O_RDWR | (0 if file.blocking else _O_NONBLOCK)
        if command != "F_SETFL":
            raise UnsupportedError(f"fcntl({command})")
        file.blocking = "O_NONBLOCK" not in str(value).split("|")
        return 0

    async def _setsockopt(self, fd: object, level: object, option: object, value: object, length: object) -> int:
        file = self._file(fd)
        number = _option(level, option)
        setting = value[0] if isinstance(value, list) else value
        if not isinstance(setting, int):
            raise UnsupportedError(f"setsockopt(..., {option}, {value!r})")
        if option in ("SO_SNDBUF", "SO_RCVBUF"):
            # Linux doubles what it is given, for its overhead (socket(7)).
            setting *= 2
        file.socket.setsockopt(*number, setting)
        return 0

    async def _getsockopt(self, fd: object, level: object, option: object, value: object, length: object) -> int:
        file = self._file(fd)
        number = _option(level, option)
        if option == "SO_ERROR" and file.connecting is not None and file.connecting.done():
            task, file.connecting = file.connecting, None
            outcome = await task
            found: int | str = (outcome.errno or 0) if isinstance(outcome, OSError) else 0
        else:
            found = file.socket.getsockopt(*number)
        wanted = value[0] if isinstance(value, list) else value
        if isinstance(wanted, str) and wanted.startswith("E"):
            wanted = getattr(errno, wanted)
        if found != wanted:
            raise AssertionError(f"{option} is {found}, not {wanted}")
        return 0


async def caught(coroutine: Awaitable[Any]) -> Any:
    """The result of a call, or the ``OSError`` that it has raised: a task's failure would end the run."""
    try:
        return await coroutine
    except OSError as error:
        return error


def _value(outcome: Any) -> Any:
    if isinstance(outcome, OSError):
        raise outcome
    return outcome


def _integer(value: object) -> int:
    if isinstance(value, int):
        return value
    raise UnsupportedError(f"a number written as {value!r}")


def _address(value: object) -> tuple[str, int]:
    if not isinstance(value, Structure):
        raise UnsupportedError(f"an address written as {value!r}")
    host, port = value.fields.get("sin_addr"), value.fields.get("sin_port")
    if not isinstance(host, bytes) or not isinstance(port, int):
        raise UnsupportedError(f"an address with {sorted(value.fields)}")
    return host.decode(), port


def _no_flags(call: str, flags: object) -> None:
    if flags not in (0, "0", "MSG_NOSIGNAL"):
        raise UnsupportedError(f"{call}(..., {flags})")


def _option(level: object, option: object) -> tuple[int, int]:
    number = getattr(names, str(option), None)
    if level not in _LEVELS or not isinstance(number, int):
        raise UnsupportedError(f"socket option {level}, {option}")
    return _LEVELS[str(level)], number


def describe(error: OSError) -> str:
    """As scripts write it."""
    return f"-1 {errno.errorcode.get(error.errno or 0, '?')} ({os.strerror(error.errno or 0)})"
