"""Line rate of the Verilated NIC: frames of one size, both directions at once, by descriptors alone.

No driver and no stack: rings of 256 whose tails are moved on, so that what is measured is the hardware's doing. The
descriptor thresholds are those that the driver sets. Runs inside the simulator; ``measure`` starts it.
"""

import json
import os
from bisect import bisect_right
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject, LogicObject

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE, TRANSMIT_LEGACY
from hw.registers import BY_NAME
from sim.host import IDEAL, HostCosts, HostCpu
from sim.rtl import build
from sim.rtl.bus import RtlBus
from sim.rtl.engine import RtlEngine
from sim.rtl.port import GmiiPort
from sim.rtl.shared import Bench
from sim.rtl.simulator import run_module
from sim.wire import GAP_BYTES, PREAMBLE_BYTES, Direction, Link, fcs, fcs_is_good

__all__ = ["LATENCIES", "largest_latency", "line_rate", "measure", "wire_rate"]

LATENCIES = range(1000, 64_001, 1000)
"""The read latencies in ns among which ``largest_latency`` looks."""

_RING = 256
_BUFFER_BYTES = 2048
_STEP = 20_000
"""Nanoseconds between two looks at the heads."""
_DELIVERY = 10_000
"""Nanoseconds after the last frame's end, and a read latency, at which all must be in memory: a backlog in the buffer
shows as loss."""
_TXDCTL = BY_NAME["TXDCTL"].value(GRAN=1, WTHRESH=1)
_RXDCTL = 0
_FCS_BYTES = 4
_BIT_RATE = 1_000_000_000


def wire_rate(size: int) -> float:
    """Frames of ``size`` bytes (FCS included) per second that 1 Gb/s carries."""
    return _BIT_RATE / (8 * (PREAMBLE_BYTES + size + GAP_BYTES))


