"""Inside the simulator: a recording on the Verilated NIC, as a cocotb test. ``NICLAB_TRACE`` and ``NICLAB_RESULT``
name the recording and where the differences go, as JSON."""

import json
import os
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
    differences = await env.run(replay(RtlNic(env), link, bytes.fromhex("020000000001"), events))
    Path(os.environ["NICLAB_RESULT"]).write_text(json.dumps(differences))
