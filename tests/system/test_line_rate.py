"""The NIC keeps up with the wire, both ways at once, at the smallest and the largest frame."""

from pathlib import Path

import pytest

from sim.rtl.line_rate import measure, wire_rate

pytestmark = pytest.mark.rtl


def test_the_wire_carries_what_the_standard_says() -> None:
    assert round(wire_rate(64)) == 1_488_095
    assert round(wire_rate(1518)) == 81_274


@pytest.mark.parametrize(("size", "frames"), [(64, 2500), (65, 1000), (1518, 150)])
def test_line_rate_both_ways_with_a_microsecond_of_read_latency(tmp_path: Path, size: int, frames: int) -> None:
    assert measure(size, frames=frames, read_latency=1000, folder=tmp_path) == pytest.approx(
        (wire_rate(size), wire_rate(size)), rel=1e-9
    )


def test_a_memory_too_slow_for_the_descriptor_cache_shows(tmp_path: Path) -> None:
    """32 descriptors per 20 us cannot feed 1.488 million frames/s: the measurement must say so."""
    sent, received = measure(64, frames=2500, read_latency=20_000, folder=tmp_path)
    assert 0.3 < sent / wire_rate(64) < 0.9
    assert received / wire_rate(64) < 0.9
