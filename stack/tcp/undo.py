"""Taking back a reduction of the window that proves wrong (Linux's tcp_try_undo_*; RFC 3522, RFC 3708, RFC 4015)."""

from typing import TYPE_CHECKING

from stack.tcp.progress import CaState, Progress

if TYPE_CHECKING:
    from stack.tcp.recovery import Recovery
    from stack.tcp.send import Sender

__all__ = ["Undo"]


class Undo:
    """What one episode of recovery has changed, and what proves that it need not have."""

    __slots__ = ("_prior_cwnd", "_recovery", "_sender", "_unconfirmed", "marker", "prior_ssthresh", "stamp")

    def __init__(self, sender: "Sender", recovery: "Recovery") -> None:
        self._sender = sender
        self._recovery = recovery
        self.marker: int | None = None
        """SND.UNA when the episode began; None if nothing can be undone."""
        self._unconfirmed = 0
        """Bytes sent again and not reported as duplicates yet; -1 before the first."""
        self.stamp: int | None = None
        """When something was first sent again in the episode."""
        self._prior_cwnd = 0
        self.prior_ssthresh = 0
        """0: the reduction was called for by ECN and stays."""

    # Keeping account

    def remember(self) -> None:
        """The window is about to be reduced."""
        congestion = self._sender.congestion
        self._prior_cwnd = congestion.cwnd
        # tcp_current_ssthresh
        reducing = self._recovery.reducing()
        self.prior_ssthresh = congestion.ssthresh if reducing else max(congestion.ssthresh, congestion.cwnd * 3 // 4)

    def start(self, una: int, retransmitted: int) -> None:
        """An episode begins, with so many bytes sent again that are still on their way."""
        self.marker = una
        self._unconfirmed = retransmitted or -1

    def sent_again(self, size: int, now: int) -> None:
        """So many bytes are sent again."""
        if self.stamp is None:
            self.stamp = now
        self._unconfirmed = max(self._unconfirmed, 0) + size

    def duplicate(self, start: int, end: int) -> None:
        """The receiver reports data that it got twice."""
        if self.marker is not None and self._unconfirmed > 0 and end > self.marker:
            self._unconfirmed = max(self._unconfirmed - (end - start), 0)

    # Looking for proof

    def _possible(self, progress: Progress) -> bool:
        """All was sent again in vain, or the ACK answers an original."""
        return self.marker is not None and (self._unconfirmed == 0 or progress.delayed)

    def episode(self, progress: Progress) -> bool:
        """All of the episode is acknowledged. True if its state must be kept nevertheless."""
        recovery = self._recovery
        if self._possible(progress):
            self._count("TCPLossUndo" if recovery.state is CaState.LOSS else "TCPFullUndo")
            self._restore(unmark=False)
        else:
            recovery.rack.recovered()
        if self._must_stay():
            return True
        recovery.state = CaState.OPEN
        return False

    def partial(self, progress: Progress) -> bool:
        """A partial ACK: if it answers an original, what looked lost was late. True if there is nothing to do."""
        if self.marker is None or not progress.delayed:
            return False
        if self._sender.board.retransmitted:
            # What was sent again may still be on its way; the end of the episode will tell.
            return True
        self.stamp = None
        self._restore(unmark=True)
        self._count("TCPPartialUndo")
        self._recovery.keep_open()
        return False

    def all_duplicates(self) -> bool:
        """Whatever was sent again has been reported as a duplicate (RFC 3708): undo. True if so."""
        if self.marker is None or self._unconfirmed != 0:
            return False
        self._recovery.rack.keep_window()
        self._restore(unmark=False)
        self._count("TCPDSACKUndo")
        return True

    def timeout(self, progress: Progress, *, spurious: bool) -> bool:
        """In Loss: undo if F-RTO says that the timeout was ``spurious``, or if there is other proof. True if so."""
        sender = self._sender
        recovery = self._recovery
        if not spurious and not self._possible(progress):
            return False
        self._restore(unmark=True)
        self._count("TCPLossUndo")
        if spurious:
            self._count("TCPSpuriousRTOs")
        sender.retransmits = 0
        sender.rtt.undo_back_off()
        if not self._must_stay() and (spurious or sender.sack):
            recovery.state = CaState.OPEN
        return True

    def _restore(self, *, unmark: bool) -> None:
        """tcp_undo_cwnd_reduction; ``unmark`` if nothing was lost either."""
        sender = self._sender
        congestion = sender.congestion
        if unmark:
            sender.board.forget_losses()
        if self.prior_ssthresh:
            congestion.cwnd = congestion.undo_window(self._prior_cwnd)
            congestion.ssthresh = max(congestion.ssthresh, self.prior_ssthresh)
            sender.ecn.kept()
        self.marker = None
        self._recovery.rack.advanced = True

    def _must_stay(self) -> bool:
        """Without SACK, stay until something above ``high_seq`` is acknowledged: duplicates before that may come from
        what was sent twice (RFC 6582 section 3.2, step 1)."""
        sender = self._sender
        recovery = self._recovery
        if sender.una == recovery.high_seq and not sender.sack:
            if not recovery.retransmissions_outstanding():
                self.stamp = None
            return True
        return False

    def _count(self, name: str) -> None:
        self._sender.counters.mib[f"TcpExt.{name}"] += 1
