"""The command line: ``niclab report`` makes the report, ``niclab sweep`` runs an experiment.

Exit status: 0 done, 1 a run failed, 2 something the user can put right (one line on stderr), 130 interrupted.
"""

import signal
import sys
import time
from importlib.metadata import version
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from sim import benchmarks, ethtool_command, formal, synthesis
from sim import coverage as verilog_coverage
from sim.errors import RunFailedError, UserError
from sim.experiment_commands import compare, report, run, sweep
from sim.fidelity.command import run_calibration, run_fidelity
from sim.measurement import write
from sim.rtl import build

__all__ = ["main"]

_INTERRUPTED = 130
"""What typer returns after Ctrl-C: 128 and the number of SIGINT, as shells have it."""

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
ethtool_command.register(app)


for command in (report, run, sweep, compare):
    app.command()(command)


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
