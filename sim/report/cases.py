"""Rows in the order in which a report shows them: by case, load, mode, offloads and seed."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from sim.results import Row

__all__ = ["Case", "Variant", "cases_of"]

Variant = tuple[int, bool]
"""InterruptThrottleRate, and whether offloads are on: what is compared within a case."""


@dataclass(frozen=True)
class Case:
    """All rows of one phase of one workload with the same parameters: they differ in load, variant and seed."""

    label: str
    rows: tuple[Row, ...]

    @cached_property
    def loads(self) -> list[float]:
        return sorted({row.load for row in self.rows})

    @property
    def load_unit(self) -> str:
        return self.rows[0].load_unit

    @cached_property
    def variants(self) -> list[Variant]:
        """With offloads first, then by rate."""
        return sorted(
            {(row.interrupt_throttle_rate, row.offloads) for row in self.rows},
            key=lambda variant: (not variant[1], variant[0]),
        )

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({row.seed for row in self.rows})

    def at(self, load: float, variant: Variant) -> list[Row]:
        """The rows of a point, one per seed, in the order of the seeds; empty if it did not run."""
        rows = [row for row in self.rows if row.load == load and (row.interrupt_throttle_rate, row.offloads) == variant]
        return sorted(rows, key=lambda row: row.seed)

    def points(self) -> Iterator[tuple[Variant, float, list[Row]]]:
        """Every point that ran."""
        for variant in self.variants:
            for load in self.loads:
                if rows := self.at(load, variant):
                    yield variant, load, rows

    def load_label(self, load: float) -> str:
        return f"{_short(load)} {self.load_unit}"


def _short(value: float) -> str:
    """A number as people write it: 12.5 k, 3 M."""
    for factor, letter in ((1e6, " M"), (1e3, " k")):
        if value >= 10 * factor or (value >= factor and value % (factor / 10) == 0):
            return f"{value / factor:.4g}{letter}"
    return f"{value:.4g}"


def cases_of(rows: Sequence[Row]) -> list[Case]:
    """The cases of at least one row, in the order in which they first appear."""
    found: dict[tuple[str, str, str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.experiment, row.workload, row.phase, row.varied, row.backend), []).append(row)
    several = len({experiment for experiment, *_ in found}) > 1
    backends = len({backend for *_, backend in found}) > 1
    cases = []
    for (experiment, workload, phase, varied, backend), members in found.items():
        parts = [workload] if phase in ("steady", "replay") else [f"{workload}, {phase}"]
        parts += [f"{name.split('.')[-1].replace('_', ' ')} {value}" for name, value in json.loads(varied).items()]
        parts += [backend] if backends else []
        label = ", ".join(parts)
        cases.append(Case(f"{experiment}: {label}" if several else label, tuple(members)))
    return cases
