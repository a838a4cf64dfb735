"""When data is acknowledged: at once, or with the next (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2; Linux's quick
ACK and interactive modes)."""

from typing import TYPE_CHECKING, Final

from stack.tcp.timers import DeadlineTimer

if TYPE_CHECKING:
    from stack.tcp.connection import Connection

__all__ = ["DelayedAck"]

_MAXIMUM_QUICK: Final = 16
"""Linux's TCP_MAX_QUICKACKS: so many ACKs at once help the peer's slow start."""


class DelayedAck:
    """One connection's."""

    __slots__ = ("_connection", "_interactive", "_quick", "_started", "last_data", "quick_allowed", "timer")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self.timer = DeadlineTimer(connection.tcp.env, self._expired)
        self.quick_allowed = True
        """TCP_QUICKACK."""
        self._started = False
        self._quick = 0
        """ACKs that are still to go out at once."""
        self._interactive = False
        """The program answers soon, so that the ACK can ride on the answer (Linux's pingpong mode)."""
        self.last_data = 0
        """When data last came."""

    def received(self, now: int) -> None:
        """Data in order has come: ACK at least every second full segment, or after the delay."""
        connection = self._connection
        receiver = connection.receiver
        if not self._started:
            self._started = True
            self._quick = _MAXIMUM_QUICK
        self.last_data = now
        if receiver.nxt - receiver.acknowledged >= 2 * receiver.segment_size or (
            self._quick and self.quick_allowed and not self._interactive
        ):
            connection.ack_now = True
        elif self.timer.deadline is None:
            self.timer.start(now + connection.tcp.parameters.delayed_ack)

    def leave_to_program(self, now: int) -> None:
        """The program is about to send, and takes the ACK along."""
        self.last_data = now
        self.timer.start(now + self._connection.tcp.parameters.delayed_ack)

    def quicken(self) -> None:
        """Something is lost or comes twice: the peer should hear of all that follows at once
        (tcp_enter_quickack_mode)."""
        self._quick = _MAXIMUM_QUICK
        self._interactive = False

    def sent(self, now: int, *, data: bool) -> None:
        """An ACK goes out, with data or without."""
        self.timer.deadline = None
        if self._quick:
            self._quick -= 1
        if data and now - self.last_data < self._connection.tcp.parameters.delayed_ack:
            self._interactive = True

    def _expired(self) -> None:
        connection = self._connection
        connection.tcp.counters.mib["TcpExt.DelayedACKs"] += 1
        if self._interactive:
            # The program was not as quick as was hoped.
            self._interactive = False
        connection.send_ack()
