"""Inside the simulator: all probes, one after the other."""

import json
import os
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject, LogicObject

from sim.fidelity.probes import PROBES
from sim.fidelity.probing import perform, probe_costs
from sim.host import HostCpu
from sim.rtl.bus import RtlBus
from sim.rtl.engine import RtlEngine
from sim.rtl.lifetime import end_with_parent
from sim.rtl.port import GmiiPort
from sim.rtl.shared import Bench
from sim.wire import Link

__all__ = ["probes"]

_ALIGNMENT = 1024
_DELAY = 80


@cocotb.test()
async def probes(dut: HierarchyObject) -> None:
    """Writes ``seen.json`` into the folder named by ``NICLAB_RUN``."""
    end_with_parent(int(os.environ["NICLAB_PARENT"]))
    folder = Path(os.environ["NICLAB_RUN"])
    wake = dut.wake
    assert isinstance(wake, LogicObject)
    env = RtlEngine(Bench(), wake, seed=1)

    async def all_of_them() -> None:
        results = []
        for probe in PROBES:
            await env.sleep(-env.now % _ALIGNMENT)
            env.observers.clear()
            env.bench.memory[:] = 0
            link = Link(env, delay=_DELAY)
            bus = RtlBus(env, HostCpu(env, probe_costs(probe)))
            GmiiPort(env, outgoing=link.a_to_b, incoming=link.b_to_a)
            results.append(await perform(env, bus, link, probe))
        temporary = folder / "seen.json.part"
        temporary.write_text(json.dumps(results))
        temporary.rename(folder / "seen.json")

    await env.run(all_of_them())
