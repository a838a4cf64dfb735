"""The page of the report: one HTML file with everything in it, which asks nothing of any network."""

import json
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
import plotly.offline

from sim.report.cases import Case, cases_of
from sim.report.conditions import Conditions
from sim.report.figures import CASE_FIGURES, POINT_FIGURES
from sim.report.literal_figure import literal_figure
from sim.report.model_error import FIDELITY, model_error
from sim.report.nearest_points import captions
from sim.report.overview import COLUMNS, lines
from sim.report.published import published
from sim.report.recommendation import recommend
from sim.report.style import label
from sim.report.summary import paragraph
from sim.results import Row, describe

__all__ = ["page"]


def _inline(script: str) -> str:
    """A script as it may stand between script tags."""
    return script.replace("</script", "<\\/script")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(Path(__file__).with_name("template.html").read_text(encoding="utf-8"))


def _drawn(cases: Sequence[Case]) -> dict[str, Any]:
    """What the page's script chooses from: by figure, case and (where it matters) load."""
    figures: dict[str, Any] = {}
    for entry in CASE_FIGURES:
        figures[entry.name] = [json.loads(entry.draw(case).to_json()) if entry.wanted(case) else None for case in cases]
    for point in POINT_FIGURES:
        figures[point.name] = [[json.loads(point.draw(case, load).to_json()) for load in case.loads] for case in cases]
    return figures


def page(rows: Sequence[Row], conditions: Conditions, *, fidelity: Path = FIDELITY) -> str:
    """The report of at least one row as HTML. ``fidelity`` is what ``make fidelity`` wrote."""
    cases = cases_of(rows)
    content: dict[str, Any] = {
        "cases": [{"label": case.label, "loads": [case.load_label(load) for load in case.loads]} for case in cases],
        "figures": _drawn(cases),
    }
    drawn = [entry for entry in CASE_FIGURES if any(content["figures"][entry.name])]
    error = model_error(rows, fidelity)
    rule = literal_figure(rows)
    content["nearest"] = captions(cases, error.measured) if error and error.measured else {}
    fixed = {"error": error.figure if error else None}
    fixed |= {"decisions": rule.decisions, "registers": rule.registers} if rule else {}
    content["fixed"] = {name: json.loads(figure.to_json()) for name, figure in fixed.items() if figure is not None}
    return _template().render(
        model_error=error,
        literal_figure=rule,
        summary=paragraph(rows, cases),
        published=published(rows),
        recommendations=[found for case in cases if (found := recommend(case)) is not None],
        cases=cases,
        modes=[(mode, label(mode)) for mode in sorted({row.interrupt_throttle_rate for row in rows})],
        offloads=sorted({row.offloads for row in rows}, reverse=True),
        groups=[(name, len(list(columns))) for name, columns in groupby(COLUMNS, key=lambda column: column.group)],
        columns=COLUMNS,
        lines=[(cases.index(line.case), line.case.loads.index(line.load), line) for line in lines(cases)],
        figures=[*drawn, *POINT_FIGURES],
        # "<" would end the script element early.
        content=json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"),
        conditions=conditions,
        fields=describe(),
        plotly=_inline(plotly.offline.get_plotlyjs()),
    )
