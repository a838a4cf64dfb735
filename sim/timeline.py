"""What happened when, as Chrome-trace JSON for Perfetto (ui.perfetto.dev): one packet can be followed through socket,
TCP, descriptor, doorbell, DMA and wire, and one that comes through wire, DMA, interrupt, poll, TCP and socket.

Format: "Trace Event Format" (Google, 2016). A slice is a complete event (``X``); the arrows between slices of one
packet are flow events (``s``, ``t``, ``f``). Times in the file are microseconds.
"""

import json
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from driver.offload import TransmitPlan
from hw.registers import at_offset
from sim.hosts import Hosts
from sim.processor import CAUSES
from sim.wire import PREAMBLE_BYTES, Direction
from stack.ip.ip import Handler
from stack.skbuff import SkBuff

__all__ = ["Timeline"]

_TRACKS = (
    "program",
    "TCP, UDP, IP",
    "driver",
    "descriptors",
    "poll",
    "processor 0",
    "registers",
    "interrupt pin",
    "DMA",
    "wire: A to B",
    "wire: B to A",
)
_CALLS = ("connect", "sendall", "send", "sendto", "recv", "recvfrom", "accept")
_SENDS = ("sendall", "send", "sendto")
_RECEIVES = ("recv", "recvfrom")
_DOORBELL = "TDT"
_TCP, _UDP = 6, 17
_NAMES = {number: cause.value.replace("_", " ") for cause, number in CAUSES.items()}

_Identity = tuple[bytes, int]
"""Addresses and ports, and the position in the stream (TCP) or the datagram's number (UDP: its first bytes)."""


def _identity(frame: bytes) -> tuple[_Identity, int] | None:
    """Which packet a frame is, and how many bytes of payload it has; None without payload of TCP or UDP over IPv4."""
    if frame[12:14] != b"\x08\x00" or len(frame) < 34:
        return None
    length, protocol = struct.unpack_from("!H", frame, 16)[0], frame[23]
    at = 14 + 4 * (frame[14] & 0xF)
    end = min(14 + length, len(frame)) if length else len(frame)
    if protocol == 6 and len(frame) >= at + 20:
        payload = end - at - 4 * (frame[at + 12] >> 4)
        return ((frame[26 : at + 4], struct.unpack_from("!I", frame, at + 4)[0]), payload) if payload > 0 else None
    if protocol == 17 and len(frame) >= at + 16:
        return (frame[26 : at + 4], struct.unpack_from("!I", frame, at + 12)[0]), end - at - 8
    return None


class _Packets:
    """Packets on their way down: identity, payload and flow. What is seen of one may be a part that was cut from it."""

    def __init__(self) -> None:
        self._waiting: list[tuple[_Identity, int, int]] = []

    def add(self, identity: _Identity, payload: int, flow: int) -> None:
        self._waiting.append((identity, payload, flow))

    def take(self, identity: _Identity, payload: int) -> tuple[int, bool] | None:
        """The flow of the packet that has these bytes, and whether they are its last; then it is forgotten."""
        for index, (given, size, flow) in enumerate(self._waiting):
            offset = (identity[1] - given[1]) & 0xFFFFFFFF
            if given[0] == identity[0] and offset < max(size, 1):
                last = offset + payload >= size
                if last:
                    del self._waiting[index]
                return flow, last
        return None


def _due(waiting: list[tuple[int, int]], time: int) -> list[int]:
    """Take out the flows whose time has come."""
    due = [flow for since, flow in waiting if since <= time]
    waiting[:] = [entry for entry in waiting if entry[0] > time]
    return due


