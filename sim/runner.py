"""Runs experiments, several simulators at a time, and collects their rows."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.errors import RunFailedError
from sim.experiment import Experiment
from sim.results import RunResult
from sim.rtl import build

__all__ = ["RUNS", "Progress", "run_all"]

_POLL_SECONDS = 0.1


@dataclass
class Progress:
    """How far a set of runs has come: ``done`` of ``total`` bytes that are to cross the wire."""

    total: int
    done: int = 0
    finished: list[RunResult] = field(default_factory=list)
    running: list[str] = field(default_factory=list)


RUNS = build.BUILD / "runs"
"""Where each run has a folder of its name for its files (see ``sim.rtl.launch``)."""


class _Run:
    """One simulator process, in a process group of its own."""

    def __init__(self, experiment: Experiment, folder: Path) -> None:
        self.experiment = experiment
        self.folder = folder
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        (self.folder / "experiment.json").write_text(json.dumps(experiment.to_json()))
        with (self.folder / "launch.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", experiment.backend.launcher, str(self.folder), str(os.getpid())],
                cwd=build.REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def crossed(self) -> int:
        """Bytes that have crossed the wire so far."""
        try:
            return int((self.folder / "progress").read_text() or 0)
        except FileNotFoundError:
            return 0

    def finished(self) -> bool:
        return self._process.poll() is not None

    def result(self) -> RunResult:
        """The row. Raises ``RunFailedError`` if there is none."""
        row = self.folder / "result.json"
        if row.exists():
            content: dict[str, Any] = json.loads(row.read_text())
            return RunResult(**content)
        failure = self.folder / "failure.txt"
        reason = failure.read_text().strip() if failure.exists() else "the simulator ended without a result"
        raise RunFailedError(f"run {self.experiment.name}: {reason}; the log is {self.folder / 'simulator.log'}")

    def kill(self) -> None:
        """End the simulator and all that it started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def run_all(
    experiments: list[Experiment],
    *,
    jobs: int = 0,
    folder: Path = RUNS,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> list[RunResult]:
    """Run every experiment, ``jobs`` at a time (0: one per processor), and return their rows in the same order.

    Each leaves its files in a folder of its name in ``folder``.

    Raises ``RunFailedError`` with the first failure. Whatever happens (Ctrl-C included), no simulator is left behind.
    """
    jobs = jobs or os.cpu_count() or 1
    sizes = [2 * experiment.file.stat().st_size for experiment in experiments]
    progress = Progress(total=sum(sizes))
    waiting = list(enumerate(experiments))
    running: dict[int, _Run] = {}
    rows: dict[int, RunResult] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                index, experiment = waiting.pop(0)
                running[index] = _Run(experiment, folder / experiment.name)
            time.sleep(_POLL_SECONDS)
            for index in [index for index, run in running.items() if run.finished()]:
                rows[index] = running.pop(index).result()
                progress.finished.append(rows[index])
            progress.running = [run.experiment.name for run in running.values()]
            progress.done = sum(sizes[index] for index in rows) + sum(run.crossed() for run in running.values())
            on_progress(progress)
    finally:
        for run in running.values():
            run.kill()
    return [rows[index] for index in range(len(experiments))]
