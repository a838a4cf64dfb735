"""Inside the simulator: scenarios one after the other on the same Verilated NIC, which the driver resets for each."""

import json
import os
import random
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject, LogicObject

from sim.fidelity.play import LINK_DELAY, Outcome, play
from sim.fidelity.scenario import Scenario
from sim.host import HostCpu
from sim.rtl.bus import RtlBus
from sim.rtl.engine import RtlEngine
from sim.rtl.lifetime import end_with_parent
from sim.rtl.port import GmiiPort
from sim.rtl.shared import Bench
from sim.wire import Link

__all__ = ["scenarios"]

_ALIGNMENT = 1024
"""Each scenario begins at a multiple of this in nanoseconds, as in a run of its own it begins at 0."""


async def _perform(env: RtlEngine, scenario: Scenario) -> Outcome:
    env.observers.clear()
    env.random = random.Random(scenario.seed)
    env.bench.memory[:] = 0
    cpu = HostCpu(env, scenario.host_costs())
    link = Link(env, delay=LINK_DELAY)
    bus = RtlBus(env, cpu)
    GmiiPort(env, outgoing=link.a_to_b, incoming=link.b_to_a)
    return await play(env, bus, cpu, link, scenario)


@cocotb.test()
async def scenarios(dut: HierarchyObject) -> None:
    """Plays ``scenarios.json`` of the folder named by ``NICLAB_RUN``; ``outcomes.jsonl`` gets a line for each."""
    end_with_parent(int(os.environ["NICLAB_PARENT"]))
    folder = Path(os.environ["NICLAB_RUN"])
    wanted = [Scenario.from_json(item) for item in json.loads((folder / "scenarios.json").read_text())]
    wake = dut.wake
    assert isinstance(wake, LogicObject)
    env = RtlEngine(Bench(), wake, seed=1)

    async def all_of_them() -> None:
        with (folder / "outcomes.jsonl").open("w") as output:
            for scenario in wanted:
                await env.sleep(-env.now % _ALIGNMENT)
                outcome = await _perform(env, scenario)
                output.write(json.dumps(outcome.to_json()) + "\n")
                output.flush()

    await env.run(all_of_them())
