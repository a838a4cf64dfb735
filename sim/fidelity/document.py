"""``docs/fidelity.md``, made from the figures."""

from collections.abc import Mapping, Sequence

from sim.fidelity.errors import PointError
from sim.model.timing import Calibration

__all__ = ["document"]

_HEAD = """# How far the model is from the RTL

Made by `make fidelity`; the figures are in `build/fidelity.json`, plots in `build/fidelity.html`, and what reports show
of it in `docs/fidelity.json`. One grid of scenarios runs on the Verilated NIC and on
the model (`sim/model`): the same driver, host model, wire, seed. The error is that of the model against the RTL.

Goal: throughput and interrupts within 1 %, latency (median and 99th percentile) within 2 % or 100 ns. *Identical*
means that every time of every frame and
interrupt, everything the handler read from ICR, and every statistics counter is the same, to the nanosecond.

What the model's time is made of: parameters that `make calibrate` measures on the RTL
(`sim/model/calibration.json`), each closed at a checkpoint of a probe
(`sim/fidelity/probes.py`), and a few contracts of the RTL (states that a descriptor passes). No checkpoint is a
point of the
grid, and no parameter was fitted to one. The figures of all points, held out or not, were seen while five faults of the
model that the grid showed were mended: how long a frame's last word waits, when a register read looks for writes on
their way, that it waits for the words of half a burst, too, that accesses are performed in the order in which they
arrive, not in that in which two flows of control ask, and that a packet waits for room in the buffer word by word.

"""

_TAIL = """
## What the model leaves out

- Times within a burst: memory shows a burst's data when its last word has come, and a frame's room in the buffer is
  reckoned when its fate is decided.
- The arbiter's round robin among requests of the same cycle: the first to ask is the first to be served.
- Speeds of 10 and 100 Mb/s on the wire: frames of these speeds neither come nor leave (the link partner of the
  simulation has 1 Gb/s alone).
- A frame that a CTRL.RST cuts on the wire is counted alone, and not seen there; the RTL ends it with TX_ER.
- Software-definable pins are outputs alone, LEDs are not shown, and the I/O window is not there: the bus of the
  simulation has the memory window.
"""


def document(
    points: Sequence[PointError],
    calibration: Calibration,
    *,
    commit: str,
    explanations: Mapping[str, str],
) -> str:
    """The page. ``explanations`` tells, by the name of a point, why its goal is missed."""
    held = [point for point in points if point.scenario.held_out]
    outside = [point for point in points if point.outside()]
    text = _HEAD
    text += (
        f"Measured at commit {commit}, calibration of commit {calibration.commit} for the NIC {calibration.nic}.\n\n"
        f"| | points | identical | within the goals |\n| --- | --- | --- | --- |\n"
    )
    for name, group in (("all", list(points)), ("held out", held)):
        identical, good = sum(point.identical for point in group), sum(not point.outside() for point in group)
        text += f"| {name} | {len(group)} | {identical} | {good} |\n"
    text += "\n## Points outside the goals\n\n"
    if not outside:
        text += "None.\n"
    for point in outside:
        misses = ", ".join(f"{name} {point.error[name]:+.2f} %" for name in point.outside())
        why = explanations.get(point.scenario.name, "Not explained yet.")
        text += f"- `{point.scenario.name}`: {misses}. {why}\n"
    text += (
        "\n## All points\n\nErrors in per cent; times of interrupts: the largest difference in ns; h: held out.\n\n"
        "| point | h | throughput | interrupts | times | per interrupt | p50 | p99 | drops "
        "| RTL p50, ns | RTL interrupts |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    )
    for point in points:
        error = point.error
        cells = (
            "identical | | | | | |"
            if point.identical
            else " | ".join(
                f"{error[name]:.0f}" if name == "interrupt_times" else _number(error[name])
                for name in (
                    "throughput",
                    "interrupts",
                    "interrupt_times",
                    "packets_per_interrupt",
                    "latency_p50",
                    "latency_p99",
                    "drops",
                )
            )
        )
        text += (
            f"| {point.scenario.name} | {'h' if point.scenario.held_out else ''} | {cells} | "
            f"{point.rtl['latency_p50']:.0f} | {point.rtl['interrupts']:.0f} |\n"
        )
    return text + _TAIL


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:+.2f}"
