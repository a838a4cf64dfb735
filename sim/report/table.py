"""The table of the report: which columns it has, and how their numbers are written."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import rich.box
from rich.table import Table

from sim.report.style import run_label
from sim.results import RunResult

__all__ = ["COLUMNS", "TableColumn", "text_table"]


class TableColumn(NamedTuple):
    """``value`` is in ``unit``; ``form`` is its format specification on the page."""

    group: str
    heading: str
    unit: str
    value: Callable[[RunResult], float]
    form: str

    def write(self, run: RunResult) -> str:
        return format(self.value(run), self.form)


COLUMNS = (
    TableColumn("goodput", "send", "Mb/s", lambda run: run.send_goodput / 1e6, ".1f"),
    TableColumn("goodput", "receive", "Mb/s", lambda run: run.receive_goodput / 1e6, ".1f"),
    TableColumn("interrupts", "send", "1/s", lambda run: run.send_interrupt_rate, ",.0f"),
    TableColumn("interrupts", "receive", "1/s", lambda run: run.receive_interrupt_rate, ",.0f"),
    TableColumn("packets per interrupt", "send", "", lambda run: run.send_packets_per_interrupt, ".1f"),
    TableColumn("packets per interrupt", "receive", "", lambda run: run.receive_packets_per_interrupt, ".1f"),
    TableColumn("processor busy", "send", "%", lambda run: 100 * (1 - run.send_cpu["idle"]), ".1f"),
    TableColumn("processor busy", "receive", "%", lambda run: 100 * (1 - run.receive_cpu["idle"]), ".1f"),
    TableColumn("round trip", "p50", "µs", lambda run: 1e6 * run.round_trip_p50, ".1f"),
    TableColumn("round trip", "p99", "µs", lambda run: 1e6 * run.round_trip_p99, ".1f"),
    TableColumn("receive latency", "p50", "µs", lambda run: 1e6 * run.receive_latency_p50, ".1f"),
    TableColumn("receive latency", "p99", "µs", lambda run: 1e6 * run.receive_latency_p99, ".1f"),
    TableColumn("TCP", "retrans­missions", "", lambda run: run.retransmissions, "d"),
    TableColumn("TSO", "segments per descriptor", "", lambda run: run.tso_segments_per_descriptor, ".2f"),
    TableColumn("simulation", "cycles/s", "10⁶/s", lambda run: run.cycles_per_second / 1e6, ".2f"),
)

_SHORT = {
    0: "send\nMb/s",
    1: "receive\nMb/s",
    3: "irq/s\nreceiving",
    7: "busy\n%",
    8: "trip\nµs",
    10: "latency\nµs",
}
"""The columns that fit on a terminal, and their headings there: interrupts and load while receiving, medians."""


def text_table(runs: Sequence[RunResult]) -> Table:
    """A short table for a terminal."""
    table = Table(box=rich.box.SIMPLE, pad_edge=False)
    table.add_column("mode, offloads", no_wrap=True)
    for heading in _SHORT.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(run_label(run), *(COLUMNS[index].write(run) for index in _SHORT))
    return table
