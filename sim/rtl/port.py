"""Joins the bench's GMII to a link: frames cross whole, in both directions."""

from collections.abc import Callable

from sim.clock import CYCLE_NS, cycle_at
from sim.rtl.engine import RtlEngine
from sim.wire import PREAMBLE_BYTES, Direction

__all__ = ["GmiiPort"]

_PREAMBLE = b"\x55" * (PREAMBLE_BYTES - 1) + b"\xd5"


class GmiiPort:
    """The NIC's end of a link.

    ``arrivals`` are called with ``(time of the last bit, frame)`` for each frame that reaches the NIC.
    ``malformed`` counts frames from the NIC that 802.3 would not have: no preamble, or TX_ER.
    """

    def __init__(self, env: RtlEngine, *, outgoing: Direction, incoming: Direction) -> None:
        self.env = env
        self.arrivals: list[Callable[[int, bytes], None]] = []
        self.malformed = 0
        self._outgoing = outgoing
        self._byte_time = incoming.byte_time
        self._frames_sent = env.bench.state.frames_sent
        incoming.whole = False
        incoming.deliver = self._deliver
        env.observers.append(self._observe)

    def _deliver(self, start: int, frame: bytes) -> None:
        self.env.bench.receive(cycle_at(start), frame)
        end = start + (PREAMBLE_BYTES + len(frame)) * self._byte_time
        for observer in self.arrivals:
            observer(end, frame)

    def _observe(self) -> None:
        while self._frames_sent != self.env.bench.state.frames_sent:
            self._frames_sent += 1
            sent = self.env.bench.sent()
            if sent is None:
                raise RuntimeError("the bench counts a frame that it does not have")
            cycle, frame, error = sent
            if error or frame[:PREAMBLE_BYTES] != _PREAMBLE:
                self.malformed += 1
            else:
                self._outgoing.carry(cycle * CYCLE_NS, frame[PREAMBLE_BYTES:])
