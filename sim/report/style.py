"""What all figures share: a colour, a mark and a line for each mode and each setting of the offloads.

The colours are those of Okabe and Ito (jfly.uni-koeln.de/color), told apart by colour-blind readers too. A mode keeps
its colour in every figure; offloads off is hatched, dashed or hollow, so that nothing hangs on colour alone.
"""

from collections.abc import Sequence

from sim.results import RunResult

__all__ = ["CAUSE_COLOURS", "colours", "label", "modes", "run_label"]

_MODE_COLOURS = {0: "#8c8c8c", 1: "#0072b2", 3: "#e69f00", 4: "#009e73"}
_FIXED_COLOURS = ("#cc79a7", "#56b4e9", "#d55e00", "#b8a800")
_SHORT = {0: "off", 1: "dynamic", 3: "conservative", 4: "simplified"}

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


def modes(runs: Sequence[RunResult]) -> list[int]:
    """The interrupt throttle rates of ``runs``, each once, in order."""
    return sorted({run.interrupt_throttle_rate for run in runs})


def label(mode: int) -> str:
    """A mode as it stands on an axis."""
    return f"{mode} {_SHORT[mode]}" if mode in _SHORT else f"{mode}/s"


def run_label(run: RunResult) -> str:
    return f"{label(run.interrupt_throttle_rate)}, {'on' if run.offloads else 'off'}"


def colours(runs: Sequence[RunResult]) -> dict[int, str]:
    """A colour for each mode. Fixed rates take theirs in order."""
    fixed = [mode for mode in modes(runs) if mode not in _MODE_COLOURS]
    return _MODE_COLOURS | {mode: _FIXED_COLOURS[i % len(_FIXED_COLOURS)] for i, mode in enumerate(fixed)}
