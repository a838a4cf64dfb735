"""Inside the simulator: a recording on the Verilated NIC, as a cocotb test. ``NICLAB_TRACE`` and ``NICLAB_RESULT``
name the recording and where the differences go, as JSON."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject, LogicObject

from sim.qemu.trace import read_trace
from sim.qemu.trace_replay import replay
from sim.rtl.engine import RtlEngine
from sim.rtl.nic import RtlNic
from sim.rtl.port import GmiiPort
from sim.rtl.shared import Bench
from sim.wire import Link

_EVERY = 100
_LONGER = 200_000
"""Nanoseconds: longer than anything that goes on in the NIC without a timer."""


class RestingNic(RtlNic):
    """Every now and then, waits on when the NIC is said to be at rest, to see whether something happens after all."""

    def __init__(self, env: RtlEngine) -> None:
        super().__init__(env)
        self.restless: list[str] = []
        self._rests = 0

    async def work(self, descriptors: Sequence[int]) -> bool:
        rest = await super().work(descriptors)
        if rest:
            self._rests += 1
            if self._rests % _EVERY == 0:
                before = self._signs()
                await self.env.sleep(_LONGER)
                if self._signs() != before:
                    self.restless.append(f"rest {self._rests}: {before} became {self._signs()}")
        return rest

    def _signs(self) -> tuple[int, ...]:
        state = self.env.bench.state
        return state.interrupt, state.interrupts, state.frames_sent, state.read_bytes, state.write_bytes


@cocotb.test()
async def trace(dut: HierarchyObject) -> None:
    """Replay it."""
    assert isinstance(dut.wake, LogicObject)
    env = RtlEngine(Bench(), dut.wake, seed=1)
    env.bench.state.mmio_read_return = env.bench.state.dma_write_latency = 1
    env.bench.state.dma_read_latency = 16
    link = Link(env, delay=0)
    GmiiPort(env, outgoing=link.a_to_b, incoming=link.b_to_a)
    events = read_trace(Path(os.environ["NICLAB_TRACE"]))
    nic = RestingNic(env)
    differences = await env.run(replay(nic, link, bytes.fromhex("020000000001"), events))
    Path(os.environ["NICLAB_RESULT"]).write_text(json.dumps(differences + nic.restless))
