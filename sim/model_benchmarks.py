"""The speed of the model of the NIC, for ``make bench``. Times are the process's own, so that other work on the machine
counts little."""

import gc
import os
import time
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from driver.e1000 import E1000Parameters, probe
from sim.engine import EventEngine
from sim.fidelity.machines import machine, rtl_outcomes
from sim.fidelity.play import play
from sim.fidelity.scenario import Scenario
from sim.host import IDEAL, HostCpu
from sim.measurement import Figure
from sim.minimum_frames import MinimumFrames, receive_minimum_frames, send_minimum_frames
from sim.model.launch import simulate
from sim.outputs import Outputs
from sim.rtl import build
from sim.run import Run
from sim.wire_device import WireDevice
from stack.host import NetworkStack
from stack.napi import SoftIrq
from stack.socket import AF_INET, SOCK_STREAM

__all__ = ["measure_model", "tcp_seconds"]

_FRAMES = 30_000
_ROUNDS = 7
_ASKED_RATE = 150_000
_TCP_BYTES = 4_000_000
_ASKED_SECONDS = 10.0
_DATAGRAM_RATE = 250
_ASKED_GROWTH = 1 << 20
"""What allocation may differ by. All times of both hosts' datagrams would be 6 MB."""
_GROWTH_RUNS = 5
"""Of each length; the median counts. Python's arenas have 1 MiB, and one run in a few gets by with one or two less."""
_STATION, _PEER, _PREFIX, _PORT = "192.0.2.1", "192.0.2.2", 24, 5001
_CHUNK = 65_536
_SPEEDUPS = {
    "model.speedup": Scenario(
        name="speedup", size=256, frames=6000, burst=8, pause=20_000, driver={"interrupt_throttle_rate": 8000}
    ),
    "model.speedup.sparse": Scenario(
        name="sparse", size=256, frames=40, pause=500_000, driver={"interrupt_throttle_rate": 8000}
    ),
}
"""Some 200,000 frames/s, and 2,000: events cost the model its time, and cycles the RTL."""


def _played(scenario: Scenario) -> tuple[int, float]:
    """Simulated nanoseconds of a scenario on the model, and the seconds of the process's time that they took."""
    env = EventEngine(seed=scenario.seed)
    bus, cpu, link = machine(env, scenario)
    gc.collect()  # what an earlier run has left is not of this one's time
    started = time.process_time()
    env.run(play(env, bus, cpu, link, scenario))
    return env.now, time.process_time() - started


def _held(seconds: int) -> int:
    """The most bytes that this process has held, after a run of so much simulated time."""
    workload = {"kind": "poisson", "rate": _DATAGRAM_RATE, "frame": 64, "duration": seconds * 10**9}
    limit = 2 * seconds * 10**9
    with TemporaryDirectory() as folder:
        simulate(Run.model_validate({"workload": workload, "time_limit": limit}), Path(folder), Outputs())
    # VmHWM, in KiB; unlike ru_maxrss it begins anew with a new program.
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


def _growth() -> int:
    """Bytes that a process of ten simulated minutes holds more than one of five; medians."""
    with get_context("spawn").Pool(2, maxtasksperchild=1) as pool:
        held = pool.map(_held, (300, 600) * _GROWTH_RUNS, chunksize=1)
    return round(median(held[1::2]) - median(held[::2]))


def _children_time() -> float:
    """Seconds that the processes have had which this one started, and which have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _speedup(scenario: Scenario) -> tuple[float, float]:
    """Simulated nanoseconds per second of the processes' time, of the model and of the RTL, on one scenario."""
    build.bench()
    simulated, seconds = _played(scenario)
    # The simulator's start is not the RTL's speed: two runs, of which one is longer by a known time, tell that apart.
    took = []
    for count in (1, 2):
        started = _children_time()
        rtl_outcomes([scenario] * count, build.BUILD / "speedup", jobs=1)
        took.append(_children_time() - started)
    return simulated / seconds, simulated / max(took[1] - took[0], 1e-3)


def _median(play: Callable[[int], MinimumFrames]) -> MinimumFrames:
    """Of several runs, that of the median rate: each takes a fifth of a second, in which the machine may be busy."""
    return sorted((play(_FRAMES) for _ in range(_ROUNDS)), key=lambda result: result.rate)[_ROUNDS // 2]


def measure_model(conditions: dict[str, Any]) -> Iterator[Figure]:
    """Each figure when it is known."""
    received, sent = _median(receive_minimum_frames), _median(send_minimum_frames)
    for name, result, way in (("model.min_frames", received, "received"), ("model.min_frames.tx", sent, "sent")):
        yield Figure(
            name=name,
            value=result.rate,
            unit="frames/s of the process's time",
            limit=_ASKED_RATE,
            conditions={
                **conditions,
                "limit": "what is asked for",
                "frames": result.frames,
                "rounds": _ROUNDS,
                "way": way,
            },
        )
    for name, scenario in _SPEEDUPS.items():
        model, rtl = _speedup(scenario)
        yield Figure(
            name=name,
            value=model,
            unit="ns of simulated time per s of the process's time",
            limit=rtl,
            conditions={
                **conditions,
                "limit": "the RTL on the same scenario; 100 times that is asked for",
                "burst": scenario.burst,
                "rest_ns": scenario.pause,
            },
        )
    yield Figure(
        name="model.tcp",
        value=tcp_seconds(_TCP_BYTES),
        unit="s of the process's time per simulated second of full-size TCP at 1 Gb/s",
        limit=_ASKED_SECONDS,
        conditions={**conditions, "limit": "what is asked for", "bytes": _TCP_BYTES},
    )
    yield Figure(
        name="model.memory",
        value=_growth(),
        unit="bytes more after ten simulated minutes than after five",
        limit=_ASKED_GROWTH,
        conditions={
            **conditions,
            "limit": "allocation's noise; no growth is asked for",
            "datagrams_per_second": _DATAGRAM_RATE,
        },
    )


def tcp_seconds(size: int) -> float:
    """Seconds of the process's time per simulated second, while ``size`` bytes go from a program over TCP to a peer."""
    env = EventEngine(seed=1)
    bus, cpu, link = machine(env, Scenario(name="tcp"))

    async def receive(stack: NetworkStack) -> None:
        listener = stack.socket(AF_INET, SOCK_STREAM)
        await listener.bind((_PEER, _PORT))
        await listener.listen(1)
        connection, _ = await listener.accept()
        left = size
        while left:
            left -= len(await connection.recv(left))
        await connection.close()
        await listener.close()

    async def run() -> float:
        parameters = E1000Parameters(dma_drain=5_000, reset_recovery=2_000)
        device = await probe(bus, cpu, SoftIrq(env, cpu), parameters=parameters)
        ours, theirs = NetworkStack(env, cpu), NetworkStack(env, ideal := HostCpu(env, IDEAL))
        ours.add_interface(device, _STATION, _PREFIX)
        peer = WireDevice(env, ideal, outgoing=link.b_to_a, incoming=link.a_to_b, address=bytes.fromhex("020000000002"))
        theirs.add_interface(peer, _PEER, _PREFIX)
        await peer.open()
        await device.open()
        server = env.spawn(receive(theirs), name="receiver")
        connection = ours.socket(AF_INET, SOCK_STREAM)
        await connection.connect((_PEER, _PORT))
        begun, started = env.now, time.process_time()
        for start in range(0, size, _CHUNK):
            await connection.sendall(bytes(min(_CHUNK, size - start)))
        await connection.close()
        await server
        return (time.process_time() - started) / (env.now - begun) * 1e9

    return env.run(run())
