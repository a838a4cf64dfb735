"""The retransmission queue with its tags (RFC 6675 section 3, the scoreboard; Linux's tcp_rtx_queue and TCPCB_*).

One record per segment on the wire. ``in flight = sent - sacked - lost + retransmitted``, in bytes.
"""

from bisect import bisect_right
from dataclasses import dataclass
from heapq import heappop, heappush
from operator import attrgetter
from typing import Final

__all__ = ["Scoreboard", "Sent"]

_START: Final = attrgetter("start")


@dataclass(init=False, slots=True, eq=False)
class Sent:
    """One segment that was sent and is not acknowledged cumulatively."""

    start: int
    end: int
    """Number after the last, a FIN included."""
    sent_at: int
    """When last sent."""
    delivered: int
    """The connection's delivered bytes when it was sent, and below: for the delivery rate (``stack.tcp.rate``)."""
    delivered_at: int
    first_sent_at: int
    app_limited: bool
    order: int
    """Number of the transmission, which tells those of the same moment apart."""
    sacked: bool
    """The receiver has it (tag S)."""
    lost: bool
    """Believed lost (tag L)."""
    in_retransmission: bool
    """Sent again, and that copy is believed on its way (tag R)."""
    retransmitted: bool
    """Sent again at any time: its acknowledgment tells no round-trip time (Karn)."""

    # By hand: the one that ``dataclass`` makes stays interpreted where this module is compiled.
    def __init__(
        self,
        start: int,
        end: int,
        sent_at: int,
        delivered: int,
        delivered_at: int,
        first_sent_at: int,
        app_limited: bool,
        order: int = 0,
        sacked: bool = False,
        lost: bool = False,
        in_retransmission: bool = False,
        retransmitted: bool = False,
    ) -> None:
        self.start = start
        self.end = end
        self.sent_at = sent_at
        self.delivered = delivered
        self.delivered_at = delivered_at
        self.first_sent_at = first_sent_at
        self.app_limited = app_limited
        self.order = order
        self.sacked = sacked
        self.lost = lost
        self.in_retransmission = in_retransmission
        self.retransmitted = retransmitted


