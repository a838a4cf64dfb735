"""What all figures share: a colour for each mode, a line and a mark for each setting of the offloads, the layout.

The colours are those of Okabe and Ito (jfly.uni-koeln.de/color), told apart by colour-blind readers too. A mode keeps
its colour in every figure; offloads off is hatched, dotted or hollow, so that nothing hangs on colour alone.
"""

from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go

from sim.report.cases import Variant

__all__ = [
    "CAUSE_COLOURS",
    "DROP_COLOURS",
    "GREY",
    "LOGARITHMIC",
    "colour",
    "finished",
    "label",
    "trace_key",
    "variant_label",
]

_MODE_COLOURS = {0: "#8c8c8c", 1: "#0072b2", 3: "#e69f00", 4: "#009e73"}
_FIXED_COLOURS = ("#cc79a7", "#56b4e9", "#d55e00", "#b8a800")
_SHORT = {0: "off", 1: "dynamic", 3: "conservative", 4: "simplified"}
_GRID = "rgba(128,128,128,0.25)"
GREY = "#8c8c8c"
LOGARITHMIC = {"type": "log", "dtick": "D2"}
"""An axis with marks at 1, 2 and 5 of each decade."""

CAUSE_COLOURS = {
    "interrupt": "#882255",
    "mmio": "#cc6677",
    "softirq": "#aa4499",
    "scheduler": "#e3b7da",
    "backlog": "#661100",
    "gro": "#6699cc",
    "driver_rx": "#332288",
    "skb_alloc": "#6a5acd",
    "driver_tx": "#88ccee",
    "protocol_rx": "#117733",
    "protocol_tx": "#44aa99",
    "checksum": "#d55e00",
    "copy": "#ddcc77",
    "system_call": "#999933",
    "program": "#bbbbbb",
    "idle": "rgba(128,128,128,0.18)",
}
"""Paul Tol's "muted" set, with Okabe and Ito's vermilion, in the order in which causes are stacked."""

DROP_COLOURS = {
    "wire": "#8c8c8c",
    "switch": "#56b4e9",
    "crc": "#cc79a7",
    "fifo": "#d55e00",
    "backlog": "#e69f00",
    "socket": "#0072b2",
    "stack": "#009e73",
    "qdisc": "#b8a800",
}


def label(mode: int) -> str:
    """A mode as it stands on an axis."""
    return f"{mode} {_SHORT[mode]}" if mode in _SHORT else f"{mode}/s"


def variant_label(variant: Variant) -> str:
    mode, offloads = variant
    return label(mode) if offloads else f"{label(mode)}, offloads off"


def colour(mode: int, modes: Iterable[int]) -> str:
    """The colour of a mode; fixed rates take theirs in the order of ``modes``."""
    if mode in _MODE_COLOURS:
        return _MODE_COLOURS[mode]
    fixed = sorted({other for other in modes if other not in _MODE_COLOURS})
    return _FIXED_COLOURS[fixed.index(mode) % len(_FIXED_COLOURS)]


def trace_key(variant: Variant, *, legend: bool) -> dict[str, Any]:
    """A trace's name and group; the page shows and hides traces by ``meta``."""
    mode, offloads = variant
    return {
        "name": variant_label(variant),
        "legendgroup": variant_label(variant),
        "showlegend": legend,
        "meta": {"mode": mode, "offloads": offloads},
    }


def finished(figure: go.Figure, height: int) -> go.Figure:
    """The figure with what all have in common."""
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 12, "r": 12, "t": 30, "b": 12},
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0, "itemwidth": 30},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 12},
        hovermode="closest",
    )
    figure.update_xaxes(automargin=True, gridcolor=_GRID, zerolinecolor="rgba(128,128,128,0.5)")
    figure.update_yaxes(automargin=True, gridcolor=_GRID, zerolinecolor="rgba(128,128,128,0.5)")
    return figure
