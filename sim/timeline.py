"""What happened when, as Chrome-trace JSON for Perfetto (ui.perfetto.dev): one packet can be followed through socket,
driver, doorbell, DMA, wire, interrupt, poll and socket again.

Format: "Trace Event Format" (Google, 2016). A slice is a complete event (``X``); the arrows between slices of one
packet are flow events (``s``, ``t``, ``f``). Times in the file are microseconds.
"""

import json
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from hw.registers import at_offset
from sim.hosts import Hosts
from sim.processor import CAUSES
from sim.wire import PREAMBLE_BYTES, Direction
from stack.skbuff import SkBuff

__all__ = ["Timeline"]

_TRACKS = (
    "program",
    "stack and driver",
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


class Timeline:
    """Records a run's events; ``write`` makes the file. ``attach`` first."""

    def __init__(self) -> None:
        self._events: list[dict[str, Any]] = []
        self._tracks = {name: number for number, name in enumerate(_TRACKS, start=1)}
        self._flows = 0
        self._sending: int | None = None
        """Start of the program's latest send."""
        self._given: list[tuple[_Identity, int, int]] = []
        """Packets given to the driver whose frames have not been seen: identity, payload, flow."""
        self._arrived: dict[_Identity, int] = {}
        """Flows of frames towards A that the stack has not."""
        self._delivered: list[int] = []
        """Flows that the stack has, and the program has not."""
        self._waiting_for_interrupt: list[int] = []
        self._waiting_for_dma: dict[str, list[int]] = {"read": [], "write": []}
        """Flows whose first burst has not been seen, by its kind."""

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
        start_xmit = hosts.device.start_xmit
        socket = hosts.stack.socket

        def watched_xmit(skb: SkBuff) -> Any:
            self._on_xmit(skb)
            return start_xmit(skb)

        def watched_socket(*arguments: Any) -> Any:
            return _Watched(socket(*arguments), self)

        setattr(hosts.device, "start_xmit", watched_xmit)  # noqa: B010
        setattr(hosts.stack, "socket", watched_socket)  # noqa: B010

    def write(self, path: Path) -> None:
        """Write the file."""
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
        track = self._track("DMA")
        self._slice(track, name, start, duration, bytes=size)
        for flow in self._waiting_for_dma[name]:
            self._flow("t", flow, track, start)
        self._waiting_for_dma[name].clear()

    def _on_xmit(self, skb: SkBuff) -> None:
        found = _identity(bytes(skb.frame()))
        if found is None:
            return
        identity, payload = found
        now = self._hosts.cpu.now
        flow = self._new_flow()
        if self._sending is not None:
            self._flow("s", flow, self._track("program"), self._sending)
        track = self._point("stack and driver", "start_xmit", now, payload=payload, segment=skb.gso_size)
        self._flow("t" if self._sending is not None else "s", flow, track, now)
        self._given.append((identity, payload, flow))

    def _on_access(self, time: int, offset: int, write: bool, value: int) -> None:
        found = at_offset(offset)
        name = found.name if found is not None else f"{offset:#x}"
        track = self._point("registers", f"{name} {'=' if write else 'read'}", time, value=value)
        if write and name == _DOORBELL:
            for _, _, flow in self._given:
                self._flow("t", flow, track, time)
                self._waiting_for_dma["read"].append(flow)

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
            for index, (given, size, flow) in enumerate(self._given):
                offset = (identity[1] - given[1]) & 0xFFFFFFFF
                if given[0] == identity[0] and offset < max(size, 1):
                    last = offset + payload >= size
                    self._flow("f" if last else "t", flow, track, start)
                    if last:
                        del self._given[index]
                    return
        else:
            flow = self._arrived[identity] = self._new_flow()
            self._flow("s", flow, track, start)
            self._waiting_for_interrupt.append(flow)
            self._waiting_for_dma["write"].append(flow)

    def _on_interrupt(self, time: int) -> None:
        track = self._point("interrupt pin", "interrupt", time)
        for flow in self._waiting_for_interrupt:
            self._flow("t", flow, track, time)
        self._waiting_for_interrupt.clear()

    def _on_receive(self, skb: SkBuff) -> None:
        found = _identity(bytes(skb.data))
        now = self._hosts.cpu.now
        track = self._point("stack and driver", "netif_receive_skb", now)
        flow = self._arrived.pop(found[0], None) if found else None
        if flow is not None:
            self._flow("t", flow, track, now)
            self._delivered.append(flow)

    def called(self, name: str, start: int) -> None:
        """A socket call of A's program has returned."""
        now = self._hosts.env.now
        track = self._track("program")
        self._slice(track, name, start, max(now - start, 1))
        if name in _RECEIVES:
            for flow in self._delivered:
                self._flow("f", flow, track, now)
            self._delivered.clear()

    def calling(self, name: str) -> int:
        """A's program calls; returns the time."""
        now = self._hosts.env.now
        if name in _SENDS:
            self._sending = now
        return now


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
            start = self._timeline.calling(name)
            result = await call(*arguments)
            self._timeline.called(name, start)
            if name == "accept":
                connection, address = result
                return _Watched(connection, self._timeline), address
            return result

        return watched
