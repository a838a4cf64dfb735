"""The model of the NIC beside the RTL: calibration has not drifted, and both do the same."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.fidelity.calibrate import differences, open_checkpoints
from sim.fidelity.grid import GRID
from sim.fidelity.machines import model_outcome, rtl_outcomes
from sim.fidelity.play import Outcome
from sim.fidelity.probing import probe_rtl
from sim.fidelity.scenario import Direction, Scenario
from sim.model.timing import Calibration

pytestmark = pytest.mark.slow

_PER_RUN = 10


_FARTHEST = 5
"""Cycles by which the model is off at any event of any probe."""


def test_calibration_has_not_drifted(tmp_path: Path) -> None:
    """Fails when a stage of the RTL takes another time than the calibration says: run ``make calibrate``."""
    calibration = Calibration.load()
    rtl = probe_rtl(tmp_path / "probes")
    left = open_checkpoints(rtl, calibration.timing)
    assert {item.parameter: shown - wanted for item, wanted, shown in left} == calibration.open
    far = {
        probe: [event for event in events if abs(event[2] - event[3]) > _FARTHEST]
        for probe, events in differences(rtl, calibration.timing).items()
    }
    assert not {probe: events for probe, events in far.items() if events}


def _order(outcome: Outcome) -> dict[str, Any]:
    """What happened, in its order, without the times."""
    return {
        "delivered": [number for number, _ in outcome.delivered],
        "sent": [number for number, _ in outcome.sent],
        "statistics": outcome.statistics,
        "dropped": outcome.dropped,
    }


_SCENARIOS = st.builds(
    Scenario,
    name=st.just("any"),
    direction=st.sampled_from(Direction),
    size=st.sampled_from((64, 65, 71, 128, 300, 1000, 1518)),
    frames=st.integers(1, 40),
    burst=st.integers(1, 40),
    pause=st.integers(0, 20_000),
    jitter=st.booleans(),
    checksums=st.booleans(),
    driver=st.fixed_dictionaries(
        {
            "interrupt_throttle_rate": st.sampled_from((0, 1, 3, 8000, 100_000)),
            "rx_int_delay": st.integers(0, 8),
            "tx_int_delay": st.integers(0, 8),
            "rx_descriptors": st.sampled_from((80, 256)),
            "rx_buffer_size": st.sampled_from((256, 2048, 16384)),
        }
    ),
    seed=st.integers(0, 1000),
)


@settings(max_examples=2)
@given(scenarios=st.lists(_SCENARIOS, min_size=_PER_RUN, max_size=_PER_RUN))
def test_both_do_the_same(tmp_path_factory: pytest.TempPathFactory, scenarios: list[Scenario]) -> None:
    outcomes = rtl_outcomes(scenarios, tmp_path_factory.mktemp("lockstep"), jobs=1)
    for scenario, outcome in zip(scenarios, outcomes, strict=True):
        assert _order(model_outcome(scenario)) == _order(outcome), scenario


def test_points_in_which_accesses_overtake_and_reads_wait_for_half_a_burst(tmp_path: Path) -> None:
    """Two flows of control access registers in another order than they ask; an answer comes amid a burst of writes."""
    points = [point for point in GRID if point.name in ("transmit-64", "receive-latency-5000", "receive-latency-200")]
    assert len(points) == 3
    for point, outcome in zip(points, rtl_outcomes(points, tmp_path / "points", jobs=1), strict=True):
        assert model_outcome(point) == outcome, point.name
