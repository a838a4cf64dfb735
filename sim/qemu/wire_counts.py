"""What crossed the wire, as the NIC counts it (manual 13.7): octets from destination address through FCS."""

from sim.wire import Direction, Link

__all__ = ["WireCounts"]

_BROADCAST = b"\xff" * 6


class WireCounts:
    """Counts good frames that the NIC (the a end) sent, and those for the station or for all that it was sent.

    ``link`` is tapped. A frame counts when it has begun.
    """

    def __init__(self, link: Link, station: bytes) -> None:
        self._outgoing = link.a_to_b
        self._station = station
        self.counts = {
            f"{way}_{what}": 0 for way in ("tx", "rx") for what in ("packets", "bytes", "broadcast", "multicast")
        }
        link.taps.append(self._count)

    def _count(self, direction: Direction, start: int, frame: bytes) -> None:
        destination = frame[:6]
        way = "tx" if direction is self._outgoing else "rx"
        if way == "rx" and destination not in (self._station, _BROADCAST):
            return
        self.counts[f"{way}_packets"] += 1
        self.counts[f"{way}_bytes"] += len(frame)
        if destination == _BROADCAST:
            self.counts[f"{way}_broadcast"] += 1
        elif destination[0] & 1:
            self.counts[f"{way}_multicast"] += 1
