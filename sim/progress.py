"""Shows how far a set of runs has come: a bar on a terminal, one line per finished run elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from sim.results import RunResult
from sim.runner import Progress

__all__ = ["ProgressDisplay", "summary"]

_LEARNING_SECONDS = 3.0
"""No estimate before this much time: it would be a guess."""


def summary(row: RunResult) -> str:
    """A finished run in one line."""
    return (
        f"{row.mode}, offloads {'on' if row.offloads else 'off'}: "
        f"send {row.send_goodput / 1e6:.0f} Mb/s, receive {row.receive_goodput / 1e6:.0f} Mb/s, "
        f"{row.receive_interrupt_rate:.0f} interrupts/s receiving, "
        f"simulated {row.duration * 1e3:.1f} ms in {row.wall_time:.1f} s"
    )


def _remaining(progress: Progress, elapsed: float) -> str:
    """Time to go if the bytes that are left take as long as those that crossed."""
    if elapsed < _LEARNING_SECONDS or not progress.done:
        return ""
    seconds = round(elapsed * (progress.total - progress.done) / progress.done)
    return f"about {seconds // 60}:{seconds % 60:02} left"


class ProgressDisplay:
    """Call it with each ``Progress``, inside of its ``with`` block, which starts with the first simulation.

    ``count`` is the number of runs. ``clock`` gives seconds.
    """

    def __init__(self, console: Console, count: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._count = count
        self._clock = clock
        self._reported = 0
        self.remaining = ""
        """The estimate as it is shown; empty while there is none."""
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[remaining]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )

    def __enter__(self) -> "ProgressDisplay":
        self._started = self._clock()
        self._task = self._bar.add_task(f"0 of {self._count} runs", total=None, remaining="")
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        finished = len(progress.finished)
        for index in range(self._reported, finished):
            line = f"[{index + 1}/{self._count}] {summary(progress.finished[index])}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._reported = finished
        self.remaining = _remaining(progress, self._clock() - self._started)
        self._bar.update(
            self._task,
            description=f"{finished} of {self._count} runs",
            total=progress.total or None,
            completed=progress.done,
            remaining=self.remaining,
        )
