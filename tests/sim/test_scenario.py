"""Scenarios out of range are refused with one line."""

from typing import Any

import pytest

from sim.errors import UserError
from sim.fidelity.errors import nearest
from sim.fidelity.grid import GRID
from sim.fidelity.machines import model_outcome
from sim.fidelity.scenario import Direction, Scenario


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"size": 63}, "size is 64..16384, not 63"),
        ({"burst": 0}, "burst is 1..100000, not 0"),
        ({"driver": {"interrupt_throttle_rate": 7}}, "not 7"),
        ({"driver": {"no_such": 7}}, "no_such"),
        ({"costs": {"dma_width": 9}}, "dma_width is 1..8 bytes per cycle, not 9"),
        ({"unknown": 1}, "a scenario has no unknown"),
        ({"direction": "sideways"}, "receive, transmit or both is allowed"),
    ],
)
def test_out_of_range(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError, match=text) as error:
        Scenario.from_json({"name": "bad"} | changes)
    assert "\n" not in str(error.value)


def test_to_json_and_back() -> None:
    for scenario in GRID:
        assert Scenario.from_json(scenario.to_json()) == scenario


def test_grid() -> None:
    assert len(GRID) >= 60
    assert len({scenario.name for scenario in GRID}) == len(GRID)
    assert sum(scenario.held_out for scenario in GRID) * 3 >= len(GRID)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", GRID, ids=lambda scenario: scenario.name)
def test_no_point_is_idle(scenario: Scenario) -> None:
    """A point at which nothing is received, or sent, tells nothing."""
    outcome = model_outcome(scenario)
    assert outcome.interrupts
    if scenario.direction is not Direction.TRANSMIT:
        assert outcome.delivered
    if scenario.direction is not Direction.RECEIVE:
        assert outcome.sent


def test_a_point_of_the_grid_is_nearest_to_itself() -> None:
    for scenario in GRID[:20]:
        place = nearest(scenario, count=5)
        assert scenario in place
