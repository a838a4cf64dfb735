"""``make coverage``: what the whole-NIC tests reach of the generated Verilog, in ``build/coverage.json``.

The benches leave Verilator's counts (``VERILOG_COVERAGE=1``, ``tests/hw/simulate.py``); here they are added up.

lines
    Statements and branches of ``nic.v``. The line that a process has to wake by (``hw.verilog``) is not counted: it
    does nothing.
toggles
    Each bit of each signal, each way.
functional points
    A field that means something, seen to go high: every field of a register that software writes, every interrupt
    cause that the NIC itself raises, every reason to drop a frame, every outcome that a receive descriptor reports,
    every fact that statistics count by, and every stream held back by its consumer.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from hw.registers import BY_NAME, REGISTERS, Access, Status
from sim.errors import RunFailedError
from sim.measurement import Figure, commit
from sim.rtl import build

__all__ = ["LINES_PERCENT", "Coverage", "check", "figures", "measure", "read", "uncovered_text"]

LINES_PERCENT = 95.0
"""The promise."""

_POINT = re.compile(r"\x01(\w+)\x02([^\x01']*)")
_ESCAPE = re.compile(r"__0([0-9A-F]{2})")
_MODULE = re.compile(r"^module \\?([\w.$]+)")
_WAKE = re.compile(r"if \(\S+ \) begin end")
_TARGET = re.compile(r"^ +(\\?[^\s=]+)(?: ?\[[^]]*\])? +=")


@dataclass
class Coverage:
    """Counts of one Verilog file."""

    verilog: list[str]
    lines: dict[int, int] = field(default_factory=dict)
    """Line number, from 1, to how often it ran."""
    toggles: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Module, signal with its bit, and way (``0->1``), to how often."""

    def uncovered(self) -> list[int]:
        """Numbers of the lines that never ran."""
        return sorted(line for line, count in self.lines.items() if not count)

    def functional(self) -> dict[str, bool]:
        """Each functional point, and whether it was seen."""
        points: dict[str, bool] = {}
        for (module, signal, way), count in self.toggles.items():
            point = _point(module, signal)
            if point is not None and way == "0->1":
                points[point] = points.get(point, False) or count > 0
        return points


_FACTS = {
    ("nic.receive", "drops"): "dropped",
    ("nic.receive", "info"): "descriptor reports",
    ("nic.statistics", "received_record"): "received",
    ("nic.statistics", "transmitted_record"): "sent",
}
"""Structures, by module and name, of which each field is a point."""

_NO_CAUSE = {"RXSEQ", "RXCFG", "RESERVED5", "RESERVED8"}
"""Of fibre, or of nothing: only ICS sets them."""

_UNUSED = re.compile(r"nic\.arbiter\.clients__([02]__write|3__read)")
"""Streams that nobody feeds: rings do not write, and the receive path does not read."""

_CAUSES = {item.lsb: item.name for item in BY_NAME["ICR"].fields if item.name not in _NO_CAUSE}


def _fields() -> set[str]:
    """Fields that software writes and that do something, as ``ctrl.vme``."""
    return {
        f"{register.name}.{part.name}".lower()
        for register in REGISTERS
        if register.status is Status.COMPLETE
        for part in register.fields
        if part.access is Access.RW
    }


_FIELDS = _fields()


def _point(module: str, signal: str) -> str | None:
    """The functional point that a signal going high stands for, if any."""
    signal, _, bit = signal.partition("[")
    owner, _, part = signal.partition(".")
    register = owner.removesuffix("__value")
    if module == "nic.file" and owner != register and f"{register}.{part}" in _FIELDS:
        return f"register {register.upper()}.{part.upper()}"
    if module == "nic.interrupts" and signal == "causes" and (cause := _CAUSES.get(int(bit.rstrip("]")))):
        return f"cause {cause}"
    if part and (fact := _FACTS.get((module, owner))):
        return f"{fact} {part}"
    stream = signal.removesuffix("__ready")
    # The NIC's top level has each engine's streams once more.
    if stream != signal and module != "nic" and not _UNUSED.match(f"{module}.{stream}"):
        return f"held back {module}.{stream.replace('__', '.')}"
    return None


