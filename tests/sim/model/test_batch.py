"""What takes frames in one step shows the same as the events that it stands for."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sim.engine import EventEngine
from sim.fidelity.machines import machine
from sim.fidelity.play import Outcome, play
from sim.fidelity.scenario import Direction, Scenario


def _outcome(scenario: Scenario, *, batch: bool) -> Outcome:
    env = EventEngine(seed=scenario.seed)
    bus, cpu, link = machine(env, scenario)
    if not batch:
        bus.nic.receive.batch = None
    return env.run(play(env, bus, cpu, link, scenario))


@settings(max_examples=25)
@given(
    size=st.sampled_from((64, 65, 100, 256, 600, 1518)),
    burst=st.integers(1, 40),
    pause=st.integers(0, 30_000),
    rate=st.sampled_from((0, 1, 3, 4000, 100_000)),
    delay=st.sampled_from((0, 0, 0, 4)),
    direction=st.sampled_from((Direction.RECEIVE, Direction.BOTH)),
    width=st.sampled_from((8, 8, 4)),
    checksums=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_same_as_events(
    size: int,
    burst: int,
    pause: int,
    rate: int,
    delay: int,
    direction: Direction,
    width: int,
    checksums: bool,
    seed: int,
) -> None:
    scenario = Scenario(
        name="any",
        direction=direction,
        size=size,
        frames=80,
        burst=burst,
        pause=pause,
        jitter=True,
        checksums=checksums,
        driver={"interrupt_throttle_rate": rate, "rx_int_delay": delay, "rx_descriptors": 80},
        costs={"dma_width": width},
        seed=seed,
    )
    assert _outcome(scenario, batch=True) == _outcome(scenario, batch=False)
