"""Runs many runs, several at a time, and keeps each one's rows as soon as they are there.

Workers are processes of this machine, or those of a Dask cluster. Whatever ends a sweep, the rows that are kept stay.
"""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sim.errors import RunFailedError, UserError
from sim.execute import execute
from sim.outputs import Outputs
from sim.results import Row
from sim.rtl import build
from sim.rtl.lifetime import end_with_parent
from sim.run import Run
from sim.store import Store

__all__ = ["STORE", "Progress", "run_all"]

STORE = build.BUILD / "rows"
"""Where rows are kept from one sweep to the next."""

_DEATHS = 2
"""After so many of its workers have died, a run is given up."""

_NOTICE_SECONDS = 0.2
"""How long a wait for workers lasts at most, so that the progress moves and Ctrl-C is seen."""

_CLUSTER_SECONDS = 10


@dataclass
class Progress:
    """How far a set of runs has come."""

    runs: Sequence[Run]
    rows: dict[str, list[Row]] = field(default_factory=dict)
    """By the run's label, since runs of different experiments may have the same name."""
    kept: int = 0
    """Runs whose rows were there before."""
    failed: dict[str, str] = field(default_factory=dict)
    """What went wrong by the run's label."""
    running: list[str] = field(default_factory=list)

    @property
    def left(self) -> list[str]:
        """Labels of the runs that have no rows."""
        return [run.label for run in self.runs if run.label not in self.rows]

    def in_order(self) -> list[Row]:
        """The rows so far, in the order of the runs."""
        return [row for run in self.runs for row in self.rows.get(run.label, [])]


def _start_worker(parent: int) -> None:
    """A worker ends with its parent, and Ctrl-C is the parent's affair."""
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Workers:
    """Runs calls, ``size`` at a time. ``restart`` brings workers back that have died."""

    def __init__(self, jobs: int, address: str | None) -> None:
        self._client: Any = None
        self._executor: Executor
        if address is None:
            self.size = jobs or os.cpu_count() or 1
            self._executor = self._pool()
            return
        from distributed import Client  # takes a second, and is for those who ask for it

        try:
            self._client = Client(address, timeout=_CLUSTER_SECONDS)
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"no Dask scheduler answers at {address}: {str(error).splitlines()[0]}") from None
        threads = sum(self._client.nthreads().values())
        if not threads:
            self._client.close()
            raise UserError(f"the Dask scheduler at {address} has no workers")
        self.size = 2 * threads
        self._executor = self._client.get_executor(pure=False)

    def _pool(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self.size,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(os.getpid(),),
        )

    def submit(self, run: Run, outputs: Outputs) -> "Future[list[Row]]":
        return self._executor.submit(execute, run, outputs, run.key)

    def restart(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._executor = self._pool()

    def close(self) -> None:
        """End what is still running."""
        if self._client is not None:
            self._executor.shutdown(wait=False)
            self._client.close()
            return
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.kill()
            process.join()


@contextmanager
def _workers(jobs: int, address: str | None) -> Iterator[_Workers]:
    workers = _Workers(jobs, address)
    try:
        yield workers
    finally:
        workers.close()


def run_all(
    runs: Sequence[Run],
    *,
    store: Store | None = None,
    resume: bool = False,
    outputs: Outputs | None = None,
    jobs: int = 0,
    dask: str | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Run every run, ``jobs`` at a time (0: one per processor), or on the Dask cluster at an address.

    With ``resume``, rows that the ``store`` has are taken from it. A run that fails does not end the others. Whatever
    happens (Ctrl-C included), what has been done is in the store, and no worker of this machine is left behind. Raises
    ``OSError`` if rows cannot be kept, ``UserError`` if there is no cluster.
    """
    outputs = outputs or Outputs()
    progress = Progress(runs)
    if store is not None and resume:
        for run in runs:
            rows = store.get(run.key)
            if rows is not None:
                # Another experiment may have asked for the same run, under another name.
                varied = json.dumps(run.varied)
                progress.rows[run.label] = [
                    replace(row, experiment=run.experiment, name=run.name, varied=varied) for row in rows
                ]
        progress.kept = len(progress.rows)
    waiting = [run for run in reversed(runs) if run.label not in progress.rows]
    on_progress(progress)
    if not waiting:
        return progress
    deaths: dict[str, int] = {}
    with _workers(jobs, dask) as workers:
        running: dict[Future[list[Row]], Run] = {}
        while waiting or running:
            while waiting and len(running) < workers.size:
                run = waiting.pop()
                running[workers.submit(run, outputs)] = run
            progress.running = [run.label for run in running.values()]
            on_progress(progress)
            finished, _ = wait(running, timeout=_NOTICE_SECONDS, return_when=FIRST_COMPLETED)
            died = False
            for future in finished:
                run = running.pop(future)
                try:
                    rows = future.result()
                except BrokenProcessPool:
                    died = True
                    _again(run, waiting, deaths, progress)
                except (RunFailedError, UserError) as error:
                    progress.failed[run.label] = str(error)
                else:
                    if store is not None:
                        store.put(run.key, rows)
                    progress.rows[run.label] = rows
            if died:
                # One death breaks the pool: who ran beside it has to run again too.
                for run in running.values():
                    _again(run, waiting, deaths, progress)
                running.clear()
                workers.restart()
        progress.running = []
        on_progress(progress)
    return progress


def _again(run: Run, waiting: list[Run], deaths: dict[str, int], progress: Progress) -> None:
    deaths[run.label] = deaths.get(run.label, 0) + 1
    if deaths[run.label] < _DEATHS:
        waiting.append(run)
    else:
        progress.failed[run.label] = f"run {run.name}: its worker died, {_DEATHS} times"
