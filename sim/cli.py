"""The command line: ``niclab report`` makes the report, ``niclab sweep`` runs an experiment.

Exit status as ``sim.entry`` has it.
"""

import time
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console

from sim import benchmarks, ethtool_command, formal, synthesis
from sim import coverage as verilog_coverage
from sim.board import commands as board
from sim.entry import run as run_application
from sim.errors import RunFailedError
from sim.experiment_commands import compare, report, run, sweep
from sim.fidelity.command import run_calibration, run_fidelity
from sim.measurement import write
from sim.packetdrill.command import app as packetdrill_app
from sim.qemu.commands import app as qemu_app
from sim.realtime.commands import app as realtime_app
from sim.rtl import build

__all__ = ["main"]

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
ethtool_command.register(app)


for command in (report, run, sweep, compare):
    app.command()(command)


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


@app.command("compile")
def compile_modules() -> None:
    """Compile the model, the driver and the stack into build/compiled: the same figures of the model, faster."""
    from sim.compiler import build as compile_sources  # with setuptools, which is for this alone

    console = Console()
    with console.status("Compiling, a minute or two"):
        place = compile_sources()
    console.print(f"Compiled: {place}", highlight=False, soft_wrap=True)


@app.command()
def calibrate() -> None:
    """Measure the RTL's stages, and write the model's calibration (sim/model/calibration.json)."""
    run_calibration(Console())


@app.command()
def fidelity(
    jobs: Annotated[int, typer.Option(min=0, help="Simulators at a time; 0: one per processor.")] = 0,
) -> None:
    """Measure the model's distance to the RTL: build/fidelity.json and .html, docs/fidelity.md and .json."""
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
