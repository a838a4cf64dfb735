"""The NIC keeps up with the wire, both ways at once, at the smallest and the largest frame."""

from pathlib import Path

import pytest

from sim.rtl import line_rate
from sim.rtl.line_rate import measure, wire_rate

pytestmark = pytest.mark.rtl


def test_the_wire_carries_what_the_standard_says() -> None:
    assert round(wire_rate(64)) == 1_488_095
    assert round(wire_rate(1518)) == 81_274


@pytest.mark.parametrize(
    ("size", "frames", "read_latency"), [(64, 2500, 1000), (65, 1000, 1000), (1518, 150, 1000), (64, 2500, 16_000)]
)
def test_line_rate_both_ways(tmp_path: Path, size: int, frames: int, read_latency: int) -> None:
    """With the usual microsecond of read latency, and the smallest frames with far more."""
    assert measure(size, frames=frames, read_latency=read_latency, folder=tmp_path) == pytest.approx(
        (wire_rate(size), wire_rate(size)), rel=1e-9
    )


def test_a_memory_too_slow_for_the_descriptors_on_the_chip_shows(tmp_path: Path) -> None:
    """64 descriptors per 60 us cannot feed 1.488 million frames/s: the measurement must say so."""
    sent, received = measure(64, frames=2500, read_latency=60_000, folder=tmp_path)
    assert 0.2 < sent / wire_rate(64) < 0.9
    assert 0.2 < received / wire_rate(64) < 0.9


@pytest.mark.parametrize("limit", [0, 1000, 1999, 23_000, 63_000, 64_000, 90_000])
@pytest.mark.parametrize("direction", [0, 1])
def test_the_longest_latency_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, direction: int
) -> None:
    """By bisection, with either direction the one that falls short; and 0 if none is good."""
    tried = []

    def rates(size: int, *, frames: int, read_latency: int, folder: Path) -> list[float]:
        tried.append(read_latency)
        both = [wire_rate(size)] * 2
        both[direction] *= 1.0 if read_latency <= limit else 0.999
        return both

    monkeypatch.setattr(line_rate, "measure", rates)
    assert line_rate.largest_latency(64, frames=10, folder=tmp_path) == min(limit // 1000, 64) * 1000
    assert len(tried) <= 7
