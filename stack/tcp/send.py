"""The sending half of a connection: what may be sent when.

Windows, Nagle and the silly window syndrome: RFC 9293 sections 3.8.6.2 and 3.7.4. What is acknowledged is in
``stack.tcp.acknowledgment``, what is lost and sent again in ``stack.tcp.recovery``.
"""

from collections import deque
from typing import Final

from stack.counters import Counters
from stack.tcp.algorithms import ALGORITHMS
from stack.tcp.chronograph import Chronograph, Limit
from stack.tcp.congestion import CongestionControl, CongestionEvent
from stack.tcp.ecn import Ecn
from stack.tcp.loss_timer import LossTimer
from stack.tcp.mtu_probe import MtuProbe
from stack.tcp.pacing import Pacing
from stack.tcp.parameters import TcpParameters
from stack.tcp.progress import CaState
from stack.tcp.rate import DeliveryRate
from stack.tcp.recovery import Recovery
from stack.tcp.rtt import RttEstimator
from stack.tcp.scoreboard import Scoreboard, Sent
from stack.tcp.segment import ACK, FIN, PSH
from stack.tcp.segment_output import SegmentOutput
from stack.tcp.send_buffer import SendBuffer
from stack.tcp.small_queue import SmallQueue
from stack.tcp.timers import DeadlineTimer

__all__ = ["Sender"]

_DEFER_LIMIT: Final = 1_000_000
"""Nanoseconds since the last packet after which nothing waits."""


