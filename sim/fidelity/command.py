"""``make calibrate`` and ``make fidelity``."""

from rich.console import Console
from rich.progress import Progress

from sim.fidelity.calibrate import calibrate
from sim.fidelity.document import document
from sim.fidelity.errors import Measured, PointError, compare, to_figures
from sim.fidelity.explanations import EXPLANATIONS
from sim.fidelity.grid import GRID
from sim.fidelity.machines import model_outcome, rtl_outcomes
from sim.fidelity.plots import write_plots
from sim.measurement import commit, write
from sim.model.timing import Calibration
from sim.rtl import build

__all__ = ["run_calibration", "run_fidelity"]


def run_calibration(console: Console) -> None:
    """Raises ``RunFailedError`` if the model cannot be made to show what the RTL does."""
    build.bench(announce=lambda text: console.print(f"Building: {text}", highlight=False))
    with console.status("Probing the RTL, then closing each parameter on what its probe shows"):
        calibration = calibrate(announce=lambda text: console.print(text, highlight=False))
    console.print(f"Calibrated for the NIC {calibration.nic}", highlight=False)


def run_fidelity(console: Console, *, jobs: int = 0) -> list[PointError]:
    """Raises ``RunFailedError`` if a scenario fails, ``UserError`` if the calibration is of another NIC."""
    calibration = Calibration.load()
    build.bench(announce=lambda text: console.print(f"Building: {text}", highlight=False))
    with Progress(console=console) as progress:
        task = progress.add_task("Scenarios on the RTL", total=len(GRID))
        outcomes = rtl_outcomes(
            GRID, build.BUILD / "fidelity", jobs=jobs, on_progress=lambda done: progress.update(task, completed=done)
        )
        task = progress.add_task("Scenarios on the model", total=len(GRID))
        points = []
        for scenario, rtl in zip(GRID, outcomes, strict=True):
            points.append(compare(scenario, rtl, model_outcome(scenario, timing=calibration.timing)))
            progress.advance(task)
    here = commit()
    conditions = {"commit": here, "calibration": calibration.commit, "nic": calibration.nic}
    write(to_figures(points, conditions), build.BUILD / "fidelity.json")
    write_plots(points, build.BUILD / "fidelity.html")
    Measured.of(points, commit=here, nic=calibration.nic).write(build.REPOSITORY / "docs" / "fidelity.json")
    text = document(points, calibration, commit=here, explanations=EXPLANATIONS)
    (build.REPOSITORY / "docs" / "fidelity.md").write_text(text)
    identical, good = sum(point.identical for point in points), sum(not point.outside() for point in points)
    console.print(f"{len(points)} points: {identical} identical in every time, {good} within the goals")
    for point in points:
        if point.outside():
            misses = ", ".join(f"{name} {point.error[name]:+.2f} %" for name in point.outside())
            console.print(f"outside: {point.scenario.name}: {misses}", highlight=False)
    return points
