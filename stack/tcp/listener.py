"""A listening port: the SYN queue, the accept queue (RFC 9293 section 3.10.7.2; listen(2))."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from stack.ports import Binding
from stack.tcp.connection import Connection
from stack.tcp.parameters import SocketOptions

if TYPE_CHECKING:
    from stack.tcp.tcp import Tcp

__all__ = ["Listener"]


def _nothing() -> None:
    """What a listener without a socket does when it changes."""


class Listener:
    """Passive open. ``backlog`` bounds what waits to be accepted, and what opens, each by itself."""

    def __init__(self, tcp: "Tcp", binding: Binding, backlog: int, options: SocketOptions) -> None:
        self.tcp = tcp
        self.binding = binding
        self.set_backlog(backlog)
        self.options = options
        self.opening: set[Connection] = set()
        """The SYN queue: in SYN-RECEIVED."""
        self.accepted: deque[Connection] = deque()
        """The accept queue: established, waiting for ``accept``."""
        self.cookie_sent_at: int | None = None
        """When a SYN cookie last went out: only then is an ACK from nowhere worth a look."""
        self.fast_opening = 0
        """Connections that were opened fast and are not acknowledged by their peers."""
        self.fast_open_resets: deque[int] = deque()
        """Until when those that were reset count too."""
        self.readable: Callable[[], None] = _nothing

    def set_backlog(self, backlog: int) -> None:
        """1 to ``somaxconn``."""
        self.backlog = min(max(backlog, 1), self.tcp.parameters.somaxconn)

    def accept_queue_full(self) -> bool:
        return len(self.accepted) >= self.backlog

    def syn_queue_full(self) -> bool:
        return len(self.opening) >= min(self.backlog, self.tcp.parameters.max_syn_backlog)

    def fast_open_queue_full(self, now: int) -> bool:
        """Whether no more connections may be opened fast (RFC 7413 section 5.1, tcp_fastopen_queue_check)."""
        limit = min(self.options.fast_open_queue, self.tcp.parameters.somaxconn)
        resets = self.fast_open_resets
        while resets and resets[0] <= now:
            resets.popleft()
        full = self.fast_opening + len(resets) >= limit
        if full and limit:
            self.tcp.counters.mib["TcpExt.TCPFastOpenListenOverflow"] += 1
        return full

    def admits(self, connection: Connection) -> bool:
        """Whether a connection whose handshake is complete finds room. If not, its ACK is dropped: the peer's data or
        our SYN will come again, unless ``abort_on_overflow`` is set."""
        if not self.accept_queue_full():
            return True
        self.overflow()
        if self.tcp.parameters.abort_on_overflow:
            connection.abort(0)
        return False

    def overflow(self) -> None:
        """Count what the accept queue could not take."""
        self.tcp.counters.mib["TcpExt.ListenOverflows"] += 1
        self.tcp.counters.mib["TcpExt.ListenDrops"] += 1

    def established(self, connection: Connection) -> None:
        """A connection's handshake is complete."""
        self.opening.discard(connection)
        connection.listener = None
        self.accepted.append(connection)
        self.readable()

    def opened_fast(self, connection: Connection) -> None:
        """A connection that the program may have before its handshake is complete."""
        self.accepted.append(connection)
        self.readable()

    def finished(self, connection: Connection) -> None:
        """A connection ended before its handshake was complete."""
        self.opening.discard(connection)

    def close(self) -> None:
        """Listen no more; reset what nobody will accept."""
        self.tcp.ports.unlisten(self.binding, self)
        for connection in sorted(self.opening, key=lambda one: one.key):
            connection.abort(0)
        while self.accepted:
            self.accepted.popleft().abort(0)
        self.readable()
