"""Figures of a case at one load: distributions, trades, shares by cause."""

import plotly.graph_objects as go

from sim.report.cases import Case
from sim.report.style import CAUSE_COLOURS, DROP_COLOURS, GREY, LOGARITHMIC, colour, finished, trace_key, variant_label
from sim.results import DROP_CAUSES, QUANTILES, Row
from sim.statistics import mean

__all__ = ["cpu_by_cause", "distribution", "drops", "front", "pareto"]


def _modes(case: Case) -> list[int]:
    return [mode for mode, _ in case.variants]


def distribution(case: Case, load: float) -> go.Figure:
    """Cumulative distribution of the latency: each quantile is the mean over the seeds."""
    figure = go.Figure()
    for variant in case.variants:
        measured = [row.latencies for row in case.at(load, variant) if row.latencies]
        if not measured:
            continue
        mode, on = variant
        figure.add_scatter(
            x=[1e6 * sum(values) / len(values) for values in zip(*measured, strict=True)],
            y=[100 * share for share in QUANTILES],
            mode="lines",
            line={"color": colour(mode, _modes(case)), "dash": "solid" if on else "dot"},
            **trace_key(variant, legend=True),
        )
    figure.update_xaxes(title_text="latency (µs)", **LOGARITHMIC)
    figure.update_yaxes(title_text="share that took no longer (%)", range=[0, 101])
    return finished(figure, 420)


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other point beats in one quantity without losing in the other, by the first quantity."""
    best: list[tuple[float, float]] = []
    for point in sorted(set(points)):
        if not best or point[1] < best[-1][1]:
            best.append(point)
    return best


def pareto(case: Case, load: float) -> go.Figure:
    """99th percentile of the latency against the processor's load, and the front of those that nothing beats."""
    figure = go.Figure()
    points = []
    for variant in case.variants:
        rows = [row for row in case.at(load, variant) if row.latency_count]
        if not rows:
            continue
        mode, on = variant
        busy, late = mean([100 * row.busy for row in rows]), mean([1e6 * row.latency_p99 for row in rows])
        points.append((busy.value, late.value))
        tint = colour(mode, _modes(case))
        bar = {"type": "data", "thickness": 1.2, "width": 3, "color": tint}
        figure.add_scatter(
            x=[busy.value],
            y=[late.value],
            error_x=bar | {"array": [busy.half]},
            error_y=bar | {"array": [late.half]},
            mode="markers",
            marker={"color": tint, "size": 11, "symbol": "circle" if on else "diamond-open"},
            **trace_key(variant, legend=True),
        )
    best = front(points)
    figure.add_scatter(
        x=[x for x, _ in best],
        y=[y for _, y in best],
        mode="lines",
        line={"color": GREY, "dash": "dash", "width": 1},
        name="front",
        hoverinfo="skip",
    )
    figure.update_xaxes(title_text="processor busy (%)", rangemode="tozero")
    figure.update_yaxes(title_text="latency p99 (µs)")
    if points and min(y for _, y in points) > 0:
        figure.update_yaxes(**LOGARITHMIC)
    return finished(figure, 420)


def _mean_of(rows: list[Row], field: str, key: str) -> float:
    return sum(float(getattr(row, field)[key]) for row in rows) / len(rows)


def drops(case: Case, load: float) -> go.Figure:
    """Share of the frames of a point that ended early, by cause, mean over the seeds."""
    figure = go.Figure()
    points = [(variant, rows) for variant in case.variants if (rows := case.at(load, variant))]
    labels = [variant_label(variant) for variant, _ in points]
    total = 0.0
    for cause in DROP_CAUSES:
        shares = []
        for _, rows in points:
            frames = sum(row.frames_received + row.frames_sent for row in rows) / len(rows)
            shares.append(100 * _mean_of(rows, "drops", cause) / max(frames, 1.0))
        if sum(shares):
            total += sum(shares)
            figure.add_bar(x=labels, y=shares, name=cause, marker_color=DROP_COLOURS[cause])
    if not total:
        figure.add_bar(x=labels, y=[0.0] * len(labels), showlegend=False)
        figure.add_annotation(text="no frame was dropped", showarrow=False, xref="paper", yref="paper", x=0.5, y=0.5)
    figure.update_layout(barmode="stack")
    figure.update_xaxes(type="category")
    figure.update_yaxes(title_text="frames dropped (%)", range=None if total else [0, 1], rangemode="tozero")
    return finished(figure, 400)


def cpu_by_cause(case: Case, load: float) -> go.Figure:
    """Stacked shares of the processor's time, one bar per mode and setting of the offloads, mean over the seeds."""
    figure = go.Figure()
    points = [(variant, rows) for variant in reversed(case.variants) if (rows := case.at(load, variant))]
    known = [*CAUSE_COLOURS, *(cause for cause in case.rows[0].cpu if cause not in CAUSE_COLOURS)]
    for cause in known:
        shares: list[float] = [100 * _mean_of(rows, "cpu", cause) for _, rows in points]
        if cause == "idle" or any(shares):
            figure.add_bar(
                orientation="h",
                y=[variant_label(variant) for variant, _ in points],
                x=shares,
                marker_color=CAUSE_COLOURS.get(cause, GREY),
                name=cause.replace("_", " "),
                hovertemplate="%{y}: %{x:.2f} %",
            )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title_text="share of host A's processor time (%)")
    figure.update_yaxes(type="category")
    return finished(figure, 230 + 30 * len(points))
