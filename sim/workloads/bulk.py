"""Bulk TCP: streams without end, from host A, to it, or both ways."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from sim.hosts import Hosts
from sim.quantity import BitRate, Size
from sim.workloads.programs import connected_pair, pour, sink_stream
from sim.workloads.workload import Load, TimedWorkload
from stack.socket import SO_MAX_PACING_RATE, SO_RCVBUF, SOL_SOCKET

__all__ = ["Bulk", "Way"]

_PORT = 5001


class Way(StrEnum):
    """Which way the bytes go, as host A sees it."""

    SEND = "send"
    RECEIVE = "receive"
    BOTH = "both"


class Bulk(TimedWorkload):
    """TCP connections that carry as much as they can."""

    kind: Literal["bulk"] = "bulk"
    way: Way = Way.RECEIVE
    connections: int = Field(default=1, ge=1, le=1000)
    """Each way."""
    receive_buffer: Size | None = None
    """Of each receiving socket (SO_RCVBUF), which bounds the window; nothing lets it grow by itself."""
    pace: BitRate | None = None
    """What a connection sends at most (SO_MAX_PACING_RATE); nothing is as fast as it can."""

    @property
    def load(self) -> Load:
        return self.connections, "connections"

    async def start(self, hosts: Hosts) -> None:
        ways = [Way.SEND, Way.RECEIVE] if self.way is Way.BOTH else [self.way]
        port = _PORT
        for _ in range(self.connections):
            for way in ways:
                near, far = await connected_pair(hosts.stack, hosts.peers[0], hosts.peer_addresses[0], port, hosts)
                port += 1
                source, sink = (near, far) if way is Way.SEND else (far, near)
                if self.receive_buffer is not None:
                    sink.setsockopt(SOL_SOCKET, SO_RCVBUF, self.receive_buffer)
                if self.pace is not None:
                    source.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, round(self.pace / 8))
                hosts.spawn(pour(source), "source")
                hosts.spawn(sink_stream(sink, hosts, at_a=way is Way.RECEIVE), "sink")
