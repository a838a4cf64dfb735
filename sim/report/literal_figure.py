"""Linux's rule of the dynamic modes beside the published flow chart of it (``itr_literal_figure``), which compares the
bytes of an interrupt's packets with 2000 where Linux compares their mean size."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from driver.itr import LatencyRange, update_itr
from sim.report.cases import cases_of
from sim.report.style import LOGARITHMIC, finished, label
from sim.results import Row

__all__ = ["LiteralFigure", "literal_figure"]

_RULES = {False: "Linux", True: "published figure"}
_COLOURS = {False: "#0072b2", True: "#d55e00"}
_CLASSES = ("lowest", "low", "bulk")
_CLASS_COLOURS = ("#56b4e9", "#e6e6e6", "#e69f00")
_PACKETS = (*range(1, 21), *range(22, 65, 2))
_SIZES = (60, 90, 128, 180, 256, 360, 512, 720, 1024, 1514)
"""Bytes without FCS, as the driver counts them."""


@dataclass(frozen=True)
class LiteralFigure:
    """``decisions`` is what both rules say, ``registers`` what came of it; ``lines`` are case, mode, and for Linux and
    the figure interrupts/s, busy in %, 99th percentile of the latency in us, last ITR."""

    decisions: go.Figure
    registers: go.Figure
    lines: list[tuple[str, str, list[str]]]


def _decisions() -> go.Figure:
    """The class that follows the class of low latency, by packets per interrupt and their size."""
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, subplot_titles=[*_RULES.values()], horizontal_spacing=0.04
    )
    steps = [
        [place, colour]
        for index, colour in enumerate(_CLASS_COLOURS)
        for place, colour in ((index / 3, colour), ((index + 1) / 3, colour))
    ]
    for column, literal in enumerate(_RULES, start=1):
        classes = [
            [
                int(update_itr(LatencyRange.LOW_LATENCY, packets, packets * size, literal_figure=literal))
                for packets in _PACKETS
            ]
            for size in _SIZES
        ]
        figure.add_heatmap(
            x=_PACKETS,
            y=_SIZES,
            z=classes,
            zmin=-0.5,
            zmax=2.5,
            colorscale=steps,
            showscale=column == len(_RULES),
            colorbar={"tickvals": [0, 1, 2], "ticktext": [*_CLASSES], "thickness": 12, "len": 0.9},
            hovertemplate="%{x} packets of %{y} bytes: class %{z}<extra></extra>",
            name=_RULES[literal],
            row=1,
            col=column,
        )
    figure.update_xaxes(title_text="packets per interrupt", **LOGARITHMIC)
    figure.update_yaxes(**LOGARITHMIC)
    figure.update_yaxes(title_text="mean size (bytes)", row=1, col=1)
    return finished(figure, 380)


def _literal(row: Row) -> bool | None:
    value: bool | None = json.loads(row.settings).get("driver", {}).get("itr_literal_figure")
    return value


def _without_rule(row: Row) -> Row:
    varied = json.loads(row.varied)
    varied.pop("driver.itr_literal_figure", None)
    return replace(row, varied=json.dumps(varied))


def _tell(row: Row) -> list[str]:
    return [
        f"{row.interrupt_rate:,.0f}",
        f"{100 * row.busy:.1f}",
        f"{1e6 * row.latency_p99:.1f}",
        str(row.itr_log[-1]["register"] if row.itr_log else 0),
    ]


def literal_figure(rows: Sequence[Row]) -> LiteralFigure | None:
    """None if no experiment has run both rules. Of seeds the first is shown."""
    asked = [row for row in rows if '"driver.itr_literal_figure"' in row.varied]
    pairs: list[tuple[str, str, dict[bool, Row]]] = []
    by_rule = {rule: [_without_rule(row) for row in asked if _literal(row) is rule] for rule in _RULES}
    for case in cases_of(by_rule[False]) if all(by_rule.values()) else []:
        for (mode, _), load, members in case.points():
            ours = members[0]
            same = [
                row
                for row in by_rule[True]
                if (
                    row.experiment,
                    row.workload,
                    row.phase,
                    row.varied,
                    row.load,
                    row.interrupt_throttle_rate,
                    row.seed,
                )
                == (ours.experiment, ours.workload, ours.phase, ours.varied, load, mode, ours.seed)
            ]
            if same:
                where = f"{case.label}, {case.load_label(load)}"
                pairs.append((where, label(mode), {False: ours, True: same[0]}))
    if not pairs:
        return None
    figure = make_subplots(
        rows=len(pairs),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.3 / len(pairs),
        subplot_titles=[f"{where}, {mode}" for where, mode, _ in pairs],
    )
    for number, (_, _, pair) in enumerate(pairs, start=1):
        for rule, row in pair.items():
            writes = row.itr_log or [{"time": 0.0, "register": 0, "rx_class": 0, "tx_class": 0}]
            registers = [write["register"] for write in writes]
            figure.add_scatter(
                x=[*(1e3 * max(write["time"], 0.0) for write in writes), 1e3 * row.duration],
                y=[*registers, registers[-1]],
                mode="lines",
                line={"shape": "hv", "color": _COLOURS[rule], "dash": "dash" if rule else "solid"},
                name=_RULES[rule],
                legendgroup=_RULES[rule],
                showlegend=number == 1,
                row=number,
                col=1,
            )
    figure.update_yaxes(rangemode="tozero", range=[0, 1050])
    figure.update_yaxes(title_text="ITR (256 ns)", row=(len(pairs) + 1) // 2, col=1)
    figure.update_xaxes(title_text="simulated time (ms)", row=len(pairs), col=1)
    lines = [(where, mode, _tell(pair[False]) + _tell(pair[True])) for where, mode, pair in pairs]
    return LiteralFigure(_decisions(), finished(figure, 120 + 130 * len(pairs)), lines)
