"""What differs between two outcomes of a scenario, in the quantities that reports tell."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.fidelity.grid import GRID
from sim.fidelity.play import Outcome
from sim.fidelity.scenario import Direction, Scenario
from sim.measurement import Figure

__all__ = ["GOALS", "MEASURES", "Measured", "PointError", "compare", "errors_of_nearest", "nearest", "to_figures"]

MEASURES = (
    "throughput",
    "interrupts",
    "interrupt_times",
    "packets_per_interrupt",
    "latency_p50",
    "latency_p99",
    "drops",
)

GOALS = {"throughput": 1.0, "interrupts": 1.0, "latency_p50": 2.0, "latency_p99": 2.0}
"""Per cent that a point's error is to stay within; a latency may also be within 100 ns."""

_LATENCY_NS = 100


@dataclass(frozen=True, kw_only=True)
class PointError:
    """One point of the grid: each measure on the RTL and on the model, and the error in per cent.

    ``interrupt_times`` has no value of its own: its error is the largest difference of an interrupt's time, in ns.
    """

    scenario: Scenario
    rtl: dict[str, float]
    model: dict[str, float]
    error: dict[str, float]
    identical: bool
    """Every time of every frame and interrupt, every counter, and the order of all is the same."""

    def outside(self) -> list[str]:
        """The measures whose goal is missed."""
        return [name for name, goal in GOALS.items() if abs(self.error[name]) > goal and not self._near(name)]

    def _near(self, name: str) -> bool:
        return name.startswith("latency") and abs(self.model[name] - self.rtl[name]) <= _LATENCY_NS


def _measures(scenario: Scenario, outcome: Outcome) -> dict[str, float]:
    frames, latencies, bits = 0, [], 0.0
    if scenario.direction is not Direction.TRANSMIT:
        times = [time for _, time in outcome.delivered]
        frames += len(times)
        latencies += [time - outcome.arrived[number] for number, time in outcome.delivered]
        bits += _rate(len(times) * scenario.size * 8, max(times, default=0) - min(outcome.arrived, default=0))
    if scenario.direction is not Direction.RECEIVE:
        starts = [time for _, time in outcome.sent]
        frames += len(starts)
        latencies += [time - outcome.queued[number // scenario.segments] for number, time in outcome.sent]
        bits += _rate(len(starts) * scenario.size * 8, max(starts, default=0) - min(outcome.queued, default=0))
    interrupts = len(outcome.interrupts)
    return {
        "throughput": bits,
        "interrupts": interrupts,
        "packets_per_interrupt": frames / interrupts if interrupts else 0.0,
        "latency_p50": float(np.percentile(latencies, 50)) if latencies else 0.0,
        "latency_p99": float(np.percentile(latencies, 99)) if latencies else 0.0,
        "drops": outcome.statistics.get("MPC", 0) + outcome.dropped,
    }


def _rate(bits: int, nanoseconds: int) -> float:
    return bits / nanoseconds * 1e9 if nanoseconds > 0 else 0.0


def compare(scenario: Scenario, rtl: Outcome, model: Outcome) -> PointError:
    ours, theirs = _measures(scenario, rtl), _measures(scenario, model)
    error = {name: _per_cent(theirs[name], ours[name]) for name in ours}
    pairs = list(zip(rtl.interrupts, model.interrupts, strict=False))
    error["interrupt_times"] = float(max((abs(a - b) for a, b in pairs), default=0))
    return PointError(scenario=scenario, rtl=ours, model=theirs, error=error, identical=rtl == model)


def _per_cent(value: float, reference: float) -> float:
    if value == reference:
        return 0.0
    return 100.0 * (value - reference) / reference if reference else 100.0


def to_figures(points: Sequence[PointError], conditions: Mapping[str, object]) -> list[Figure]:
    """``error.<measure>.<scenario>``, each against its goal."""
    figures = []
    for point in points:
        for name in MEASURES:
            goal = GOALS.get(name, 1.0 if name != "interrupt_times" else float(_LATENCY_NS))
            figures.append(
                Figure(
                    name=f"error.{name}.{point.scenario.name}",
                    value=point.error[name],
                    unit="ns" if name == "interrupt_times" else "%",
                    limit=goal,
                    conditions={
                        **conditions,
                        "held_out": point.scenario.held_out,
                        "identical": point.identical,
                        "rtl": point.rtl.get(name),
                        "model": point.model.get(name),
                        "limit": "the goal",
                    },
                )
            )
    return figures


@dataclass(frozen=True)
class Measured:
    """What one ``make fidelity`` found: the error by point and measure, in per cent (``interrupt_times`` in ns)."""

    commit: str
    nic: str
    """Digest of the NIC."""
    errors: dict[str, dict[str, float]]
    held_out: frozenset[str]

    @classmethod
    def of(cls, points: Sequence[PointError], *, commit: str, nic: str) -> "Measured":
        errors = {point.scenario.name: {name: round(point.error[name], 4) for name in MEASURES} for point in points}
        return cls(commit, nic, errors, frozenset(point.scenario.name for point in points if point.scenario.held_out))

    @classmethod
    def read(cls, path: Path) -> "Measured":
        """Raises ``OSError`` or ``ValueError`` if there is no such file."""
        content = json.loads(path.read_text())
        try:
            return cls(content["commit"], content["nic"], content["errors"], frozenset(content["held_out"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not what make fidelity writes: {error}") from None

    def write(self, path: Path) -> None:
        content = {"commit": self.commit, "nic": self.nic, "held_out": sorted(self.held_out)}
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(errors)}" for name, errors in self.errors.items())
        path.write_text(f'{json.dumps(content)[:-1]}, "errors": {{\n{lines}\n}}}}\n')


def _place(scenario: Scenario) -> tuple[float, ...]:
    """Where a scenario lies among others: what its figures depend on most, in units of like weight."""
    costs, driver = scenario.host_costs(), scenario.parameters()
    rate = driver.interrupt_throttle_rate
    return (
        3.0 * list(Direction).index(scenario.direction),
        float(np.log2(scenario.size)),
        0.5 * float(np.log2(scenario.burst)),
        0.5 * float(np.log2(1 + rate / 100)) if rate > 4 else 0.5 * rate,
        0.5 * float(np.log2(costs.dma_read_latency)),
        float(np.log2(costs.dma_width)),
        2.0 * float(np.log2(scenario.segments)) / 3,
        float(bool(driver.rx_int_delay)),
        0.2 * float(np.log2(driver.rx_descriptors)),
    )


def nearest(scenario: Scenario, *, count: int = 3) -> list[Scenario]:
    """The points of the grid that are most like a scenario, nearest first."""
    here = np.array(_place(scenario))
    return sorted(GRID, key=lambda point: float(np.linalg.norm(np.array(_place(point)) - here)))[:count]


def errors_of_nearest(scenario: Scenario, measured: Measured, *, count: int = 3) -> dict[str, dict[str, float]]:
    """By the name of a near point, the model's errors there."""
    return {
        point.name: measured.errors[point.name]
        for point in nearest(scenario, count=count)
        if point.name in measured.errors
    }
