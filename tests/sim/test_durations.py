import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.durations import Durations

SHARES = (0.0, 0.005, 0.5, 0.99, 0.999, 1.0)
ERROR = 1 / 8192


def filled(values: list[int]) -> Durations:
    durations = Durations()
    for value in values:
        durations.append(value)
    return durations


@given(st.lists(st.integers(0, 1 << 50), min_size=1, max_size=200))
def test_few_are_exact(values: list[int]) -> None:
    durations = filled(values)
    assert len(durations) == len(values)
    assert durations.quantiles(SHARES) == [float(value) for value in np.quantile(values, SHARES)]


@pytest.mark.parametrize("count", [65_537, 65_538, 131_074, 400_000])
@pytest.mark.parametrize("largest", [1, 4095, 1 << 20, 1 << 40])
def test_many_are_nearly_exact(count: int, largest: int) -> None:
    draw = random.Random(count + largest)
    values = [round(largest ** draw.random()) for _ in range(count)]
    durations = filled(values)
    assert len(durations) == count
    found = durations.quantiles(SHARES)
    assert found == pytest.approx(list(np.quantile(values, SHARES)), rel=ERROR)
    assert found[-1] == max(values)
    # What is asked does not change what comes after.
    durations.append(largest)
    assert len(durations) == count + 1
    assert durations.quantiles((1.0,)) == [largest]


def test_short_times_stay_exact() -> None:
    values = [number % 4096 for number in range(70_000)]
    assert filled(values).quantiles(SHARES) == [float(value) for value in np.quantile(values, SHARES)]


def test_memory_does_not_grow_with_how_many_there_are() -> None:
    draw = random.Random(1)
    durations = Durations()
    held, most = [], []
    tracemalloc.start()
    try:
        for _ in range(4):
            for _ in range(65_537):
                durations.append(int(draw.expovariate(1e-5)))
            now, peak = tracemalloc.get_traced_memory()
            held.append(now)
            most.append(peak)
    finally:
        tracemalloc.stop()
    assert held[-1] - held[0] < 10_000
    assert most[-1] - most[0] < 10_000
