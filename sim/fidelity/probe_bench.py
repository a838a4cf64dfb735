"""Software without a driver: registers, rings and frames by hand, and a look at every edge in every cycle."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE, TRANSMIT_LEGACY
from hw.registers import BY_NAME
from sim.clock import CYCLE_NS
from sim.engine import Scheduler
from sim.fidelity.traffic import STATION
from sim.host_bus import HostBus
from sim.wire import Direction, Link, fcs

__all__ = ["Probe", "ProbeBench", "Program", "Seen"]

RING = 128
RX_RING, TX_RING = 0x1_0000, 0x2_0000
RX_BUFFERS, TX_DATA = 0x10_0000, 0x20_0000
STRIDE = 0x1000

Seen = dict[str, list[tuple[int, int]]]
"""By edge, what was seen there: the cycle, and the new value."""


class ProbeBench:
    """One probe's software. Times are in cycles from its begin."""

    def __init__(self, env: Scheduler, bus: HostBus, link: Link) -> None:
        self.env = env
        self.bus = bus
        self.link = link
        self.begin = 0
        self.seen: Seen = {"answers": [], "frames": [], "reads": [], "interrupt": []}
        self._watched: dict[str, int] = {}
        self._tail = {"RDT": 0, "TDT": 0}
        self._data = TX_DATA
        link.taps.append(self._tap)

    @property
    def now(self) -> int:
        return (self.env.now - self.begin) // CYCLE_NS

    def _tap(self, direction: Direction, start: int, frame: bytes) -> None:
        if direction is self.link.a_to_b:
            self.seen["frames"].append(((start - self.begin) // CYCLE_NS, len(frame)))

    # Registers

    def write(self, name: str, value: int = 0, **fields: int) -> None:
        self.bus.write32(BY_NAME[name].offset, value | BY_NAME[name].value(**fields))

    async def read(self, name: str) -> int:
        return await self.bus.read32(BY_NAME[name].offset)

    def ask(self, name: str) -> None:
        """Read a register without waiting; the answer is seen."""

        async def answer() -> None:
            value = await self.read(name)
            self.seen["answers"].append((self.now, value))

        self.env.spawn(answer(), name=f"read of {name}")

    async def wait(self, cycles: int) -> None:
        await self.env.sleep(cycles * CYCLE_NS)

    # Set-up

    async def reset(self) -> None:
        """As after power-up, with a link."""
        self.write("IMC", 0xFFFF_FFFF)
        self.write("CTRL", RST=1)
        await self.wait(600)
        await self.read("ICR")
        self.write("CTRL", SLU=1, FD=1, SPEED=2)
        await self.wait(100)
        await self.read("ICR")

    async def open(self, **rctl: int) -> None:
        """Both rings, without descriptors; receiver and transmitter on."""
        for prefix, base in (("RD", RX_RING), ("TD", TX_RING)):
            self.write(f"{prefix}BAL", base)
            self.write(f"{prefix}LEN", RING * DESCRIPTOR_BYTES)
        self.write("RCTL", EN=1, UPE=1, BAM=1, **rctl)
        self.write("TCTL", EN=1, PSP=1)
        await self.read("STATUS")

    def give(self, count: int, *, addresses: Sequence[int] | None = None) -> None:
        """Receive descriptors, and the tail."""
        for number in range(count):
            index = self._tail["RDT"]
            address = RX_BUFFERS + STRIDE * index if addresses is None else addresses[number]
            self.bus.memory.write(RX_RING + DESCRIPTOR_BYTES * index, RECEIVE.pack(address=address))
            self._tail["RDT"] = (index + 1) % RING
        self.write("RDT", self._tail["RDT"])

    def data(self, octets: bytes, *, lane: int = 0) -> int:
        """Put octets into memory; their address."""
        address = self._data + lane
        self.bus.memory.write(address, octets)
        self._data += -(-(len(octets) + lane) // 64) * 64
        return address

    def legacy(self, length: int, *, lane: int = 0, **fields: int) -> bytes:
        """A legacy descriptor for a frame of a length without FCS."""
        octets = (bytes.fromhex("020000000002") + STATION + b"\x88\xb5").ljust(length, b"\x5a")
        values = {"address": self.data(octets, lane=lane), "length": length, "eop": 1, "ifcs": 1, "rs": 1}
        return TRANSMIT_LEGACY.pack(**values | fields)

    def send(self, descriptors: Sequence[bytes]) -> None:
        """Transmit descriptors, and the tail."""
        for raw in descriptors:
            index = self._tail["TDT"]
            self.bus.memory.write(TX_RING + DESCRIPTOR_BYTES * index, raw)
            self._tail["TDT"] = (index + 1) % RING
        self.write("TDT", self._tail["TDT"])

    def put(self, size: int, count: int = 1) -> None:
        """Frames of ``size`` bytes with FCS to the NIC, back to back."""
        frame = (STATION + bytes.fromhex("020000000002") + b"\x88\xb5").ljust(size - 4, b"\xa5")
        for _ in range(count):
            self.link.b_to_a.send(frame + fcs(frame))

    # What is seen

    def watch(self, name: str, address: int) -> None:
        """Look at 8 bytes of memory."""
        self._watched[name] = address
        self.seen[name] = []

    def watch_receive(self, *indices: int) -> None:
        for index in indices:
            self.watch(f"rx descriptor {index}", RX_RING + DESCRIPTOR_BYTES * index + 8)

    def watch_transmit(self, *indices: int) -> None:
        for index in indices:
            self.watch(f"tx descriptor {index}", TX_RING + DESCRIPTOR_BYTES * index + 8)

    async def look(self, cycles: int) -> None:
        """Let time pass, and look in every cycle."""
        memory, seen = self.bus.memory, self.seen
        level, read = self.bus.interrupt(), self.bus.dma_read_bytes()
        words = {name: memory.read(address, 8) for name, address in self._watched.items()}
        for _ in range(cycles):
            await self.env.sleep(CYCLE_NS)
            now = self.now
            if self.bus.interrupt() != level:
                level = not level
                seen["interrupt"].append((now, int(level)))
            if (total := self.bus.dma_read_bytes()) != read:
                seen["reads"].append((now, total - read))
                read = total
            for name, address in self._watched.items():
                if (word := memory.read(address, 8)) != words[name]:
                    words[name] = word
                    seen[name].append((now, 0))


Program = Callable[[ProbeBench], Awaitable[None]]


@dataclass(frozen=True)
class Probe:
    """A program, and what the host's bus is like: fields of ``HostCosts``."""

    name: str
    program: Program
    costs: dict[str, Any] = field(default_factory=dict)
