"""When data is acknowledged: at once, or with the next (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2; Linux's quick
ACK and interactive modes, and its compressed ACKs)."""

from typing import TYPE_CHECKING, Final

from stack.tcp.timers import DeadlineTimer

if TYPE_CHECKING:
    from stack.tcp.connection import Connection

__all__ = ["DelayedAck"]

_MAXIMUM_QUICK: Final = 16
"""Linux's TCP_MAX_QUICKACKS: so many ACKs at once help the peer's slow start."""
_DUPLICATES: Final = 3
"""Linux's TCP_FASTRETRANS_THRESH: so many tell the peer of a loss, whatever it goes by."""
_COMPRESSION_DIVISOR: Final = 20
"""ACKs wait for this part of the round trip at most."""


class DelayedAck:
    """One connection's."""

    __slots__ = (
        "_compressed",
        "_compression_timer",
        "_connection",
        "_duplicates",
        "_duplicates_of",
        "_interactive",
        "_quick",
        "_started",
        "last_data",
        "quick_allowed",
        "timer",
    )

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
        self._compressed = 0
        """ACKs that were not sent, since one later tells the same."""
        self._compression_timer: DeadlineTimer | None = None
        """Most connections never need it."""
        self._duplicates = 0
        self._duplicates_of = 0
        """So many ACKs with this number have told of what lies beyond a gap."""

    def received(self, now: int) -> None:
        """Data in order has come: ACK at least every second full segment, or after the delay."""
        connection = self._connection
        receiver = connection.receiver
        self._advanced(now)
        if receiver.nxt - receiver.acknowledged >= 2 * receiver.segment_size or (
            self._quick and self.quick_allowed and not self._interactive
        ):
            connection.ack_now = True
        elif self.timer.deadline is None:
            self.timer.start(now + connection.tcp.parameters.delayed_ack)

    def _advanced(self, now: int) -> None:
        """RCV.NXT has moved: for the first time, or after so long that the peer begins anew with a small window
        (tcp_event_data_recv)."""
        if not self._started or now - self.last_data > self._connection.sender.rtt.rto:
            self._started = True
            self._quick = _MAXIMUM_QUICK
        self.last_data = now

    def beyond_gap(self, now: int, *, advanced: bool) -> None:
        """Data has come out of order, or into a gap, so that RCV.NXT has ``advanced``.

        RFC 5681 section 4.2 wants an ACK for each such segment at once, so that the peer learns of the loss. Once it
        has, it only has to learn what has arrived, and one SACK option tells that of many segments: Linux's compressed
        ACKs (tcp_comp_sack_delay_ns), which a burst needs, or the host that answers is the bottleneck.
        """
        connection = self._connection
        receiver = connection.receiver
        parameters = connection.tcp.parameters
        if advanced:
            self._advanced(now)
        if receiver.nxt != self._duplicates_of:
            self._duplicates_of = receiver.nxt
            self._duplicates = 0
        self._duplicates += 1
        if (
            self._duplicates <= _DUPLICATES
            or receiver.sacks.duplicates is not None
            or self._compressed >= parameters.compressed_acks
            or (self._quick and self.quick_allowed and not self._interactive)
            or not connection.sender.sack
        ):
            connection.ack_now = True
            return
        self._compressed += 1
        if self._compression_timer is None:
            self._compression_timer = DeadlineTimer(connection.tcp.env, self._decompress)
        if self._compression_timer.deadline is None:
            trips = [rtt for rtt in (connection.tuning.rtt, connection.sender.rtt.srtt) if rtt]
            delay = min(parameters.ack_compression_delay, min(trips, default=0) // _COMPRESSION_DIVISOR)
            self._compression_timer.start(now + delay)

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
        if self._compressed:
            self._connection.tcp.counters.mib["TcpExt.TCPAckCompressed"] += self._compressed
            self._compressed = 0
            if self._compression_timer is not None:
                self._compression_timer.stop()
        if self._quick:
            self._quick -= 1
        if data and now - self.last_data < self._connection.tcp.parameters.delayed_ack:
            self._interactive = True

    def close(self) -> None:
        """The connection is gone: no ACK is due any more."""
        self.timer.close()
        if self._compression_timer is not None:
            self._compression_timer.close()

    def _decompress(self) -> None:
        # One of them is sent after all.
        self._compressed -= 1
        self._connection.send_ack()

    def _expired(self) -> None:
        connection = self._connection
        connection.tcp.counters.mib["TcpExt.DelayedACKs"] += 1
        if self._interactive:
            # The program was not as quick as was hoped.
            self._interactive = False
        connection.send_ack()
