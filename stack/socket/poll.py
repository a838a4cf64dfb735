"""Waiting for several sockets: ``select``, ``poll`` and ``epoll`` (select(2), poll(2), epoll(7)). Timeouts in
nanoseconds, None for ever."""

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stack.environment import Cause
from stack.socket.base import Socket, error
from stack.socket.constants import (
    EPOLLERR,
    EPOLLET,
    EPOLLEXCLUSIVE,
    EPOLLHUP,
    EPOLLIN,
    EPOLLONESHOT,
    EPOLLOUT,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLNVAL,
    POLLOUT,
    POLLPRI,
)

if TYPE_CHECKING:
    from stack.host import NetworkStack

__all__ = ["Epoll", "Poll", "select"]

_ALWAYS = POLLERR | POLLHUP
"""Told whether asked for or not."""
_READ = POLLIN | POLLHUP | POLLERR
_WRITE = POLLOUT | POLLERR
_MODES = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE
_WITH_EXCLUSIVE = EPOLLEXCLUSIVE | EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLET


class Poll:
    """``select.poll`` of Python, as a coroutine."""

    def __init__(self, stack: "NetworkStack") -> None:
        self._stack = stack
        self._sockets: dict[Socket, int] = {}

    def register(self, socket: Socket, events: int = POLLIN | POLLPRI | POLLOUT) -> None:
        """Watch a socket; again to change ``events``."""
        self._sockets[socket] = events

    def modify(self, socket: Socket, events: int) -> None:
        """Raises ENOENT for a socket that is not watched."""
        if socket not in self._sockets:
            raise error(errno.ENOENT)
        self._sockets[socket] = events

    def unregister(self, socket: Socket) -> None:
        """Raises ``KeyError`` for a socket that is not watched."""
        del self._sockets[socket]

    def _ready(self) -> list[tuple[Socket, int]]:
        found = []
        for socket, events in self._sockets.items():
            got = POLLNVAL if socket.fileno() < 0 else socket.poll() & (events | _ALWAYS)
            if got:
                found.append((socket, got))
        return found

    async def poll(self, timeout: int | None = None) -> list[tuple[Socket, int]]:
        """(socket, events) of those that are ready, [] if none was in time."""
        stack = self._stack
        stack.cpu.charge(Cause.SYSTEM_CALL)
        deadline = None if timeout is None else stack.cpu.now + timeout
        changed = stack.env.event()
        for socket in self._sockets:
            socket.watchers[changed.set] = None
        timer = None if deadline is None else stack.env.call_at(deadline, changed.set)
        try:
            while not (ready := self._ready()):
                if deadline is not None and stack.cpu.now >= deadline:
                    break
                changed.clear()
                await changed.wait()
        finally:
            if timer is not None:
                timer.cancel()
            for socket in self._sockets:
                socket.watchers.pop(changed.set, None)
        await stack.cpu.settle()
        return ready


async def select(
    stack: "NetworkStack",
    readers: Sequence[Socket],
    writers: Sequence[Socket] = (),
    exceptional: Sequence[Socket] = (),
    timeout: int | None = None,
) -> tuple[list[Socket], list[Socket], list[Socket]]:
    """The sockets of each sequence that are ready. EBADF if one is closed."""
    poller = Poll(stack)
    for sockets, events in ((readers, POLLIN), (writers, POLLOUT), (exceptional, POLLPRI)):
        for socket in sockets:
            if socket.fileno() < 0:
                raise error(errno.EBADF)
            poller.register(socket, poller._sockets.get(socket, 0) | events)
    ready = dict(await poller.poll(timeout))
    if any(got & POLLNVAL for got in ready.values()):
        raise error(errno.EBADF)
    return (
        [one for one in readers if ready.get(one, 0) & _READ],
        [one for one in writers if ready.get(one, 0) & _WRITE],
        [one for one in exceptional if ready.get(one, 0) & POLLPRI],
    )