class Sender:
    """Sequence numbers here do not wrap (see ``stack.tcp.sequence``). Sizes in bytes, times in nanoseconds."""

    __slots__ = (
        "_last_sent",
        "_output",
        "_record_ends",
        "_small_end",
        "_usage_end",
        "autotune",
        "board",
        "buffer",
        "chronograph",
        "congestion",
        "cork",
        "counters",
        "cwnd_limited",
        "ecn",
        "fin_queued",
        "initial",
        "limit",
        "loss_timer",
        "maximum_window",
        "mss",
        "mtu_probe",
        "nodelay",
        "nxt",
        "pacing",
        "parameters",
        "peak",
        "probe_backoff",
        "progress_at",
        "queue",
        "rate",
        "recovery",
        "retransmits",
        "rtt",
        "sack",
        "scale",
        "starved",
        "timer",
        "total_retransmits",
        "una",
        "unanswered",
        "urgent",
        "user_timeout",
        "window",
        "wl1",
        "wl2",
    )

    def __init__(
        self,
        output: SegmentOutput,
        timer: DeadlineTimer,
        pacing_timer: DeadlineTimer,
        parameters: TcpParameters,
        counters: Counters,
        *,
        initial: int,
        mss: int,
        limit: int,
        autotune: bool,
        congestion_control: str,
    ) -> None:
        self._output = output
        self.parameters = parameters
        self.counters = counters
        self.timer = timer
        """Whatever is due next: retransmission, loss probe, reordering, zero-window probe."""
        self.rtt = RttEstimator(parameters)
        self.rate = DeliveryRate()
        self.board = Scoreboard()
        self.ecn = Ecn()
        self.pacing = Pacing(parameters, pacing_timer)
        self.limit = limit
        """Bytes that may wait to be sent and acknowledged."""
        self.autotune = autotune
        self.initial = initial
        """ISS."""
        self.una = initial
        """SND.UNA."""
        self.nxt = initial
        """SND.NXT: one after the last number ever sent."""
        self.window = 0
        """SND.WND."""
        self.maximum_window = 0
        self.scale = 0
        self.sack = False
        """The peer has permitted SACK."""
        self.wl1 = 0
        self.wl2 = 0
        self.buffer = SendBuffer(initial + 1)
        self.urgent = initial
        """SND.UP: after the last urgent byte."""
        self.fin_queued = False
        self._record_ends: deque[int] = deque()
        self.nodelay = False
        self.cork = False
        self.user_timeout = 0
        self.progress_at = 0
        """When the peer last acknowledged something new, or the first byte after that was sent."""
        self._small_end = initial
        """End of the last segment that was not full (Minshall's variant of Nagle's algorithm)."""
        self.retransmits = 0
        """Timeouts in a row."""
        self.total_retransmits = 0
        self.probe_backoff = 0
        self.unanswered = 0
        """Zero-window probes since the peer was last heard of."""
        self.cwnd_limited = False
        self.peak = 0
        """Most bytes that were outstanding in the last round trip in which the window was not in full use."""
        self._usage_end = initial
        self._last_sent = 0
        self.chronograph = Chronograph()
        self.starved = False
        """The program waits for room to write."""
        self.queue = SmallQueue(output, initial)
        self.mss = mss
        self.mtu_probe: MtuProbe | None = None
        self.congestion = self._control(congestion_control)
        self.recovery = Recovery(self)
        self.loss_timer = LossTimer(self)

    def _control(self, name: str) -> CongestionControl:
        return ALGORITHMS[name](self.mss, initial_segments=self.parameters.initial_window_segments)

    def set_segment_size(self, mss: int) -> None:
        """Payload of a full segment, once known; congestion control starts anew with it."""
        self.mss = mss
        self.congestion = self._control(self.congestion.name)

    def set_congestion_control(self, name: str) -> None:
        """Another algorithm goes on from the window of the last."""
        previous = self.congestion
        self.congestion = self._control(name)
        self.congestion.cwnd, self.congestion.ssthresh = previous.cwnd, previous.ssthresh

    def shrink_segment_size(self, mss: int, now: int) -> None:
        """The path carries less than thought: send what is too large again, in smaller pieces (tcp_simple_retransmit).
        That is no congestion (RFC 1191 section 6.5)."""
        if self.mtu_probe is not None:
            self.mtu_probe.limit(mss)
        if mss < self.mss:
            self.cut_segments(mss, now)

    def cut_segments(self, mss: int, now: int) -> None:
        """Send again in pieces of ``mss`` what is larger."""
        too_large = [sent for sent in self.board.records if sent.end - sent.start > mss and not sent.sacked]
        ends = [(sent.start, sent.end) for sent in too_large]
        self.mss = self.congestion.mss = mss
        self.board.resize(mss)
        for sent in list(self.board.by_time):
            if any(start <= sent.start < end for start, end in ends):
                self.board.mark_lost(sent)
        if self.board.lost:
            self.recovery.repair(now)

    def send_all_again(self, now: int) -> None:
        """All that is on its way was not taken: send it again, in segments as they are now. That is no congestion
        (tcp_non_congestion_loss_retransmit)."""
        self.board.resize(self.mss)
        for sent in list(self.board.by_time):
            self.board.mark_lost(sent)
        self.recovery.repair(now)

    @property
    def end(self) -> int:
        """Sequence number after the last byte that the program has written."""
        return self.buffer.end

    @property
    def room(self) -> int:
        """Bytes that the program may write."""
        return self.limit - self.kept

    def unsent_room(self, lowat: int) -> int:
        """Bytes that may be written while ``lowat`` or more must not begin another packet: the last one may be filled
        in any case (tcp_stream_memory_free). A packet holds at most half of the peer's window
        (tcp_bound_to_half_wnd)."""
        mss = self.mss
        packet = max(min(self._output.chunk(), self.maximum_window >> 1) // mss, 1) * mss
        unsent = max(self.end - self.nxt, 0)
        return -unsent % packet or (packet if unsent < lowat else 0)

    @property
    def kept(self) -> int:
        """Bytes that the program has written and the peer has not acknowledged."""
        return self.buffer.end - min(max(self.una, self.initial + 1), self.buffer.end)

    @property
    def fin_acknowledged(self) -> bool:
        return self.fin_queued and self.una > self.end

    @property
    def in_flight(self) -> int:
        """Bytes believed on their way (RFC 6675's pipe)."""
        board = self.board
        return self.nxt - self.una - board.sacked - board.lost + board.retransmitted

    def write(self, data: "bytes | memoryview") -> None:
        """Append to the buffer; the caller keeps to ``room``."""
        self.buffer.append(data)

    def discard(self) -> None:
        """The connection is gone: nothing is sent any more."""
        self.buffer.clear()
        self.timer.close()
        self.pacing.timer.close()

    def grow_buffer(self) -> None:
        """Two congestion windows should fit (Linux's tcp_sndbuf_expand), unless the program has set the size."""
        if self.autotune:
            self.limit = max(self.limit, min(2 * self.congestion.cwnd, self.parameters.send_buffer_maximum))

    def sent_syn(self, now: int, data: int = 0) -> bool:
        """Account for a SYN that carries so many bytes. True if it is one sent again."""
        again = self.nxt != self.initial
        if again:
            self.total_retransmits += 1
            self.board.mark_retransmitted(self.board.records[0], now)
        else:
            self.nxt = self.initial + 1
            self._record(self.initial, self.nxt, now)
            if data:
                self.rate.on_send(now, idle=True)
                self._record(self.nxt, self.nxt + data, now)
                self.nxt += data
                self._last_sent = self.progress_at = now
                self.chronograph.note(Limit.BUSY, now)
        self.timer.start(now + self.rtt.rto)
        return again

    def skip_syn(self) -> None:
        """Somebody else looks after the SYN (``stack.tcp.handshake``)."""
        self.una = self.nxt = self.initial + 1

    def output(self, now: int, *, probe: bool = False) -> None:
        """Send what the windows, Nagle's algorithm and silly window avoidance allow; ``probe`` overrides the last."""
        end = self.buffer.end
        last = end + self.fin_queued
        if self.nxt >= last:
            return
        congestion = self.congestion
        if self.una == self.nxt:
            if now - self._last_sent > self.rtt.rto and self.parameters.slow_start_after_idle:
                congestion.after_idle(now)
            congestion.on_event(CongestionEvent.TX_START, now)
            if self.window:
                self.progress_at = now
        first = self.nxt
        if self.mtu_probe is not None:
            self.mtu_probe.send(now)
        mss = self.mss
        in_flight = self.in_flight
        chunk = self.pacing.quantum(self._output.chunk(), self)
        rate = self.pacing.rate(self)
        limit_output_bytes = self.parameters.limit_output_bytes
        while self.nxt < last:
            sequence = self.nxt
            window_room = self.una + self.window - sequence
            available = self._record_end(sequence, end) - sequence
            if available:
                if self.queue.full(rate, chunk, limit_output_bytes):
                    self.queue.throttled = True
                    break
                if not self.pacing.may_send(now, held=self._output.paced()):
                    break
                limit = mss if self.ecn.must_tell() or self.urgent > sequence else chunk
                length = min(available, window_room, congestion.cwnd - in_flight, limit)
                whole = length - length % mss if length > 0 else 0
                if length < limit and length < available and self._may_defer(whole, in_flight, now):
                    break
                if length == available:
                    if length != whole and sequence + length == end and not probe and self._must_wait():
                        length = whole
                elif whole or window_room >= mss or not (probe or 2 * length >= self.maximum_window):
                    length = whole
                if length <= 0:
                    break
            elif window_room < 1:
                break
            else:
                length = 0
            flags = ACK
            if sequence + length == end:
                flags |= PSH if length else 0
                if self.fin_queued and window_room > length:
                    flags |= FIN
            self._send_new(sequence, length, flags, now)
            in_flight += length
        if self.nxt > first:
            self._note_usage(limited=congestion.cwnd - in_flight < mss)
            if self.recovery.reducing():
                self.recovery.prr.sent += self.nxt - first
            self.loss_timer.sent_new(now)
        elif self.una == self.nxt and self.timer.deadline is None and not self.queue.throttled:
            # Only the peer's window, or cork, can hold back a connection with nothing on its way: probe it.
            self.timer.start(now + self.rtt.rto)
        if self.nxt >= end and not self.cwnd_limited:
            self.rate.app_limited = self.rate.delivered + in_flight or 1
        unsent = end - self.nxt
        self._note_limit(now, window_full=unsent > 0 and self.una + self.window - self.nxt < min(mss, unsent))

    def _note_limit(self, now: int, *, window_full: bool) -> None:
        """What holds the connection back from now on."""
        if window_full:
            limit = Limit.RECEIVE_WINDOW
        elif self.starved and self.nxt >= self.buffer.end:
            limit = Limit.SEND_BUFFER
        else:
            limit = Limit.BUSY
        self.chronograph.note(limit, now)

    def starve(self, now: int) -> None:
        """The program waits for room to write, until ``starved`` is taken back."""
        self.starved = True
        if self.nxt >= self.buffer.end:
            self.chronograph.note(Limit.SEND_BUFFER, now)

    def drained(self, now: int) -> None:
        """All that was sent is acknowledged."""
        if self.nxt >= self.buffer.end:
            self.chronograph.note(Limit.IDLE, now)

    def end_record(self, end: int) -> None:
        """No segment goes on beyond this number: a record ends there (MSG_EOR)."""
        self._record_ends.append(end)

    def _record_end(self, sequence: int, end: int) -> int:
        """How far the next segment may go."""
        ends = self._record_ends
        while ends and ends[0] <= sequence:
            ends.popleft()
        return ends[0] if ends else end

    def _note_usage(self, *, limited: bool) -> None:
        """How much of the congestion window a round trip has used at most (tcp_cwnd_validate, RFC 7661 section 4.1)."""
        outstanding = self.nxt - self.una
        if self.una >= self._usage_end or limited or (not self.cwnd_limited and outstanding > self.peak):
            self._usage_end = self.nxt
            self.cwnd_limited = limited
            self.peak = outstanding

    def _may_defer(self, length: int, in_flight: int, now: int) -> bool:
        """The windows let a part of a large packet go: wait for a larger part, as long as ACKs are about to come
        (tcp_tso_should_defer)."""
        return (
            in_flight > 0
            and length < min(self.window, self.congestion.cwnd) // self.parameters.tso_win_divisor
            and self.recovery.state is CaState.OPEN
            and now - self._last_sent < _DEFER_LIMIT
            and now - self.board.records[0].sent_at >= self.rtt.srtt // 2
        )

    def send_one(self, length: int, flags: int, now: int) -> None:
        """Send new data in one segment, though it is larger than others."""
        mss, self.mss = self.mss, length
        self._send_new(self.nxt, length, flags, now)
        self.mss = mss

    def send_beyond_window(self, now: int) -> bool:
        """A loss probe: one new segment whatever the congestion window says. False if there is none that may go."""
        length = min(self.end - self.nxt, self.mss, self.una + self.window - self.nxt)
        if length <= 0 or (length < self.mss and self.nxt + length < self.end):
            return False
        self._send_new(self.nxt, length, ACK | PSH, now)
        return True

    def give_up(self) -> None:
        """The peer does not answer any more."""
        self._output.timed_out()

    def send_probe(self) -> None:
        """A number that the peer must answer, without data."""
        self._output.transmit(self.una - 1, b"", ACK)

    def _must_wait(self) -> bool:
        """The last segment is not full: wait for more if the program says so, or after another such (Nagle, Minshall's
        variant). What is urgent never waits."""
        if self.fin_queued or self.urgent > self.nxt:
            return False
        return self.cork or (not self.nodelay and self._small_end > self.una)

    def _record(self, start: int, end: int, now: int) -> None:
        rate = self.rate
        self.board.add(
            Sent(start, end, now, rate.delivered, rate.delivered_at, rate.first_sent_at, rate.app_limited > 0)
        )

    def _send_new(self, sequence: int, length: int, flags: int, now: int) -> None:
        """Send ``length`` bytes from ``sequence`` on for the first time and account for them."""
        mss = self.mss
        following = sequence + length + (1 if flags & FIN else 0)
        self.rate.on_send(now, idle=self.una == sequence)
        pacing = self.pacing
        pacing.sent(length, now, self)
        # Where a queue holds it, the round trip begins when it leaves that.
        at = pacing.departure if pacing.departure > now and self._output.paced() else now
        start = sequence
        while sequence + length - start > mss:
            self._record(start, start + mss, at)
            start += mss
        self._record(start, following, at)
        if length % mss:
            self._small_end = sequence + length
        self.nxt = following
        self._last_sent = now
        self.probe_backoff = 0
        if not self.transmit(sequence, length, flags):
            # Local congestion: this host's own queue is full (Linux's tcp_enter_cwr on NET_XMIT_CN).
            self.recovery.enter_cwr(now)

    def transmit(self, sequence: int, length: int, flags: int, *, retransmission: bool = False) -> bool:
        """Hand over bytes that are in the buffer."""
        payload = self.buffer.take(sequence, length) if length else b""
        self.queue.sent(length)
        return self._output.transmit(sequence, payload, flags, retransmission=retransmission)

    def send_again(self, sent: Sent, now: int) -> None:
        """Send a segment again."""
        end = self.end
        length = min(sent.end, end) - sent.start
        flags = ACK
        if sent.start + length == end:
            flags |= PSH if length else 0
            if sent.end > end:
                flags |= FIN
        self.total_retransmits += 1
        self.board.mark_retransmitted(sent, now)
        self.transmit(sent.start, length, flags, retransmission=True)

    def update_window(self, sequence: int, ack: int, window: int) -> bool:
        """Take the window of an acceptable segment, unless an older one (RFC 9293 section 3.10.7.4). True if it
        changed."""
        if self.wl1 < sequence or (self.wl1 == sequence and self.wl2 <= ack):
            changed = window != self.window
            self.window = window
            self.maximum_window = max(self.maximum_window, window)
            self.wl1 = sequence
            self.wl2 = ack
            return changed
        return False

    def heard(self) -> None:
        """The peer has sent an acceptable ACK: it is alive, though its window may stay closed for ever (RFC 1122
        section 4.2.2.17)."""
        self.unanswered = 0
        if self.window == 0:
            self.retransmits = 0