def measure(size: int, *, frames: int, read_latency: int, folder: Path) -> tuple[float, float]:
    """Frames per second that the NIC sends and receives at the same time.

    ``size`` in bytes with FCS, ``frames`` each way, ``read_latency`` of DMA in nanoseconds. ``folder`` takes the files.
    Raises ``RuntimeError`` if the simulation fails; ``simulator.log`` there says why.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / "line_rate.json"
    result.unlink(missing_ok=True)
    (folder / "settings.json").write_text(json.dumps([size, frames, read_latency]))
    run_module(build.bench(), __name__, folder)
    if not result.exists():
        raise RuntimeError(f"the line rate was not measured; see {folder / 'simulator.log'}")
    sent, received = json.loads(result.read_text())
    return sent, received


def largest_latency(size: int, *, frames: int, folder: Path) -> int:
    """The largest of ``LATENCIES`` at which no frame of ``size`` bytes is lost or late either way, 0 if none.

    By bisection: a longer latency is taken to be no better. Arguments and errors are those of ``measure``.
    """

    def too_long(read_latency: int) -> bool:
        rates = measure(size, frames=frames, read_latency=read_latency, folder=folder)
        return any(abs(rate / wire_rate(size) - 1) > 1e-9 for rate in rates)

    good = bisect_right(LATENCIES, False, key=too_long)
    return LATENCIES[good - 1] if good else 0


class _Registers:
    """Register accesses by name."""

    def __init__(self, bus: RtlBus) -> None:
        self._bus = bus

    def write(self, name: str, value: int) -> None:
        self._bus.write32(BY_NAME[name].offset, value)

    async def read(self, name: str) -> int:
        return await self._bus.read32(BY_NAME[name].offset)


class _Run:
    """Frames both ways, and what came of them."""

    def __init__(self, env: RtlEngine, bus: RtlBus, link: Link, size: int, frames: int, delivery: int) -> None:
        self.env = env
        self.bus = bus
        self.link = link
        self.frames = frames
        self.delivery = delivery
        self.registers = _Registers(bus)
        self.frame = bytes([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xB5]).ljust(size - _FCS_BYTES, b"\xa5")
        self.sent_starts: list[int] = []
        self.bad = 0
        link.taps.append(self._tap)

    def _tap(self, direction: Direction, start: int, frame: bytes) -> None:
        if direction is self.link.a_to_b:
            self.sent_starts.append(start)
            self.bad += frame != self.frame + fcs(self.frame) or not fcs_is_good(frame)

    async def run(self) -> tuple[float, float]:
        """Frames per second sent, and received."""
        registers, memory = self.registers, self.bus.memory
        registers.write("CTRL", BY_NAME["CTRL"].value(SLU=1, FD=1))
        for prefix in ("TD", "RD"):
            ring = memory.allocate(_RING * DESCRIPTOR_BYTES, 4096)
            registers.write(f"{prefix}BAL", ring)
            registers.write(f"{prefix}LEN", _RING * DESCRIPTOR_BYTES)
            if prefix == "TD":
                data = memory.allocate(len(self.frame))
                memory.write(data, self.frame)
                descriptor = TRANSMIT_LEGACY.pack(address=data, length=len(self.frame), eop=1, ifcs=1, rs=1)
                memory.write(ring, descriptor * _RING)
            else:
                buffers = [memory.allocate(_BUFFER_BYTES) for _ in range(_RING)]
                memory.write(ring, b"".join(RECEIVE.pack(address=buffer) for buffer in buffers))
            registers.write(f"{prefix}T", _RING - 1)
        registers.write("TXDCTL", _TXDCTL)
        registers.write("RXDCTL", _RXDCTL)
        registers.write("RCTL", BY_NAME["RCTL"].value(EN=1, UPE=1))
        registers.write("TCTL", BY_NAME["TCTL"].value(EN=1, PSP=1))
        await registers.read("STATUS")  # is answered when all of that is done
        end = [self.link.b_to_a.send(self.frame + fcs(self.frame)) for _ in range(self.frames)][-1]
        stored = await self._keep_rings_full(end + self.delivery)
        if self.bad:
            raise RuntimeError(f"{self.bad} of {len(self.sent_starts)} frames were sent wrong")
        starts = self.sent_starts[: self.frames]
        sent_rate = (len(starts) - 1) * 1e9 / (starts[-1] - starts[0])
        return sent_rate, wire_rate(len(self.frame) + _FCS_BYTES) * stored / self.frames

    async def _keep_rings_full(self, end: int) -> int:
        """Move the tails on behind the heads until enough was sent; returns the frames stored at time ``end``."""
        stored = head_before = 0
        while self.env.now < end:
            await self.env.sleep(min(_STEP, end - self.env.now))
            head = await self._follow_head("RD")
            stored += (head - head_before) % _RING
            head_before = head
            await self._follow_head("TD")
        while len(self.sent_starts) < self.frames:
            await self.env.sleep(_STEP)
            await self._follow_head("TD")
        return stored

    async def _follow_head(self, prefix: str) -> int:
        head = await self.registers.read(f"{prefix}H")
        self.registers.write(f"{prefix}T", (head - 1) % _RING)
        return head


@cocotb.test()
async def line_rate(dut: HierarchyObject) -> None:
    """Runs what the folder named by ``NICLAB_RUN`` asks for."""
    folder = Path(os.environ["NICLAB_RUN"])
    size, frames, read_latency = json.loads((folder / "settings.json").read_text())
    wake = dut.wake
    assert isinstance(wake, LogicObject)
    env = RtlEngine(Bench(), wake, seed=1)
    costs = HostCosts(**{**vars(IDEAL), "dma_read_latency": read_latency})
    bus = RtlBus(env, HostCpu(env, costs))
    link = Link(env)
    GmiiPort(env, outgoing=link.a_to_b, incoming=link.b_to_a)
    rates = await env.run(_Run(env, bus, link, size, frames, _DELIVERY + read_latency).run())
    (folder / "line_rate.json").write_text(json.dumps(rates))
