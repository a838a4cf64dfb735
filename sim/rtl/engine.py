"""The scheduler with cocotb as its clock.

Python wakes only when bench.cpp says so: at the deadline of the next timed call, when a register read completes, when
the NIC has sent a frame or raised its interrupt. In between, the simulator runs by itself.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from cocotb.handle import LogicObject
from cocotb.triggers import ValueChange

from sim.clock import CYCLE_NS, cycle_at
from sim.engine import Scheduler
from sim.rtl.shared import NEVER, Bench

__all__ = ["RtlEngine"]

T = TypeVar("T")


class RtlEngine(Scheduler):
    """Runs coroutines while the RTL simulation advances.

    ``observers`` are called at every wake, before the calls that are due.
    """

    def __init__(self, bench: Bench, wake: LogicObject, *, seed: int) -> None:
        super().__init__(seed=seed)
        self.bench = bench
        self.observers: list[Callable[[], None]] = []
        self._wake = wake

    async def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run ``main`` to its end and return its result."""
        task = self.spawn(main, name="main")
        state = self.bench.state
        change = ValueChange(self._wake)
        self.run_until(0)
        while not task.done():
            when = self.next_call()
            state.deadline = NEVER if when is None else cycle_at(when)
            await change
            time = state.cycle * CYCLE_NS
            self.run_until(time - CYCLE_NS)
            for observe in self.observers:
                self.call_at(time, observe)
            self.run_until(time)
        return task.result()
