"""The command line: ``niclab report`` makes the report, ``niclab run`` runs one experiment.

Exit status as ``sim.entry`` has it.
"""

import json
import stat
import time
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from driver.itr import parse_interrupt_throttle_rate
from sim import benchmarks, formal, synthesis
from sim import coverage as verilog_coverage
from sim.backend import Backend
from sim.board import commands as board
from sim.entry import run as run_application
from sim.errors import RunFailedError, UserError
from sim.experiment import DEFAULT_MODES, Experiment, main_job
from sim.fidelity.command import run_calibration, run_fidelity
from sim.measurement import write
from sim.model.timing import Calibration
from sim.packetdrill.command import app as packetdrill_app
from sim.progress import ProgressDisplay
from sim.qemu.commands import app as qemu_app
from sim.realtime.commands import app as realtime_app
from sim.report.conditions import conditions
from sim.report.table import text_table
from sim.report.writer import check_directory, write_report
from sim.results import RunResult, describe
from sim.rtl import build
from sim.runner import RUNS, run_all

__all__ = ["main"]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


class Offloads(StrEnum):
    ON = "on"
    OFF = "off"
    BOTH = "both"

    @property
    def settings(self) -> tuple[bool, ...]:
        return {"on": (True,), "off": (False,), "both": (True, False)}[self.value]


OutputOption = Annotated[Path, typer.Option(help="Directory of the report, replaced when the new one is complete.")]
FileOption = Annotated[Path | None, typer.Option(help="The file to transfer.", show_default="the NIC's own Verilog")]
SeedOption = Annotated[int, typer.Option(help="Seed of each run's random numbers.")]
BackendOption = Annotated[Backend, typer.Option(help="What plays the NIC: the Verilated RTL, or the fast model.")]
WavesOption = Annotated[bool, typer.Option("--waves", help="Write waveforms (FST); several times slower.")]


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


def _check_waves(waves: bool, backend: Backend) -> None:
    if waves and backend is not Backend.RTL:
        raise UserError("--waves shows signals of the RTL: it goes with --backend rtl")


def _check_file(file: Path) -> None:
    """Raises ``UserError`` unless the file can be read to its end; an empty one can."""
    try:
        # Opening a pipe would wait for its writer, so the kind of file is looked at first.
        kind = file.stat().st_mode
        if stat.S_ISDIR(kind):
            raise UserError(f"{file} is a directory, not a file")
        if not stat.S_ISREG(kind):
            raise UserError(f"{file} is not a regular file")
        with file.open("rb") as content:
            content.read(1)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _simulate(console: Console, experiments: list[Experiment], *, jobs: int) -> tuple[list[RunResult], float]:
    """The rows, and the seconds that the runs took."""
    if experiments[0].backend is Backend.RTL:
        build.bench(
            waves=experiments[0].waves, announce=lambda text: console.print(f"Building: {text}", highlight=False)
        )
    else:
        Calibration.load()
    started = time.monotonic()
    with ProgressDisplay(console, len(experiments)) as display:
        runs = run_all(experiments, jobs=jobs, on_progress=display)
    return runs, time.monotonic() - started


def _default_file(console: Console) -> Path:
    return build.nic_verilog(lambda text: console.print(f"Building: {text}", highlight=False))


@app.command()
def report(
    file: FileOption = None,
    modes: Annotated[str, typer.Option(help="InterruptThrottleRate of the runs, with commas.")] = ",".join(
        map(str, DEFAULT_MODES)
    ),
    offloads: Annotated[Offloads, typer.Option(help="TSO and checksum offload.")] = Offloads.BOTH,
    seed: SeedOption = 1,
    jobs: Annotated[int, typer.Option(min=0, help="Simulators at a time; 0: one per processor.")] = 0,
    output: OutputOption = Path("build/report"),
    waves: WavesOption = False,
    backend: BackendOption = Backend.RTL,
) -> None:
    """Run the main job in every mode, and make the report."""
    console = Console()
    settings = _modes(modes)
    if file is not None:
        _check_file(file)
    _check_waves(waves, backend)
    check_directory(output)
    if file is None:
        file = _default_file(console)
    experiments = main_job(file, modes=settings, offloads=offloads.settings, seed=seed, waves=waves, backend=backend)
    runs, wall_time = _simulate(console, experiments, jobs=jobs)
    folders = {experiment.name: RUNS / experiment.name for experiment in experiments}
    write_report(
        output,
        runs,
        conditions(experiments, runs, wall_time=wall_time),
        captures={name: folder / "capture.pcapng" for name, folder in folders.items()},
        waves={name: folder / "dump.fst" for name, folder in folders.items()} if waves else {},
    )
    console.print(text_table(runs))
    console.print(f"Report: {output / 'index.html'}", highlight=False, soft_wrap=True)


