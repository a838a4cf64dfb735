"""The figures of the report: one function each, from rows to a plotly figure."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sim.report.style import CAUSE_COLOURS, colours, label, modes, run_label
from sim.results import RunResult

__all__ = [
    "FIGURES",
    "FigureEntry",
    "cpu_by_cause",
    "goodput",
    "itr_register",
    "latency_against_cpu",
    "receive_latency",
]

Runs = Sequence[RunResult]

_CDF_POINTS = 400
_KEY_COLOUR = "#8c8c8c"


def _finished(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 12, "r": 12, "t": 30, "b": 12},
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0, "itemwidth": 30},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12},
    )
    figure.update_xaxes(automargin=True, gridcolor="rgba(128,128,128,0.25)", zerolinecolor="rgba(128,128,128,0.5)")
    figure.update_yaxes(automargin=True, gridcolor="rgba(128,128,128,0.25)", zerolinecolor="rgba(128,128,128,0.5)")
    return figure


def _settings(runs: Runs) -> list[bool]:
    return sorted({run.offloads for run in runs}, reverse=True)


def _offloads(on: bool) -> str:
    return f"offloads {'on' if on else 'off'}"


def _key(run: RunResult, named: set[int]) -> dict[str, Any]:
    """A trace's place in the legend, which has one entry per mode; ``named`` holds the modes that have theirs."""
    mode = run.interrupt_throttle_rate
    first = mode not in named
    named.add(mode)
    return {"name": label(mode), "legendgroup": label(mode), "showlegend": first, "hovertext": run_label(run)}


def _short(value: float) -> str:
    """A number of at most five characters, for a label above a bar."""
    if value >= 1000:
        return f"{value / 1000:.1f}k"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _bars(runs: Runs, *, send: str, receive: str, unit: str, scale: float = 1.0) -> go.Figure:
    """Bars per mode, sending above receiving, from the fields named ``send`` and ``receive``."""
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.12, subplot_titles=("sending", "receiving")
    )
    palette = colours(runs)
    for on in _settings(runs):
        chosen = sorted((run for run in runs if run.offloads is on), key=lambda run: run.interrupt_throttle_rate)
        for row, field in ((1, send), (2, receive)):
            figure.add_bar(
                x=[label(run.interrupt_throttle_rate) for run in chosen],
                y=[getattr(run, field) * scale for run in chosen],
                marker={
                    "color": [palette[run.interrupt_throttle_rate] for run in chosen],
                    "pattern": {"shape": "" if on else "/"},
                },
                name=_offloads(on),
                text=[_short(getattr(run, field) * scale) for run in chosen],
                textposition="outside",
                textangle=0,
                constraintext="none",
                textfont_size=10,
                offsetgroup=_offloads(on),
                cliponaxis=False,
                showlegend=False,
                row=row,
                col=1,
            )
        figure.add_bar(
            x=[None],
            y=[None],
            name=_offloads(on),
            offsetgroup=_offloads(on),
            marker={"color": _KEY_COLOUR, "pattern": {"shape": "" if on else "/"}},
        )
    order = [label(mode) for mode in modes(runs)]
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=order)
    figure.update_xaxes(title_text="InterruptThrottleRate", row=2, col=1)
    figure.update_yaxes(title_text=unit, rangemode="tozero")
    return _finished(figure, 480)


def goodput(runs: Runs) -> go.Figure:
    return _bars(runs, send="send_goodput", receive="receive_goodput", unit="goodput (Mb/s)", scale=1e-6)


def interrupt_rate(runs: Runs) -> go.Figure:
    return _bars(runs, send="send_interrupt_rate", receive="receive_interrupt_rate", unit="interrupts per second")


def packets_per_interrupt(runs: Runs) -> go.Figure:
    return _bars(
        runs,
        send="send_packets_per_interrupt",
        receive="receive_packets_per_interrupt",
        unit="packets per interrupt",
    )


def cpu_by_cause(runs: Runs) -> go.Figure:
    """Stacked shares, one bar per run, sending above receiving."""
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08, subplot_titles=("sending", "receiving")
    )
    ordered = sorted(runs, key=lambda run: (run.interrupt_throttle_rate, not run.offloads), reverse=True)
    found = {cause for run in runs for cause in (*run.send_cpu, *run.receive_cpu)}
    causes = [cause for cause in CAUSE_COLOURS if cause in found] + sorted(found - CAUSE_COLOURS.keys())
    for cause in causes:
        for row, field in ((1, "send_cpu"), (2, "receive_cpu")):
            figure.add_bar(
                orientation="h",
                y=[run_label(run) for run in ordered],
                x=[100 * getattr(run, field).get(cause, 0.0) for run in ordered],
                marker_color=CAUSE_COLOURS.get(cause, _KEY_COLOUR),
                name=cause.replace("_", " "),
                legendgroup=cause,
                showlegend=row == 1,
                hovertemplate="%{y}: %{x:.2f} %",
                row=row,
                col=1,
            )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title_text="share of host A's processor (%)", row=2, col=1)
    figure.update_yaxes(type="category")
    return _finished(figure, 220 + 52 * len(runs))


