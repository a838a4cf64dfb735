"""Plots of the errors over the grid."""

from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sim.fidelity.errors import GOALS, PointError

__all__ = ["write_plots"]


def write_plots(points: Sequence[PointError], path: Path) -> None:
    """One page, with a plot for each measure that has a goal."""
    figure = make_subplots(rows=len(GOALS), cols=1, subplot_titles=[f"{name}, error in %" for name in GOALS])
    for row, (name, goal) in enumerate(GOALS.items(), start=1):
        for held, colour in ((False, "#1f77b4"), (True, "#d62728")):
            group = [point for point in points if point.scenario.held_out is held]
            figure.add_trace(
                go.Scatter(
                    x=[point.scenario.name for point in group],
                    y=[point.error[name] for point in group],
                    mode="markers",
                    marker={"color": colour},
                    name="held out" if held else "others",
                    showlegend=row == 1,
                ),
                row=row,
                col=1,
            )
        for limit in (-goal, goal):
            figure.add_hline(y=limit, line_dash="dot", row=row, col=1)
    figure.update_layout(height=420 * len(GOALS), title="The model against the RTL")
    figure.write_html(path, include_plotlyjs=True)
