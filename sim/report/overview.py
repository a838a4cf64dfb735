"""The table of the report: which columns it has, and how their numbers are written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import rich.box
from rich.console import Group
from rich.table import Table

from sim.report.cases import Case, Variant, cases_of
from sim.report.style import variant_label
from sim.results import Row
from sim.statistics import mean

__all__ = ["COLUMNS", "Line", "TableColumn", "lines", "text_table"]


class TableColumn(NamedTuple):
    """``value`` is in ``unit``; ``form`` is its format specification."""

    group: str
    heading: str
    unit: str
    value: Callable[[Row], float]
    form: str

    def write(self, rows: Sequence[Row]) -> str:
        """The mean over the seeds."""
        return format(mean([self.value(row) for row in rows]).value, self.form)


COLUMNS = (
    TableColumn("goodput", "send", "Mb/s", lambda row: row.send_goodput / 1e6, ".1f"),
    TableColumn("goodput", "receive", "Mb/s", lambda row: row.receive_goodput / 1e6, ".1f"),
    TableColumn("interrupts", "rate", "1/s", lambda row: row.interrupt_rate, ",.0f"),
    TableColumn("interrupts", "packets per", "", lambda row: row.packets_per_interrupt, ".1f"),
    TableColumn("processor", "busy", "%", lambda row: 100 * row.busy, ".1f"),
    TableColumn("latency", "p50", "µs", lambda row: 1e6 * row.latency_p50, ".1f"),
    TableColumn("latency", "p99", "µs", lambda row: 1e6 * row.latency_p99, ".1f"),
    TableColumn("latency", "p99.9", "µs", lambda row: 1e6 * row.latency_p999, ".1f"),
    TableColumn("frames", "dropped", "", lambda row: sum(row.drops.values()), ",.0f"),
    TableColumn("frames", "sent again", "", lambda row: row.retransmissions, ",.0f"),
    TableColumn("TSO", "segments per descriptor", "", lambda row: row.tso_segments_per_descriptor, ".2f"),
    TableColumn("simulation", "cycles/s", "10⁶/s", lambda row: row.cycles_per_second / 1e6, ".2f"),
)

_GOODPUT = TableColumn("", "Mb/s", "", lambda row: row.goodput / 1e6, ".1f")
_ANSWERS = TableColumn("", "answers/s", "", lambda row: row.transaction_rate, ",.0f")
_SHORT = (
    TableColumn("", "irq/s", "", lambda row: row.interrupt_rate, ",.0f"),
    TableColumn("", "busy %", "", lambda row: 100 * row.busy, ".1f"),
    TableColumn("", "p50 µs", "", lambda row: 1e6 * row.latency_p50, ".1f"),
    TableColumn("", "p99 µs", "", lambda row: 1e6 * row.latency_p99, ".1f"),
    TableColumn("", "drops", "", lambda row: sum(row.drops.values()), ".0f"),
)
"""What fits on a terminal, behind what the programs got."""

_LABEL_WIDTH = 20


@dataclass(frozen=True)
class Line:
    """One point: a case at a load in a variant, with the rows of its seeds."""

    case: Case
    load: float
    variant: Variant
    rows: list[Row]

    @property
    def label(self) -> str:
        return variant_label(self.variant)


def lines(cases: Sequence[Case]) -> Iterator[Line]:
    for case in cases:
        for load in case.loads:
            for variant in case.variants:
                if rows := case.at(load, variant):
                    yield Line(case, load, variant, rows)


def _short(case: Case) -> tuple[TableColumn, ...]:
    """Round trips of the main job count no payload."""
    answers = any(row.transactions for row in case.rows) and not any(row.goodput for row in case.rows)
    return (_ANSWERS if answers else _GOODPUT, *_SHORT)


def text_table(rows: Sequence[Row]) -> Group:
    """A short table for a terminal: one for each case and load."""
    tables: dict[str, Table] = {}
    for line in lines(cases_of(rows)):
        where = line.case.label
        if line.case.load_unit != "file":
            where += f", {line.case.load_label(line.load)}"
        table = tables.get(where)
        if table is None:
            table = tables[where] = Table(
                box=rich.box.SIMPLE_HEAD,
                pad_edge=False,
                collapse_padding=True,
                title=where,
                title_justify="left",
                title_style="bold",
            )
            # Where there is no room, a name takes two lines; no figure is cut.
            table.add_column("mode", min_width=_LABEL_WIDTH)
            for column in _short(line.case):
                table.add_column(column.heading, justify="right", no_wrap=True)
        table.add_row(line.label, *(column.write(line.rows) for column in _short(line.case)))
    return Group(*tables.values())