def receive_latency(runs: Runs) -> go.Figure:
    """Cumulative distribution, drawn through at most ``_CDF_POINTS`` quantiles, the extremes included."""
    figure = go.Figure()
    palette = colours(runs)
    named: set[int] = set()
    for run in runs:
        if not run.receive_latencies:
            continue
        count = min(_CDF_POINTS, len(run.receive_latencies))
        shares = np.linspace(0.0, 1.0, count) if count > 1 else np.array([1.0])
        figure.add_scatter(
            x=1e6 * np.quantile(run.receive_latencies, shares),
            y=100 * shares,
            mode="lines" if count > 1 else "markers",
            line={"color": palette[run.interrupt_throttle_rate], "dash": "solid" if run.offloads else "dot"},
            **_key(run, named),
        )
    figure.update_xaxes(title_text="latency (µs)", type="log")
    figure.update_yaxes(title_text="frames (%)", range=[0, 101])
    return _finished(figure, 420)


def round_trip(runs: Runs) -> go.Figure:
    figure = go.Figure()
    palette = colours(runs)
    for run in sorted(runs, key=lambda run: (run.interrupt_throttle_rate, not run.offloads), reverse=True):
        colour = palette[run.interrupt_throttle_rate]
        figure.add_box(
            x=[1e6 * time for time in run.round_trips],
            y0=run_label(run),
            name=run_label(run),
            boxpoints="all",
            jitter=0.4,
            pointpos=0,
            marker={"color": colour, "size": 4, "symbol": "circle" if run.offloads else "circle-open"},
            line={"width": 1.5},
            showlegend=False,
        )
    figure.update_xaxes(title_text="round trip (µs)", rangemode="tozero")
    return _finished(figure, 140 + 32 * len(runs))


def itr_register(runs: Runs) -> go.Figure:
    """The register holds 0, its reset value, until the driver writes it, and the last value until the run's end."""
    settings = _settings(runs)
    figure = make_subplots(
        rows=len(settings),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.1,
        subplot_titles=[_offloads(on) for on in settings],
    )
    palette = colours(runs)
    named: set[int] = set()
    for run in runs:
        writes = [(0.0, 0), *run.itr_log]
        values = [value for _, value in writes]
        figure.add_scatter(
            x=[1e3 * time for time, _ in writes] + [1e3 * run.duration],
            y=[*values, values[-1]],
            mode="lines",
            line={"shape": "hv", "color": palette[run.interrupt_throttle_rate]},
            **_key(run, named),
            row=1 + settings.index(run.offloads),
            col=1,
        )
    figure.update_xaxes(title_text="simulated time (ms)", row=len(settings), col=1)
    figure.update_yaxes(title_text="ITR (256 ns)", rangemode="tozero")
    return _finished(figure, 200 + 180 * len(settings))


def latency_against_cpu(runs: Runs) -> go.Figure:
    """One mark per run at the median; the line above it ends at the 99th percentile."""
    figure = go.Figure()
    palette = colours(runs)
    named: set[int] = set()
    for run in runs:
        colour = palette[run.interrupt_throttle_rate]
        figure.add_scatter(
            x=[100 * (1 - run.receive_cpu["idle"])],
            y=[1e6 * run.receive_latency_p50],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [1e6 * (run.receive_latency_p99 - run.receive_latency_p50)],
                "arrayminus": [0.0],
                "color": colour,
                "thickness": 1.5,
            },
            mode="markers",
            marker={"color": colour, "size": 11, "symbol": "circle" if run.offloads else "diamond-open"},
            **_key(run, named),
        )
    figure.update_xaxes(title_text="processor busy, receiving (%)", rangemode="tozero")
    figure.update_yaxes(title_text="latency, p50 to p99 (µs)", rangemode="tozero")
    return _finished(figure, 420)


class FigureEntry(NamedTuple):
    """A figure's place on the page."""

    name: str
    title: str
    text: str
    draw: Callable[[Runs], go.Figure]


FIGURES = (
    FigureEntry("goodput", "Goodput", "File bits per second, headers and retransmissions not counted.", goodput),
    FigureEntry("interrupts", "Interrupts", "Interrupts of host A's NIC.", interrupt_rate),
    FigureEntry(
        "packets", "Packets per interrupt", "Frames sent and received for each interrupt.", packets_per_interrupt
    ),
    FigureEntry(
        "cpu",
        "Processor time by cause",
        "Host A's processor; the pale rest is idle. “on” and “off” are the offloads.",
        cpu_by_cause,
    ),
    FigureEntry(
        "latency",
        "Receive latency",
        "From a frame's last bit at the NIC to the stack, while the file is received: the share of frames that took no "
        "longer. Dotted: offloads off.",
        receive_latency,
    ),
    FigureEntry(
        "round-trip",
        "Round trip",
        "One byte there and back over TCP, before the file, as host A's program sees it.",
        round_trip,
    ),
    FigureEntry(
        "itr",
        "ITR register",
        "What the driver wrote; a larger value means fewer interrupts, 0 no throttling.",
        itr_register,
    ),
    FigureEntry(
        "trade",
        "Latency against processor time",
        "What each mode pays for its latency: near the lower left corner is better. Diamonds: offloads off.",
        latency_against_cpu,
    ),
)
