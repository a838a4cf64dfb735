"""What all sockets share (POSIX.1 ``<sys/socket.h>``, ``socket(7)``).

Each call is a coroutine: it charges ``Cause.SYSTEM_CALL`` and what it copies, and lets the processor's time pass before
it returns. One that would have to wait raises EAGAIN instead if the socket does not block, if MSG_DONTWAIT is given, or
when SO_RCVTIMEO or SO_SNDTIMEO is over. Times are nanoseconds.
"""

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from stack.environment import Cause, Event
from stack.socket.constants import (
    MSG_DONTWAIT,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLPRI,
    POLLRDHUP,
    SO_RCVTIMEO,
    SO_SNDTIMEO,
)

if TYPE_CHECKING:
    from stack.host import NetworkStack

__all__ = ["Address", "Socket", "check_buffer", "check_port", "error"]

_MINIMUM_BUFFER = 2048
_READ_EVENTS = POLLIN | POLLPRI | POLLRDHUP | POLLHUP | POLLERR
_WRITE_EVENTS = POLLOUT | POLLHUP | POLLERR

Address = tuple[str, int] | tuple[str, int, int, int]
"""As in Python's ``socket``: (host, port), for AF_INET6 (host, port, flow information, scope). "" is any address."""


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
    """Every call raises ``OSError`` with BSD's errno."""

    def __init__(self, stack: "NetworkStack", family: int, kind: int, protocol: int) -> None:
        self.stack = stack
        self.family = family
        self.type = kind
        self.proto = protocol
        self._readable = stack.env.event()
        self._writable = stack.env.event()
        self._closed = False
        self._blocking = True
        self._timeouts: dict[int, int | None] = {SO_RCVTIMEO: None, SO_SNDTIMEO: None}
        self.watchers: dict[Callable[[], None], None] = {}
        """Who wants to know that readiness may have changed: pollers."""
        self.exclusive_watchers: dict[Callable[[int], bool], None] = {}
        """Of these only the first that has use for what may have changed, which it says (EPOLLEXCLUSIVE); then it is
        the last."""

    # Waiting

    def setblocking(self, flag: bool) -> None:
        """Whether calls wait (O_NONBLOCK)."""
        self._blocking = flag

    def getblocking(self) -> bool:
        """Whether calls wait."""
        return self._blocking

    def settimeout(self, duration: int | None) -> None:
        """How long any call waits, in nanoseconds; None for ever, 0 not at all."""
        self._blocking = duration != 0
        self._timeouts = dict.fromkeys(self._timeouts, duration or None)

    def _changed_readable(self) -> None:
        """The protocol has something to read, an error, or the end."""
        self._readable.set()
        if self.watchers or self.exclusive_watchers:
            self._tell(_READ_EVENTS)

    def _changed_writable(self) -> None:
        """The protocol takes more, or has an error."""
        self._writable.set()
        if self.watchers or self.exclusive_watchers:
            self._tell(_WRITE_EVENTS)

    def _tell(self, events: int) -> None:
        for watcher in list(self.watchers):
            watcher()
        for exclusive in list(self.exclusive_watchers):
            if exclusive(events):
                self.exclusive_watchers[exclusive] = self.exclusive_watchers.pop(exclusive)
                break

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

    def _deadline(self, option: int) -> int | None:
        """Until when a call that starts now may wait."""
        timeout = self._timeouts[option]
        return None if timeout is None else self.stack.cpu.now + timeout

    async def _wait_readable(self, flags: int = 0, deadline: int | None = None) -> None:
        """Raises EBADF if the socket was closed meanwhile, as ``_wait_writable`` does."""
        await self._wait(self._readable, flags, deadline, errno.EAGAIN)

    async def _wait_writable(self, flags: int = 0, deadline: int | None = None, otherwise: int = errno.EAGAIN) -> None:
        await self._wait(self._writable, flags, deadline, otherwise)

    async def _wait(self, event: Event, flags: int, deadline: int | None, otherwise: int) -> None:
        if not self._blocking or flags & MSG_DONTWAIT:
            raise error(otherwise)
        event.clear()
        if deadline is None:
            await event.wait()
        else:
            if self.stack.cpu.now >= deadline:
                raise error(otherwise)
            timer = self.stack.env.call_at(deadline, event.set)
            try:
                await event.wait()
            finally:
                timer.cancel()
        # The program is awake, and goes on when it has a processor.
        await self.stack.cpu.settle()
        if self._closed:
            raise error(errno.EBADF)

    def _set_timeout(self, option: int, value: object) -> None:
        if not isinstance(value, int) or value < 0:
            raise error(errno.EINVAL)
        self._timeouts[option] = value or None

    def fileno(self) -> int:
        """-1 once the socket is closed, else a number of its own."""
        return -1 if self._closed else id(self)

    @abstractmethod
    def poll(self) -> int:
        """What a call would find right now: POLLIN, POLLOUT, POLLPRI, POLLERR, POLLHUP, POLLRDHUP."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the socket. A second call has no effect."""

    def _wake_all(self) -> None:
        """The socket is closed: nobody waits any more."""
        self._changed_readable()
        self._changed_writable()
