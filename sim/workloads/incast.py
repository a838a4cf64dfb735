"""Incast: many senders answer one request at the same time, through the one port of a switch."""

from typing import Literal

from pydantic import Field

from sim.hosts import Hosts
from sim.quantity import Size
from sim.workloads.programs import CHUNK, connected_pair, receive_exactly
from sim.workloads.workload import Load, TimedWorkload
from stack.socket import StreamSocket

__all__ = ["Incast"]

_PORT = 5301


async def _serve_blocks(connection: StreamSocket, block: int) -> None:
    while await receive_exactly(connection, 1):
        for start in range(0, block, CHUNK):
            await connection.sendall(bytes(min(CHUNK, block - start)))


class Incast(TimedWorkload):
    """A asks every sender for a block over TCP, waits for all, and asks again. The latency is that of a round."""

    kind: Literal["incast"] = "incast"
    latency_of = "round trip"
    senders: int = Field(default=8, ge=1, le=200)
    block: Size = Field(default=32_768, ge=1, le=10_000_000)

    @property
    def load(self) -> Load:
        return self.senders, "senders"

    @property
    def peers(self) -> int:
        return self.senders

    async def start(self, hosts: Hosts) -> None:
        connections = []
        for stack, address in zip(hosts.peers, hosts.peer_addresses, strict=True):
            near, far = await connected_pair(hosts.stack, stack, address, _PORT, hosts)
            hosts.spawn(_serve_blocks(far, self.block), "sender")
            connections.append(near)
        hosts.spawn(self._ask(hosts, connections), "rounds")

    async def _ask(self, hosts: Hosts, connections: list[StreamSocket]) -> None:
        while True:
            started = hosts.env.now
            for connection in connections:
                await connection.sendall(b"\x00")
            for connection in connections:
                if not await receive_exactly(connection, self.block, hosts.count_received):
                    return
            hosts.transaction(hosts.env.now - started)
