"""What differs between two sets of rows: matched run by run, over the seeds that both have."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import rich.box
from rich.table import Table

from sim.results import Row
from sim.statistics import Mean, mean

__all__ = ["MEASURES", "Comparison", "compare_rows", "comparison_table"]

MEASURES: dict[str, Callable[[Row], float]] = {
    "goodput Mb/s": lambda row: row.goodput / 1e6,
    "interrupts/s": lambda row: row.interrupt_rate,
    "busy %": lambda row: 100 * row.busy,
    "latency p50 µs": lambda row: 1e6 * row.latency_p50,
    "latency p99 µs": lambda row: 1e6 * row.latency_p99,
    "drops": lambda row: float(sum(row.drops.values())),
}
"""What is compared."""

_Identity = tuple[str, str, float, str, int, bool]


@dataclass(frozen=True)
class Comparison:
    """One run in both sets. Each measure has the mean of A, that of B, and of B minus A over the seeds of both."""

    label: str
    seeds: int
    measures: dict[str, tuple[float, float, Mean]]


def _identity(row: Row) -> _Identity:
    return row.workload, row.phase, row.load, row.varied, row.interrupt_throttle_rate, row.offloads


def compare_rows(first: Sequence[Row], second: Sequence[Row]) -> list[Comparison]:
    """A comparison for each run that both sets have, in the order of the first."""
    sets: list[dict[_Identity, dict[int, Row]]] = []
    for rows in (first, second):
        found: dict[_Identity, dict[int, Row]] = defaultdict(dict)
        for row in rows:
            found[_identity(row)][row.seed] = row
        sets.append(found)
    comparisons = []
    for identity, by_seed in sets[0].items():
        others = sets[1].get(identity, {})
        pairs = [(row, others[seed]) for seed, row in by_seed.items() if seed in others]
        if pairs:
            measures = {
                name: (
                    mean([value(a) for a, _ in pairs]).value,
                    mean([value(b) for _, b in pairs]).value,
                    mean([value(b) - value(a) for a, b in pairs]),
                )
                for name, value in MEASURES.items()
            }
            comparisons.append(Comparison(_label(pairs[0][0]), len(pairs), measures))
    return comparisons


def _label(row: Row) -> str:
    varied = "".join(f", {name.split('.')[-1]} {value}" for name, value in json.loads(row.varied).items())
    offloads = "" if row.offloads else ", offloads off"
    return f"{row.workload} {row.phase} at {row.load:g} {row.load_unit}{varied}, {row.mode}{offloads}"


def _change(a: float, b: float, difference: Mean) -> str:
    """B against A: in per cent, and a mark if it is more than chance."""
    if a == b:
        return "="
    text = f"{100 * difference.value / a:+.1f} %" if a else f"{difference.value:+.4g}"
    if difference.count == 1:
        return text
    return f"{text} {'*' if abs(difference.value) > difference.half else '~'}"


def comparison_table(comparisons: Sequence[Comparison], first: str, second: str) -> Table:
    """For a terminal: what B changes."""
    table = Table(
        box=rich.box.SIMPLE,
        title=f"B: {second} against A: {first}",
        caption="change from A to B; * is beyond chance over the seeds (95 %), ~ is not; no mark: one seed",
        pad_edge=False,
    )
    table.add_column("run")
    for name in MEASURES:
        table.add_column(name, justify="right", no_wrap=True)
    for comparison in comparisons:
        table.add_row(comparison.label, *(_change(*values) for values in comparison.measures.values()))
    return table
