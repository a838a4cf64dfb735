"""An ACK's way through the sender (Linux's tcp_ack): scoreboard, round-trip time, recovery, congestion control."""

from typing import TYPE_CHECKING

from stack.tcp.progress import CaState, Progress
from stack.tcp.rate import RateSample
from stack.tcp.recovery import Resend
from stack.tcp.sequence import unwrap
from stack.tcp.timestamps import Timestamps

if TYPE_CHECKING:
    from stack.tcp.scoreboard import Sent
    from stack.tcp.send import Sender

__all__ = ["acknowledge"]


def acknowledge(
    sender: "Sender",
    ack: int,
    now: int,
    *,
    sack: tuple[tuple[int, int], ...],
    tsecr: int | None,
    pure: bool,
    ece: bool,
    timestamps: Timestamps,
) -> None:
    """Process an acceptable acknowledgment number with the SACK blocks as on the wire. ``pure``: the segment carries
    nothing else and changes no window; ``tsecr`` is None without timestamps."""
    if not timestamps.enabled:
        tsecr = None
    board = sender.board
    recovery = sender.recovery
    una = sender.una
    in_flight = sender.in_flight
    advanced = ack > una
    quiet = recovery.state is CaState.OPEN and not sack and not ece and not board.lost
    progress = Progress(una, advanced)
    if not quiet:
        progress.ece = ece and sender.ecn.enabled
        stamp = recovery.undo.stamp
        progress.delayed = stamp is None or (tsecr is not None and timestamps.before(tsecr, stamp))
    rtt: int | None = None
    if advanced:
        sender.una = ack
        taken = board.acknowledge(ack)
        sender.buffer.release(ack)
        progress.acked = ack - una
        sender.retransmits = 0
        sender.progress_at = now
        if sender.mtu_probe is not None:
            sender.mtu_probe.acknowledged(now)
        if quiet and not board.sacked and not _again(taken):
            rtt = _in_order(sender, taken, progress, now)
        else:
            rtt = _cumulative(sender, taken, progress, now, tsecr, timestamps)
        if not sender.sack and board.sacked:
            # The duplicates have been counted as deliveries before.
            counted = min(board.sacked, max(progress.delivered - sender.mss, 0))
            progress.delivered -= counted
            sender.rate.delivered -= counted
            board.eat_duplicates(progress.acked, sender.mss)
            board.limit_duplicates(sender.mss, sender.nxt - ack)
    if sack and sender.sack:
        rtt = _selective(sender, ack, sack, progress, now, tsecr, timestamps) or rtt
        if progress.dsack:
            recovery.rack.adapt(ack, sender.nxt)
    if not advanced:
        progress.duplicate = pure and not progress.sacked and not progress.dsack
        quiet = quiet and not progress.duplicate
    if sender.loss_timer.probe.high_seq is not None:
        sender.loss_timer.probe.acknowledged(ack, progress, now)
    # What was delivered during a reduction does not raise the window at its end.
    may_grow = not recovery.reducing()
    resend = Resend.NOTHING if quiet else recovery.step(progress, now)
    if advanced and (ack == sender.nxt or recovery.restarts_timer()):
        sender.loss_timer.acknowledged(now)
        if ack == sender.nxt:
            sender.drained(now)
    if progress.delivered or resend is not Resend.NOTHING:
        _control(sender, progress, rtt, in_flight, now, may_grow=may_grow)
        if resend is not Resend.NOTHING:
            recovery.resend(resend, now)


def _deliver(
    sender: "Sender", sent: "Sent", progress: Progress, now: int, tsecr: int | None, timestamps: Timestamps
) -> None:
    """One segment has newly arrived."""
    progress.delivered += sent.end - sent.start
    sender.rate.segments += 1
    sender.rate.on_delivered(sent, sent.end - sent.start, now)
    recovery = sender.recovery
    spurious = sent.retransmitted and tsecr is not None and timestamps.before(tsecr, sent.sent_at)
    recovery.rack.delivered(sent, now, sender.rtt.min_rtt, sender.mss, spurious=spurious)
    if not sent.retransmitted and sent.end <= recovery.high_seq:
        progress.original = True


def _again(taken: "list[Sent]") -> bool:
    for sent in taken:  # noqa: SIM110 - any() with a generator takes twice as long for the usual two segments
        if sent.retransmitted:
            return True
    return False


def _in_order(sender: "Sender", taken: "list[Sent]", progress: Progress, now: int) -> int | None:
    """What SND.UNA has passed while nothing was wrong: ``_cumulative`` in short."""
    if not taken:
        # Part of a segment only.
        return None
    first, last = taken[0], taken[-1]
    progress.delivered = progress.acked
    sender.rate.segments += len(taken)
    sender.rate.on_delivered(last, progress.acked, now)
    sender.recovery.rack.in_order(last, now)
    sender.rtt.sample(now - first.sent_at, now, per_round=_per_round(sender, progress))
    return now - last.sent_at


