"""Shows how far a set of runs has come: a bar on a terminal, one line per finished run elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from sim.results import Row
from sim.runner import Progress

__all__ = ["ProgressDisplay", "summary"]

_LEARNING_SECONDS = 3.0
"""No estimate before this much time: it would be a guess."""


def summary(name: str, rows: list[Row]) -> str:
    """A finished run in one line."""
    parts = []
    for row in rows:
        what = f"{row.goodput / 1e6:.0f} Mb/s" if row.goodput else f"{row.latency_p50 * 1e6:.1f} µs"
        parts.append(f"{row.phase} {what}, {row.interrupt_rate:.0f} interrupts/s")
    simulated = rows[0].simulated_cycles * 8e-6
    return f"{name}: {'; '.join(parts)}; simulated {simulated:.1f} ms in {rows[0].wall_time:.1f} s"


class ProgressDisplay:
    """Call it with each ``Progress``, inside of its ``with`` block. ``clock`` gives seconds."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._reported: set[str] = set()
        self.remaining = ""
        """The estimate as it is shown; empty while there is none."""
        self._bar = Bar(
            TextColumn("runs"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[remaining]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> "ProgressDisplay":
        self._started = self._clock()
        self._task = self._bar.add_task("", total=None, remaining="")
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        total, done = len(progress.runs), len(progress.rows) + len(progress.failed)
        if not self._reported and progress.kept:
            self._reported.update(progress.rows)
            self._print(f"{progress.kept} of {total} runs are kept from before")
        for name in [name for name in progress.rows if name not in self._reported]:
            self._reported.add(name)
            self._print(f"[{len(self._reported)}/{total}] {summary(name, progress.rows[name])}")
        elapsed = self._clock() - self._started
        fresh = done - progress.kept
        self.remaining = ""
        if fresh and elapsed >= _LEARNING_SECONDS and done < total:
            seconds = round(elapsed * (total - done) / fresh)
            self.remaining = f"about {seconds // 60}:{seconds % 60:02} left"
        self._bar.update(self._task, total=total, completed=done, remaining=self.remaining)

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
