"""Tail loss probe (RFC 8985 section 7): a segment that makes the receiver tell of a loss before the timeout."""

from typing import TYPE_CHECKING, Final

from stack.tcp.progress import CaState, Progress

if TYPE_CHECKING:
    from stack.tcp.send import Sender

__all__ = ["TailLossProbe"]

_TIMEOUT_MIN: Final = 2_000_000
"""Linux's TCP_TIMEOUT_MIN, two ticks: what this host and the peer may need beyond the round trip."""
_UNKNOWN_RTT: Final = 1_000_000_000
"""Section 7.2: PTO before the first round-trip time."""


class TailLossProbe:
    """One probe at a time: ``high_seq`` is SND.NXT when it was sent, None if none is on its way."""

    __slots__ = ("_retransmission", "_sender", "high_seq")

    def __init__(self, sender: "Sender") -> None:
        self._sender = sender
        self.high_seq: int | None = None
        self._retransmission = False

    def timeout(self) -> int | None:
        """PTO in nanoseconds, None if no probe may be scheduled (sections 7.1 and 7.2)."""
        sender = self._sender
        state = sender.recovery.state
        if (
            not sender.sack
            or not sender.parameters.tail_loss_probe
            or (state is not CaState.OPEN and state is not CaState.CWR)
            or self.high_seq is not None
        ):
            return None
        if not sender.rtt.srtt:
            return _UNKNOWN_RTT
        # A single segment may have its ACK delayed.
        alone = len(sender.board.records) == 1
        return 2 * sender.rtt.srtt + (sender.parameters.minimum_rto if alone else _TIMEOUT_MIN)

    def send(self, now: int) -> None:
        """Section 7.3: new data if there is, else the last segment again."""
        sender = self._sender
        before = sender.nxt
        self.high_seq = before
        self._retransmission = False
        sender.counters.mib["TcpExt.TCPLossProbes"] += 1
        if not sender.send_beyond_window(now):
            last = sender.board.records[-1]
            if sender.queue.holds(last):
                self.high_seq = None
            else:
                self._retransmission = True
                sender.recovery.send_again(last, now)
        if self.high_seq is not None:
            self.high_seq = sender.nxt
        sender.loss_timer.arm_retransmission(now)

    def acknowledged(self, ack: int, progress: Progress, now: int) -> None:
        """An ACK came with a probe on its way (section 7.4)."""
        high = self.high_seq
        if high is None or ack < high:
            return
        if not self._retransmission or progress.dsack:
            # New data needs no repair; a duplicate SACK says that original and probe have both arrived.
            self.high_seq = None
        elif ack > high:
            # Data sent after the probe is acknowledged and no duplicate was told: the probe filled a hole.
            self.high_seq = None
            self._sender.counters.mib["TcpExt.TCPLossProbeRecovery"] += 1
            self._sender.recovery.repaired_by_probe(now)
        elif progress.duplicate:
            # Both have arrived, and the receiver does not do duplicate SACK.
            self.high_seq = None

    def end(self) -> None:
        """Recovery has begun: it finds out by itself."""
        self.high_seq = None
