"""What the report advises: the best of what ran, how sure that is, and nothing where nothing can be said."""

from dataclasses import replace

import pytest

from sim.report.cases import cases_of
from sim.report.recommendation import recommend
from sim.results import Row
from sim.statistics import mean
from tests.sim.rows import synthetic_row


def _row(mode: int, seed: int, late: float, busy: float, goodput: float = 1e8, load: float = 1000.0) -> Row:
    row = synthetic_row(mode, seed=seed, load=load)
    return replace(
        row,
        latency_p99=late,
        cpu=dict.fromkeys(row.cpu, 0.0) | {"copy": busy, "idle": 1 - busy},
        send_goodput=goodput,
        receive_goodput=0.0,
    )


def test_trade_weighs_both_and_counts_seeds() -> None:
    rows = []
    for seed in (1, 2, 3):
        rows += [_row(0, seed, 10e-6, 0.8), _row(3, seed, 20e-6, 0.2), _row(8000, seed, 120e-6, 0.1)]
    # In one seed the quickest mode is not the quickest.
    rows[0] = _row(0, 1, 30e-6, 0.8)
    [case] = cases_of(rows)
    found = recommend(case)
    assert found is not None
    assert (found.trade.mode, found.trade.wins) == (3, 3)
    assert (found.latency.mode, found.latency.wins, found.latency.seeds) == (0, 2, 3)
    assert found.processor.mode == 8000
    assert "Take mode 3 conservative (so in 3 of 3 seeds)" in found.text
    assert "If only latency counts, take throttling off (so in 2 of 3 seeds)" in found.text


def test_a_mode_that_loses_goodput_is_no_candidate() -> None:
    rows = [_row(0, 1, 10e-6, 0.01, goodput=5e7), _row(3, 1, 20e-6, 0.2), _row(4, 1, 30e-6, 0.4)]
    [case] = cases_of(rows)
    found = recommend(case)
    assert found is not None
    assert {found.trade.mode, found.latency.mode, found.processor.mode} == {3}
    assert "one seed, so how sure this is cannot be said" in found.text
    assert "Not considered, for it loses goodput or did not run everywhere: throttling off." in found.text


def test_goodput_of_round_trips_is_no_argument() -> None:
    rows = [
        replace(_row(mode, 1, late, busy, goodput=1 / late), workload="ping-pong")
        for mode, late, busy in ((0, 11e-6, 0.9), (8000, 125e-6, 0.05))
    ]
    [case] = cases_of(rows)
    found = recommend(case)
    assert found is not None
    assert (found.latency.mode, found.processor.mode) == (0, 8000)


def test_nothing_is_advised_where_nothing_was_compared() -> None:
    [alone] = cases_of([synthetic_row(3)])
    assert recommend(alone) is None
    [unmeasured] = cases_of([synthetic_row(0, latencies=0), synthetic_row(3, latencies=0)])
    assert recommend(unmeasured) is None


def test_interval_of_a_mean_is_students() -> None:
    found = mean([1.0, 2.0, 3.0])
    assert found.value == 2.0
    assert found.half == pytest.approx(4.303 / 3**0.5)
    assert mean([5.0]).half == 0.0
