"""The sending half of a connection: what may be sent when, and what is sent again.

Windows, Nagle and the silly window syndrome: RFC 9293 section 3.8.6.2 and 3.7.4. Loss: RFC 5681 section 3.2, NewReno
(RFC 6582), limited transmit (RFC 3042), timeout (RFC 6298 section 5), zero-window probes (RFC 9293 section 3.8.6.1).
"""

from typing import Protocol

from stack.counters import Counters
from stack.skbuff import SkBuff
from stack.tcp.congestion import CongestionControl, Reno
from stack.tcp.parameters import TcpParameters
from stack.tcp.rtt import RttEstimator
from stack.tcp.segment import ACK, FIN, PSH
from stack.tcp.timers import DeadlineTimer

__all__ = ["SegmentOutput", "Sender"]

_DUPLICATE_THRESHOLD = 3
_LIMITED_TRANSMIT = 2


class SegmentOutput(Protocol):
    """Where segments go: the connection."""

    def transmit(self, sequence: int, payload: bytes, flags: int, *, retransmission: bool = False) -> None:
        """Send a segment, or with segmentation offload several that follow each other."""

    def chunk(self) -> int:
        """Payload of the largest packet that may be sent: a segment, or a multiple of it."""

    def timed_out(self) -> None:
        """The peer does not answer any more."""


