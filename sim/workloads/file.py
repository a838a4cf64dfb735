"""The main job as a workload: round trips of one byte, then a file to the peer, and the same file back."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from sim.hosts import Hosts
from sim.workloads.file_transfer import Transfer
from sim.workloads.workload import Load, Workload

__all__ = ["File"]

_POLL_CLOSED = 100_000


class File(Workload):
    """Phases ``round trip`` (with the connection's start), ``send`` and ``receive``."""

    kind: Literal["file"] = "file"
    file: Path
    round_trips: int = Field(default=32, ge=0, le=100_000)
    """One-byte round trips over TCP before the file."""

    @property
    def load(self) -> Load:
        return 1, "file"

    @property
    def input_file(self) -> Path:
        return self.file

    async def run(self, hosts: Hosts) -> None:
        transfer = Transfer(
            hosts.env,
            self.file.read_bytes(),
            self.round_trips,
            on_phase=lambda moment: self._measure(hosts, moment),
            on_receive=lambda host, count: (hosts.count_received if host == "A" else hosts.count_sent)(count),
            on_round_trip=hosts.transaction,
        )
        if self.round_trips:
            await hosts.begin("round trip", latency_of="round trip")
        server = hosts.env.spawn(transfer.serve(hosts.peers[0], hosts.peer_addresses[0]), name="B's program")
        await transfer.request(hosts.stack, hosts.peer_addresses[0])
        await server
        while hosts.stack.tcp.connections or hosts.peers[0].tcp.connections:
            await hosts.env.sleep(_POLL_CLOSED)

    async def _measure(self, hosts: Hosts, moment: str) -> None:
        if moment == "send":
            if self.round_trips:
                await hosts.end()
            await hosts.begin("send")
        elif moment == "turn":
            await hosts.end()
            await hosts.begin("receive")
        else:
            await hosts.end()
