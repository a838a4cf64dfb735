"""The part of docs/tcp-tables.md that a test can afford is made anew and compared; and what must hold of any table."""

from collections.abc import Callable

import pytest

from sim import cubic_window, tcp_tables
from sim.tcp_runs import average_window, throughput
from sim.tcp_tables import DOCUMENT, small_section

_MS = 1_000_000


@pytest.mark.slow
def test_the_page_is_that_of_the_code() -> None:
    section = small_section()
    assert section in DOCUMENT.read_text(), (
        f"`make tables` writes {DOCUMENT.name} anew; its small part is now:\n{section}"
    )


@pytest.mark.parametrize("buffer", [16 * 1024, 64 * 1024])
def test_without_loss_a_buffer_a_round_trip(buffer: int) -> None:
    """No more can be: and no less than most of it, once slow start is over."""
    rate = throughput(size=2 << 20, buffer=buffer, loss=0.0)
    assert 0.85 * buffer / 0.1 < rate <= buffer / 0.1


def test_the_same_seed_gives_the_same_table() -> None:
    cells = [
        throughput(size=100_000, buffer=32 * 1024, loss=0.05, round_trip=20 * _MS, seed=seed) for seed in (1, 1, 2)
    ]
    assert cells[0] == cells[1] != cells[2]


@pytest.mark.slow
@pytest.mark.parametrize("control", ["cubic", "cubic-alone"])
def test_cubic_has_the_window_that_the_rules_give(control: str) -> None:
    measured = average_window(packets_per_loss=500, round_trip=400 * _MS, skipped=15, epochs=20, control=control)
    expected = cubic_window.average_window(
        packets_per_loss=500, round_trip=0.4, skipped=15, epochs=20, fast_convergence=control == "cubic"
    )
    assert measured.always == pytest.approx(expected, rel=0.06)


@pytest.mark.slow
def test_cubic_in_congestion_avoidance_is_within_a_tenth_of_the_formula() -> None:
    """The row with the fewest round trips in an epoch, which is the farthest from RFC 9438 section 5.1."""
    measured = average_window(packets_per_loss=500, round_trip=400 * _MS, skipped=100, epochs=60)
    assert measured.avoidance == pytest.approx(cubic_window.formula(500, 0.4), rel=0.1)


def test_the_rules_are_near_the_formula_where_they_know_the_same() -> None:
    expected = cubic_window.average_window(
        packets_per_loss=1000, round_trip=0.4, skipped=150, epochs=40, fast_convergence=False
    )
    assert expected == pytest.approx(cubic_window.formula(1000, 0.4), rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [
        lambda: tcp_tables._smoltcp_cell("cubic", 32768, 0.3),
        lambda: tcp_tables._path_cell("reno", 50 * _MS, 0.03),
        lambda: tcp_tables._fairness_cell("cubic", True, 4)[0],
    ],
    ids=["smoltcp", "path", "flows"],
)
def test_a_cell_of_each_large_table_is_that_of_the_code(cell: Callable[[], float]) -> None:
    value = f"| {cell():,.0f} |"
    assert value in DOCUMENT.read_text(), f"`make tables` writes {DOCUMENT.name} anew; one of its cells is now {value}"