class Sender:
    """Sequence numbers here do not wrap (see ``stack.tcp.sequence``). Sizes in bytes, times in nanoseconds."""

    __slots__ = (
        "_buffer",
        "_cwnd_limited",
        "_departed",
        "_flight_at_loss",
        "_in_host",
        "_last_sent",
        "_output",
        "_parameters",
        "_partial_acks",
        "_probe_backoff",
        "_recover",
        "_small_end",
        "_unanswered",
        "base",
        "congestion",
        "counters",
        "duplicates",
        "fin_queued",
        "initial",
        "limit",
        "maximum",
        "maximum_window",
        "mss",
        "nodelay",
        "nxt",
        "recovering",
        "retransmits",
        "rtt",
        "scale",
        "timer",
        "total_retransmits",
        "una",
        "window",
        "wl1",
        "wl2",
    )

    def __init__(
        self,
        output: SegmentOutput,
        timer: DeadlineTimer,
        parameters: TcpParameters,
        counters: Counters,
        *,
        initial: int,
        mss: int,
        limit: int,
    ) -> None:
        self._output = output
        self._parameters = parameters
        self.counters = counters
        self.timer = timer
        """Retransmission, or with nothing on its way, zero-window probe."""
        self.rtt = RttEstimator(parameters)
        self.limit = limit
        """Bytes that may wait to be sent and acknowledged."""
        self.initial = initial
        """ISS."""
        self.una = initial
        """SND.UNA."""
        self.nxt = initial
        """SND.NXT; goes back to SND.UNA after a timeout."""
        self.maximum = initial
        """One after the last number ever sent."""
        self.window = 0
        """SND.WND."""
        self.maximum_window = 0
        self.scale = 0
        self.wl1 = 0
        self.wl2 = 0
        self.base = initial + 1
        """Sequence number of the first byte in the buffer."""
        self._buffer = bytearray()
        self.fin_queued = False
        self.nodelay = False
        self._small_end = initial
        """End of the last segment that was not full (Minshall's variant of Nagle's algorithm)."""
        self.duplicates = 0
        self.recovering = False
        self._recover = initial
        self._partial_acks = 0
        self._flight_at_loss = 0
        self.retransmits = 0
        """Timeouts in a row."""
        self.total_retransmits = 0
        self._probe_backoff = 0
        self._unanswered = 0
        """Zero-window probes since the peer was last heard of."""
        self._cwnd_limited = False
        self._last_sent = 0
        self._in_host = 0
        """Packets given to the device and not consumed yet."""
        self._departed = initial
        """End of what the device has consumed."""
        self.set_segment_size(mss)

    def set_segment_size(self, mss: int) -> None:
        """Payload of a full segment; congestion control starts anew with it."""
        self.mss = mss
        self.congestion: CongestionControl = Reno(mss, initial_segments=self._parameters.initial_window_segments)

    @property
    def end(self) -> int:
        """Sequence number after the last byte that the program has written."""
        return self.base + len(self._buffer)

    @property
    def room(self) -> int:
        """Bytes that the program may write."""
        return self.limit - len(self._buffer)

    @property
    def fin_acknowledged(self) -> bool:
        return self.fin_queued and self.una > self.end

    def write(self, data: "bytes | memoryview") -> None:
        """Append to the buffer; the caller keeps to ``room``."""
        self._buffer += data

    def discard(self) -> None:
        """The connection is gone: nothing is sent any more."""
        self.base = self.end
        self._buffer = bytearray()

    def sent_syn(self, now: int) -> None:
        """Account for a SYN, first or again."""
        if self.maximum == self.initial:
            self.nxt = self.maximum = self.initial + 1
            self.rtt.start(self.maximum, now)
        else:
            self.rtt.spoil()
            self.total_retransmits += 1
        self.timer.start(now + self.rtt.rto)

    def output(self, now: int, *, probe: bool = False) -> None:
        """Send what the windows, Nagle's algorithm and silly window avoidance allow; ``probe`` overrides the last."""
        end = self.base + len(self._buffer)
        last = end + self.fin_queued
        if self.nxt >= last:
            return
        congestion = self.congestion
        if self.una == self.maximum and now - self._last_sent > self.rtt.rto:
            congestion.after_idle()
        cwnd = congestion.cwnd
        if self.duplicates and not self.recovering:
            cwnd += min(self.duplicates, _LIMITED_TRANSMIT) * self.mss
        mss = self.mss
        chunk = self._output.chunk()
        while self.nxt < last:
            sequence = self.nxt
            window_room = self.una + self.window - sequence
            available = end - sequence
            if available:
                room = min(window_room, self.una + cwnd - sequence)
                length = min(available, room, chunk)
                whole = length - length % mss if length > 0 else 0
                if length == available:
                    if length != whole and not (self.nodelay or self.fin_queued) and self._small_end > self.una:
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
            self._send(sequence, length, flags, now)
        self._cwnd_limited = self.una + cwnd - self.nxt < mss
        if self.una == self.maximum and self.timer.deadline is None:
            # Only the peer's window can hold back a connection with nothing on its way: probe it.
            self.timer.start(now + self.rtt.rto)

    def _send(self, sequence: int, length: int, flags: int, now: int) -> None:
        """Send ``length`` bytes from ``sequence`` on and account for them."""
        following = sequence + length + (1 if flags & FIN else 0)
        retransmission = sequence < self.maximum
        if retransmission:
            self.rtt.spoil()
            self.total_retransmits += -(-length // self.mss) or 1
        else:
            self.rtt.start(sequence + min(following - sequence, self.mss), now)
        if length % self.mss:
            self._small_end = max(self._small_end, sequence + length)
        if self.una == self.maximum or self.timer.deadline is None:
            # RFC 6298 rule 5.1; with nothing on its way so far, the deadline was that of a probe.
            self.timer.start(now + self.rtt.rto)
        self.nxt = max(self.nxt, following)
        self.maximum = max(self.maximum, following)
        self._last_sent = now
        self._probe_backoff = 0
        offset = sequence - self.base
        payload = bytes(memoryview(self._buffer)[offset : offset + length]) if length else b""
        self._in_host += 1
        self._output.transmit(sequence, payload, flags, retransmission=retransmission)

    def departed(self, skb: SkBuff) -> None:
        """Destructor of a packet from ``_send``; ``skb.cb`` is the number after its last byte."""
        self._in_host -= 1
        self._departed = max(self._departed, skb.cb)

    def _retransmit(self, now: int) -> None:
        """Send the first unacknowledged segment again, whatever the windows say."""
        end = self.end
        length = min(self.mss, min(end, self.maximum) - self.una)
        flags = ACK
        if self.una + length == end:
            flags |= PSH if length else 0
            if self.maximum > end:
                flags |= FIN
        self._send(self.una, length, flags, now)

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
        self._unanswered = 0
        if self.window == 0:
            self.retransmits = 0

    def acknowledge(self, ack: int, now: int) -> None:
        """SND.UNA < ``ack`` <= what was sent: new data has arrived at the peer."""
        self.rtt.acknowledged(ack, now)
        flight = self.maximum - self.una
        acked = ack - self.una
        self.una = ack
        self.nxt = max(self.nxt, ack)
        done = min(ack, self.end) - self.base
        if done > 0:
            del self._buffer[:done]
            self.base += done
        self.retransmits = 0
        self.duplicates = 0
        congestion = self.congestion
        restart = True
        if self.recovering:
            if ack >= self._recover:
                self.recovering = False
                remaining = self.maximum - ack
                congestion.cwnd = min(congestion.ssthresh, max(remaining, self.mss) + self.mss)
            else:
                # RFC 6582 step 3: a partial ACK names the next hole. Only the first restarts the timer.
                congestion.cwnd = max(congestion.cwnd - acked + (self.mss if acked >= self.mss else 0), self.mss)
                self._partial_acks += 1
                restart = self._partial_acks == 1
                self.counters.mib["TcpExt.TCPFastRetrans"] += 1
                self._retransmit(now)
        elif self._cwnd_limited or (congestion.cwnd < congestion.ssthresh and congestion.cwnd < 2 * flight):
            congestion.on_ack(acked, now)
        if self.una == self.maximum:
            self.timer.stop()
        elif restart:
            self.timer.start(now + self.rtt.rto)

    def duplicate(self, now: int) -> None:
        """A duplicate ACK (RFC 5681 section 2) has come."""
        self.duplicates += 1
        if self.recovering:
            self.congestion.cwnd += self.mss
            return
        if self.duplicates == 1:
            # RFC 5681 step 2: what limited transmit adds does not count.
            self._flight_at_loss = self.nxt - self.una
        if self.duplicates == _DUPLICATE_THRESHOLD and self.una > self._recover:
            self.recovering = True
            self._recover = self.maximum
            self._partial_acks = 0
            self.counters.mib["TcpExt.TCPRenoRecovery"] += 1
            self.counters.mib["TcpExt.TCPFastRetrans"] += 1
            self.congestion.on_recovery(self._flight_at_loss)
            self._retransmit(now)

    def expired(self, now: int) -> None:
        """The timer has expired, after the handshake."""
        if self.una < self.maximum:
            self._timeout(now)
        elif self.nxt < self.end + self.fin_queued:
            self._probe(now)

    def _timeout(self, now: int) -> None:
        if self._in_host and self._departed <= self.una:
            # The segment has not left this host yet: sending it again would only lengthen the queue.
            self.timer.start(now + self.rtt.rto)
            return
        self.retransmits += 1
        if self.retransmits > self._parameters.retries:
            self._output.timed_out()
            return
        self.counters.mib["TcpExt.TCPTimeouts"] += 1
        self.congestion.on_timeout(self.nxt - self.una, first=self.retransmits == 1)
        self.recovering = False
        self._recover = self.maximum
        self.duplicates = 0
        self.rtt.back_off()
        self.nxt = self.una
        self._retransmit(now)

    def _probe(self, now: int) -> None:
        """Ask for the window: with what fits if it is open a little, else with a number that the peer must answer."""
        self._unanswered += 1
        if self._unanswered > self._parameters.retries:
            self._output.timed_out()
            return
        self.counters.mib["TcpExt.TCPWinProbe"] += 1
        if self.window > 0:
            self.output(now, probe=True)
            return
        self._probe_backoff += 1
        self._output.transmit(self.una - 1, b"", ACK)
        self.timer.start(now + min(self.rtt.rto << self._probe_backoff, self._parameters.maximum_rto))
