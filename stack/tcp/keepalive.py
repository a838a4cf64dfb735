"""Keep-alive (RFC 9293 section 3.8.4): ask a silent peer whether it is still there. Off unless SO_KEEPALIVE is set."""

import errno
from typing import TYPE_CHECKING, Final

from stack.tcp.state import State
from stack.tcp.timers import DeadlineTimer

if TYPE_CHECKING:
    from stack.tcp.connection import Connection

__all__ = ["KeepAlive"]

_STATES: Final = (
    State.ESTABLISHED,
    State.CLOSE_WAIT,
    State.FIN_WAIT_1,
    State.FIN_WAIT_2,
    State.CLOSING,
    State.LAST_ACK,
)


class KeepAlive:
    """One connection's. The timer exists only while keep-alive is on."""

    __slots__ = ("_connection", "_probes", "_timer", "heard_at")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._timer: DeadlineTimer | None = None
        self._probes = 0
        self.heard_at = 0
        """When the last segment came."""

    def schedule(self) -> None:
        """The option, a time or the state has changed."""
        connection = self._connection
        if not connection.options.keepalive or connection.state not in _STATES:
            self.close()
            return
        if self._timer is None:
            self._timer = DeadlineTimer(connection.tcp.env, self._expired)
        self._probes = 0
        self._timer.start(max(connection.tcp.cpu.now, self.heard_at) + self._time())

    def close(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _time(self) -> int:
        return self._connection.options.keepalive_time or self._connection.tcp.parameters.keepalive_time

    def _expired(self) -> None:
        connection = self._connection
        parameters = connection.tcp.parameters
        options = connection.options
        sender = connection.sender
        now = connection.tcp.cpu.now
        assert self._timer is not None
        due = self.heard_at + self._time()
        if now < due or sender.una < sender.nxt or sender.nxt < sender.end:
            # Heard meanwhile, or other timers watch: data is on its way or waits for the window.
            self._probes = 0
            self._timer.start(max(due, now + self._time()) if now >= due else due)
            return
        probes = options.keepalive_probes or parameters.keepalive_probes
        given_up = now - self.heard_at >= options.user_timeout if options.user_timeout else self._probes >= probes
        if given_up and self._probes:
            connection.tcp.counters.mib["TcpExt.TCPAbortOnTimeout"] += 1
            connection.abort(errno.ETIMEDOUT)
            return
        self._probes += 1
        connection.tcp.counters.mib["TcpExt.TCPKeepAlive"] += 1
        sender.send_probe()
        self._timer.start(now + (options.keepalive_interval or parameters.keepalive_interval))
