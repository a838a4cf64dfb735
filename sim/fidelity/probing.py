"""Runs the probes on either back end."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from sim.engine import EventEngine, Scheduler
from sim.errors import RunFailedError
from sim.fidelity.probe_bench import Probe, ProbeBench, Seen
from sim.fidelity.probes import PROBES
from sim.host import IDEAL, HostCosts, HostCpu
from sim.host_bus import HostBus
from sim.model.bus import ModelBus, ModelPort
from sim.model.timing import Timing
from sim.rtl import build
from sim.rtl.simulator import run_module
from sim.wire import Link

__all__ = ["perform", "probe_costs", "probe_model", "probe_rtl"]

_DELAY = 80


def probe_costs(probe: Probe) -> HostCosts:
    """Software takes no time."""
    return replace(IDEAL, **probe.costs)


async def perform(env: Scheduler, bus: HostBus, link: Link, probe: Probe) -> Seen:
    """A probe on a machine."""
    bench = ProbeBench(env, bus, link)
    await bench.reset()
    bench.begin = env.now
    for edge in bench.seen.values():
        edge.clear()
    await probe.program(bench)
    await bench.read("STATUS")  # all that was asked before is answered
    return bench.seen


def probe_model(probe: Probe, timing: Timing) -> Seen:
    env = EventEngine(seed=1)
    link = Link(env, delay=_DELAY)
    bus = ModelBus(env, HostCpu(env, probe_costs(probe)), timing=timing, memory_bytes=4 << 20)
    ModelPort(bus, outgoing=link.a_to_b, incoming=link.b_to_a)
    return env.run(perform(env, bus, link, probe))


def probe_rtl(folder: Path) -> list[Seen]:
    """All probes, in one simulator. Raises ``RunFailedError``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run_module(build.bench(), "sim.fidelity.probe_worker", folder)
    result = folder / "seen.json"
    if not result.exists():
        raise RunFailedError(f"the probes failed on the RTL; see {folder / 'simulator.log'}")
    content: list[dict[str, list[list[int]]]] = json.loads(result.read_text())
    if len(content) != len(PROBES):
        raise RunFailedError(f"{len(content)} of {len(PROBES)} probes came back; see {folder}")
    return [{edge: [(cycle, value) for cycle, value in events] for edge, events in seen.items()} for seen in content]
