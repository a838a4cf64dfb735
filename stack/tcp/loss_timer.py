"""The one timer of what is on its way: retransmission (RFC 6298 section 5), tail loss probe, reordering (RFC 8985)."""

from enum import Enum
from typing import TYPE_CHECKING

from stack.tcp.progress import CaState
from stack.tcp.tail_loss_probe import TailLossProbe

if TYPE_CHECKING:
    from stack.tcp.send import Sender

__all__ = ["LossTimer"]


class _Kind(Enum):
    """Linux's ICSK_TIME_*."""

    RETRANSMISSION = 0
    LOSS_PROBE = 1
    REORDERING = 2


class LossTimer:
    """Only one of the three is ever armed, the one that is due first."""

    __slots__ = ("_kind", "_retransmission_at", "_sender", "probe")

    def __init__(self, sender: "Sender") -> None:
        self._sender = sender
        self._kind = _Kind.RETRANSMISSION
        self._retransmission_at: int | None = None
        """When the oldest segment's time is up."""
        self.probe = TailLossProbe(sender)

    def sent_new(self, now: int) -> None:
        """New data was sent (RFC 6298 rule 5.1)."""
        if self._retransmission_at is None:
            self._retransmission_at = self._due(now)
        self._schedule(now)

    def acknowledged(self, now: int) -> None:
        """New data was acknowledged (rules 5.2 and 5.3)."""
        sender = self._sender
        if sender.una == sender.nxt:
            self._retransmission_at = None
            sender.timer.stop()
            return
        self._retransmission_at = self._due(now)
        self._schedule(now)

    def arm_retransmission(self, now: int) -> None:
        """Something was sent again: a full timeout from now."""
        self._retransmission_at = self._due(now)
        self._kind = _Kind.RETRANSMISSION
        self._sender.timer.start(self._retransmission_at)

    def arm_reordering(self, deadline: int) -> None:
        """RACK wants to look again then."""
        if self._retransmission_at is None or deadline < self._retransmission_at:
            self._kind = _Kind.REORDERING
            self._sender.timer.start(deadline)

    def _schedule(self, now: int) -> None:
        due = self._retransmission_at
        assert due is not None
        if self._kind is _Kind.REORDERING and self._sender.timer.deadline is not None:
            return
        self._kind = _Kind.RETRANSMISSION
        timeout = self.probe.timeout()
        if timeout is not None:
            # RFC 8985 section 7.2: the probe comes no later than the timeout would, and in its place.
            self._kind = _Kind.LOSS_PROBE
            due = min(due, now + timeout)
        self._sender.timer.start(due)

    def expired(self, now: int) -> None:
        """Whatever was armed is due."""
        kind, self._kind = self._kind, _Kind.RETRANSMISSION
        recovery = self._sender.recovery
        if kind is _Kind.LOSS_PROBE:
            self.probe.send(now)
        elif kind is _Kind.REORDERING:
            before = self._sender.board.lost
            recovery.rack.advanced = True
            recovery.detect(now)
            if self._sender.board.lost > before:
                recovery.enter_recovery_by_timer(now)
            if self._sender.timer.deadline is None:
                self._schedule(now)
        else:
            self._timeout(now)

    def _timeout(self, now: int) -> None:
        """The retransmission timer (rules 5.4 to 5.6)."""
        sender = self._sender
        head = sender.board.records[0]
        if sender.queue.holds(head):
            self.arm_retransmission(now)
            return
        if sender.retransmits >= sender.parameters.retries or self._too_long(now):
            sender.give_up()
            return
        mib = sender.counters.mib
        mib["TcpExt.TCPTimeouts"] += 1
        if sender.recovery.state is CaState.RECOVERY:
            mib["TcpExt.TCPSackRecoveryFail" if sender.sack else "TcpExt.TCPRenoRecoveryFail"] += 1
        if sender.mtu_probe is not None:
            sender.mtu_probe.timed_out(now)
        sender.recovery.enter_loss(now)
        sender.retransmits += 1
        self.probe.end()
        sender.rtt.back_off()
        sender.recovery.send_again(sender.board.records[0], now)

    def _due(self, now: int) -> int:
        """A full timeout from now, or when the program does not want to wait any longer
        (tcp_clamp_rto_to_user_timeout)."""
        sender = self._sender
        due = now + sender.rtt.rto
        given_up = sender.progress_at + sender.user_timeout
        return min(due, given_up) if now < given_up else due

    def _too_long(self, now: int) -> bool:
        """RFC 5482: the program does not want to wait any longer for the oldest byte."""
        sender = self._sender
        return bool(sender.user_timeout) and now - sender.progress_at >= sender.user_timeout
