"""How many frames of 64 bytes per second of wall time driver, host model and the model of the NIC get through.

The host's processor charges what ``HostCosts`` says. Received: the wire brings bursts back to back, and rests between
them for as long as the host needs to catch up, since it takes longer for such a frame than the wire; none may be lost.
The driver hands them to a stack that only counts, which is not charged for. Sent: a program queues frames as fast as
the host lets it, on a wire that ends nowhere.
"""

import gc
import time
import tracemalloc
from dataclasses import dataclass
from itertools import cycle

from driver.e1000 import E1000, E1000Parameters, probe
from sim.engine import EventEngine
from sim.fidelity.traffic import plain
from sim.host import HostCosts, HostCpu
from sim.model.bus import ModelBus, ModelPort
from sim.wire import Link, fcs
from stack.napi import SoftIrq
from stack.skbuff import SkBuff

__all__ = ["MinimumFrames", "held_memory", "receive_minimum_frames", "send_minimum_frames"]

_SIZE = 64
_BURST = 128
"""Frames back to back: half of what the ring holds."""
_REST = 30_000
"""ns between bursts."""
_WARM_UP = 20_000
_SETTLE = 200_000


@dataclass(frozen=True)
class MinimumFrames:
    """``frames`` that came through, in so many seconds of the process's time and nanoseconds of simulated time."""

    frames: int
    process_time: float
    simulated: int

    @property
    def rate(self) -> float:
        """Frames per second of the process's time."""
        return self.frames / self.process_time


class _Machine:
    def __init__(self) -> None:
        gc.collect()  # what an earlier machine has left is not of this one's time
        self.env = EventEngine(seed=1)
        self.cpu = HostCpu(self.env, HostCosts())
        self.link = Link(self.env)
        self.bus = ModelBus(self.env, self.cpu)
        ModelPort(self.bus, outgoing=self.link.a_to_b, incoming=self.link.b_to_a)
        self.count = 0

    async def open(self) -> E1000:
        parameters = E1000Parameters(dma_drain=5_000, reset_recovery=2_000)
        device = await probe(self.bus, self.cpu, SoftIrq(self.env, self.cpu), parameters=parameters)
        await device.open()
        await self.env.sleep(_WARM_UP)
        return device

    def take(self, skb: SkBuff) -> None:
        self.count += 1


def receive_minimum_frames(frames: int) -> MinimumFrames:
    """So many, or up to a burst more. Raises ``RuntimeError`` if one is lost, for then less was done."""
    machine = _Machine()
    env = machine.env

    async def run() -> MinimumFrames:
        device = await machine.open()
        device.receive = machine.take
        burst = [octets + fcs(octets) for octets in (plain(number, _SIZE, to_station=True) for number in range(_BURST))]
        begun, started = env.now, time.process_time()
        for _ in range(-(-frames // _BURST)):
            free_at = machine.link.b_to_a.send_burst(burst)
            await env.sleep(free_at - env.now + _REST)
        ended, spent = env.now, time.process_time() - started
        await env.sleep(_SETTLE)
        sent = machine.link.b_to_a.frames
        if machine.count != sent:
            raise RuntimeError(f"{machine.count} of {sent} frames of 64 bytes came through")
        return MinimumFrames(machine.count, spent, ended - begun)

    return env.run(run())


def held_memory(stretches: int, frames: int) -> list[int]:
    """Bytes that Python holds after each of so many stretches of ``frames`` frames received, with a rest between."""
    machine = _Machine()
    env = machine.env

    async def run() -> list[int]:
        device = await machine.open()
        device.receive = machine.take
        octets = plain(0, _SIZE, to_station=True)
        held = []
        for _ in range(stretches):
            for _ in range(frames):
                machine.link.b_to_a.send(octets + fcs(octets))
            await env.sleep(_SETTLE + 2_000 * frames)
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
        return held

    tracemalloc.start()
    try:
        return env.run(run())
    finally:
        tracemalloc.stop()


def send_minimum_frames(frames: int) -> MinimumFrames:
    """So many, or up to a ring more. Raises ``RuntimeError`` if one does not reach the wire."""
    machine = _Machine()
    env = machine.env

    async def run() -> MinimumFrames:
        device = await machine.open()
        octets = cycle([plain(number, _SIZE, to_station=False) for number in range(_BURST)])
        begun, started = env.now, time.process_time()
        while device.stats.tx_packets < frames:
            while not device.queue_stopped():
                device.queue_xmit(SkBuff(next(octets)))
            await machine.cpu.settle()
            await env.sleep(_WARM_UP)
        ended, spent, sent = env.now, time.process_time() - started, device.stats.tx_packets
        await env.sleep(_SETTLE)
        if machine.link.a_to_b.frames != device.stats.tx_packets:
            raise RuntimeError(
                f"{machine.link.a_to_b.frames} of {device.stats.tx_packets} frames of 64 bytes were sent"
            )
        return MinimumFrames(sent, spent, ended - begun)

    return env.run(run())