class Epoll:
    """``select.epoll`` of Python, as a coroutine: EPOLLET tells of a socket once per change, EPOLLONESHOT once. Of
    several that watch a socket with EPOLLEXCLUSIVE one is told of a change, each in its turn.

    A wait costs as much as there are sockets that have changed, not as are watched."""

    def __init__(self, stack: "NetworkStack") -> None:
        self._stack = stack
        self._events: dict[Socket, int] = {}
        self._candidates: dict[Socket, None] = {}
        """Those that may be ready."""
        self._changed = stack.env.event()
        self._hooks: dict[Socket, _Hook] = {}
        self._closed = False

    def register(self, socket: Socket, events: int = EPOLLIN | EPOLLOUT) -> None:
        """EPOLL_CTL_ADD. EEXIST if it is watched already, EBADF if it is closed, EINVAL for what cannot be had with
        EPOLLEXCLUSIVE."""
        self._check()
        if socket.fileno() < 0:
            raise error(errno.EBADF)
        if socket in self._events:
            raise error(errno.EEXIST)
        if events & EPOLLEXCLUSIVE and events & ~_WITH_EXCLUSIVE:
            raise error(errno.EINVAL)
        hook = self._hooks[socket] = _Hook(self, socket)
        if events & EPOLLEXCLUSIVE:
            socket.exclusive_watchers[hook.has_use] = None
        else:
            socket.watchers[hook.changed] = None
        self._events[socket] = events
        hook.changed()

    def modify(self, socket: Socket, events: int) -> None:
        """EPOLL_CTL_MOD. ENOENT if it is not watched, EINVAL if it is or is to be with EPOLLEXCLUSIVE."""
        self._check()
        if socket not in self._events:
            raise error(errno.ENOENT)
        if (events | self._events[socket]) & EPOLLEXCLUSIVE:
            raise error(errno.EINVAL)
        self._events[socket] = events
        self._hooks[socket].changed()

    def unregister(self, socket: Socket) -> None:
        """EPOLL_CTL_DEL. ENOENT if it is not watched."""
        self._check()
        if socket not in self._events:
            raise error(errno.ENOENT)
        self._forget(socket)

    def _check(self) -> None:
        if self._closed:
            raise ValueError("I/O operation on closed epoll object")

    def _forget(self, socket: Socket) -> None:
        hook = self._hooks.pop(socket)
        socket.watchers.pop(hook.changed, None)
        socket.exclusive_watchers.pop(hook.has_use, None)
        del self._events[socket]
        self._candidates.pop(socket, None)

    def _collect(self, limit: int) -> list[tuple[Socket, int]]:
        found: list[tuple[Socket, int]] = []
        for socket in list(self._candidates):
            if len(found) == limit:
                break
            del self._candidates[socket]
            if socket.fileno() < 0:
                # What is closed is forgotten.
                self._forget(socket)
                continue
            events = self._events[socket]
            got = socket.poll() & (events | EPOLLERR | EPOLLHUP) & ~_MODES if events else 0
            if not got:
                continue
            found.append((socket, got))
            if events & EPOLLONESHOT:
                self._events[socket] = 0
            elif not events & EPOLLET:
                # Level triggered: it is looked at again next time.
                self._candidates[socket] = None
        return found

    async def poll(self, timeout: int | None = None, maxevents: int = 64) -> list[tuple[Socket, int]]:
        """(socket, events) of at most ``maxevents`` that are ready, [] if none was in time."""
        self._check()
        if maxevents <= 0:
            raise error(errno.EINVAL)
        stack = self._stack
        stack.cpu.charge(Cause.SYSTEM_CALL)
        deadline = None if timeout is None else stack.cpu.now + timeout
        timer = None if deadline is None else stack.env.call_at(deadline, self._changed.set)
        try:
            while not (ready := self._collect(maxevents)):
                if deadline is not None and stack.cpu.now >= deadline:
                    break
                self._changed.clear()
                await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()
        await stack.cpu.settle()
        return ready

    def close(self) -> None:
        """Watch nothing any more."""
        for socket in list(self._events):
            self._forget(socket)
        self._closed = True


class _Hook:
    """What a watched socket calls."""

    __slots__ = ("_epoll", "_socket")

    def __init__(self, epoll: Epoll, socket: Socket) -> None:
        self._epoll = epoll
        self._socket = socket

    def changed(self) -> None:
        self._epoll._candidates[self._socket] = None
        self._epoll._changed.set()

    def has_use(self, events: int) -> bool:
        """Take the change, if there is something to tell of it. That the socket is closed is for all."""
        if self._socket.fileno() < 0:
            self.changed()
            return False
        found = self._socket.poll() & (self._epoll._events[self._socket] | EPOLLERR | EPOLLHUP) & events
        if found:
            self.changed()
        return found != 0
