"""Queueing disciplines: what waits in front of a device, and in which order it leaves (Linux's net/sched).

``pfifo`` is one queue. ``fq`` (sch_fq.c) has a queue per flow, serves them in turn, and holds packets until their time.
"""

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from mypy_extensions import mypyc_attr

from stack.ethernet import ETH_HLEN, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, VLAN_HLEN
from stack.skbuff import SkBuff

__all__ = ["Fq", "Pfifo", "Qdisc"]

_TAG: Final = ETH_P_8021Q.to_bytes(2, "big")
_IPV6_HLEN: Final = 40
_PORTS_BYTES: Final = 4
_FRAGMENTED: Final = 0x3FFF
"""More fragments, or an offset: no ports, or not in each fragment."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Qdisc(ABC):
    """One device's. The device asks ``peek`` for what may leave now, and takes it with ``dequeue``."""

    paces: bool = False
    """It keeps ``SkBuff.tstamp``, so that a sender need not wait itself."""
    bypass: bool = False
    """A packet need not be queued if none waits and the device is free (TCQ_F_CAN_BYPASS)."""

    @abstractmethod
    def __len__(self) -> int:
        """Packets that wait."""

    @abstractmethod
    def enqueue(self, skb: SkBuff, now: int) -> bool:
        """Take a packet. False if there is no room, and it is to be dropped."""

    @abstractmethod
    def peek(self, now: int) -> SkBuff | None:
        """The packet that leaves next, None if none may leave now."""

    @abstractmethod
    def dequeue(self) -> SkBuff:
        """Take what ``peek`` has just shown."""

    def next_at(self) -> int | None:
        """When a packet that is held may leave."""
        return None

    @abstractmethod
    def reset(self) -> list[SkBuff]:
        """Give up all that waits."""


class Pfifo(Qdisc):
    """First in, first out; ``limit`` packets."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.bypass = limit > 0
        self._queue: deque[SkBuff] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def enqueue(self, skb: SkBuff, now: int) -> bool:
        if len(self._queue) >= self.limit:
            return False
        self._queue.append(skb)
        return True

    def peek(self, now: int) -> SkBuff | None:
        return self._queue[0] if self._queue else None

    def dequeue(self) -> SkBuff:
        return self._queue.popleft()

    def reset(self) -> list[SkBuff]:
        waiting = list(self._queue)
        self._queue.clear()
        return waiting


@dataclass(slots=True, eq=False)
class _Flow:
    key: bytes
    credit: int
    """Bytes that it may send in this round."""
    queue: deque[SkBuff] = field(default_factory=deque)


class Fq(Qdisc):
    """Fair queue. Limits in packets, quanta in bytes, times in ns; defaults are Linux's.

    A flow is (addresses, protocol, ports). A new one is served before those that have had their turn, with
    ``initial_quantum`` first; then each may send ``quantum`` bytes a round (deficit round robin). What is no IP packet
    goes first. A packet whose ``tstamp`` lies further ahead than ``horizon`` is dropped.
    """

    paces = True

    def __init__(
        self,
        *,
        limit: int = 10_000,
        flow_limit: int = 100,
        quantum: int = 3028,
        initial_quantum: int = 15_140,
        horizon: int = 10_000_000_000,
    ) -> None:
        for name, value in (("limit", limit), ("flow_limit", flow_limit), ("quantum", quantum), ("horizon", horizon)):
            if value <= 0:
                raise ValueError(f"fq: {name} must be positive, not {value!r}")
        self.limit = limit
        self.flow_limit = flow_limit
        self.quantum = quantum
        self.initial_quantum = initial_quantum
        self.horizon = horizon
        self.throttled = 0
        """How often a flow was held until its time."""
        self._length = 0
        self._control: deque[SkBuff] = deque()
        self._flows: dict[bytes, _Flow] = {}
        """Those with packets."""
        self._new: deque[_Flow] = deque()
        self._old: deque[_Flow] = deque()
        self._held: list[tuple[int, int, _Flow]] = []
        """(time, serial number, flow): a heap."""
        self._serial = 0
        self._next: _Flow | None = None
        """Whose packet ``peek`` has shown; None: a control packet."""

    def __len__(self) -> int:
        return self._length

    def enqueue(self, skb: SkBuff, now: int) -> bool:
        if self._length >= self.limit or skb.tstamp > now + self.horizon:
            return False
        key = _flow_key(skb)
        if not key:
            self._control.append(skb)
        else:
            flow = self._flows.get(key)
            if flow is None:
                flow = self._flows[key] = _Flow(key, self.initial_quantum)
                self._new.append(flow)
            elif len(flow.queue) >= self.flow_limit:
                return False
            flow.queue.append(skb)
        self._length += 1
        return True

    def peek(self, now: int) -> SkBuff | None:
        self._next = None
        if self._control:
            return self._control[0]
        while self._held and self._held[0][0] <= now:
            self._old.append(heappop(self._held)[2])
        while self._new or self._old:
            turn = self._new or self._old
            flow = turn[0]
            if not flow.queue:
                # Its turn is over; a new flow had to wait for the old ones once, so that it cannot be new for ever.
                turn.popleft()
                if turn is self._new and self._old:
                    self._old.append(flow)
                else:
                    del self._flows[flow.key]
            elif flow.credit <= 0:
                flow.credit += self.quantum
                turn.popleft()
                self._old.append(flow)
            elif flow.queue[0].tstamp > now:
                turn.popleft()
                self.throttled += 1
                self._serial += 1
                heappush(self._held, (flow.queue[0].tstamp, self._serial, flow))
            else:
                self._next = flow
                return flow.queue[0]
        return None

    def dequeue(self) -> SkBuff:
        self._length -= 1
        flow = self._next
        if flow is None:
            return self._control.popleft()
        skb = flow.queue.popleft()
        flow.credit -= len(skb)
        return skb

    def next_at(self) -> int | None:
        return self._held[0][0] if self._held else None

    def reset(self) -> list[SkBuff]:
        waiting = [*self._control, *(skb for flow in self._flows.values() for skb in flow.queue)]
        self._control.clear()
        for kept in (self._flows, self._new, self._old, self._held):
            kept.clear()
        self._length = 0
        return waiting


def _flow_key(skb: SkBuff) -> bytes:
    """Addresses, protocol and ports of a frame; empty if it is no IP packet (skb_flow_dissect, in short)."""
    start = skb.head
    needed = ETH_HLEN + VLAN_HLEN + 60 + _PORTS_BYTES
    if len(start) < needed:
        start += bytes(skb.data[: needed - len(start)])
    if start[12:14] == _TAG:
        start = start[:12] + start[16:]
    protocol = int.from_bytes(start[12:14], "big")
    if protocol == ETH_P_IP and len(start) >= ETH_HLEN + 20:
        transport = ETH_HLEN + (start[ETH_HLEN] & 0xF) * 4
        ports = b"" if int.from_bytes(start[20:22], "big") & _FRAGMENTED else start[transport : transport + 4]
        return start[26:34] + start[23:24] + ports
    if protocol == ETH_P_IPV6 and len(start) >= ETH_HLEN + _IPV6_HLEN:
        transport = ETH_HLEN + _IPV6_HLEN
        return start[22:54] + start[20:21] + start[transport : transport + _PORTS_BYTES]
    return b""
