"""The socket edge: BSD's calls as coroutines, with BSD's errno (POSIX.1 ``<sys/socket.h>``, ``socket(7)``).

Each call charges ``Cause.SYSTEM_CALL`` and what it copies, and lets the processor's time pass before it returns.
"""

import errno
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from stack.environment import Cause, Event

if TYPE_CHECKING:
    from stack.host import NetworkStack

__all__ = [
    "AF_INET",
    "SHUT_RD",
    "SHUT_RDWR",
    "SHUT_WR",
    "SOCK_DGRAM",
    "SOCK_STREAM",
    "SOL_SOCKET",
    "SO_ERROR",
    "SO_KEEPALIVE",
    "SO_MAX_PACING_RATE",
    "SO_RCVBUF",
    "SO_REUSEADDR",
    "SO_SNDBUF",
    "TCP_CONGESTION",
    "TCP_CORK",
    "TCP_KEEPCNT",
    "TCP_KEEPIDLE",
    "TCP_KEEPINTVL",
    "TCP_MAXSEG",
    "TCP_NODELAY",
    "TCP_QUICKACK",
    "TCP_USER_TIMEOUT",
    "Address",
    "Socket",
    "error",
]

AF_INET: Final = 2
SOCK_STREAM: Final = 1
SOCK_DGRAM: Final = 2
SHUT_RD = 0
SHUT_WR = 1
SHUT_RDWR = 2
SOL_SOCKET = 1
SO_REUSEADDR = 2
SO_ERROR = 4
SO_SNDBUF = 7
SO_RCVBUF = 8
SO_KEEPALIVE = 9
SO_MAX_PACING_RATE = 47
TCP_NODELAY = 1
TCP_MAXSEG = 2
TCP_CORK = 3
TCP_KEEPIDLE = 4
TCP_KEEPINTVL = 5
TCP_KEEPCNT = 6
TCP_QUICKACK = 12
TCP_CONGESTION = 13
TCP_USER_TIMEOUT = 18
_MINIMUM_BUFFER = 2048

Address = tuple[str, int]
"""(dotted IPv4 address, port), as in Python's ``socket``; "" is any address."""


def error(number: int) -> OSError:
    """The exception for an errno: Python chooses the subclass (``ConnectionRefusedError`` and so on)."""
    return OSError(number, os.strerror(number))


def check_port(port: int) -> int:
    """Raises ``OverflowError`` as Python's ``socket`` does."""
    if not 0 <= port <= 0xFFFF:
        raise OverflowError(f"port must be 0-65535, not {port!r}")
    return port


def check_buffer(size: int) -> int:
    """A buffer size for ``setsockopt``: small ones are raised to the minimum, as in Linux."""
    if size < 0:
        raise error(errno.EINVAL)
    return max(size, _MINIMUM_BUFFER)


class Socket(ABC):
    """What stream and datagram sockets share. Every call raises ``OSError`` with BSD's errno."""

    def __init__(self, stack: "NetworkStack") -> None:
        self.stack = stack
        self._readable = stack.env.event()
        self._writable = stack.env.event()
        self._closed = False

    def _enter(self) -> None:
        """A system call starts."""
        self.stack.cpu.charge(Cause.SYSTEM_CALL)
        if self._closed:
            raise error(errno.EBADF)

    def _copy(self, size: int) -> None:
        """Bytes go between the program and the stack."""
        self.stack.cpu.charge(Cause.COPY, size=size)

    async def _leave(self) -> None:
        """The system call is over when its work is done."""
        await self.stack.cpu.settle()

    async def _wait_readable(self) -> None:
        """Raises EBADF if the socket was closed meanwhile, as ``_wait_writable`` does."""
        await self._wait(self._readable)

    async def _wait_writable(self) -> None:
        await self._wait(self._writable)

    async def _wait(self, event: Event) -> None:
        event.clear()
        await event.wait()
        # The program is awake, and goes on when it has a processor.
        await self.stack.cpu.settle()
        if self._closed:
            raise error(errno.EBADF)

    @abstractmethod
    async def close(self) -> None:
        """Let go of the socket. A second call has no effect."""

    @abstractmethod
    def getsockname(self) -> Address:
        """The local address and port."""

    @abstractmethod
    def getpeername(self) -> Address:
        """The remote address and port. ENOTCONN if there is none."""
