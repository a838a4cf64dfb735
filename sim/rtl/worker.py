"""Inside the simulator: one run, as a cocotb test."""

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject, LogicObject

from sim.errors import RunFailedError
from sim.laboratory import Laboratory
from sim.outputs import Outputs
from sim.rtl.bus import RtlBus
from sim.rtl.engine import RtlEngine
from sim.rtl.lifetime import end_with_parent
from sim.rtl.port import GmiiPort
from sim.rtl.shared import Bench
from sim.run import Run

__all__ = ["run"]


@cocotb.test()
async def run(dut: HierarchyObject) -> None:
    """Runs what the folder named by ``NICLAB_RUN`` asks for (see ``sim.rtl.launch``)."""
    end_with_parent(int(os.environ["NICLAB_PARENT"]))
    folder = Path(os.environ["NICLAB_RUN"])
    request = json.loads((folder / "request.json").read_text())
    specification = Run.model_validate(request["run"])
    outputs = Outputs(**request["outputs"])
    bench = Bench()
    wake = dut.wake
    assert isinstance(wake, LogicObject)
    env = RtlEngine(bench, wake, seed=specification.seed)
    laboratory = Laboratory(env, specification, folder=folder, outputs=outputs)
    bus = RtlBus(env, laboratory.cpu)
    port = GmiiPort(env, outgoing=laboratory.link.a_to_b, incoming=laboratory.link.b_to_a)
    port.arrivals.append(laboratory.hosts.on_wire)
    started = time.perf_counter()
    try:
        await env.run(laboratory.run(bus))
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
    rows = laboratory.rows(
        # Digested where the run was asked for, since the sources may have changed meanwhile.
        key=request["key"],
        dma_read_bytes=state.read_bytes,
        dma_write_bytes=state.write_bytes,
        simulated_cycles=state.cycle,
        wall_time=wall_time,
    )
    temporary = folder / "rows.json.part"
    temporary.write_text(json.dumps([asdict(row) for row in rows]))
    temporary.rename(folder / "rows.json")
