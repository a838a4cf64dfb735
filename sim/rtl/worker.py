"""Inside the simulator: one run of the main job, as a cocotb test."""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject, LogicObject

from sim.errors import RunFailedError
from sim.experiment import Experiment
from sim.main_job import MainJob
from sim.rtl.bus import RtlBus
from sim.rtl.engine import RtlEngine
from sim.rtl.lifetime import end_with_parent
from sim.rtl.port import GmiiPort
from sim.rtl.shared import Bench
from sim.wire import Faults, Link

__all__ = ["main_job"]


@cocotb.test()
async def main_job(dut: HierarchyObject) -> None:
    """Runs what the folder named by ``NICLAB_RUN`` asks for (see ``sim.rtl.launch``)."""
    end_with_parent(int(os.environ["NICLAB_PARENT"]))
    folder = Path(os.environ["NICLAB_RUN"])
    experiment = Experiment.from_json(json.loads((folder / "experiment.json").read_text()))
    bench = Bench()
    wake = dut.wake
    assert isinstance(wake, LogicObject)
    env = RtlEngine(bench, wake, seed=experiment.seed)
    faults = Faults(loss=experiment.loss, corruption=experiment.corruption)
    link = Link(env, delay=experiment.link_delay, a_to_b=faults, b_to_a=faults)
    job = MainJob(env, experiment, link, folder)
    bus = RtlBus(env, job.cpu)
    port = GmiiPort(env, outgoing=link.a_to_b, incoming=link.b_to_a)
    started = time.perf_counter()
    try:
        await env.run(job.run(bus, port.arrivals))
    except RunFailedError as error:
        (folder / "failure.txt").write_text(str(error))
        raise
    wall_time = time.perf_counter() - started
    state = bench.state
    for name, count in (
        ("malformed frames on the GMII", port.malformed),
        ("DMA reads outside of memory", state.bad_reads),
        ("DMA writes outside of memory", state.bad_writes),
    ):
        if count:
            (folder / "failure.txt").write_text(f"{count} {name}")
            raise RunFailedError(f"{count} {name}")
    row = job.result(
        backend="rtl",
        dma_read_bytes=state.read_bytes,
        dma_write_bytes=state.write_bytes,
        simulated_cycles=state.cycle,
        wall_time=wall_time,
    )
    temporary = folder / "result.json.part"
    temporary.write_text(json.dumps(asdict(row)))
    temporary.rename(folder / "result.json")