def _per_round(sender: "Sender", progress: Progress) -> int:
    """RFC 7323 appendix G: about an ACK for every second segment in flight."""
    return (sender.nxt - progress.prior_una) // (2 * sender.mss) or 1


def _cumulative(
    sender: "Sender", taken: "list[Sent]", progress: Progress, now: int, tsecr: int | None, timestamps: Timestamps
) -> int | None:
    """What SND.UNA has passed. Takes a sample of the round-trip time from the oldest, which includes a delay of the
    ACK, and returns that of the newest."""
    first: int | None = None
    again: int | None = None
    last = 0
    for sent in taken:
        if sent.retransmitted and (again is None or sent.sent_at > again):
            again = sent.sent_at
        if not sent.sacked:
            last = sent.sent_at
            if first is None:
                first = last
            _deliver(sender, sent, progress, now, tsecr, timestamps)
    sender.recovery.rack.looked_at()
    if again is not None:
        _sample_again(sender, again, now, tsecr, timestamps)
        return None
    if first is None:
        return None
    sender.rtt.sample(now - first, now, per_round=_per_round(sender, progress))
    return now - last


def _sample_again(sender: "Sender", again: int, now: int, tsecr: int | None, timestamps: Timestamps) -> None:
    """A sample from an ACK of what was last sent again at ``again``: only timestamps tell its time (Karn; RFC 7323
    section 4.1).

    The echo of an earlier copy may deceive: the receiver takes no timestamp from a duplicate (RFC 7323 section 4.3,
    R2 and R3), so that its second answer, if the first was lost, has the first one's echo, and the sample would hold
    the whole timeout. An answer as long after the last copy as round trips take is taken for that one's.
    """
    if tsecr is None:
        return
    rtt = sender.rtt
    if timestamps.before(tsecr, again) and rtt.min_rtt <= now - again <= rtt.srtt + 4 * rtt.rttvar:
        rtt.sample(now - again, now)
        return
    echoed = timestamps.round_trip(tsecr, now)
    if echoed is not None:
        rtt.sample(echoed, now)


def _selective(
    sender: "Sender",
    ack: int,
    sack: tuple[tuple[int, int], ...],
    progress: Progress,
    now: int,
    tsecr: int | None,
    timestamps: Timestamps,
) -> int | None:
    """SACK blocks, checked as in Linux's tcp_is_sackblock_valid. Returns the round-trip time of the newest."""
    mib = sender.counters.mib
    blocks = []
    for number, (left, right) in enumerate(sack):
        start = unwrap(left, ack)
        end = unwrap(right, start)
        if number == 0 and _is_duplicate(start, end, ack, sack):
            if sender.initial < start < end <= sender.nxt:
                progress.dsack = True
                mib["TcpExt.TCPDSACKRecv"] += 1
                sender.recovery.undo.duplicate(start, end)
            continue
        if not ack < end <= sender.nxt or not ack <= start < end:
            mib["TcpExt.TCPSACKDiscard"] += 1
            continue
        blocks.append((start, end))
    # In order, so that what one ACK tells does not look like reordering.
    blocks.sort()
    rtt: int | None = None
    for sent in sender.board.select(tuple(blocks)):
        progress.sacked += sent.end - sent.start
        _deliver(sender, sent, progress, now, tsecr, timestamps)
        if not sent.retransmitted:
            rtt = now - sent.sent_at
        sender.board.clear_tags(sent)
    sender.recovery.rack.looked_at()
    return rtt


def _is_duplicate(start: int, end: int, ack: int, sack: tuple[tuple[int, int], ...]) -> bool:
    """RFC 2883 section 4: the first block lies below the acknowledgment, or within the second."""
    if end <= ack:
        return True
    if len(sack) < 2:
        return False
    left = unwrap(sack[1][0], ack)
    return left <= start and end <= unwrap(sack[1][1], left)


def _control(
    sender: "Sender", progress: Progress, rtt: int | None, prior_in_flight: int, now: int, *, may_grow: bool
) -> None:
    """Congestion control (tcp_cong_control)."""
    recovery = sender.recovery
    congestion = sender.congestion
    rate, app_limited = sender.rate.take(sender.rtt.min_rtt)
    sample = RateSample(
        now,
        progress.acked,
        progress.delivered,
        progress.lost,
        rtt,
        sender.in_flight,
        prior_in_flight,
        sender.una,
        sender.nxt,
        sender.cwnd_limited,
        app_limited,
        rate,
    )
    congestion.on_sample(sample)
    if recovery.reducing():
        recovery.reduce(progress)
    elif (
        may_grow
        and progress.acked
        and (sender.cwnd_limited or (congestion.cwnd < congestion.ssthresh and congestion.cwnd < 2 * sender.peak))
    ):
        congestion.on_ack(sample)
