"""Runs one experiment on the model, in this process."""

import time
from pathlib import Path

from hw.interrupt import Semantics
from sim.clock import CYCLE_NS, cycle_at
from sim.engine import EventEngine
from sim.errors import RunFailedError
from sim.laboratory import Laboratory
from sim.model.bus import ModelBus, ModelPort
from sim.outputs import Outputs
from sim.results import Row
from sim.run import Run

__all__ = ["simulate"]


def simulate(run: Run, folder: Path, outputs: Outputs) -> list[Row]:
    """The rows of a run, whose outputs lie in ``folder``. Raises ``RunFailedError``."""
    env = EventEngine(seed=run.seed)
    laboratory = Laboratory(env, run, folder=folder, outputs=outputs)
    bus = ModelBus(env, laboratory.cpu, semantics=Semantics(run.itr_semantics.value))
    port = ModelPort(bus, outgoing=laboratory.link.a_to_b, incoming=laboratory.link.b_to_a)
    port.arrivals.append(laboratory.hosts.on_wire)
    if outputs.timeline:
        _tell_dma(bus)
    started = time.perf_counter()
    try:
        env.run(laboratory.run(bus))
    except RunFailedError as error:
        raise RunFailedError(f"run {run.name}: {error}") from error
    memory = bus.nic.port
    for name, count in (("reads", memory.bad_reads), ("writes", memory.bad_writes)):
        if count:
            raise RunFailedError(f"run {run.name}: {count} DMA {name} outside of memory")
    return laboratory.rows(
        key=run.key,
        dma_read_bytes=memory.read_bytes,
        dma_write_bytes=memory.write_bytes,
        simulated_cycles=cycle_at(env.now),
        wall_time=time.perf_counter() - started,
    )


def _tell_dma(bus: ModelBus) -> None:
    """Let the bus's observers see each burst: what the RTL's bench does not tell."""

    def tell(kind: str, cycle: int, cycles: int, length: int) -> None:
        for observer in bus.dma:
            observer(kind, cycle * CYCLE_NS, cycles * CYCLE_NS, length)

    bus.nic.port.observers.append(tell)
