"""How far the model is from the RTL, for reports that used it: what ``make fidelity`` measured."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go

from sim.fidelity.errors import Measured
from sim.report.style import GREY, finished
from sim.results import Row
from sim.rtl import build

__all__ = ["FIDELITY", "ModelError", "model_error"]

FIDELITY = build.REPOSITORY / "docs" / "fidelity.json"
"""Written by ``make fidelity``, and kept with the sources, so that every report has it."""
_COLOURS = {True: "#d55e00", False: GREY}
_IN_NS = "interrupt_times"


@dataclass(frozen=True)
class ModelError:
    """``figure`` and ``measured`` are None if nothing was measured."""

    text: str
    figure: go.Figure | None
    measured: Measured | None


def model_error(rows: Sequence[Row], path: Path = FIDELITY) -> ModelError | None:
    """What is known of the model's error; None if no row is the model's."""
    if all(row.backend != "model" for row in rows):
        return None
    try:
        measured = Measured.read(path)
    except (OSError, ValueError):
        return ModelError(
            "Its error against the RTL was not measured here: make fidelity measures it, and the page shows it then.",
            None,
            None,
        )
    errors: dict[str, dict[bool, list[tuple[str, float]]]] = defaultdict(lambda: {True: [], False: []})
    for scenario, found in measured.errors.items():
        for measure, value in found.items():
            if measure != _IN_NS:
                errors[measure][scenario in measured.held_out].append((scenario, abs(value)))
    figure = go.Figure()
    for held_out in (False, True):
        figure.add_box(
            x=[measure for measure, both in errors.items() for _ in both[held_out]],
            y=[value for both in errors.values() for _, value in both[held_out]],
            text=[scenario for both in errors.values() for scenario, _ in both[held_out]],
            boxpoints="all",
            jitter=0.5,
            pointpos=0,
            marker={"color": _COLOURS[held_out], "size": 4},
            name="never used in calibration" if held_out else "used in calibration",
        )
    figure.update_layout(boxmode="group")
    figure.update_yaxes(title_text="error (%)", rangemode="tozero")
    worst = {measure: max(value for one in both.values() for _, value in one) for measure, both in errors.items()}
    told = ", ".join(f"{measure.replace('_', ' ')} {value:.2f} %" for measure, value in worst.items())
    return ModelError(
        f"Over {len(measured.errors)} scenarios that both played at commit {measured.commit}, at most: {told}.",
        finished(figure, 420),
        measured,
    )
