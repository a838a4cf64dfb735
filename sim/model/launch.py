"""Runs one experiment on the model, in this process."""

import time
from pathlib import Path

from hw.interrupt import Semantics
from sim.clock import CYCLE_NS, cycle_at
from sim.engine import EventEngine
from sim.errors import RunFailedError
from sim.laboratory import Laboratory
from sim.model.bus import ModelBus, ModelPort
from sim.model.memory_port import ReadTimes
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
    port = bus.nic.port
    request, write, place = port.request, port.write, port.place

    def watched_request(cycle: int, address: int, length: int) -> ReadTimes:
        times = request(cycle, address, length)
        for observer in bus.dma:
            observer("read", cycle * CYCLE_NS, (times.last - cycle + 1) * CYCLE_NS, length)
        return times

    def watched_write(cycle: int, address: int, data: bytes, **options: int) -> int:
        last = write(cycle, address, data, **options)
        for observer in bus.dma:
            observer("write", cycle * CYCLE_NS, (last - cycle + 1) * CYCLE_NS, len(data))
        return last

    def watched_place(taken: int, address: int, data: bytes, limit: int) -> None:
        place(taken, address, data, limit)
        words = (address % 8 + len(data) + 7) // 8
        for observer in bus.dma:
            observer("write", (taken - words) * CYCLE_NS, words * CYCLE_NS, len(data))

    setattr(port, "place", watched_place)  # noqa: B010
    setattr(port, "request", watched_request)  # noqa: B010
    setattr(port, "write", watched_write)  # noqa: B010
