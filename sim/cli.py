"""The command line: ``niclab report`` makes the report, ``niclab run`` runs one experiment.

Exit status: 0 done, 1 a run failed, 2 something the user can put right (one line on stderr), 130 interrupted.
"""

import json
import signal
import stat
import sys
import time
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from driver.itr import parse_interrupt_throttle_rate
from sim import benchmarks, ethtool_command, formal, synthesis
from sim import coverage as verilog_coverage
from sim.errors import RunFailedError, UserError
from sim.experiment import DEFAULT_MODES, Experiment, main_job
from sim.measurement import write
from sim.progress import ProgressDisplay
from sim.report.conditions import conditions
from sim.report.table import text_table
from sim.report.writer import check_directory, write_report
from sim.results import RunResult, describe
from sim.rtl import build
from sim.runner import RUNS, run_all

__all__ = ["main"]

_INTERRUPTED = 130
"""What typer returns after Ctrl-C: 128 and the number of SIGINT, as shells have it."""

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
ethtool_command.register(app)


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
    build.bench(waves=experiments[0].waves, announce=lambda text: console.print(f"Building: {text}", highlight=False))
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
) -> None:
    """Run the main job in every mode, and make the report."""
    console = Console()
    settings = _modes(modes)
    if file is not None:
        _check_file(file)
    check_directory(output)
    if file is None:
        file = _default_file(console)
    experiments = main_job(file, modes=settings, offloads=offloads.settings, seed=seed, waves=waves)
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
) -> None:
    """Run one experiment, and print its row; its files stay in build/runs/."""
    console = Console(stderr=True)
    if offloads not in ("on", "off"):
        raise UserError(f"--offloads is on or off, not {offloads!r}")
    settings = _modes(str(mode))
    if file is not None:
        _check_file(file)
    else:
        file = _default_file(console)
    experiments = main_job(file, modes=settings, offloads=(offloads == "on",), seed=seed, waves=waves)
    [row], _ = _simulate(console, experiments, jobs=1)
    for name, unit, _ in describe():
        value = getattr(row, name)
        text = f"{len(value)} values" if isinstance(value, list) else value
        text = json.dumps({key: round(share, 4) for key, share in value.items()}) if isinstance(value, dict) else text
        print(f"{name:32} {text} {unit}".rstrip())
    print(f"{'files':32} {RUNS / experiments[0].name}")


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


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> None:
    """The entry point ``niclab``."""
    # By default these end the process at once, which would leave the simulators behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminate)
    try:
        status = app(standalone_mode=False, prog_name="niclab")
    except typer.TyperException as error:
        _fail(error.format_message(), error.exit_code)
    except UserError as error:
        _fail(str(error), 2)
    except RunFailedError as error:
        _fail(str(error), 1)
    except OSError as error:
        _fail(f"{error.filename or 'output'}: {error.strerror}", 1)
    if status == _INTERRUPTED:
        _fail("interrupted; no report was written", status)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> None:
    if message:  # without arguments the help has been printed, and that is all there is to say
        print(f"niclab: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
