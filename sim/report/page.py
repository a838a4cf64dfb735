"""The page of the report: one HTML file with everything in it, which asks nothing of any network."""

from collections.abc import Sequence
from functools import cache
from itertools import groupby
from pathlib import Path

import jinja2
import plotly.offline

from sim.report.conditions import Conditions
from sim.report.figures import FIGURES
from sim.report.summary import paragraph
from sim.report.table import COLUMNS
from sim.results import RunResult, describe

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


def page(runs: Sequence[RunResult], conditions: Conditions) -> str:
    """The report of at least one run as HTML."""
    return _template().render(
        summary=paragraph(runs),
        groups=[(name, len(list(columns))) for name, columns in groupby(COLUMNS, key=lambda column: column.group)],
        columns=COLUMNS,
        runs=runs,
        # "<" would end the script element early.
        figures=[(entry, entry.draw(runs).to_json().replace("<", "\\u003c")) for entry in FIGURES],
        conditions=conditions,
        fields=describe(),
        plotly=_inline(plotly.offline.get_plotlyjs()),
    )
