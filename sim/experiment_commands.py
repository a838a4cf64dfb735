"""The commands about experiments: ``report``, ``run``, ``sweep`` and ``compare``."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from driver.itr import parse_interrupt_throttle_rate
from sim.backend import Backend
from sim.compare import compare_rows, comparison_table
from sim.compiled import INTERPRETED
from sim.errors import RunFailedError, UserError
from sim.execute import folder_of
from sim.experiment import DEFAULT_MODES, load, main_job
from sim.model.timing import Calibration
from sim.outputs import Outputs
from sim.progress import ProgressDisplay
from sim.report.conditions import conditions
from sim.report.overview import text_table
from sim.report.writer import check_directory, write_report
from sim.results import Row, describe
from sim.rtl import build
from sim.run import Run
from sim.runner import STORE, Progress, run_all
from sim.store import Store
from sim.table import read_parquet, write_parquet

__all__ = ["compare", "report", "run", "sweep"]

EXPERIMENTS = build.BUILD / "experiments"
"""Where the rows of each experiment lie as one file of its name."""

_NAMED_LEFT = 5
"""Runs that are named when some are left; a file has all of them."""


class Offloads(StrEnum):
    ON = "on"
    OFF = "off"
    BOTH = "both"

    @property
    def settings(self) -> tuple[bool, ...]:
        return {"on": (True,), "off": (False,), "both": (True, False)}[self.value]


ExperimentArgument = Annotated[Path, typer.Argument(help="The experiment (TOML, see docs/experiments.md).")]
OutputOption = Annotated[Path, typer.Option(help="Directory of the report, replaced when the new one is complete.")]
FileOption = Annotated[Path | None, typer.Option(help="The file to transfer.", show_default="the NIC's own Verilog")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of each run's random numbers.")]
JobsOption = Annotated[int, typer.Option(min=0, help="Runs at a time; 0: one per processor.")]
DaskOption = Annotated[str | None, typer.Option(help="Run on the Dask cluster with this scheduler, host:port.")]
BackendOption = Annotated[Backend | None, typer.Option(help="What plays the NIC, whatever the experiment says.")]
WavesOption = Annotated[bool, typer.Option("--waves", help="Write waveforms (FST) and views of them; RTL, slow.")]
TimelineOption = Annotated[bool, typer.Option("--timeline", help="Write what happened when, for Perfetto.")]
PcapOption = Annotated[bool, typer.Option("--pcap", help="Write the frames on the wire, with comments.")]


def _modes(text: str) -> tuple[int, ...]:
    """The modes of a list with commas, each once. Raises ``UserError``."""
    modes: dict[int, None] = {}
    for word in text.split(","):
        try:
            mode = int(word)
        except ValueError:
            raise UserError(f"{word.strip()!r} in --modes is not a number") from None
        try:
            parse_interrupt_throttle_rate(mode)
        except ValueError as error:
            raise UserError(str(error)) from None
        modes[mode] = None
    return tuple(modes)


def _announce(console: Console, text: str) -> None:
    console.print(f"Building: {text}", highlight=False)


@dataclass(frozen=True)
class _Simulated:
    """All rows, and what the runs took, the build apart."""

    rows: list[Row]
    wall_time: float
    """s."""
    processor_time: float
    """s of this machine's processors, which says what an idle machine would need; a cluster's do not count."""

    def told(self, runs: int) -> str:
        cycles = sum({row.key: row.simulated_cycles for row in self.rows}.values())
        return (
            f"{runs} runs, {cycles / 1e6:.1f} million cycles in {self.wall_time:.1f} s "
            f"({self.processor_time:.1f} s of processor time)"
        )


def _children() -> float:
    """s of processor time of the workers that have ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


