"""A listening port: connections that open, and those that wait to be accepted."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from stack.tcp.connection import Connection
from stack.tcp.parameters import SocketOptions

if TYPE_CHECKING:
    from stack.tcp.tcp import Tcp

__all__ = ["Listener"]


def _nothing() -> None:
    """What a listener without a socket does when it changes."""


class Listener:
    """Passive open. ``backlog`` bounds what opens and what waits to be accepted, together."""

    def __init__(self, tcp: "Tcp", address: int, port: int, backlog: int, options: SocketOptions) -> None:
        self.tcp = tcp
        self.address = address
        self.port = port
        self.backlog = max(backlog, 1)
        self.options = options
        self.opening: set[Connection] = set()
        """In SYN-RECEIVED."""
        self.accepted: deque[Connection] = deque()
        """Established, waiting for ``accept``."""
        self.readable: Callable[[], None] = _nothing

    def full(self) -> bool:
        """No further connection may open: both queues together hold ``backlog``."""
        return len(self.opening) + len(self.accepted) >= self.backlog

    def established(self, connection: Connection) -> None:
        """A connection's handshake is complete."""
        self.opening.discard(connection)
        connection.listener = None
        self.accepted.append(connection)
        self.readable()

    def finished(self, connection: Connection) -> None:
        """A connection ended before its handshake was complete."""
        self.opening.discard(connection)

    def close(self) -> None:
        """Listen no more; reset what nobody will accept."""
        self.tcp.unlisten(self)
        for connection in sorted(self.opening, key=lambda one: one.key):
            connection.abort(0)
        while self.accepted:
            self.accepted.popleft().abort(0)
        self.readable()
