"""Loss recovery: Linux's machine of five states over RACK, PRR and F-RTO.

RFC 6675 and RFC 8985 (SACK), RFC 6582 (without), RFC 6937 (reduction), RFC 5682 (F-RTO), RFC 3042 (limited transmit:
a duplicate ACK takes a segment out of what is in flight, so that a new one may leave).
"""

from enum import Enum
from typing import TYPE_CHECKING

from stack.tcp.congestion import INFINITE, CongestionEvent
from stack.tcp.progress import CaState, Progress
from stack.tcp.prr import ProportionalRateReduction
from stack.tcp.rack import Rack
from stack.tcp.scoreboard import Sent
from stack.tcp.undo import Undo

if TYPE_CHECKING:
    from stack.tcp.send import Sender

__all__ = ["Recovery", "Resend"]


class Resend(Enum):
    """What to send after an ACK."""

    NOTHING = 0
    NEW = 1
    """F-RTO: new data first."""
    LOST = 2


_OPEN, _DISORDER, _CWR, _RECOVERY, _LOSS = CaState


class Recovery:
    """One sender's. ``high_seq`` is SND.NXT when the state was entered: the episode ends once all of it is
    acknowledged."""

    __slots__ = ("_frto", "_partial_acks", "_sender", "high_seq", "prr", "rack", "state", "undo")

    def __init__(self, sender: "Sender") -> None:
        self._sender = sender
        self.state = CaState.OPEN
        self.high_seq = sender.initial
        self.prr = ProportionalRateReduction()
        self.rack = Rack()
        self.undo = Undo(sender, self)
        self._frto = False
        self._partial_acks = 0

    def restarts_timer(self) -> bool:
        """Whether an ACK of new data restarts the retransmission timer (RFC 6298 rule 5.3). Without SACK, of the
        partial ACKs in recovery only the first does: many losses had better end in a timeout (RFC 6582 section 4,
        "impatient")."""
        return self._sender.sack or self.state is not _RECOVERY or self._partial_acks <= 1

    def reducing(self) -> bool:
        """The window is on its way down, by PRR."""
        return self.state is _CWR or self.state is _RECOVERY

    # An ACK

    def step(self, progress: Progress, now: int) -> Resend:
        """An ACK that was odd, or came while something was wrong (tcp_fastretrans_alert)."""
        sender = self._sender
        board = sender.board
        if progress.ece:
            self.undo.prior_ssthresh = 0
        state = self.state
        if state is _OPEN:
            self.undo.stamp = None
        elif sender.una >= self.high_seq:
            if state is _CWR:
                if sender.una > self.high_seq:
                    self._end_reduction(now)
                    self.state = _OPEN
            elif state is _RECOVERY:
                if not sender.sack:
                    board.sacked = 0
                if self.undo.episode(progress):
                    return Resend.NOTHING
                self._end_reduction(now)
        if self.state is _RECOVERY:
            if not progress.advanced:
                self._count_duplicate(progress)
            else:
                self._partial_acks += 1
                if self.undo.partial(progress):
                    return Resend.NOTHING
            if self.undo.all_duplicates():
                self._try_to_open(progress, now)
            self._identify(progress, now)
            if self.state is not _RECOVERY:
                if not board.lost:
                    return Resend.NOTHING
                self._enter_recovery(now, progress.acked, ece=progress.ece)
        elif self.state is _LOSS:
            resend = self._process_loss(progress)
            self._identify(progress, now)
            if self.state is not _OPEN:
                return resend
            if not board.lost:
                self._try_to_open(progress, now)
                return resend
            self._enter_recovery(now, progress.acked, ece=progress.ece)
        else:
            if not sender.sack and progress.advanced:
                board.sacked = 0
            self._count_duplicate(progress)
            if self.state <= _DISORDER:
                self.undo.all_duplicates()
            self._identify(progress, now)
            if not board.lost:
                self._try_to_open(progress, now)
                return Resend.NOTHING
            if sender.mtu_probe is not None and sender.mtu_probe.is_probe(board.records[0]) and board.records[0].lost:
                sender.mtu_probe.failed(now)
                return Resend.NOTHING
            self._enter_recovery(now, progress.acked, ece=progress.ece)
        return Resend.LOST

    def reduce(self, progress: Progress) -> None:
        """The window during a reduction."""
        sender = self._sender
        congestion = sender.congestion
        window = self.prr.window(
            delivered=progress.delivered,
            ssthresh=congestion.ssthresh,
            in_flight=sender.in_flight,
            mss=sender.mss,
            progress=progress.advanced and not progress.lost,
        )
        if window is not None:
            congestion.cwnd = window

    def resend(self, what: Resend, now: int) -> None:
        """Send what ``step`` has called for (tcp_xmit_recovery)."""
        if what is Resend.NEW:
            self._sender.output(now)
            if self._sender.nxt > self.high_seq:
                return
            self._frto = False
        self.retransmit(now)

    def _count_duplicate(self, progress: Progress) -> None:
        sender = self._sender
        if progress.duplicate and not sender.sack:
            added = sender.board.add_duplicate(sender.mss, sender.nxt - sender.una)
            progress.delivered += added
            sender.rate.segments += added > 0
            sender.rate.delivered += added

    def _identify(self, progress: Progress, now: int) -> None:
        """Find out what is lost (tcp_identify_packet_loss)."""
        sender = self._sender
        board = sender.board
        if not board.records:
            return
        before = board.lost
        if sender.sack:
            self.detect(now)
        elif (self.state < _RECOVERY and board.sacked >= sender.parameters.reordering * sender.mss) or (
            self.state is _RECOVERY and progress.advanced
        ):
            # RFC 6582: three duplicates, then each partial ACK, name the first segment.
            head = board.records[0]
            if not head.lost:
                board.mark_lost(head)
                board.limit_duplicates(sender.mss, sender.nxt - sender.una)
        progress.lost += max(board.lost - before, 0)

    def detect(self, now: int) -> None:
        """RACK_detect_loss_and_arm_timer."""
        sender = self._sender
        if not self.rack.advanced:
            return
        lost, timeout = self.rack.detect_loss(sender.board, self.reordering_window(), now)
        for sent in lost:
            if sent.in_retransmission:
                sender.counters.mib["TcpExt.TCPLostRetransmit"] += 1
            sender.board.mark_lost(sent)
        if timeout:
            sender.loss_timer.arm_reordering(now + timeout)

    def reordering_window(self) -> int:
        sender = self._sender
        return self.rack.window(
            min_rtt=sender.rtt.min_rtt,
            srtt=sender.rtt.srtt,
            in_recovery=self.state >= _RECOVERY,
            sacked_enough=sender.board.sacked >= sender.parameters.reordering * sender.mss,
        )

    def _process_loss(self, progress: Progress) -> Resend:
        """tcp_process_loss with F-RTO (RFC 5682 section 3.1)."""
        sender = self._sender
        recovered = sender.una >= self.high_seq
        if progress.advanced and self.undo.timeout(progress, spurious=False):
            return Resend.NOTHING
        if self._frto:
            # Step 3b: something is acknowledged that was sent once, so the timeout was spurious.
            if progress.original and self.undo.timeout(progress, spurious=True):
                return Resend.NOTHING
            if sender.nxt > self.high_seq:
                if progress.sacked or progress.duplicate:
                    # Step 3a: the loss was real.
                    self._frto = False
            elif progress.advanced and not recovered:
                # Step 2b: what new data finds out decides.
                self.high_seq = sender.nxt
                if sender.nxt < sender.end and sender.una + sender.window > sender.nxt:
                    return Resend.NEW
                self._frto = False
        if recovered:
            self.undo.episode(progress)
            return Resend.LOST if self.state is _LOSS else Resend.NOTHING
        if not sender.sack:
            if sender.nxt > self.high_seq and progress.duplicate:
                self._count_duplicate(progress)
            elif progress.advanced:
                sender.board.sacked = 0
        return Resend.LOST

    # Entering and leaving

    def enter_cwr(self, now: int, acked: int = 0) -> None:
        """A congestion mark, on an ACK of ``acked`` bytes, or local congestion: lower the window, once per round
        trip."""
        self.undo.prior_ssthresh = 0
        if self.state < _CWR:
            self.undo.marker = None
            self.start_reduction(now, acked)
            self.state = _CWR

    def _enter_recovery(self, now: int, acked: int, *, ece: bool) -> None:
        sender = self._sender
        self._partial_acks = 0
        sender.counters.mib["TcpExt.TCPSackRecovery" if sender.sack else "TcpExt.TCPRenoRecovery"] += 1
        self.undo.prior_ssthresh = 0
        self.undo.start(sender.una, sender.board.retransmitted)
        if not self.reducing():
            if not ece:
                self.undo.remember()
            self.start_reduction(now, acked)
        self.state = _RECOVERY

    def enter_loss(self, now: int) -> None:
        """The retransmission timer expired (tcp_enter_loss)."""
        sender = self._sender
        board = sender.board
        congestion = sender.congestion
        fresh = self.state < _RECOVERY
        if board.records[0].sacked:
            # Reneging (RFC 2018 section 8).
            board.forget_sacks()
            sender.counters.mib["TcpExt.TCPSACKReneging"] += 1
        if not sender.sack:
            board.sacked = 0
        head = board.records[0]
        window = self.reordering_window()
        for sent in list(board.by_time):
            # RFC 8985 section 6.3: what was sent a moment ago is not lost yet.
            if sent is head or not sender.sack or self.rack.timed_out(sent, window, now):
                board.mark_lost(sent)
        if self.state <= _DISORDER or self.high_seq <= sender.una or (self.state is _LOSS and not sender.retransmits):
            self.undo.remember()
            congestion.ssthresh = congestion.threshold(self._flight(0), now)
            self.undo.start(sender.una, board.retransmitted)
            congestion.on_event(CongestionEvent.LOSS, now)
            sender.ecn.reduced()
        congestion.cwnd = sender.in_flight + sender.mss
        self.state = _LOSS
        self.high_seq = sender.nxt
        self._frto = sender.parameters.frto and (fresh or sender.retransmits > 0)

    def repair(self, now: int) -> None:
        """Segments were too large and go again in pieces: no congestion, so no smaller window (tcp_simple_retransmit,
        RFC 1191 section 6.5)."""
        if self.state is not _LOSS:
            self.high_seq = self._sender.nxt
            self.undo.marker = None
            self.undo.prior_ssthresh = 0
            self._frto = False
            self.state = _LOSS
        self.retransmit(now)

    def enter_recovery_by_timer(self, now: int) -> None:
        """RACK's timer has found something lost."""
        sender = self._sender
        if self.state < _RECOVERY:
            self._enter_recovery(now, 0, ece=False)
            sender.congestion.cwnd = sender.in_flight + sender.mss
        self.retransmit(now)

    def repaired_by_probe(self, now: int) -> None:
        """A tail loss probe has filled a hole: nothing to send again, but a loss it was (RFC 8985 section 7.4)."""
        if self.state < _CWR:
            self.undo.prior_ssthresh = 0
            self.start_reduction(now)
            self.state = _CWR
            self._end_reduction(now)
            self.keep_open()

    def start_reduction(self, now: int, acked: int = 0) -> None:
        """tcp_init_cwnd_reduction."""
        sender = self._sender
        congestion = sender.congestion
        self.high_seq = sender.nxt
        sender.loss_timer.probe.end()
        self.prr.start(congestion.cwnd)
        congestion.ssthresh = congestion.threshold(self._flight(acked), now)
        sender.ecn.reduced()

    def _flight(self, acked: int) -> int:
        """RFC 5681's FlightSize, as it was before the ACK at hand and without what limited transmit has added (section
        3.2, step 2): of the window, what the last round trip has used. What is outstanding at this moment may be less,
        since the ACKs of a burst come in a burst, and the path has carried the whole (RFC 9438 section 4.6, RFC 7661
        section 4.3)."""
        sender = self._sender
        window = max(sender.congestion.cwnd, sender.mss)
        if sender.cwnd_limited:
            return window
        return min(max(sender.nxt - sender.una + acked, sender.peak), window)

    def _end_reduction(self, now: int) -> None:
        congestion = self._sender.congestion
        if congestion.ssthresh < INFINITE and (self.state is _CWR or self.undo.marker is not None):
            congestion.cwnd = congestion.ssthresh
        congestion.on_event(CongestionEvent.COMPLETE_CWR, now)

    def _try_to_open(self, progress: Progress, now: int) -> None:
        if not self.retransmissions_outstanding():
            self.undo.stamp = None
        if progress.ece:
            self.enter_cwr(now, progress.acked)
        if self.state is not _CWR:
            self.keep_open()

    def keep_open(self) -> None:
        board = self._sender.board
        odd = board.sacked or board.lost or self.retransmissions_outstanding()
        state = _DISORDER if odd else _OPEN
        if state is not self.state:
            self.state = state
            self.high_seq = self._sender.nxt

    def retransmissions_outstanding(self) -> bool:
        records = self._sender.board.records
        return bool(records) and records[0].retransmitted

    # Sending again

    def retransmit(self, now: int) -> None:
        """Send again what is lost, as far as the window allows (tcp_xmit_retransmit_queue)."""
        sender = self._sender
        board = sender.board
        edge = sender.una + sender.window
        counter = "TcpExt.TCPSlowStartRetrans" if self.state is _LOSS else "TcpExt.TCPFastRetrans"
        while sender.in_flight < sender.congestion.cwnd:
            sent = board.first_lost()
            if sent is None or sender.queue.holds(sent) or (sent.end > edge and sent.start != sender.una):
                break
            sender.counters.mib[counter] += 1
            self.send_again(sent, now)

    def send_again(self, sent: Sent, now: int) -> None:
        """Send one segment again, whatever the windows say."""
        sender = self._sender
        size = sent.end - sent.start
        self.undo.sent_again(size, now)
        if self.reducing():
            self.prr.sent += size
        sender.send_again(sent, now)
        if sent is sender.board.records[0] and self.restarts_timer():
            sender.loss_timer.arm_retransmission(now)