def _simulate(
    console: Console,
    runs: Sequence[Run],
    *,
    jobs: int = 0,
    dask: str | None = None,
    outputs: Outputs | None = None,
    resume: bool = False,
) -> _Simulated:
    """Raises ``RunFailedError`` if a run has no rows."""
    outputs = outputs or Outputs()
    if outputs.timeline:
        # It watches by putting methods in the place of others, which compiled classes do not have.
        os.environ[INTERPRETED] = "1"
    for semantics in sorted({run.itr_semantics for run in runs if run.backend is Backend.RTL}):
        build.bench(waves=outputs.waves, semantics=semantics, announce=lambda text: _announce(console, text))
    if any(run.backend is Backend.MODEL for run in runs):
        if outputs.waves:
            raise UserError("--waves shows signals of the RTL: it goes with --backend rtl")
        Calibration.load()
    started, spent = time.monotonic(), _children()
    progress = Progress(runs)

    def follow(now: Progress) -> None:
        nonlocal progress
        progress = now
        display(now)

    try:
        with ProgressDisplay(console) as display:
            run_all(
                runs,
                store=Store(STORE),
                resume=resume,
                outputs=outputs,
                jobs=jobs,
                dask=dask,
                on_progress=follow,
            )
    except (KeyboardInterrupt, OSError) as error:
        if progress.rows and progress.left:
            console.print(_left(progress), highlight=False, soft_wrap=True)
        if isinstance(error, OSError):
            raise RunFailedError(f"rows cannot be kept: {error.filename or STORE}: {error.strerror}") from error
        raise
    if progress.failed:
        for reason in progress.failed.values():
            console.print(f"failed: {reason}", highlight=False, soft_wrap=True, markup=False)
        raise RunFailedError(
            f"{len(progress.failed)} of {len(runs)} runs failed. {next(iter(progress.failed.values()))}"
        )
    return _Simulated(progress.in_order(), time.monotonic() - started, _children() - spent)


def _left(progress: Progress) -> str:
    """What is done and what is not; all names of the latter go to a file."""
    left = progress.left
    path = EXPERIMENTS / f"{progress.runs[0].experiment}.left"
    named = ", ".join(left[:_NAMED_LEFT]) + (", ..." if len(left) > _NAMED_LEFT else "")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in left))
        where = f" (all in {path})"
    except OSError:
        where = ""
    return f"{len(progress.rows)} of {len(progress.runs)} runs are done and kept; left: {named}{where}"


def report(
    experiments: Annotated[
        list[Path] | None, typer.Argument(help="Experiments (TOML); without one, the main job: a file there and back.")
    ] = None,
    file: FileOption = None,
    modes: Annotated[str, typer.Option(help="InterruptThrottleRate of the main job, with commas.")] = ",".join(
        map(str, DEFAULT_MODES)
    ),
    offloads: Annotated[Offloads, typer.Option(help="TSO and checksum offload of the main job.")] = Offloads.BOTH,
    seed: SeedOption = 1,
    backend: BackendOption = None,
    jobs: JobsOption = 0,
    dask: DaskOption = None,
    output: OutputOption = Path("build/report"),
    waves: WavesOption = False,
) -> None:
    """Run the main job in every mode, or experiments, and make the report."""
    console = Console()
    if experiments and file is not None:
        raise UserError("--file is of the main job; an experiment names its own")
    runs: list[Run] = []
    for path in experiments or []:
        runs += load(path, backend=backend)
    settings = _modes(modes)
    check_directory(output)
    if not experiments:
        if file is None:
            file = build.nic_verilog(lambda text: _announce(console, text))
        runs = main_job(file, modes=settings, offloads=offloads.settings, seed=seed, backend=backend or Backend.RTL)
    # Rows that are there need no run; captures and waves do.
    outputs = Outputs(capture=not experiments, waves=waves)
    simulated = _simulate(console, runs, jobs=jobs, dask=dask, outputs=outputs, resume=not outputs.any)
    rows = simulated.rows
    folders = {run.name: folder_of(run) for run in runs}
    started = time.monotonic()
    write_report(
        output,
        rows,
        conditions(runs, wall_time=simulated.wall_time),
        captures={name: folder / "capture.pcapng" for name, folder in folders.items()} if outputs.capture else {},
        waves={name: folder / "dump.fst" for name, folder in folders.items()} if waves else {},
    )
    console.print(text_table(rows))
    page_time = time.monotonic() - started
    console.print(f"{simulated.told(len(runs))}; the page in {page_time:.1f} s", highlight=False, soft_wrap=True)
    console.print(f"Report: {output / 'index.html'}", highlight=False, soft_wrap=True)


