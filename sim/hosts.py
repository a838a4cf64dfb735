"""The two sides of a run, and what is measured on them.

Host A: driver and stack on the NIC under test, with a processor that costs time. The other side: the same stack on
ideal devices with processors that cost nothing, so that what differs between runs is A's doing.
"""

from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from driver.e1000 import E1000, E1000Parameters, probe
from hw.registers import BY_NAME
from sim.durations import Durations
from sim.engine import Scheduler, Task
from sim.errors import RunFailedError
from sim.host import IDEAL, HostCpu
from sim.host_bus import HostBus
from sim.results import RingSample
from sim.switch import Switch
from sim.wire import Direction, Link
from sim.wire_device import WireDevice
from stack.counters import DropReason
from stack.environment import Cause
from stack.host import NetworkStack
from stack.ip.parameters import NeighbourParameters
from stack.napi import SoftIrq
from stack.skbuff import SkBuff
from stack.tcp.parameters import TcpParameters

__all__ = ["SHORTENED", "Hosts", "Moment", "Phase"]

_ADDRESS = "192.0.2.1"
_PREFIX = 24
_SWITCH_QUEUE = 128
"""Frames that the switch before A holds at most: about what a small gigabit switch has for one port."""
_RING_SAMPLES = 250
_RING_INTERVAL = 20_000
"""ns between two looks at the rings, at first; see ``Hosts._sample``."""

# Waiting is cut short, for simulated time is dear and nothing happens in it.
_TCP = TcpParameters(minimum_rto=5_000_000, initial_rto=10_000_000, delayed_ack=1_000_000, time_wait=1_000_000)
_NEIGHBOURS = NeighbourParameters(retransmission_time=1_000_000)
SHORTENED = {
    "minimum RTO": (_TCP.minimum_rto, TcpParameters().minimum_rto),
    "initial RTO": (_TCP.initial_rto, TcpParameters().initial_rto),
    "delayed ACK": (_TCP.delayed_ack, TcpParameters().delayed_ack),
    "TIME-WAIT": (_TCP.time_wait, TcpParameters().time_wait),
    "ARP retry": (_NEIGHBOURS.retransmission_time, NeighbourParameters().retransmission_time),
}
"""Each timer that is shorter here than in Linux: nanoseconds here, and there."""

_COUNTED_BY_NIC = {"crc": BY_NAME["CRCERRS"].offset, "fifo": BY_NAME["MPC"].offset, "rnbc": BY_NAME["RNBC"].offset}
"""Statistics registers that say where frames ended; a read clears them (manual 13.7)."""


@dataclass(frozen=True)
class Moment:
    """Counters at one time; two of them bound a phase."""

    time: int
    interrupts: int
    polls: int
    frames_sent: int
    frames_received: int
    spent: dict[Cause, int]
    drops: dict[str, int]
    receive_no_buffer: int
    retransmissions: int
    tso: tuple[int, int, int]
    """Packets, segments, descriptors."""


@dataclass
class Phase:
    """What is measured between ``begin`` and ``end``. Times in ns."""

    name: str
    latency_of: str
    start: Moment
    finish: Moment | None = None
    sent_bytes: int = 0
    received_bytes: int = 0
    transactions: Durations = field(default_factory=Durations)
    """How long each took."""
    receive: Durations = field(default_factory=Durations)
    """From a frame's last bit at A's NIC to A's stack having it."""
    rings: list[RingSample] = field(default_factory=list)