def _decode(name: str) -> str:
    """A signal's name as Amaranth gave it; Verilator escapes what C++ does not allow."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), name.replace("___05F", "__"))


def _numbers(ranges: str) -> Iterable[int]:
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def read(folder: Path) -> Coverage:
    """Add up all counts in a bench's folder. Raises ``RunFailedError`` when there are none."""
    found = sorted(folder.glob("tests.*.dat"))
    if not found:
        raise RunFailedError(f"{folder} holds no counts; `make coverage` runs the tests that leave them")
    coverage = Coverage((folder / f"{folder.name}.v").read_text().splitlines())
    for path in found:
        with path.open() as counts:
            for line in counts:
                if not line.startswith("C '"):
                    continue
                body, _, count = line.rpartition("' ")
                point = dict(_POINT.findall(body))
                if point["t"] == "toggle":
                    signal, _, way = _decode(point["o"]).rpartition(":")
                    coverage.toggles[point["h"], signal, way] += int(count)
                    continue
                for number in _numbers(point.get("S", "")):
                    if not _WAKE.search(coverage.verilog[number - 1]):
                        coverage.lines[number] = max(coverage.lines.get(number, 0), int(count))
    return coverage


def _share(part: int, whole: int) -> float:
    return 100 * part / max(whole, 1)


def figures(coverage: Coverage) -> list[Figure]:
    """Lines, toggles and functional points in per cent."""
    points = coverage.functional()
    shares = {
        "lines": (sum(map(bool, coverage.lines.values())), len(coverage.lines), LINES_PERCENT),
        "toggles": (sum(map(bool, coverage.toggles.values())), len(coverage.toggles), 100.0),
        "functional": (sum(points.values()), len(points), 100.0),
    }
    return [
        Figure(
            name=f"coverage.{name}",
            value=_share(part, whole),
            unit="%",
            limit=limit,
            conditions={
                "limit": "what is asked" if name == "lines" else "all",
                "reached": part,
                "of": whole,
                "commit": commit(),
                "verilator": version("verilator"),
            },
        )
        for name, (part, whole, limit) in shares.items()
    ]


def _places(verilog: list[str]) -> tuple[list[str], list[str]]:
    """For each line its module, and what the process around it assigns."""
    modules, targets = [], [""] * len(verilog)
    module, begin = "", 0
    for index, text in enumerate(verilog):
        if found := _MODULE.match(text):
            module = found[1]
        modules.append(module)
        if text.startswith("  always "):
            begin = index
        elif text == "  end":
            assigned = dict.fromkeys(target[1] for line in verilog[begin:index] if (target := _TARGET.match(line)))
            targets[begin:index] = [", ".join(assigned)] * (index - begin)
    return modules, targets


def uncovered_text(coverage: Coverage) -> str:
    """Each line that never ran and each functional point that was not seen, as Markdown."""
    modules, targets = _places(coverage.verilog)
    registers = _registers(coverage.verilog)
    text = [
        "# Lines of nic.v that no whole-NIC test ran",
        "",
        "| module | line | assigns | text |",
        "|---|---|---|---|",
    ]
    for number in coverage.uncovered():
        module, line = modules[number - 1], coverage.verilog[number - 1].strip().replace("|", "\\|")
        names = ", ".join(registers.get((module, name), name) for name in targets[number - 1].split(", "))
        text.append(f"| {module} | {number} | `{names}` | `{line}` |")
    text += ["", "# Functional points that were not seen", ""]
    text += [f"- {point}" for point, seen in sorted(coverage.functional().items()) if not seen]
    return "\n".join(text) + "\n"


def _registers(verilog: list[str]) -> dict[tuple[str, str], str]:
    """Names that mean something for the temporary ones that Yosys gives to the next value of a register."""
    pattern = re.compile(r"^ +(?:assign )?(\\?\S+) +<?= (\\\$\d+) ;")
    names: dict[tuple[str, str], str] = {}
    module = ""
    for text in verilog:
        if found := _MODULE.match(text):
            module = found[1]
        elif (found := pattern.match(text)) and not found[1].startswith("\\$"):
            names.setdefault((module, found[2]), found[1].removeprefix("\\"))
    return names


def measure() -> tuple[list[Figure], str]:
    """Figures, and the text about what was not reached, from ``build/coverage/nic``."""
    coverage = read(build.BUILD / "coverage" / "nic")
    return figures(coverage), uncovered_text(coverage)


def check(figures: list[Figure]) -> str:
    """What falls short of the promise, empty if nothing does."""
    (lines,) = (figure for figure in figures if figure.name == "coverage.lines")
    return "" if lines.ratio >= 1 else f"{lines.value:.2f} % of lines were run, less than {LINES_PERCENT:g} %"
