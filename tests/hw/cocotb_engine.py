"""The scheduler of driver and stack with cocotb as its clock, for benches that have signals only."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from cocotb.triggers import Event, First, Timer
from cocotb.utils import get_sim_time

from sim.engine import Scheduler

__all__ = ["CocotbEngine"]

T = TypeVar("T")


def _now() -> int:
    return int(get_sim_time("ns"))


class CocotbEngine(Scheduler):
    """``run`` runs the scheduler; the bench tells of what happens at its signals with ``post``."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._posted = Event()

    def post(self, function: Callable[[], None]) -> None:
        """Make this call now."""
        self.call_at(_now(), function)
        self._posted.set()

    async def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run ``main`` to its end and return its result."""
        self.run_until(_now())
        task = self.spawn(main, name="main")
        while True:
            self.run_until(_now())
            if task.done():
                return task.result()
            self._posted.clear()
            when = self.next_call()
            triggers = [self._posted.wait()]
            if when is not None:
                triggers.append(Timer(max(when - _now(), 1), "ns"))
            await First(*triggers)
