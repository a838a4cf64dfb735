"""Plays a scenario on a machine, whoever plays the NIC, and tells what came of it."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from driver.bus import HostMemory
from driver.e1000 import E1000, probe
from hw.registers import BY_NAME, STATISTICS
from sim.engine import Scheduler
from sim.fidelity.scenario import Direction, Scenario
from sim.fidelity.traffic import number_of, plain, segmented, udp
from sim.host import HostCpu
from sim.host_bus import HostBus
from sim.wire import GAP_BYTES, PREAMBLE_BYTES, Link, fcs
from sim.wire import Direction as Way
from stack.napi import SoftIrq
from stack.skbuff import IpSummed, SkBuff

__all__ = ["LINK_DELAY", "Outcome", "play"]

LINK_DELAY: Final = 500
_UDP_START: Final = 34
_WARM_UP: Final = 20_000
"""Nanoseconds from opening the interface to the first frame: the watchdog and its interrupt are over by then."""
_QUIET: Final = 60_000
"""Nanoseconds without a frame sent or delivered after which a scenario is over."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Times in nanoseconds from the first frame's."""

    delivered: list[tuple[int, int]]
    """Frames that reached the stack: number, and when."""
    arrived: list[int]
    """When the last bit of each frame was at the NIC, by number."""
    sent: list[tuple[int, int]]
    """Frames that the NIC sent: number, and when the preamble began."""
    queued: list[int]
    """When each packet was given to the device, by number of its first frame."""
    interrupts: list[int]
    """Rises of the interrupt line."""
    causes: list[int]
    """What the handler read from ICR."""
    statistics: dict[str, int]
    """Counters that are not 0 at the end."""
    dropped: int
    """Packets that the device's queue did not take."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Outcome":
        pairs = {name: [(number, time) for number, time in content[name]] for name in ("delivered", "sent")}
        return cls(**content | pairs)


class _CauseRecorder:
    """The bus, with a note of what the driver reads from ICR."""

    def __init__(self, bus: HostBus) -> None:
        self._bus = bus
        self.env = bus.env
        self.memory: HostMemory = bus.memory
        self.causes: list[int] = []
        self.write32 = bus.write32
        self.free_irq = bus.free_irq
        self.request_irq = bus.request_irq

    async def read32(self, offset: int) -> int:
        value = await self._bus.read32(offset)
        if offset == BY_NAME["ICR"].offset:
            self.causes.append(value)
        return value


class _Player:
    def __init__(
        self, env: Scheduler, bus: HostBus, cpu: HostCpu, link: Link, scenario: Scenario, device: E1000
    ) -> None:
        self.env = env
        self.bus = bus
        self.cpu = cpu
        self.link = link
        self.scenario = scenario
        self.device = device
        self.start = env.now
        """What the times below are told from."""
        self.delivered: list[tuple[int, int]] = []
        self.arrived: list[int] = []
        self.sent: list[tuple[int, int]] = []
        self.queued: list[int] = []
        self.interrupts: list[int] = []
        self.dropped = 0
        self.last = env.now
        device.receive = self._deliver
        bus.rises.append(self._rise)
        link.a_to_b.taps = [*link.a_to_b.taps, self._tap]

    def _rise(self, time: int) -> None:
        self.interrupts.append(time - self.start)

    def _deliver(self, skb: SkBuff) -> None:
        self.last = self.env.now
        self.delivered.append((number_of(skb.frame()), self.cpu.now - self.start))

    def _tap(self, direction: Way, start: int, frame: bytes) -> None:
        self.last = self.env.now
        self.sent.append((number_of(frame), start - self.start))

    async def receive(self) -> None:
        """Frames to the NIC."""
        scenario, way = self.scenario, self.link.b_to_a
        size, count, burst, checksums = scenario.size, scenario.frames, scenario.burst, scenario.checksums
        spacing = (PREAMBLE_BYTES + size + GAP_BYTES) * way.byte_time
        for first in range(0, count, burst):
            frames: list[bytes] = []
            for number in range(first, min(first + burst, count)):
                octets = (
                    udp(number, size, to_station=True, checksum=True)
                    if checksums
                    else plain(number, size, to_station=True)
                )
                frames.append(octets + fcs(octets))
            self.last = free_at = way.send_burst(frames)
            last_bit = free_at + LINK_DELAY - GAP_BYTES * way.byte_time - self.start
            for behind in range(len(frames) - 1, -1, -1):
                self.arrived.append(last_bit - spacing * behind)
            if len(frames) == burst:
                await self.env.sleep(free_at - self.env.now + self._rest())

    async def transmit(self) -> None:
        """Frames from the NIC, queued ``burst`` packets at a time."""
        scenario = self.scenario
        for count, number in enumerate(range(0, scenario.frames, scenario.segments), start=1):
            self.queued.append(self.cpu.now - self.start)
            if not self.device.queue_xmit(self._packet(number)):
                self.dropped += 1
            self.last = self.env.now
            if count % scenario.burst == 0:
                await self.cpu.settle()
                await self.env.sleep(self._rest())

    def _packet(self, number: int) -> SkBuff:
        scenario = self.scenario
        if scenario.segments > 1:
            return segmented(number, scenario.size, scenario.segments)
        if scenario.checksums:
            frame = udp(number, scenario.size, to_station=False, checksum=False)
            return SkBuff(frame, ip_summed=IpSummed.PARTIAL, csum_start=_UDP_START, csum_offset=6)
        return SkBuff(plain(number, scenario.size, to_station=False))

    def _rest(self) -> int:
        pause = self.scenario.pause
        return self.env.random.randrange(2 * pause + 1) if self.scenario.jitter and pause else pause

    async def quiet(self) -> None:
        """Return when nothing has happened for a while."""
        while self.env.now < self.last + _QUIET:
            await self.env.sleep(self.last + _QUIET - self.env.now)


async def play(env: Scheduler, bus: HostBus, cpu: HostCpu, link: Link, scenario: Scenario) -> Outcome:
    """From probe to stop. The machine's memory is as it was at its end."""
    recorder = _CauseRecorder(bus)
    device = await probe(recorder, cpu, SoftIrq(env, cpu), parameters=scenario.parameters())
    await device.open()
    if scenario.receive_thresholds:
        bus.write32(BY_NAME["RXDCTL"].offset, scenario.receive_thresholds)
    if scenario.transmit_thresholds:
        bus.write32(BY_NAME["TXDCTL"].offset, scenario.transmit_thresholds)
    await env.sleep(_WARM_UP)
    recorder.causes.clear()
    player = _Player(env, bus, cpu, link, scenario, device)
    tasks = []
    if scenario.direction is not Direction.TRANSMIT:
        tasks.append(env.spawn(player.receive(), name="to the NIC"))
    if scenario.direction is not Direction.RECEIVE:
        tasks.append(env.spawn(player.transmit(), name="from the NIC"))
    for task in tasks:
        await task
    await player.quiet()
    statistics = {}
    for register in STATISTICS:
        if value := await bus.read32(register.offset):
            statistics[register.name] = value
    outcome = Outcome(
        delivered=[*player.delivered],
        arrived=[*player.arrived],
        sent=[*player.sent],
        queued=[*player.queued],
        interrupts=[*player.interrupts],
        causes=recorder.causes,
        statistics=statistics,
        dropped=player.dropped,
    )
    await device.stop()
    return outcome
