"""A store-and-forward switch before host A's link: what many hosts send to A meets in one queue of bounded length."""

from sim.engine import Scheduler
from sim.wire import GAP_BYTES, Link

__all__ = ["Switch"]

_GROUP_BIT = 1


class Switch:
    """Gives each station a link of its own; forwards by the stations' addresses, which are known from the start.

    ``queue`` is the number of frames that wait for A's link at most; one more is dropped, and counted in ``dropped``.
    """

    def __init__(self, env: Scheduler, uplink: Link, stations: list[bytes], *, delay: int, queue: int) -> None:
        self.links = [Link(env, delay=delay) for _ in stations]
        self.dropped = 0
        self._env = env
        self._to_a = uplink.b_to_a
        self._queue = queue
        self._waiting = 0
        self._by_address = dict(zip(stations, self.links, strict=True))
        uplink.a_to_b.deliver = self._from_a
        for link in self.links:
            link.a_to_b.deliver = self._to_uplink

    def _to_uplink(self, start: int, frame: bytes) -> None:
        if self._waiting >= self._queue:
            self.dropped += 1
            return
        self._waiting += 1
        free_at = self._to_a.send(frame)
        self._env.call_at(free_at - GAP_BYTES * self._to_a.byte_time, self._departed)

    def _departed(self) -> None:
        self._waiting -= 1

    def _from_a(self, start: int, frame: bytes) -> None:
        if frame[0] & _GROUP_BIT:
            for link in self.links:
                link.b_to_a.send(frame)
        elif frame[:6] in self._by_address:
            self._by_address[frame[:6]].b_to_a.send(frame)
