"""How far the model is from the RTL, for reports that used it: what ``make fidelity`` measured."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from sim.report.style import GREY, finished
from sim.results import Row
from sim.rtl import build

__all__ = ["FIDELITY", "ModelError", "model_error"]

FIDELITY = build.BUILD / "fidelity.json"
_COLOURS = {True: "#d55e00", False: GREY}


@dataclass(frozen=True)
class ModelError:
    """``figure`` is None if nothing was measured."""

    text: str
    figure: go.Figure | None


def model_error(rows: Sequence[Row], path: Path = FIDELITY) -> ModelError | None:
    """What is known of the model's error; None if no row is the model's."""
    if all(row.backend != "model" for row in rows):
        return None
    try:
        figures: list[dict[str, Any]] = json.loads(path.read_text())
        errors: dict[str, dict[bool, list[tuple[str, float]]]] = defaultdict(lambda: {True: [], False: []})
        for entry in figures:
            kind, measure, scenario = str(entry["name"]).split(".", 2)
            if kind == "error" and entry["unit"] == "%":
                held_out = bool(entry["conditions"].get("held_out"))
                errors[measure][held_out].append((scenario, float(entry["value"])))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        errors = {}
    if not errors:
        return ModelError(
            "Its error against the RTL was not measured here: make fidelity measures it, and the page shows it then.",
            None,
        )
    figure = go.Figure()
    for held_out in (False, True):
        figure.add_box(
            x=[measure for measure, found in errors.items() for _ in found[held_out]],
            y=[abs(value) for found in errors.values() for _, value in found[held_out]],
            text=[scenario for found in errors.values() for scenario, _ in found[held_out]],
            boxpoints="all",
            jitter=0.5,
            pointpos=0,
            marker={"color": _COLOURS[held_out], "size": 4},
            name="never used in calibration" if held_out else "used in calibration",
        )
    figure.update_layout(boxmode="group")
    figure.update_yaxes(title_text="error (%)", rangemode="tozero")
    worst = {
        measure: max(abs(value) for found in both.values() for _, value in found) for measure, both in errors.items()
    }
    scenarios = len({scenario for both in errors.values() for found in both.values() for scenario, _ in found})
    told = ", ".join(f"{measure.replace('_', ' ')} {value:.2f} %" for measure, value in worst.items())
    return ModelError(f"Over {scenarios} scenarios that both played, at most: {told}.", finished(figure, 420))
