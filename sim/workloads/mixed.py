"""Bulk and ping-pong at the same time: what interrupt throttling has to serve at once."""

from typing import Literal

from pydantic import Field

from sim.hosts import Hosts
from sim.quantity import BitRate
from sim.workloads.bulk import Bulk, Way
from sim.workloads.ping_pong import PingPong
from sim.workloads.workload import Load, TimedWorkload

__all__ = ["Mixed"]


class Mixed(TimedWorkload):
    """Bulk streams beside requests over TCP of 8 bytes; the latency is that of the requests."""

    kind: Literal["mixed"] = "mixed"
    latency_of = "round trip"
    way: Way = Way.RECEIVE
    """Of the bulk streams."""
    connections: int = Field(default=1, ge=1, le=1000)
    """Bulk streams, each way."""
    pace: BitRate = 400e6
    """What a bulk stream sends at most: a full link would delay by its queues what throttling delays less."""
    outstanding: int = Field(default=1, ge=1, le=1000)
    """Requests."""

    @property
    def load(self) -> Load:
        return self.connections, "connections"

    async def start(self, hosts: Hosts) -> None:
        await PingPong(outstanding=self.outstanding).start(hosts)
        await Bulk(way=self.way, connections=self.connections, pace=self.pace).start(hosts)
