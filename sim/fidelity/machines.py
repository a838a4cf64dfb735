"""Plays scenarios on either back end: the model here, the RTL in simulators of many scenarios each."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sim.engine import EventEngine
from sim.errors import RunFailedError
from sim.fidelity.play import LINK_DELAY, Outcome, play
from sim.fidelity.scenario import Scenario
from sim.host import HostCpu
from sim.model.bus import ModelBus, ModelPort
from sim.model.timing import Timing
from sim.rtl import build
from sim.wire import Link

__all__ = ["machine", "model_outcome", "rtl_outcomes"]


def machine(env: EventEngine, scenario: Scenario, *, timing: Timing | None = None) -> tuple[ModelBus, HostCpu, Link]:
    """The model of the NIC with a host and a wire around it. ``timing`` replaces what is calibrated."""
    cpu = HostCpu(env, scenario.host_costs())
    link = Link(env, delay=LINK_DELAY)
    bus = ModelBus(env, cpu, timing=timing)
    ModelPort(bus, outgoing=link.a_to_b, incoming=link.b_to_a)
    return bus, cpu, link


def model_outcome(scenario: Scenario, *, timing: Timing | None = None) -> Outcome:
    """``timing`` replaces what is calibrated."""
    env = EventEngine(seed=scenario.seed)
    bus, cpu, link = machine(env, scenario, timing=timing)
    return env.run(play(env, bus, cpu, link, scenario))


def rtl_outcomes(
    scenarios: Sequence[Scenario],
    folder: Path,
    *,
    jobs: int = 0,
    on_progress: Callable[[int], None] = lambda done: None,
) -> list[Outcome]:
    """The outcomes in the order of the scenarios, from ``jobs`` simulators (0: one per processor). ``folder`` takes
    their files; ``on_progress`` is told how many scenarios are done.

    Raises ``RunFailedError``.
    """
    jobs, folder = min(jobs or os.cpu_count() or 1, max(len(scenarios), 1)), folder.resolve()
    build.bench()
    shutil.rmtree(folder, ignore_errors=True)
    shares = [list(range(number, len(scenarios), jobs)) for number in range(jobs)]
    processes = []
    outcomes: dict[int, Outcome] = {}
    try:
        for number, share in enumerate(shares):
            place = folder / str(number)
            place.mkdir(parents=True)
            (place / "scenarios.json").write_text(json.dumps([scenarios[index].to_json() for index in share]))
            with (place / "launch.log").open("w") as log:
                processes.append(
                    subprocess.Popen(
                        [
                            sys.executable,
                            "-m",
                            "sim.rtl.simulator",
                            "sim.fidelity.rtl_worker",
                            str(place),
                            str(os.getpid()),
                        ],
                        cwd=build.REPOSITORY,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        while any(process.poll() is None for process in processes):
            for process in processes:
                try:
                    process.wait(timeout=0.5)
                except subprocess.TimeoutExpired:
                    break
            on_progress(sum(_lines(folder / str(number) / "outcomes.jsonl") for number in range(jobs)))
        for number, share in enumerate(shares):
            lines = (folder / str(number) / "outcomes.jsonl").read_text().splitlines()
            if len(lines) != len(share):
                failed = scenarios[share[len(lines)]].name
                raise RunFailedError(f"scenario {failed} failed on the RTL; see {folder / str(number)}")
            for index, line in zip(share, lines, strict=True):
                outcomes[index] = Outcome.from_json(json.loads(line))
    except FileNotFoundError as error:
        raise RunFailedError(f"the simulator did not start; see {folder} ({error})") from None
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, 9)
            process.wait()
    return [outcomes[index] for index in range(len(scenarios))]


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
