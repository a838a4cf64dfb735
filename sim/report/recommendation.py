"""What one would choose, in plain words, and how sure that is over the seeds.

Each mode is scored by how far it is from the best one, in latency (99th percentile) and in processor time, as mean of
logarithms over the loads of a case. The trade is the sum of both. A mode that gives up goodput is no candidate, unless
the goodput is only the latency in other words.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from sim.report.cases import Case, Variant
from sim.report.style import label
from sim.results import Row
from sim.statistics import mean

__all__ = ["Choice", "Recommendation", "recommend"]

_GOODPUT_KEPT = 0.97
"""Share of the best mode's goodput that a candidate must reach at every load."""

_CLOSED_LOOP = {"ping-pong", "incast"}
"""Workloads whose goodput is what their latency makes it: it says nothing more."""

_Value = Callable[[Row], float]


@dataclass(frozen=True)
class Choice:
    """A mode that is best in something, and in how many of the seeds it is."""

    mode: int
    wins: int
    seeds: int

    @property
    def sure(self) -> str:
        if self.seeds == 1:
            return "one seed, so how sure this is cannot be said"
        return f"so in {self.wins} of {self.seeds} seeds"


@dataclass(frozen=True)
class Recommendation:
    """Of one case. ``text`` has it all."""

    case: str
    trade: Choice
    latency: Choice
    processor: Choice
    text: str


def _latency(row: Row) -> float:
    return row.latency_p99


def _busy(row: Row) -> float:
    return row.busy


def _regrets(case: Case, candidates: list[Variant], value: _Value, seeds: list[int]) -> dict[Variant, float]:
    """How much worse than the best each candidate is: mean over loads of the logarithm of the ratio."""
    sums = dict.fromkeys(candidates, 0.0)
    for load in case.loads:
        values = {}
        for variant in candidates:
            rows = [row for row in case.at(load, variant) if row.seed in seeds]
            values[variant] = max(sum(value(row) for row in rows) / len(rows), 1e-9)
        best = min(values.values())
        for variant, found in values.items():
            sums[variant] += math.log(found / best) / len(case.loads)
    return sums


def _candidates(case: Case) -> list[Variant]:
    """Modes that ran at every load with every seed, offloads as most users have them, and that keep the goodput."""
    on = any(offloads for _, offloads in case.variants)
    whole = [
        variant
        for variant in case.variants
        if variant[1] is on and all(len(case.at(load, variant)) == len(case.seeds) for load in case.loads)
    ]
    if case.rows[0].workload in _CLOSED_LOOP:
        return whole
    kept = []
    for variant in whole:
        for load in case.loads:
            best = max(mean([row.goodput for row in case.at(load, other)]).value for other in whole)
            if mean([row.goodput for row in case.at(load, variant)]).value < _GOODPUT_KEPT * best:
                break
        else:
            kept.append(variant)
    return kept


def recommend(case: Case) -> Recommendation | None:
    """None if there is nothing to choose from, or no latency was measured."""
    candidates = _candidates(case)
    if len(candidates) < 2 or not all(row.latency_count for row in case.rows):
        return None

    def choose(*values: _Value) -> Choice:
        def best(seeds: list[int]) -> Variant:
            regrets = [_regrets(case, candidates, value, seeds) for value in values]
            return min(candidates, key=lambda variant: sum(regret[variant] for regret in regrets))

        chosen = best(case.seeds)
        return Choice(chosen[0], sum(best([seed]) == chosen for seed in case.seeds), len(case.seeds))

    trade, latency, processor = choose(_latency, _busy), choose(_latency), choose(_busy)
    return Recommendation(case.label, trade, latency, processor, _text(case, candidates, trade, latency, processor))


def _name(mode: int) -> str:
    return "throttling off" if mode == 0 else f"mode {label(mode)}"


def _text(case: Case, candidates: list[Variant], trade: Choice, latency: Choice, processor: Choice) -> str:
    on = candidates[0][1]
    load = case.loads[-1]

    def figures(mode: int) -> str:
        rows = case.at(load, (mode, on))
        late, busy = mean([1e6 * row.latency_p99 for row in rows]), mean([100 * row.busy for row in rows])
        if len(rows) == 1:
            return f"{late.value:.1f} µs at {busy.value:.1f} %"
        return f"{late.value:.1f} ± {late.half:.1f} µs at {busy.value:.1f} ± {busy.half:.1f} %"

    where = f"at {case.load_label(load)}, the highest load" if len(case.loads) > 1 else f"at {case.load_label(load)}"
    if case.load_unit == "file":
        where = "in this phase"
    left_out = sorted({mode for mode, offloads in case.variants if offloads is on} - {mode for mode, _ in candidates})
    sentences = [
        f"Take {_name(trade.mode)} ({trade.sure}): the 99th percentile of the latency is {figures(trade.mode)} of the "
        f"processor {where}."
    ]
    if latency.mode != trade.mode:
        sentences.append(
            f"If only latency counts, take {_name(latency.mode)} ({latency.sure}): {figures(latency.mode)}."
        )
    if processor.mode != trade.mode:
        sentences.append(
            f"If only processor time counts, take {_name(processor.mode)} ({processor.sure}): "
            f"{figures(processor.mode)}."
        )
    if left_out:
        names = ", ".join(_name(mode) for mode in left_out)
        sentences.append(f"Not considered, for it loses goodput or did not run everywhere: {names}.")
    return " ".join(sentences)
