"""What the model's error is where a figure's runs lie: at the points of the fidelity grid that are most like them."""

import json
from collections.abc import Sequence

from sim.fidelity.errors import Measured, errors_of_nearest
from sim.fidelity.scenario import Direction, Scenario
from sim.report.cases import Case
from sim.report.figures import CASE_FIGURES, POINT_FIGURES
from sim.results import Row

__all__ = ["captions", "scenario_like"]

_LATENCY = ("latency_p50", "latency_p99")
_MEASURES = {
    "latency-load": _LATENCY,
    "throughput-load": ("throughput",),
    "interrupts-load": ("interrupts", "packets_per_interrupt"),
    "cpu-load": ("interrupts",),
    "offloads": ("throughput", "interrupts"),
    "distribution": _LATENCY,
    "pareto": ("latency_p99", "interrupts"),
    "throttle": ("interrupts",),
    "rings": ("throughput",),
    "drops": ("drops",),
    "cpu-cause": ("interrupts",),
}
"""What each figure's error follows from. A processor's time has no measure of its own: prices and software are the same
on both, so the model can only be wrong in how often the handler runs."""

_HEADERS = 62
"""Bytes of a frame beside the payload: Ethernet with FCS, IPv4, and about the mean of UDP and TCP with timestamps."""
_ONE_WAY = 10
"""A direction with so many times the other's payload is taken to be alone: the other has acknowledgments only."""


def scenario_like(row: Row) -> Scenario:
    """The scenario that is most like a run, as far as ``sim.fidelity.errors.nearest`` asks."""
    settings = json.loads(row.settings)
    driver, host = settings.get("driver", {}), settings.get("host", {})
    sent, received = row.sent_bytes or row.frames_sent, row.received_bytes or row.frames_received
    if received > _ONE_WAY * sent:
        direction, frames, payload = Direction.RECEIVE, row.frames_received, row.received_bytes
    elif sent > _ONE_WAY * received:
        direction, frames, payload = Direction.TRANSMIT, row.frames_sent, row.sent_bytes
    else:
        direction, frames = Direction.BOTH, row.frames_sent + row.frames_received
        payload = row.sent_bytes + row.received_bytes
    segments = round(row.tso_segments / row.tso_packets) if row.tso_packets else 1
    return Scenario(
        name=row.name,
        direction=direction,
        size=min(max(payload // max(frames, 1) + _HEADERS, 64), 16384),
        burst=max(round(row.packets_per_interrupt), 1),
        segments=min(max(segments, 1), 64),
        driver={"interrupt_throttle_rate": row.interrupt_throttle_rate}
        | {name: driver[name] for name in ("rx_int_delay", "rx_descriptors") if name in driver},
        costs={name: host[name] for name in ("dma_read_latency", "dma_width") if name in host},
    )


def _caption(points: dict[str, dict[str, float]], measures: Sequence[str]) -> str:
    told = []
    for measure in measures:
        known = {name: abs(errors[measure]) for name, errors in points.items() if measure in errors}
        if known:
            worst = max(known, key=lambda name: known[name])
            where = f" ({worst})" if known[worst] else ""
            told.append(f"{measure.replace('_', ' ')} {known[worst]:.2f} %{where}")
    return f"The model against the RTL at the {len(points)} nearest points: at most {', '.join(told)}." if told else ""


def captions(cases: Sequence[Case], measured: Measured) -> dict[str, list[list[str]]]:
    """By figure and case a text for each load, empty if the case is not the model's; the figures over all loads have
    one."""
    found: dict[str, list[list[str]]] = {entry.name: [] for entry in (*CASE_FIGURES, *POINT_FIGURES)}
    for case in cases:
        by_load: list[dict[str, dict[str, float]]] = [{} for _ in case.loads]
        if case.rows[0].backend == "model":
            for _, load, rows in case.points():
                by_load[case.loads.index(load)].update(errors_of_nearest(scenario_like(rows[0]), measured))
        everything = {name: errors for points in by_load for name, errors in points.items()}
        for entry in CASE_FIGURES:
            found[entry.name].append([_caption(everything, _MEASURES[entry.name])])
        for point in POINT_FIGURES:
            found[point.name].append([_caption(points, _MEASURES[point.name]) for points in by_load])
    return found
