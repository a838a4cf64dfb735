"""Hypothesis inside of a simulation: it draws examples, the simulator plays them one after the other, and shrinks."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import _hypothesis_globals
from cocotb.task import bridge, resume
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

from tests.examples import begin, load_profile, seeded

__all__ = ["explore"]

Example = TypeVar("Example")


async def explore(
    strategy: SearchStrategy[Example], play: Callable[[Example], Awaitable[None]], *, examples: int
) -> None:
    """Play ``examples`` examples. ``play`` begins each with a reset, and raises if the example fails.

    Raises what the simplest failing example raised, with a note that tells which that is.
    """
    load_profile()
    # cocotb loads pytest, and with it Hypothesis' plugin, which takes itself to be starting until tests begin: the log
    # would tell of each strategy at length.
    _hypothesis_globals.in_initialization = 0
    blocking = resume(play)

    @seeded
    @settings(max_examples=examples, suppress_health_check=[HealthCheck.too_slow])
    @given(strategy)
    def run(example: Example) -> None:
        if begin():
            blocking(example)

    await bridge(run)()
