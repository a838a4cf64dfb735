"""Both meanings of ITR, in an experiment and as they are felt: an answer that comes alone, and answers that follow each
other."""

import json
from pathlib import Path

import pytest

from driver.itr import register_value
from hw.interrupt import Semantics
from sim.backend import ItrSemantics
from sim.costs import HostCosts
from sim.engine import EventEngine
from sim.errors import UserError
from sim.experiment import load
from sim.host import HostCpu
from sim.model.bus import ModelBus, ModelPort
from sim.model.timing import CALIBRATION, Timing
from sim.rtl import build
from sim.station import PEER_ADDRESS, Station
from sim.wire import Link

RATE = 8000
INTERVAL = register_value(RATE) * 256
"""ns."""

EXPERIMENT = """backend = "model"
itr_semantics = ["since_last_interrupt", "hold_off"]
[workload]
kind = "ping-pong"
duration = "1 ms"
"""


def round_trips(semantics: ItrSemantics, *, pause: int) -> list[int]:
    """Of five echo requests, ``pause`` ns after each other's answer."""
    env = EventEngine(seed=1)
    cpu = HostCpu(env, HostCosts())
    link = Link(env)
    # The cycles of a stage do not matter here, so the calibration may be of an older NIC.
    timing = Timing(**json.loads(CALIBRATION.read_text())["timing"])
    bus = ModelBus(env, cpu, timing=timing, semantics=Semantics(semantics.value))
    ModelPort(bus, outgoing=link.a_to_b, incoming=link.b_to_a)
    station = Station(env, cpu, bus, link)
    times: list[int] = []

    async def main() -> None:
        # Packets sent tell nothing meanwhile.
        await station.up(interrupt_throttle_rate=RATE, tx_int_delay=60_000, tx_abs_int_delay=0)
        await station.stack.ping(PEER_ADDRESS)
        for _ in range(5):
            await env.sleep(pause)
            times.extend(await station.stack.ping(PEER_ADDRESS))

    env.run(main())
    return times


def test_an_answer_that_comes_alone() -> None:
    manual = round_trips(ItrSemantics.SINCE_LAST_INTERRUPT, pause=400_000)
    hold_off = round_trips(ItrSemantics.HOLD_OFF, pause=400_000)
    assert max(manual) < 20_000
    for short, long in zip(manual, hold_off, strict=True):
        # The unit's prescaler runs on: an interval may be short of a unit of 256 ns.
        assert long - short == pytest.approx(INTERVAL, abs=300)


def test_answers_that_follow_each_other() -> None:
    manual = round_trips(ItrSemantics.SINCE_LAST_INTERRUPT, pause=0)
    hold_off = round_trips(ItrSemantics.HOLD_OFF, pause=0)
    # The manual's meaning hides what else takes time, within the interval; a hold-off comes on top of it.
    assert manual[1:] == [pytest.approx(INTERVAL, abs=2_000)] * 4
    assert min(hold_off) > INTERVAL + 8_000


def test_an_experiment_names_it(tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text(EXPERIMENT)
    runs = load(path)
    assert [run.itr_semantics for run in runs] == [*ItrSemantics]
    assert len({run.key for run in runs}) == len({run.name for run in runs}) == 2
    path.write_text(EXPERIMENT.replace("hold_off", "whenever"))
    with pytest.raises(UserError, match=r"both.toml.*itr_semantics"):
        load(path)


def test_each_has_a_nic_of_its_own() -> None:
    assert [semantics.value for semantics in ItrSemantics] == [semantics.value for semantics in Semantics]
    folders = {build._variant("nic", semantics).name for semantics in ItrSemantics}
    assert folders == {"nic", "nic-hold_off"}
