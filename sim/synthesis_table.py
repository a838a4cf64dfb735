"""Writes the synthesis results from ``build/synth.json``: ``python -m sim.synthesis_table > docs/synthesis.md``."""

import json
import sys
from collections.abc import Iterator
from typing import Any

from sim.rtl import build

__all__ = ["markdown"]

_CELLS = ("lut", "ff", "bram")

_NEIGHBOURS = (
    ("LiteEth 2024.12, MAC with Wishbone buffers", 1340, 944, "6", "199 (system), 174 (receive)"),
    ("LiteEth 2024.12, UDP/IP core", 2020, 2153, "not stated", "89"),
)
"""Measured once in the same toolchain; LUT4, flip-flops, block RAMs and MHz."""

_INTRODUCTION = """# Synthesis

The NIC through Yosys and nextpnr for a Lattice {device}, out of context (its own ports are more than a package has).
`make synth` measures this, holds every clock domain against {limit:g} MHz on speed grade 8 in every seed, and the
number of block RAMs against the one that is written down. That device has speed grade 8 alone; grade 6 is that of the
LFE5UM-85F, which is the same but for its transceivers. Yosys {yosys}, nextpnr {nextpnr}, commit {commit}.
"""


def _frequencies(figures: list[dict[str, Any]]) -> Iterator[str]:
    runs: dict[tuple[str, str], list[float]] = {}
    for figure in figures:
        kind, *rest = figure["name"].split(".")
        if kind == "fmax":
            domain, speed, _ = rest
            runs.setdefault((domain, speed.removeprefix("speed")), []).append(figure["value"])
    yield "| clock | speed grade | worst MHz | best MHz | seeds |"
    yield "| --- | --- | --- | --- | --- |"
    for (domain, speed), reached in sorted(runs.items(), key=lambda run: (run[0][0], -int(run[0][1]))):
        yield f"| `{domain}` | {speed} | {min(reached):.1f} | {max(reached):.1f} | {len(reached)} |"


def _areas(figures: list[dict[str, Any]]) -> Iterator[str]:
    areas: dict[str, dict[str, int]] = {}
    for figure in figures:
        kind, *rest = figure["name"].split(".")
        if kind == "area":
            module, cells = rest
            areas.setdefault(module, {})[cells] = round(figure["value"])
    yield "| module | LUT4 | flip-flops | DP16KD |"
    yield "| --- | --- | --- | --- |"
    for module, cells in sorted(areas.items(), key=lambda area: -area[1]["lut"]):
        name = "**the whole NIC**" if module == "nic" else f"`{module}`"
        yield f"| {name} | " + " | ".join(str(cells[kind]) for kind in _CELLS) + " |"


def _text(figures: list[dict[str, Any]]) -> Iterator[str]:
    (first, *_) = (figure for figure in figures if figure["name"].startswith("fmax."))
    yield _INTRODUCTION.format(**{**first["conditions"], "limit": first["limit"]})
    yield "## Frequency"
    yield ""
    yield from _frequencies(figures)
    yield ""
    yield "## Area"
    yield ""
    yield "The whole NIC is counted flattened. Its parts are from a run that keeps them apart, and add up to more."
    yield ""
    yield from _areas(figures)
    yield ""
    yield "## Neighbours in the same toolchain"
    yield ""
    yield "They do less (no descriptor rings, DMA, segmentation, filters or moderation), and are here for the scale."
    yield ""
    yield "| core | LUT4 | flip-flops | DP16KD | MHz |"
    yield "| --- | --- | --- | --- | --- |"
    for row in _NEIGHBOURS:
        yield "| " + " | ".join(map(str, row)) + " |"


def markdown(figures: list[dict[str, Any]]) -> str:
    """The page, from the figures as ``make synth`` writes them."""
    return "\n".join(_text(figures)) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown(json.loads((build.BUILD / "synth.json").read_text())))
