"""What the tests of the rules of prefetch and write-back share."""

from collections.abc import Callable
from typing import Any

from amaranth.sim import Simulator
from hypothesis import strategies as st

__all__ = ["BASES", "QUIET", "THRESHOLDS", "Bench"]

QUIET = 24
"""Cycles in which every component has done what it is going to do for one descriptor."""

BASES = st.one_of(
    st.integers(0, (1 << 60) - 1).map(lambda number: 16 * number),
    st.integers(1, 70).map(lambda number: (1 << 32) - 16 * number),  # the ring spans the 4 GB line
)
THRESHOLDS = st.fixed_dictionaries(
    {
        "pthresh": st.sampled_from((0, 1, 7, 15, 16, 32, 63)),
        "hthresh": st.sampled_from((0, 1, 4, 8, 63)),
        "wthresh": st.sampled_from((0, 1, 2, 3, 5, 15, 16, 63)),
        "gran": st.sampled_from((0, 1)),
    }
)


class Bench:
    """A component in the simulator, started anew for each run."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.simulator = Simulator(dut)
        self.simulator.add_clock(8e-9)
        self.used = False
        self.process: Callable[[Any], Any]
        self.simulator.add_testbench(self._run)

    async def _run(self, context: Any) -> None:
        await self.process(context)

    def run(self, process: Callable[[Any], Any]) -> None:
        self.process = process
        if self.used:
            self.simulator.reset()
        self.used = True
        self.simulator.run()
