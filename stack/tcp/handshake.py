"""The rest of a handshake that the program need not wait for: a fast opened connection's SYN and ACK (RFC 7413 section
4.2.2; Linux's fastopen_rsk).

Until the peer acknowledges it, it is sent again and again, and nothing else is.
"""

from typing import TYPE_CHECKING, Final

from stack.tcp.options import FastOpenOption
from stack.tcp.timers import DeadlineTimer
from stack.tcp.transmit import send_answer

if TYPE_CHECKING:
    from stack.tcp.connection import Connection
    from stack.tcp.listener import Listener

__all__ = ["Handshake"]

_RESET_COUNTS: Final = 60_000_000_000
"""Nanoseconds for which a connection that the peer has reset counts as one that opens (RFC 7413 section 5.1)."""


class Handshake:
    """One connection's, from the SYN until the ACK of ours."""

    __slots__ = ("_connection", "_listener", "_sent_at", "_timer", "_tries")

    def __init__(self, connection: "Connection", listener: "Listener") -> None:
        self._connection = connection
        self._listener = listener
        self._tries = 0
        self._sent_at = 0
        self._timer = DeadlineTimer(connection.tcp.env, self._expired)
        listener.fast_opening += 1

    def answer(self, cookie: FastOpenOption | None = None) -> None:
        """Send the SYN and ACK, for the first time, with a new cookie perhaps, or again."""
        connection = self._connection
        self._sent_at = connection.tcp.cpu.now
        send_answer(connection, fast_open=cookie, again=self._tries > 0)
        self._timer.start(self._sent_at + (connection.tcp.parameters.initial_rto << self._tries))

    def _expired(self) -> None:
        connection = self._connection
        self._tries += 1
        # Linux tries once more than for other connections.
        if self._tries > connection.tcp.parameters.synack_retries + 1:
            connection.timed_out()
            return
        connection.tcp.counters.mib["TcpExt.TCPTimeouts"] += 1
        connection.syn_lost = True
        self.answer()

    def complete(self, now: int) -> None:
        """The peer has acknowledged the SYN."""
        connection = self._connection
        sender = connection.sender
        self.end()
        sender.rate.segments += 1
        if not self._tries:
            sender.rtt.sample(now - self._sent_at, now)
        # What was sent meanwhile has its time from now on.
        sender.loss_timer.acknowledged(now)

    def reset(self, now: int) -> None:
        """The peer has reset the connection: a SYN with another's address, perhaps."""
        self._listener.fast_open_resets.append(now + _RESET_COUNTS)

    def end(self) -> None:
        """Nobody waits for the peer any more."""
        self._timer.close()
        self._connection.handshake = None
        self._listener.fast_opening -= 1