class Timeline:
    """Records a run's events; ``write`` makes the file. ``attach`` first."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._tracks = {name: number for number, name in enumerate(_TRACKS, start=1)}
        self._flows = 0
        self._calls = 0
        self._open_calls: dict[int, tuple[str, int]] = {}
        """Name and start of each that has not returned."""
        self._sending: int | None = None
        """Start of the program's latest send."""
        self._queued = _Packets()
        """Packets that the driver has not been given."""
        self._given = _Packets()
        """Packets given to the driver whose frames have not been seen."""
        self._xmit: int | None = None
        """Flow of the packet whose descriptors the driver writes."""
        self._arrived: dict[_Identity, int] = {}
        """Flows of frames towards A that the stack has not."""
        self._polling = False
        self._received: dict[bytes, list[int]] = {}
        """Flows that the stack has, and TCP or UDP has not, by addresses and ports."""
        self._delivered: list[int] = []
        """Flows that TCP or UDP has, and the program has not."""
        self._waiting_for_doorbell: list[int] = []
        self._waiting_for_interrupt: list[tuple[int, int]] = []
        """Flows of frames that have come, with the time of their last bit."""
        self._waiting_for_dma: dict[str, list[tuple[int, int]]] = {"read": [], "write": []}
        """Flows whose first burst has not been seen, by its kind, with the time before which it cannot start."""
        self._dma_told = False
        """The back end tells of its DMA."""

    def attach(self, hosts: Hosts) -> None:
        """Watch hosts that are up."""
        self._hosts = hosts
        hosts.link.taps.append(self._on_wire)
        hosts.device.taps.append(self._on_receive)
        for index, processor in enumerate(hosts.cpu.processors):
            processor.observers.append(self._on_work(self._track(f"processor {index}")))
        bus = hosts.bus
        bus.rises.append(self._on_interrupt)
        bus.accesses.append(self._on_access)
        bus.dma.append(self._on_dma)
        device = hosts.device
        device.transmit_taps.append(lambda _, skb: self._on_output(skb))
        start_xmit, enqueue, poll, socket = (
            device.start_xmit,
            device.tx_ring.enqueue,
            device.napi.poll,
            hosts.stack.socket,
        )

        def watched_xmit(skb: SkBuff) -> Any:
            self._on_xmit(skb)
            return start_xmit(skb)

        def watched_enqueue(skb: SkBuff, plan: TransmitPlan) -> bool:
            # The doorbell is rung within, and comes behind.
            first = device.tx_ring.ring.next_to_use
            before, self._events = self._events, []
            done = enqueue(skb, plan)
            doorbell, self._events = self._events, before
            if done:
                self._on_descriptors(first, device.tx_ring.ring.next_to_use - first)
            self._events += doorbell
            return done

        async def watched_poll(budget: int) -> int:
            start, self._polling = hosts.cpu.now, True
            work = await poll(budget)
            self._polling = False
            self._slice(self._track("poll"), "poll", start, max(hosts.cpu.now - start, 1), packets=work)
            return work

        def watched_socket(*arguments: Any) -> Any:
            return _Watched(socket(*arguments), self)

        for owner, name, watched in (
            (device, "start_xmit", watched_xmit),
            (device.tx_ring, "enqueue", watched_enqueue),
            (device.napi, "poll", watched_poll),
            (hosts.stack, "socket", watched_socket),
        ):
            setattr(owner, name, watched)
        handlers = hosts.stack.ip.handlers
        for protocol, name in ((_TCP, "TCP input"), (_UDP, "UDP input")):
            handlers[protocol] = self._watched_input(name, handlers[protocol])

    def write(self, path: Path) -> None:
        """Write the file."""
        for name, start in self._open_calls.values():
            # It has not returned, but arrows start from it.
            self._slice(self._track("program"), name, start, max(self._hosts.env.now - start, 1))
        names = [
            {"ph": "M", "pid": 1, "tid": number, "name": "thread_name", "args": {"name": name}}
            for name, number in self._tracks.items()
        ]
        order = [
            {"ph": "M", "pid": 1, "tid": number, "name": "thread_sort_index", "args": {"sort_index": number}}
            for number in self._tracks.values()
        ]
        process = {"ph": "M", "pid": 1, "tid": 0, "name": "process_name", "args": {"name": "host A and its wire"}}
        content = {"traceEvents": [process, *names, *order, *self._events], "displayTimeUnit": "ns"}
        path.write_text(json.dumps(content, separators=(",", ":")))

    def _track(self, name: str) -> int:
        return self._tracks.setdefault(name, len(self._tracks) + 1)

    def _slice(self, track: int, name: str, start: int, duration: int, **arguments: Any) -> None:
        event = {"ph": "X", "pid": 1, "tid": track, "name": name, "ts": start / 1e3, "dur": duration / 1e3}
        self._events.append(event | ({"args": arguments} if arguments else {}))

    def _flow(self, phase: str, flow: int, track: int, time: int) -> None:
        """A point of an arrow, in the slice of that time: ``s`` is its start, ``t`` a step, ``f`` its end."""
        event = {"ph": phase, "pid": 1, "tid": track, "name": "packet", "cat": "packet", "id": flow, "ts": time / 1e3}
        self._events.append(event | ({"bp": "e"} if phase == "f" else {}))

    def _new_flow(self) -> int:
        self._flows += 1
        return self._flows

    def _point(self, track: str, name: str, time: int, **arguments: Any) -> int:
        """A slice of one nanosecond, which a flow can bind to; its track."""
        number = self._track(track)
        self._slice(number, name, time, 1, **arguments)
        return number

    def _on_work(self, track: int) -> Callable[[int, int, int], None]:
        return lambda cause, start, duration: self._slice(track, _NAMES[cause], start, duration)

    def _on_dma(self, name: str, start: int, duration: int, size: int) -> None:
        self._dma_told = True
        track = self._track("DMA")
        self._slice(track, name, start, duration, bytes=size)
        for flow in _due(self._waiting_for_dma[name], start):
            self._flow("t", flow, track, start)

    def _watched_input(self, name: str, handler: Handler) -> Handler:
        def watched(skb: SkBuff, source: int, destination: int) -> None:
            ends = b"".join((end & 0xFFFFFFFF).to_bytes(4, "big") for end in (source, destination)) + bytes(
                skb.data[:4]
            )
            track = self._point("TCP, UDP, IP", name, self._hosts.cpu.now, size=len(skb.data))
            for flow in self._received.pop(ends, []):
                self._flow("t", flow, track, self._hosts.cpu.now)
                self._delivered.append(flow)
            handler(skb, source, destination)

        return watched

    def _on_output(self, skb: SkBuff) -> None:
        """The stack is done with a packet."""
        found = _identity(bytes(skb.frame()))
        if found is None:
            return
        identity, payload = found
        now = self._hosts.cpu.now
        flow = self._new_flow()
        if self._sending is not None:
            self._flow("s", flow, self._track("program"), self._sending)
        track = self._point("TCP, UDP, IP", "output", now, payload=payload, segment=skb.gso_size)
        self._flow("t" if self._sending is not None else "s", flow, track, now)
        self._queued.add(identity, payload, flow)

    def _on_xmit(self, skb: SkBuff) -> None:
        self._xmit = None
        found = _identity(bytes(skb.frame()))
        match = self._queued.take(*found) if found else None
        if found is None or match is None:
            return
        now = self._hosts.cpu.now
        self._xmit, _ = match
        track = self._point("driver", "start_xmit", now, payload=found[1])
        self._flow("t", self._xmit, track, now)
        self._given.add(*found, self._xmit)
        self._waiting_for_doorbell.append(self._xmit)

    def _on_descriptors(self, first: int, count: int) -> None:
        now = self._hosts.cpu.now
        count %= self._hosts.device.tx_ring.ring.count
        track = self._point("descriptors", f"transmit {first}", now, first=first, descriptors=count)
        if self._xmit is not None:
            self._flow("t", self._xmit, track, now)

    def _on_access(self, time: int, offset: int, write: bool, value: int) -> None:
        found = at_offset(offset)
        name = found.name if found is not None else f"{offset:#x}"
        track = self._point("registers", f"{name} {'=' if write else 'read'}", time, value=value)
        if write and name == _DOORBELL:
            for flow in self._waiting_for_doorbell:
                self._flow("t", flow, track, time)
            self._waiting_for_dma["read"] += [(time, flow) for flow in self._waiting_for_doorbell]
            self._waiting_for_doorbell.clear()

    def _on_wire(self, direction: Direction, start: int, frame: bytes) -> None:
        from_a = direction is self._hosts.link.a_to_b
        track = self._track("wire: A to B" if from_a else "wire: B to A")
        duration = (PREAMBLE_BYTES + len(frame)) * direction.byte_time
        self._slice(track, f"{len(frame)} bytes", start, duration)
        found = _identity(frame)
        if found is None:
            return
        identity, payload = found
        if from_a:
            match = self._given.take(identity, payload)
            if match is not None:
                flow, last = match
                self._flow("f" if last else "t", flow, track, start)
        else:
            flow = self._arrived[identity] = self._new_flow()
            self._flow("s", flow, track, start)
            whole = start + duration + direction.delay
            self._waiting_for_interrupt.append((whole, flow))
            self._waiting_for_dma["write"].append((whole, flow))

    def _on_interrupt(self, time: int) -> None:
        track = self._point("interrupt pin", "interrupt", time)
        # The pin may have risen for those before it: what is not in memory yet has to wait (if DMA is told at all).
        not_in_memory = self._waiting_for_dma["write"] if self._dma_told else []
        waiting = [entry for entry in self._waiting_for_interrupt if entry not in not_in_memory]
        for flow in _due(waiting, time):
            self._flow("t", flow, track, time)
        self._waiting_for_interrupt = waiting + [e for e in self._waiting_for_interrupt if e in not_in_memory]

    def _on_receive(self, skb: SkBuff) -> None:
        found = _identity(bytes(skb.data))
        now = self._hosts.cpu.now
        track = self._point("driver", "netif_receive_skb", now)
        flow = self._arrived.pop(found[0], None) if found else None
        if found is None or flow is None:
            return
        # It may have come while the driver looked anyway.
        self._waiting_for_interrupt = [entry for entry in self._waiting_for_interrupt if entry[1] != flow]
        if self._polling:
            self._flow("t", flow, self._track("poll"), now)
        self._flow("t", flow, track, now)
        self._received.setdefault(found[0][0], []).append(flow)

    def calling(self, name: str) -> int:
        """A's program calls; returns a number for ``called``."""
        now = self._hosts.env.now
        if name in _SENDS:
            self._sending = now
        self._calls += 1
        self._open_calls[self._calls] = (name, now)
        return self._calls

    def called(self, number: int) -> None:
        """A socket call of A's program has returned."""
        name, start = self._open_calls.pop(number)
        now = self._hosts.env.now
        track = self._track("program")
        self._slice(track, name, start, max(now - start, 1))
        if name in _RECEIVES:
            for flow in self._delivered:
                self._flow("f", flow, track, now)
            self._delivered.clear()


class _Watched:
    """A socket whose calls are told to a timeline."""

    def __init__(self, socket: Any, timeline: Timeline) -> None:
        self._socket = socket
        self._timeline = timeline

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._socket, name)
        if name not in _CALLS:
            return attribute
        return self._watch(name, attribute)

    def _watch(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(*arguments: Any) -> Any:
            number = self._timeline.calling(name)
            result = await call(*arguments)
            self._timeline.called(number)
            if name == "accept":
                connection, address = result
                return _Watched(connection, self._timeline), address
            return result

        return watched
