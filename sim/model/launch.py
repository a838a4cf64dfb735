"""Runs one experiment on the model: ``python -m sim.model.launch FOLDER PARENT``, PARENT the caller's process number.

The files in FOLDER are those of ``sim.rtl.launch``, but for the simulator's log and results of cocotb.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from sim.clock import cycle_at
from sim.engine import EventEngine
from sim.errors import RunFailedError, UserError
from sim.experiment import Experiment
from sim.main_job import MainJob
from sim.model.bus import ModelBus, ModelPort
from sim.rtl.lifetime import end_with_parent
from sim.wire import Faults, Link

__all__ = ["run"]


def run(folder: Path) -> None:
    """Run the experiment of a folder to its end. The outcome is in the folder's files."""
    experiment = Experiment.from_json(json.loads((folder / "experiment.json").read_text()))
    env = EventEngine(seed=experiment.seed)
    faults = Faults(loss=experiment.loss, corruption=experiment.corruption)
    link = Link(env, delay=experiment.link_delay, a_to_b=faults, b_to_a=faults)
    job = MainJob(env, experiment, link, folder)
    started = time.perf_counter()
    try:
        bus = ModelBus(env, job.cpu)
        port = ModelPort(bus, outgoing=link.a_to_b, incoming=link.b_to_a)
        env.run(job.run(bus, port.arrivals))
        memory = bus.nic.port
        for name, count in (("reads", memory.bad_reads), ("writes", memory.bad_writes)):
            if count:
                raise RunFailedError(f"{count} DMA {name} outside of memory")
    except (RunFailedError, UserError) as error:
        (folder / "failure.txt").write_text(str(error))
        raise
    row = job.result(
        backend="model",
        dma_read_bytes=memory.read_bytes,
        dma_write_bytes=memory.write_bytes,
        simulated_cycles=cycle_at(env.now),
        wall_time=time.perf_counter() - started,
    )
    temporary = folder / "result.json.part"
    temporary.write_text(json.dumps(asdict(row)))
    temporary.rename(folder / "result.json")


if __name__ == "__main__":
    end_with_parent(int(sys.argv[2]))
    run(Path(sys.argv[1]))