class Scoreboard:
    """Sequence numbers do not wrap here."""

    __slots__ = (
        "_awaiting",
        "_known",
        "_marks",
        "_transmissions",
        "by_time",
        "lost",
        "records",
        "retransmitted",
        "sacked",
    )

    def __init__(self) -> None:
        self.records: list[Sent] = []
        """In the order of their numbers, without gaps."""
        self.by_time: dict[Sent, None] = {}
        """Those that may still be found lost, in the order in which they were last sent (Linux's tsorted list)."""
        self.sacked = 0
        """Bytes with tag S. Without SACK, as many as duplicate ACKs stand for."""
        self.lost = 0
        self.retransmitted = 0
        self._transmissions = 0
        self._awaiting: list[tuple[int, Sent]] = []
        """A heap by number of what was marked lost, so that it is found without a walk over all (Linux's
        retransmit_skb_hint). What has left, arrived or been sent again meanwhile stays until it is on top. No two
        segments have one number, so that they are never compared."""
        self._known: tuple[tuple[int, int], ...] = ()
        """Blocks of the last ACK, which need no second look."""

    def add(self, sent: Sent) -> None:
        """A segment was sent for the first time."""
        self._transmissions += 1
        sent.order = self._transmissions
        self.records.append(sent)
        self.by_time[sent] = None

    def clear_tags(self, sent: Sent) -> None:
        """Take a record that leaves the queue, or was delivered, out of the sums; SACK is not touched."""
        size = sent.end - sent.start
        if sent.lost:
            sent.lost = False
            self.lost -= size
        if sent.in_retransmission:
            sent.in_retransmission = False
            self.retransmitted -= size

    def acknowledge(self, ack: int) -> list[Sent]:
        """Remove all before ``ack``, tags as they were, sums adjusted. A segment that is acknowledged in part
        shrinks."""
        records = self.records
        count = 0
        for sent in records:
            if sent.end > ack:
                break
            count += 1
            size = sent.end - sent.start
            if sent.sacked:
                self.sacked -= size
            else:
                self.by_time.pop(sent, None)
                if sent.lost:
                    self.lost -= size
                if sent.in_retransmission:
                    self.retransmitted -= size
        taken = records[:count]
        del records[:count]
        if records and records[0].start < ack:
            self._shrink(records[0], ack)
        return taken

    def _shrink(self, sent: Sent, start: int) -> None:
        size = start - sent.start
        sent.start = start
        self.sacked -= size * sent.sacked
        self.lost -= size * sent.lost
        self.retransmitted -= size * sent.in_retransmission

    def select(self, blocks: tuple[tuple[int, int], ...]) -> list[Sent]:
        """The records that ``blocks`` (of valid numbers) cover for the first time. Tags are left as they were, except
        S; RACK wants to see the others."""
        if blocks == self._known:
            return []
        found: list[Sent] = []
        records = self.records
        known = dict(self._known)
        for left, right in blocks:
            begin = left
            if left in known:
                # The block has grown at its end.
                begin = known[left]
                if begin >= right:
                    continue
            index = max(bisect_right(records, begin, key=_START) - 1, 0)
            if index < len(records) and records[index].start < left:
                index += 1
            while index < len(records) and records[index].end <= right:
                sent = records[index]
                if not sent.sacked:
                    sent.sacked = True
                    self.sacked += sent.end - sent.start
                    self.by_time.pop(sent, None)
                    found.append(sent)
                index += 1
        self._known = blocks
        return found

    def mark_lost(self, sent: Sent) -> None:
        """The segment, or the copy of it that was on its way, is believed lost."""
        size = sent.end - sent.start
        if sent.in_retransmission:
            sent.in_retransmission = False
            self.retransmitted -= size
        if not sent.lost:
            sent.lost = True
            self.lost += size
        heappush(self._awaiting, (sent.start, sent))
        self.by_time.pop(sent, None)

    def first_lost(self) -> Sent | None:
        """The lowest record that is lost and has not been sent again since, or None."""
        awaiting, records = self._awaiting, self.records
        while awaiting:
            sent = awaiting[0][1]
            if sent.lost and not sent.in_retransmission and records and sent.end > records[0].start:
                return sent
            heappop(awaiting)
        return None

    def mark_retransmitted(self, sent: Sent, now: int) -> None:
        """The segment is sent again now."""
        self._transmissions += 1
        sent.order = self._transmissions
        sent.sent_at = now
        sent.retransmitted = True
        if not sent.in_retransmission:
            sent.in_retransmission = True
            self.retransmitted += sent.end - sent.start
        self.by_time.pop(sent, None)
        self.by_time[sent] = None

    def forget_sacks(self) -> None:
        """The receiver has dropped what it had reported (RFC 2018 section 8)."""
        self.sacked = 0
        self._known = ()
        for sent in self.records:
            sent.sacked = False
        self._watch()

    def forget_losses(self) -> None:
        """Nothing was lost after all."""
        self.lost = 0
        for sent in self.records:
            sent.lost = False
        self._watch()

    def _watch(self) -> None:
        """Set up ``by_time`` anew."""
        waiting = [sent for sent in self.records if not sent.sacked and (sent.in_retransmission or not sent.lost)]
        self.by_time = dict.fromkeys(sorted(waiting, key=lambda sent: sent.order))
        # A sorted list is a heap.
        self._awaiting = [(sent.start, sent) for sent in self.records if sent.lost and not sent.in_retransmission]

    # Without SACK: duplicate ACKs stand for segments that have arrived (Linux's tcp_add_reno_sack)

    def add_duplicate(self, mss: int, outstanding: int) -> int:
        """A duplicate ACK with ``outstanding`` bytes unacknowledged. Returns what it adds to ``sacked``."""
        before = self.sacked
        self.sacked += mss
        self.limit_duplicates(mss, outstanding)
        return max(self.sacked - before, 0)

    def eat_duplicates(self, acked: int, mss: int) -> None:
        """New data is acknowledged: one segment filled the hole, the rest are those that the duplicates stood for."""
        self.sacked = max(self.sacked - max(acked - mss, 0), 0)

    def limit_duplicates(self, mss: int, outstanding: int) -> None:
        """At least one segment, or what is believed lost, has not arrived."""
        self.sacked = max(min(self.sacked, outstanding - max(self.lost, mss)), 0)

    def resize(self, mss: int) -> None:
        """Segments have become smaller: cut those that are too large."""
        cut: list[Sent] = []
        for sent in self.records:
            while sent.end - sent.start > mss:
                head = Sent(
                    sent.start,
                    sent.start + mss,
                    sent.sent_at,
                    sent.delivered,
                    sent.delivered_at,
                    sent.first_sent_at,
                    sent.app_limited,
                    sent.order,
                    sent.sacked,
                    sent.lost,
                    sent.in_retransmission,
                    sent.retransmitted,
                )
                cut.append(head)
                sent.start = head.end
            cut.append(sent)
        self.records = cut
        self._watch()
