"""One host with the driver on the behavioural device, under the event engine."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import numpy as np
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from driver.e1000 import E1000, E1000Parameters, probe
from sim.engine import EventEngine
from sim.host import HostCosts, HostCpu
from sim.memory import HostMemory
from sim.processor import SchedulerParameters
from stack.napi import SoftIrq
from stack.skbuff import GsoType, IpSummed, SkBuff
from tests.driver.behavioural_e1000 import BehaviouralBus, BehaviouralE1000, ones_complement_sum

MAC = bytes.fromhex("020000000001")
PEER = bytes.fromhex("020000000002")

T = TypeVar("T")


class Rig:
    """``run`` runs a coroutine; ``up`` probes and opens with these parameters and waits for the link."""

    def __init__(self, *, costs: HostCosts | None = None, scheduler: SchedulerParameters | None = None) -> None:
        self.env = EventEngine(seed=1)
        self.cpu = HostCpu(self.env, costs or HostCosts(), scheduler=scheduler)
        self.memory = HostMemory(np.zeros(16 << 20, dtype=np.uint8))
        self.device = BehaviouralE1000(self.env, self.memory, mac_address=MAC)
        self.bus = BehaviouralBus(self.env, self.cpu, self.memory, self.device)
        self.softirq = SoftIrq(self.env, self.cpu)
        self.received: list[SkBuff] = []
        self.consumed: list[SkBuff] = []

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        return self.env.run(main)

    async def probe(self, **parameters: Any) -> E1000:
        nic = await probe(self.bus, self.cpu, self.softirq, parameters=E1000Parameters(**parameters))
        nic.receive = self.received.append
        return nic

    async def up(self, **parameters: Any) -> E1000:
        nic = await self.probe(**parameters)
        await nic.open()
        await self.until(lambda: nic.carrier)
        await self.settled()
        return nic

    async def until(self, condition: Callable[[], bool], limit: int = 20_000_000) -> None:
        """Wait for a condition; fails after ``limit`` ns."""
        end = self.env.now + limit
        while not condition():
            assert self.env.now < end, "does not come true"
            await self.env.sleep(1000)

    async def settled(self, duration: int = 300_000) -> None:
        """Wait until interrupts and polls have come to rest: longer than the longest dynamic interval, 250 us."""
        await self.env.sleep(duration)

    def fill_memory(self) -> list[int]:
        """Reserve all host memory that is left; the addresses of what was reserved."""
        addresses = []
        size = len(self.memory.array)
        while size:
            try:
                addresses.append(self.memory.allocate(size))
            except MemoryError:
                size //= 2
        return addresses

    def skb(self, data: bytes, **fields: Any) -> SkBuff:
        return SkBuff(data, destructor=self.consumed.append, **fields)


def frame(size: int, number: int = 0) -> bytes:
    """A frame without offloads, of ``size`` bytes without FCS, that tells its number."""
    return PEER + MAC + b"\x88\xb5" + number.to_bytes(4, "big") + bytes(i & 0xFF for i in range(size - 18))


def tcp_packet(
    payload: bytes, *, flags: str = "PA", options: list[tuple[str, Any]] | None = None, seq: int = 1000
) -> Packet:
    return (
        Ether(src=MAC, dst=PEER)
        / IP(src="192.0.2.1", dst="192.0.2.2", id=0xFFFE)
        / TCP(sport=1024, dport=80, flags=flags, seq=seq, ack=77, options=options or [])
        / Raw(payload)
    )


def udp_packet(payload: bytes) -> Packet:
    return Ether(src=MAC, dst=PEER) / IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=9, dport=10) / Raw(payload)


def partial(packet: Packet) -> tuple[bytes, dict[str, Any]]:
    """A packet as the stack leaves it to the device: the pseudo-header sum stands in the checksum field."""
    data = bytearray(bytes(packet))
    start = 14 + (data[14] & 0xF) * 4
    offset = {6: 16, 17: 6}[data[23]]
    pseudo = bytes(data[26:34]) + bytes([0, data[23]]) + (len(data) - start).to_bytes(2, "big")
    data[start + offset : start + offset + 2] = ones_complement_sum(pseudo).to_bytes(2, "big")
    return bytes(data), {"ip_summed": IpSummed.PARTIAL, "csum_start": start, "csum_offset": offset}


def gso(packet: Packet, mss: int) -> tuple[bytes, dict[str, Any]]:
    """The same for a packet that the device is to cut."""
    data, fields = partial(packet)
    payload = len(packet[TCP].payload)
    return data, fields | {"gso_size": mss, "gso_segs": -(-payload // mss), "gso_type": GsoType.TCPV4}
