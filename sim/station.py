"""A host with the driver on a fresh NIC, and an ideal peer at the other end of the link: what scripts work with."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from driver.bus import Bus
from driver.e1000 import E1000, E1000Parameters, probe
from sim.engine import Scheduler
from sim.errors import RunFailedError
from sim.host import IDEAL, HostCpu
from sim.wire import Link
from sim.wire_device import WireDevice
from stack.host import NetworkStack
from stack.ip.parameters import NeighbourParameters
from stack.napi import SoftIrq
from stack.tcp.parameters import TcpParameters

__all__ = ["ADDRESS", "PEER_ADDRESS", "PEER_MAC", "Station"]

ADDRESS, PEER_ADDRESS = "192.0.2.1", "192.0.2.2"
PREFIX = 24
PEER_MAC = bytes.fromhex("020000000002")

TCP = TcpParameters(minimum_rto=5_000_000, initial_rto=10_000_000, delayed_ack=1_000_000, time_wait=1_000_000)
NEIGHBOURS = NeighbourParameters(retransmission_time=1_000_000)
WAITS = {"dma_drain": 50_000, "reset_recovery": 10_000}
"""Waiting is cut short, for simulated time is dear and nothing happens in it."""


@dataclass
class Station:
    """The surroundings of one run."""

    env: Scheduler
    cpu: HostCpu
    bus: Bus
    link: Link
    softirq: SoftIrq = field(init=False)
    device: E1000 = field(init=False)
    stack: NetworkStack = field(init=False)
    peer_device: WireDevice = field(init=False)
    peer: NetworkStack = field(init=False)

    def __post_init__(self) -> None:
        self.softirq = SoftIrq(self.env, self.cpu)

    async def probe(self, **parameters: Any) -> E1000:
        """Probe the NIC, and put both stacks on their devices; the peer is up, the NIC is not."""
        env = self.env
        self.device = device = await probe(
            self.bus, self.cpu, self.softirq, parameters=E1000Parameters(**WAITS | parameters)
        )
        self.stack = NetworkStack(env, self.cpu, tcp=TCP, neighbours=NEIGHBOURS)
        self.stack.add_interface(device, ADDRESS, PREFIX)
        ideal = HostCpu(env, IDEAL)
        self.peer_device = WireDevice(
            env,
            ideal,
            outgoing=self.link.b_to_a,
            incoming=self.link.a_to_b,
            address=PEER_MAC,
            mtu=device.mtu,
        )
        self.peer = NetworkStack(env, ideal, tcp=TCP, neighbours=NEIGHBOURS)
        self.peer.add_interface(self.peer_device, PEER_ADDRESS, PREFIX)
        await self.peer_device.open()
        return device

    async def up(self, **parameters: Any) -> E1000:
        """The same, and bring the NIC up."""
        device = await self.probe(**parameters)
        await device.open()
        await self.until(lambda: device.carrier, "the link does not come up")
        return device

    async def until(self, condition: Callable[[], bool], what: str, *, limit: int = 20_000_000) -> None:
        """Wait for a condition, ``limit`` ns at most. Raises ``RunFailedError`` that says ``what`` is wrong."""
        end = self.env.now + limit
        while not condition():
            if self.env.now >= end:
                raise RunFailedError(f"{what} after {limit / 1e6:g} ms of simulated time")
            await self.env.sleep(1000)
