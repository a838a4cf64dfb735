"""The fuzz targets over their seeds, cut and changed: the same functions that atheris drives for longer."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.stack.fuzz_targets import SEEDS, TARGETS


@pytest.mark.parametrize("name", list(TARGETS))
def test_every_seed_whole_and_cut(name: str) -> None:
    for seed in SEEDS[name]:
        for end in range(0, len(seed) + 1, max(len(seed) // 6, 1)):
            TARGETS[name](seed[:end])
        TARGETS[name](seed + bytes(40))


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(TARGETS)),
    st.integers(0, 9),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=8),
    st.binary(max_size=60),
)
def test_changed_seeds(name: str, chosen: int, changes: list[tuple[int, int]], more: bytes) -> None:
    data = bytearray(SEEDS[name][chosen % len(SEEDS[name])])
    for position, value in changes:
        data[position % len(data)] = value
    TARGETS[name](bytes(data) + more)
    TARGETS[name](more)
