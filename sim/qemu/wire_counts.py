"""What crossed the wire, as the NIC counts it (manual 13.7): octets from destination address through FCS."""

from hw.registers import BY_NAME
from sim.wire import Direction, Link

__all__ = ["WireCounts"]

_BROADCAST = b"\xff" * 6
_PAIRS = {BY_NAME[f"{name}L"].offset: what for name, what in (("GORC", "rx_bytes"), ("GOTC", "tx_bytes"))}
_HIGH = {BY_NAME[f"{name}H"].offset: what for name, what in (("GORC", "rx_bytes"), ("GOTC", "tx_bytes"))}
_LAST = BY_NAME["TPT"].offset
"""Total packets transmitted: who reads all counters has read those of packets and octets before it."""


class WireCounts:
    """Counts good frames that the NIC (the a end) sent, and those for the station or for all that it was sent.

    ``link`` is tapped, so make this when both ends are attached. A frame counts when its first bit is at the NIC.
    """

    def __init__(self, link: Link, station: bytes) -> None:
        self._outgoing = link.a_to_b
        self.counts = {
            f"{way}_{what}": 0 for way in ("tx", "rx") for what in ("packets", "bytes", "broadcast", "multicast")
        }
        self.seen: dict[str, int] = {}
        self._low = dict.fromkeys(_PAIRS.values(), 0)
        self._between = {f"{what}_between": 0 for what in self._low}
        link.taps.append(self._tap)
        deliver = link.b_to_a.deliver
        assert deliver is not None

        def arrive(start: int, frame: bytes) -> None:
            # A tap sees a frame when it is queued for the wire.
            if frame[:6] in (station, _BROADCAST):
                self._count("rx", frame)
            deliver(start, frame)

        link.b_to_a.deliver = arrive

    def read(self, offset: int) -> None:
        """The guest has read a register: ``seen`` is what had crossed when it last read all counters; by names with
        ``_between``, octets that crossed after the low word of a pair was read and before the high word was."""
        if (what := _PAIRS.get(offset)) is not None:
            self._low[what] = self.counts[what]
        elif (what := _HIGH.get(offset)) is not None:
            self._between[f"{what}_between"] += self.counts[what] - self._low[what]
        elif offset == _LAST:
            self.seen = self.counts | self._between

    def _tap(self, direction: Direction, start: int, frame: bytes) -> None:
        if direction is self._outgoing:
            self._count("tx", frame)

    def _count(self, way: str, frame: bytes) -> None:
        self.counts[f"{way}_packets"] += 1
        self.counts[f"{way}_bytes"] += len(frame)
        if frame[:6] == _BROADCAST:
            self.counts[f"{way}_broadcast"] += 1
        elif frame[0] & 1:
            self.counts[f"{way}_multicast"] += 1
