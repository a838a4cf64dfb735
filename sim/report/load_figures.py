"""Figures of a case against its load: one line per mode and setting of the offloads, intervals over the seeds."""

from collections.abc import Callable, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sim.report.cases import Case
from sim.report.style import LOGARITHMIC, colour, finished, label, trace_key
from sim.results import Row
from sim.statistics import mean

__all__ = ["cpu", "interrupts", "latency", "offloads", "throughput", "throughput_panels"]

Value = Callable[[Row], float]
_DECADE = 10.0


def _against_load(case: Case, panels: Sequence[tuple[str, Value]], *, logarithmic: bool = False) -> go.Figure:
    """A panel above the other for each title and value; bars per mode where there is one load only."""
    figure = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    modes = [mode for mode, _ in case.variants]
    single = len(case.loads) == 1
    for variant in case.variants:
        mode, on = variant
        tint = colour(mode, modes)
        for row, (_, value) in enumerate(panels, start=1):
            found = [
                (load, mean([value(item) for item in case.at(load, variant)]))
                for load in case.loads
                if case.at(load, variant)
            ]
            heights = [point.value for _, point in found]
            error = {"type": "data", "array": [point.half for _, point in found], "thickness": 1.2, "width": 3}
            if single:
                figure.add_bar(
                    x=[label(mode)],
                    y=heights,
                    error_y=error,
                    marker={"color": tint, "pattern": {"shape": "" if on else "/"}},
                    offsetgroup="on" if on else "off",
                    **trace_key(variant, legend=row == 1),
                    row=row,
                    col=1,
                )
            else:
                figure.add_scatter(
                    x=[load for load, _ in found],
                    y=heights,
                    error_y=error | {"color": tint},
                    mode="lines+markers",
                    line={"color": tint, "dash": "solid" if on else "dot"},
                    marker={"symbol": "circle" if on else "circle-open", "size": 7},
                    **trace_key(variant, legend=row == 1),
                    row=row,
                    col=1,
                )
    wide = not single and case.loads[0] > 0 and case.loads[-1] / case.loads[0] >= _DECADE
    if single:
        order = [label(mode) for mode in sorted(set(modes))]
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    elif wide:
        figure.update_xaxes(**LOGARITHMIC)
    title = "InterruptThrottleRate" if single else f"load ({case.load_unit})"
    figure.update_xaxes(title_text=title, row=len(panels), col=1)
    for row, (text, _) in enumerate(panels, start=1):
        figure.update_yaxes(title_text=text, row=row, col=1)
    figure.update_yaxes(**LOGARITHMIC) if logarithmic else figure.update_yaxes(rangemode="tozero")
    return finished(figure, 200 + 190 * len(panels))


def latency(case: Case) -> go.Figure:
    """Median and 99th percentile."""
    panels = [("p50 (µs)", lambda row: 1e6 * row.latency_p50), ("p99 (µs)", lambda row: 1e6 * row.latency_p99)]
    return _against_load(case, panels, logarithmic=len(case.loads) > 1)


def interrupts(case: Case) -> go.Figure:
    panels: list[tuple[str, Value]] = [
        ("interrupts/s", lambda row: row.interrupt_rate),
        ("packets per interrupt", lambda row: row.packets_per_interrupt),
    ]
    return _against_load(case, panels)


def cpu(case: Case) -> go.Figure:
    return _against_load(case, [("processor busy (%)", lambda row: 100 * row.busy)])


def throughput_panels(case: Case) -> list[tuple[str, Value]]:
    """What the case's programs got: payload, answers, or both; round trips of the main job count no payload."""
    panels: list[tuple[str, Value]] = []
    if any(row.goodput for row in case.rows):
        panels.append(("goodput (Mb/s)", lambda row: row.goodput / 1e6))
    if any(row.transactions for row in case.rows):
        panels.append(("transactions/s", lambda row: row.transaction_rate))
    return panels


def throughput(case: Case) -> go.Figure:
    return _against_load(case, throughput_panels(case))


def offloads(case: Case) -> go.Figure:
    """Throughput and load of the processor with offloads and without, at the highest load."""
    values: list[tuple[str, Value]] = [*throughput_panels(case), ("processor busy (%)", lambda row: 100 * row.busy)]
    figure = make_subplots(rows=len(values), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    load = case.loads[-1]
    modes = [mode for mode, _ in case.variants]
    for row, (title, value) in enumerate(values, start=1):
        for variant in case.variants:
            rows = case.at(load, variant)
            if not rows:
                continue
            mode, on = variant
            point = mean([value(item) for item in rows])
            figure.add_bar(
                x=[label(mode)],
                y=[point.value],
                error_y={"type": "data", "array": [point.half], "thickness": 1.2, "width": 3},
                marker={"color": colour(mode, modes), "pattern": {"shape": "" if on else "/"}},
                offsetgroup="on" if on else "off",
                **trace_key(variant, legend=False),
                row=row,
                col=1,
            )
        figure.update_yaxes(title_text=title, rangemode="tozero", row=row, col=1)
    order = [label(mode) for mode in sorted(set(modes))]
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    figure.update_xaxes(title_text="InterruptThrottleRate; hatched: offloads off", row=len(values), col=1)
    return finished(figure, 80 + 190 * len(values))
