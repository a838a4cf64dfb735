"""The receiving half of a connection: reassembly and the advertised window (RFC 9293 section 3.8.6.2)."""

from bisect import bisect_right
from typing import Final

from stack.tcp.selective_acks import SelectiveAcks
from stack.tcp.urgent import UrgentMark

__all__ = ["Receiver", "scale_for"]

_MAXIMUM_WINDOW_FIELD: Final = 0xFFFF
_MAXIMUM_SHIFT: Final = 14
_DEFAULT_MSS: Final = 536
_BYTES_PER_PIECE: Final = 512
"""Out-of-order pieces are limited to one per so many bytes of buffer: tiny segments must not cost much memory."""


def scale_for(limit: int) -> int:
    """The smallest shift with which a window of ``limit`` bytes fits its field (RFC 7323 section 2.3)."""
    shift = 0
    while limit >> shift > _MAXIMUM_WINDOW_FIELD and shift < _MAXIMUM_SHIFT:
        shift += 1
    return shift


def _start(piece: tuple[int, bytes]) -> int:
    return piece[0]


class Receiver:
    """Sequence numbers here do not wrap (see ``stack.tcp.sequence``)."""

    __slots__ = (
        "_pieces",
        "acknowledged",
        "buffer",
        "copied",
        "edge",
        "fin",
        "initial",
        "limit",
        "mss",
        "nxt",
        "out_of_order",
        "pressed",
        "sacks",
        "scale",
        "segment_size",
        "urgent",
    )

    def __init__(self, *, limit: int, mss: int) -> None:
        self.limit = limit
        """Bytes that may be kept for the reader."""
        self.mss = mss
        """What we advertise."""
        self.scale = 0
        self.initial = 0
        """IRS."""
        self.nxt = 0
        """RCV.NXT."""
        self.edge = 0
        """RCV.NXT + RCV.WND as far as ever advertised. It never moves back (RFC 9293 SHLD-14)."""
        self.acknowledged = 0
        """RCV.NXT when the last segment with ACK was sent."""
        self.buffer = bytearray()
        """In order, not read yet."""
        self.fin: int | None = None
        """Sequence number of the peer's FIN, once known."""
        self.segment_size = min(_DEFAULT_MSS, mss)
        """Payload of a full segment of the peer, as far as seen."""
        self.out_of_order = 0
        """Bytes beyond a gap."""
        self.pressed = False
        """The host is short of memory."""
        self.copied = 0
        """Bytes that the program has taken, all in all."""
        self.sacks = SelectiveAcks()
        self.urgent: UrgentMark | None = None
        self._pieces: list[tuple[int, bytes]] = []
        """Out of order: (sequence number, data), sorted, without overlap."""

    def open(self, initial: int) -> None:
        """The peer's SYN has the sequence number ``initial``."""
        self.initial = initial
        self.nxt = self.acknowledged = self.edge = initial + 1

    def window_field(self, *, scaled: bool = True) -> int:
        """The header's window field for a segment that is sent now; not scaled in a SYN (RFC 7323 section 2.2).

        The window opens in steps of a segment or half the buffer at least, against the silly window syndrome (RFC 9293
        section 3.8.6.2.2). The field is rounded down, since rounding up would creep forward with each small segment;
        what was promised before is still accepted (RFC 7323 section 2.4).
        """
        scale = self.scale if scaled else 0
        nxt = self.nxt
        free = self.limit - len(self.buffer)
        if self.pressed and free < self.limit >> 1:
            # Linux's tcp_adjust_rcv_ssthresh.
            free = min(free, 4 * self.mss)
        if free - (self.edge - nxt) >= min(self.limit >> 1, self.mss):
            self.edge = nxt + (min(free >> scale, _MAXIMUM_WINDOW_FIELD) << scale)
        return min(max(self.edge - nxt, 0) >> scale, _MAXIMUM_WINDOW_FIELD)

    def update_due(self) -> bool:
        """Whether what the program has read opens the window so far that the peer should know at once: to twice of
        what it may still send, as in Linux, or by a quarter of the buffer, as in BSD. Without the latter a burst that
        fills a part of the buffer before the program runs leaves the peer with less than it could send for a round
        trip."""
        current = self.edge - self.nxt
        opened = min(self.limit - len(self.buffer), _MAXIMUM_WINDOW_FIELD << self.scale) - current
        return opened >= min(self.limit >> 1, self.mss) and (opened >= current or 4 * opened >= self.limit)

    def accept(self, sequence: int, payload: "memoryview | bytes") -> bool:
        """Take the data of a segment that overlaps the window.

        Returns True if it came in order and closed no gap, so that its ACK may be delayed (RFC 5681 section 4.2).
        """
        nxt = self.nxt
        if len(payload) > self.segment_size:
            self.segment_size = min(len(payload), self.mss)
        if sequence < nxt:
            self.sacks.duplicate(sequence, min(sequence + len(payload), nxt))
            payload = payload[nxt - sequence :]
            sequence = nxt
        room = self.edge - sequence
        if len(payload) > room:
            payload = payload[: max(room, 0)]
        if not payload:
            return False
        if sequence != nxt:
            self._store(sequence, payload)
            return False
        self.buffer += payload
        self.nxt = nxt + len(payload)
        if self._pieces:
            self._drain()
            self.sacks.advance(self.nxt)
            return False
        return True

    def _store(self, sequence: int, payload: "memoryview | bytes") -> None:
        """Keep what is out of order and not kept yet."""
        pieces = self._pieces
        whole = (sequence, sequence + len(payload))
        index = bisect_right(pieces, sequence, key=_start)
        if index:
            start, data = pieces[index - 1]
            overlap = start + len(data) - sequence
            if overlap > 0:
                self.sacks.duplicate(sequence, min(sequence + overlap, whole[1]))
                payload = payload[overlap:]
                sequence += overlap
        while payload:
            if len(pieces) * _BYTES_PER_PIECE >= self.limit:
                # Not kept, so not to be reported either: only what came before it is.
                whole = (whole[0], sequence)
                break
            if index == len(pieces):
                pieces.append((sequence, bytes(payload)))
                self.out_of_order += len(payload)
                break
            gap = pieces[index][0] - sequence
            if gap:
                pieces.insert(index, (sequence, bytes(payload[:gap])))
                self.out_of_order += len(pieces[index][1])
                index += 1
            if len(payload) <= gap:
                break
            step = gap + len(pieces[index][1])
            self.sacks.duplicate(sequence + gap, min(sequence + step, whole[1]))
            payload = payload[step:]
            sequence += step
            index += 1
        if whole[0] < whole[1]:
            self.sacks.add(*whole)

    def _drain(self) -> None:
        """Move what has become in order to the buffer."""
        count = 0
        for start, data in self._pieces:
            if start > self.nxt:
                break
            count += 1
            self.out_of_order -= len(data)
            new = start + len(data) - self.nxt
            if new > 0:
                self.buffer += data[-new:]
                self.nxt += new
        del self._pieces[:count]

    @property
    def kept(self) -> int:
        """Bytes that wait for the program, or beyond a gap."""
        return len(self.buffer) + self.out_of_order

    def pieces(self) -> int:
        """Number of out-of-order pieces that are kept."""
        return len(self._pieces)

    @property
    def position(self) -> int:
        """Sequence number of the next byte that the program will read."""
        return self.nxt - (self.fin is not None and self.nxt > self.fin) - len(self.buffer)

    def mark_urgent(self, sequence: int) -> bool:
        """The peer calls the byte with this number urgent. False if that is no news."""
        known = self.urgent
        if sequence < self.position or (known is not None and sequence <= known.sequence):
            return False
        self.urgent = UrgentMark(sequence)
        return True

    def peek(self, size: int, *, inline: bool = False) -> bytes:
        """The bytes that ``read`` would take."""
        start = 0
        if self.urgent is not None:
            distance = self.urgent.sequence - self.position
            if distance > 0:
                size = min(size, distance)
            elif distance == 0 and not inline:
                start = 1
        return bytes(memoryview(self.buffer)[start : start + size])

    def read(self, size: int, *, inline: bool = False) -> bytes:
        """Take at most ``size`` bytes; ``inline``: urgent ones like all others."""
        buffer = self.buffer
        if self.urgent is not None:
            size = self.urgent.limit(self, size, inline=inline)
        if size >= len(buffer):
            data = bytes(buffer)
            buffer.clear()
        else:
            data = bytes(memoryview(buffer)[:size])
            del buffer[:size]
        self.copied += len(data)
        return data