class Hosts:
    """What a workload sees: ``stack`` of host A, ``peers`` beyond the wire, their addresses, and the measuring.

    ``to_a`` is the way of the wire towards A.
    """

    def __init__(
        self,
        env: Scheduler,
        cpu: HostCpu,
        link: Link,
        *,
        parameters: E1000Parameters,
        program_affinity: int,
        seed: int,
        peers: int,
        peer_interval: int,
        latency_of: str,
    ) -> None:
        self.env = env
        self.cpu = cpu
        self.link = link
        self.seed = seed
        self.to_a: Direction = link.b_to_a
        self.address = _ADDRESS
        self.peer_addresses = [f"192.0.2.{2 + number}" for number in range(peers)]
        self.peer_mac = _mac(2)
        self.phases: list[Phase] = []
        self.device: E1000
        self.stack: NetworkStack
        self.peers: list[NetworkStack] = []
        self._parameters = parameters
        self._program_affinity = program_affinity
        self._peer_interval = peer_interval
        self._latency_of = latency_of
        self._open: Phase | None = None
        self._tasks: list[Task[Any]] = []
        self._arrived: deque[tuple[int, bytes]] = deque()
        self._nic_counted = dict.fromkeys(_COUNTED_BY_NIC, 0)
        self._switch: Switch | None = None
        self._ideal: list[WireDevice] = []

    @property
    def mac(self) -> bytes:
        """A's MAC address."""
        return self.device.address

    async def up(self, bus: HostBus) -> None:
        """Bring both sides up; A's link is up when this returns."""
        env, link, parameters = self.env, self.link, self._parameters
        self.bus = bus
        self._memory_before = bus.memory.allocated()
        self._softirq = SoftIrq(env, self.cpu)
        self.device = device = await probe(bus, self.cpu, self._softirq, name="eth0", parameters=parameters)
        device.taps.append(self._on_receive)
        self.stack = NetworkStack(env, self.cpu, tcp=_TCP, neighbours=_NEIGHBOURS)
        self.stack.add_interface(device, _ADDRESS, _PREFIX)

        addresses = [_mac(2 + number) for number in range(len(self.peer_addresses))]
        ways = [(link.b_to_a, link.a_to_b)]
        if len(addresses) > 1:
            self._switch = Switch(env, link, addresses, delay=link.a_to_b.delay, queue=_SWITCH_QUEUE)
            ways = [(station.a_to_b, station.b_to_a) for station in self._switch.links]
        for (outgoing, incoming), mac, address in zip(ways, addresses, self.peer_addresses, strict=True):
            ideal = HostCpu(env, IDEAL)
            peer = WireDevice(
                env, ideal, outgoing=outgoing, incoming=incoming, address=mac, interval=self._peer_interval
            )
            stack = NetworkStack(env, ideal, tcp=_TCP, neighbours=_NEIGHBOURS)
            stack.add_interface(peer, address, _PREFIX)
            await peer.open()
            self._ideal.append(peer)
            self.peers.append(stack)
        await device.open()
        while not device.carrier:
            await env.sleep(_RING_INTERVAL)

    async def down(self) -> None:
        """End the programs and take both sides down. Raises ``RunFailedError`` if the driver kept memory."""
        for task in self._tasks:
            task.cancel()
        for stack in (self.stack, *self.peers):
            stack.close()
        await self.device.stop()
        for peer in self._ideal:
            await peer.stop()
        kept = self.bus.memory.allocated() - self._memory_before
        if kept:
            raise RunFailedError(f"the driver kept {kept} bytes of host memory after stop")

    def spawn(self, program: Coroutine[Any, Any, None], name: str) -> None:
        """A program that runs until the end of the run."""
        self._tasks.append(self.cpu.spawn(program, name, processor=self._program_affinity))

    def stall(self, duration: int) -> None:
        """A's processor does something else for ``duration`` ns, before all but interrupts."""
        self.cpu.spend(Cause.PROGRAM, duration)

    async def begin(self, phase: str, *, latency_of: str = "") -> None:
        """A phase starts, ``latency_of`` as in ``sim.results.Row``. None may be open."""
        assert self._open is None
        start = await self._moment()
        self._open = Phase(phase, latency_of or self._latency_of, start)
        self.phases.append(self._open)
        self._sample(self._open, _RING_INTERVAL)

    async def end(self) -> None:
        """The open phase is over."""
        phase = self._open
        assert phase is not None
        self._open = None
        phase.finish = await self._moment()

    def count_sent(self, size: int) -> None:
        """The other side has received payload of A's."""
        if self._open is not None:
            self._open.sent_bytes += size

    def count_received(self, size: int) -> None:
        """A's program has received payload."""
        if self._open is not None:
            self._open.received_bytes += size

    def transaction(self, duration: int) -> None:
        """One more is done, and took ``duration`` ns."""
        if self._open is not None:
            self._open.transactions.append(duration)

    def on_wire(self, end: int, frame: bytes) -> None:
        """A frame's last bit reaches A's NIC at ``end``."""
        self._arrived.append((end, frame[:-4]))

    def _on_receive(self, skb: SkBuff) -> None:
        """The stack has a frame. The NIC keeps the order: those before it that never came were dropped."""
        frame = bytes(skb.data)
        for index, (end, candidate) in enumerate(self._arrived):
            if candidate == frame:
                if self._open is not None:
                    self._open.receive.append(self.cpu.now - end)
                for _ in range(index + 1):
                    self._arrived.popleft()
                return

    def _sample(self, phase: Phase, interval: int) -> None:
        """Look at the rings every ``interval``; half as often each time that there are many samples."""
        if self._open is not phase:
            return
        rings = phase.rings
        tx = self.device.tx_ring.ring
        rings.append(
            {
                "time": (self.env.now - phase.start.time) / 1e9,
                "rx": self.device.rx_ring.waiting(),
                "tx": tx.count - 1 - tx.unused(),
            }
        )
        if len(rings) >= 2 * _RING_SAMPLES:
            del rings[1::2]
            interval *= 2
        self.env.call_at(self.env.now + interval, lambda: self._sample(phase, interval))

    async def _moment(self) -> Moment:
        for name, offset in _COUNTED_BY_NIC.items():
            self._nic_counted[name] += await self.bus.inspect32(offset)
        device, counters, stack = self.device, self.device.counters, self.stack
        socket = stack.counters.drops[DropReason.SOCKET_RCVBUFF]
        return Moment(
            time=self.env.now,
            interrupts=counters.interrupts,
            polls=counters.polls,
            frames_sent=self.link.a_to_b.frames,
            frames_received=self.link.b_to_a.frames,
            spent=self.cpu.spent(),
            drops={
                "wire": self.link.a_to_b.lost + self.link.b_to_a.lost,
                "switch": self._switch.dropped if self._switch else 0,
                "crc": self._nic_counted["crc"],
                "fifo": self._nic_counted["fifo"],
                "backlog": self._softirq.backlog.dropped,
                "socket": socket,
                "stack": sum(stack.counters.drops.values()) - socket,
                "qdisc": device.stats.tx_dropped,
            },
            receive_no_buffer=self._nic_counted["rnbc"],
            retransmissions=sum(host.counters.mib["Tcp.RetransSegs"] for host in (stack, *self.peers)),
            tso=(counters.tso_packets, counters.tso_segments, counters.tso_descriptors),
        )


def _mac(number: int) -> bytes:
    return bytes([2, 0, 0, 0, 0, number])
