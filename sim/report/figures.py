"""All figures of the page: which there are, and what each says."""

from collections.abc import Callable
from dataclasses import dataclass

import plotly.graph_objects as go

from sim.report import load_figures, point_figures, time_figures
from sim.report.cases import Case

__all__ = ["CASE_FIGURES", "POINT_FIGURES", "CaseFigure", "PointFigure"]


@dataclass(frozen=True)
class CaseFigure:
    """A figure of a case over all loads. ``wanted`` says whether the case has it."""

    name: str
    title: str
    text: str
    draw: Callable[[Case], go.Figure]
    wanted: Callable[[Case], bool] = lambda case: True


@dataclass(frozen=True)
class PointFigure:
    """A figure of a case at one load."""

    name: str
    title: str
    text: str
    draw: Callable[[Case, float], go.Figure]


CASE_FIGURES = (
    CaseFigure(
        "latency-load",
        "Latency against load",
        "Median, and 99th percentile below. Bars of error hold the mean over the seeds in 95 of 100 cases.",
        load_figures.latency,
    ),
    CaseFigure(
        "throughput-load",
        "Throughput against load",
        "Goodput is payload that programs got, both ways together; headers and what was sent again do not count. "
        "Transactions are requests answered, or datagrams or rounds that reached host A's program.",
        load_figures.throughput,
        lambda case: bool(load_figures.throughput_panels(case)),
    ),
    CaseFigure("interrupts-load", "Interrupts against load", "Interrupts of host A's NIC.", load_figures.interrupts),
    CaseFigure(
        "cpu-load", "Processor against load", "Share of host A's processor time that is not idle.", load_figures.cpu
    ),
    CaseFigure(
        "offloads",
        "Offloads on and off",
        "TSO and checksum offload, at the highest load.",
        load_figures.offloads,
        lambda case: len({on for _, on in case.variants}) == 2,
    ),
)

POINT_FIGURES = (
    PointFigure(
        "distribution",
        "Distribution of latency",
        "Share of frames or transactions that took no longer. Dotted: offloads off.",
        point_figures.distribution,
    ),
    PointFigure(
        "pareto",
        "Latency against processor time",
        "What each mode pays for its latency: near the lower left corner is better. The dashed line joins those that "
        "no other beats in both. Diamonds: offloads off.",
        point_figures.pareto,
    ),
    PointFigure(
        "throttle",
        "ITR class and register",
        "What the driver decided (modes 1 and 3 have classes) and wrote; a larger value means fewer interrupts, 0 no "
        "throttling. First seed.",
        time_figures.throttle,
    ),
    PointFigure(
        "rings",
        "Ring occupancy",
        "Frames that wait for the driver, and descriptors that wait for the NIC, of 256 each if nothing else is said. "
        "First seed.",
        time_figures.rings,
    ),
    PointFigure(
        "drops",
        "Drops by cause",
        "Of all frames on host A's wire: fifo is the NIC's packet buffer (MPC), socket a full receive buffer.",
        point_figures.drops,
    ),
    PointFigure(
        "cpu-cause",
        "Processor time by cause",
        "Host A's processor; the pale rest is idle.",
        point_figures.cpu_by_cause,
    ),
)