def _print_row(row: Row) -> None:
    for name, unit, _ in describe():
        value = getattr(row, name)
        text = f"{len(value)} values" if isinstance(value, list) else value
        text = json.dumps({key: round(part, 4) for key, part in value.items()}) if isinstance(value, dict) else text
        print(f"{name:28} {text} {unit}".rstrip())


def run(
    experiment: Annotated[Path | None, typer.Argument(help="The experiment (TOML); without it, the main job.")] = None,
    mode: Annotated[int, typer.Option(help="Main job: InterruptThrottleRate, 0, 1, 3, 4 or 100..100000.")] = 3,
    offloads: Annotated[str, typer.Option(help="Main job: TSO and checksum offload, on or off.")] = "on",
    file: FileOption = None,
    seed: SeedOption = 1,
    backend: BackendOption = None,
    jobs: JobsOption = 0,
    waves: WavesOption = False,
    timeline: TimelineOption = False,
    pcap: PcapOption = False,
) -> None:
    """Run an experiment anew, and print its rows; its files stay in build/runs/."""
    console = Console(stderr=True)
    if offloads not in ("on", "off"):
        raise UserError(f"--offloads is on or off, not {offloads!r}")
    if experiment is not None:
        if file is not None:
            raise UserError("--file is of the main job; an experiment names its own")
        runs = load(experiment, backend=backend)
    else:
        settings = _modes(str(mode))
        if file is None:
            file = build.nic_verilog(lambda text: _announce(console, text))
        runs = main_job(file, modes=settings, offloads=(offloads == "on",), seed=seed, backend=backend or Backend.RTL)
    rows = _simulate(console, runs, jobs=jobs, outputs=Outputs(capture=pcap, waves=waves, timeline=timeline)).rows
    for row in rows:
        _print_row(row)
    if experiment is not None:
        _collect(experiment, rows)
    print(f"{'files':28} {folder_of(runs[0]) if len(runs) == 1 else folder_of(runs[0]).parent}")


def _collect(experiment: Path, rows: list[Row]) -> Path:
    path = EXPERIMENTS / f"{experiment.stem}.parquet"
    write_parquet(rows, path)
    return path


def sweep(
    experiment: ExperimentArgument,
    backend: BackendOption = None,
    jobs: JobsOption = 0,
    dask: DaskOption = None,
) -> None:
    """Run what an experiment has no rows of yet, and collect all its rows in build/experiments/."""
    console = Console()
    runs = load(experiment, backend=backend)
    simulated = _simulate(console, runs, jobs=jobs, dask=dask, resume=True)
    path = _collect(experiment, simulated.rows)
    console.print(text_table(simulated.rows))
    console.print(simulated.told(len(runs)), highlight=False, soft_wrap=True)
    console.print(f"Rows: {path}", highlight=False, soft_wrap=True)


def _rows_of(path: Path) -> list[Row]:
    """Rows of a Parquet file, or those collected for an experiment. Raises ``UserError``."""
    if path.suffix == ".toml":
        collected = EXPERIMENTS / f"{path.stem}.parquet"
        if not collected.exists():
            raise UserError(f"{path} has no rows yet: niclab sweep {path} makes them")
        path = collected
    try:
        return read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except ValueError as error:
        raise UserError(str(error)) from None


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Rows: Parquet, or an experiment that has been swept.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The same.")],
) -> None:
    """Say what differs between two sets of rows, run by run, and how sure that is over the seeds."""
    console = Console()
    comparisons = compare_rows(_rows_of(first), _rows_of(second))
    if not comparisons:
        raise UserError(f"{first} and {second} have no run in common")
    console.print(comparison_table(comparisons, str(first), str(second)))
