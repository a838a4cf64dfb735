"""Figures of a case at one load over simulated time, of the first seed: the throttle, and the rings."""

from collections.abc import Sequence
from typing import TypeVar

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sim.report.cases import Case
from sim.report.style import colour, finished, trace_key

__all__ = ["rings", "throttle"]

_CLASSES = ("lowest", "low", "bulk")
_POINTS = 1500
T = TypeVar("T")


def _thinned(values: Sequence[T]) -> list[T]:
    """At most so many values that a page stays small, evenly taken; the last one is among them."""
    step = -(-len(values) // _POINTS) or 1
    return [*values[:-1:step], *values[-1:]]


def throttle(case: Case, load: float) -> go.Figure:
    """The slower class of both directions, and the register, as the driver wrote them."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06, row_heights=[0.3, 0.7])
    modes = [mode for mode, _ in case.variants]
    for variant in case.variants:
        rows = case.at(load, variant)
        if not rows:
            continue
        mode, on = variant
        row = rows[0]
        # The register holds 0, its reset value, until the driver writes it, and its last value to the end.
        log = _thinned(row.itr_log) or [{"time": 0.0, "register": 0, "rx_class": 0, "tx_class": 0}]
        times = [1e3 * max(write["time"], 0.0) for write in log] + [1e3 * row.duration]
        line = {"shape": "hv", "color": colour(mode, modes), "dash": "solid" if on else "dot"}
        registers = [write["register"] for write in log]
        figure.add_scatter(
            x=times,
            y=[*registers, registers[-1]],
            mode="lines",
            line=line,
            **trace_key(variant, legend=True),
            row=2,
            col=1,
        )
        if mode in (1, 3):
            classes = [max(write["rx_class"], write["tx_class"]) for write in log]
            figure.add_scatter(
                x=times,
                y=[*classes, classes[-1]],
                mode="lines",
                line=line,
                **trace_key(variant, legend=False),
                row=1,
                col=1,
            )
    figure.update_yaxes(title_text="class", tickvals=[0, 1, 2], ticktext=[*_CLASSES], range=[-0.2, 2.2], row=1, col=1)
    figure.update_yaxes(title_text="ITR (256 ns)", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(title_text="simulated time (ms)", row=2, col=1)
    return finished(figure, 460)


def rings(case: Case, load: float) -> go.Figure:
    """Frames that wait for the driver (receive), descriptors that wait for the NIC (transmit)."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
    modes = [mode for mode, _ in case.variants]
    for variant in case.variants:
        rows = case.at(load, variant)
        if not rows:
            continue
        mode, on = variant
        samples = _thinned(rows[0].rings)
        for row, field in ((1, "rx"), (2, "tx")):
            figure.add_scatter(
                x=[1e3 * sample["time"] for sample in samples],
                y=[sample[field] for sample in samples],  # type: ignore[literal-required]
                mode="lines",
                line={"color": colour(mode, modes), "dash": "solid" if on else "dot", "width": 1.2},
                **trace_key(variant, legend=row == 1),
                row=row,
                col=1,
            )
    figure.update_yaxes(title_text="receive ring", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="transmit ring", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(title_text="simulated time (ms)", row=2, col=1)
    return finished(figure, 460)