@app.command()
def run(
    mode: Annotated[int, typer.Option(help="InterruptThrottleRate: 0, 1, 3, 4 or 100..100000.")] = 3,
    offloads: Annotated[str, typer.Option(help="TSO and checksum offload: on or off.")] = "on",
    file: FileOption = None,
    seed: SeedOption = 1,
    waves: WavesOption = False,
    backend: BackendOption = Backend.RTL,
) -> None:
    """Run one experiment, and print its row; its files stay in build/runs/."""
    console = Console(stderr=True)
    if offloads not in ("on", "off"):
        raise UserError(f"--offloads is on or off, not {offloads!r}")
    settings = _modes(str(mode))
    _check_waves(waves, backend)
    if file is not None:
        _check_file(file)
    else:
        file = _default_file(console)
    experiments = main_job(file, modes=settings, offloads=(offloads == "on",), seed=seed, waves=waves, backend=backend)
    [row], _ = _simulate(console, experiments, jobs=1)
    for name, unit, _ in describe():
        value = getattr(row, name)
        text = f"{len(value)} values" if isinstance(value, list) else value
        text = json.dumps({key: round(share, 4) for key, share in value.items()}) if isinstance(value, dict) else text
        print(f"{name:32} {text} {unit}".rstrip())
    print(f"{'files':32} {RUNS / experiments[0].name}")


app.add_typer(realtime_app)
app.add_typer(packetdrill_app)
app.add_typer(qemu_app)
app.add_typer(board.app, name="board")


@app.command()
def bench() -> None:
    """Measure the speed of the simulation, print it, and write build/bench.json."""
    figures = []
    for figure in benchmarks.measure():
        figures.append(figure)
        value = f"{figure.name:24} {figure.value:13,.4g} {figure.unit:20}"
        print(f"{value} limit {figure.limit:13,.4g}  ratio {figure.ratio:.3f}", flush=True)
    path = build.BUILD / "bench.json"
    write(figures, path)
    print(f"Figures: {path}")


@app.command()
def calibrate() -> None:
    """Measure the RTL's stages, and write the model's calibration (sim/model/calibration.json)."""
    run_calibration(Console())


@app.command()
def fidelity(
    jobs: Annotated[int, typer.Option(min=0, help="Simulators at a time; 0: one per processor.")] = 0,
) -> None:
    """Measure the model's distance to the RTL: build/fidelity.json, build/fidelity.html and docs/fidelity.md."""
    run_fidelity(Console(), jobs=jobs)


@app.command()
def synth() -> None:
    """Synthesise, place and route the NIC for an ECP5, print area and frequencies, and write build/synth.json."""
    figures = synthesis.measure(lambda text: print(text, flush=True))
    for figure in figures:
        if figure.name.startswith("area."):
            print(f"{figure.name:32} {figure.value:6.0f}")
    path = build.BUILD / "synth.json"
    write(figures, path)
    print(f"Figures: {path}")
    if short := synthesis.check(figures):
        raise RunFailedError("; ".join(short))


@app.command()
def coverage() -> None:
    """Print what the tests run by `make coverage` reached, and write build/coverage.json and build/uncovered.md."""
    figures, uncovered = verilog_coverage.measure()
    for figure in figures:
        of = f"{figure.conditions['reached']} of {figure.conditions['of']}"
        print(f"{figure.name:24} {figure.value:6.2f} %  {of:>17}")
    write(figures, build.BUILD / "coverage.json")
    path = build.BUILD / "uncovered.md"
    path.write_text(uncovered)
    print(f"Not reached, one by one: {path}")
    if short := verilog_coverage.check(figures):
        raise RunFailedError(short)


@app.command("formal")
def prove(
    only: Annotated[list[str] | None, typer.Argument(help="Proofs or families by name; all if none is given.")] = None,
) -> None:
    """Prove what the NIC's parts promise, refute a mutant of each, and write build/formal.json."""
    console = Console()
    started = time.monotonic()
    proofs = formal.select(only or [])
    outcomes = formal.prove_all(
        proofs,
        lambda outcome: console.print(
            f"{outcome.proof.name}{', mutant' if outcome.mutated else ''}: {outcome.result}, {outcome.seconds:.1f} s",
            highlight=False,
        ),
    )
    console.print(formal.table(outcomes))
    path = build.BUILD / "formal.json"
    write(formal.figures(outcomes, seconds=time.monotonic() - started), path)
    console.print(f"Figures: {path}", highlight=False, soft_wrap=True)
    if failures := formal.check(outcomes):
        raise RunFailedError("; ".join(failures))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"niclab {version('niclab')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """An e1000 that you can open: the NIC in RTL, its driver and stack, and reports."""


def main() -> None:
    """Run any command."""
    run_application(app)


if __name__ == "__main__":
    main()
