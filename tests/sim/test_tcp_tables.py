"""The part of docs/tcp-tables.md that a test can afford is made anew and compared; and what must hold of any table."""

import pytest

from sim.tcp_tables import DOCUMENT, small_section, throughput

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
