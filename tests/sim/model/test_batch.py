"""What takes frames in one step, or looks bytes up ahead, shows the same as the events that it stands for."""

import bisect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.descriptors import TRANSMIT_LEGACY
from hw.registers import BY_NAME
from sim.engine import EventEngine
from sim.fidelity.machines import machine
from sim.fidelity.play import Outcome, play
from sim.fidelity.scenario import Direction, Scenario
from sim.model.bus import ModelBus


def _by_events(bus: ModelBus) -> None:
    """Leave all to events."""
    bus.nic.receive.batch = None
    bus.nic.mac.batch = None
    bus.nic.transmit.looks_ahead = False


def _outcome(scenario: Scenario, *, batch: bool) -> Outcome:
    env = EventEngine(seed=scenario.seed)
    bus, cpu, link = machine(env, scenario)
    if not batch:
        _by_events(bus)
    return env.run(play(env, bus, cpu, link, scenario))


@settings(max_examples=40)
@given(
    size=st.sampled_from((64, 65, 100, 256, 600, 1518)),
    burst=st.integers(1, 40),
    pause=st.integers(0, 30_000),
    rate=st.sampled_from((0, 1, 3, 4000, 100_000)),
    delay=st.sampled_from((0, 0, 0, 4)),
    direction=st.sampled_from(Direction),
    segments=st.sampled_from((1, 1, 4, 20)),
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
    segments: int,
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
        segments=segments,
        checksums=checksums and segments == 1,
        driver={"interrupt_throttle_rate": rate, "rx_int_delay": delay, "rx_descriptors": 80},
        costs={"dma_width": width},
        seed=seed,
    )
    assert _outcome(scenario, batch=True) == _outcome(scenario, batch=False)


_RING, _BUFFER, _LENGTH = 0x10000, 0x20000, 1500
_FRAMES = 8


def _sent(writes: list[tuple[int, int, int]], *, batch: bool, frames: int = _FRAMES) -> list[tuple[int, bytes]]:
    """What goes out, and when, while software writes to the buffers of frames that are being sent: after how many ns,
    where, and what."""
    env = EventEngine(seed=1)
    bus, _, link = machine(env, Scenario(name="any"))
    if not batch:
        _by_events(bus)
    sent: list[tuple[int, bytes]] = []
    link.taps.append(lambda direction, start, frame: sent.append((start, frame)))

    async def run() -> None:
        ctrl, tctl = BY_NAME["CTRL"], BY_NAME["TCTL"]
        bus.write32(ctrl.offset, ctrl.value(SLU=1, ASDE=1, FD=1))
        await env.sleep(100_000)
        for number in range(frames):
            address = _BUFFER + 2048 * number
            bus.memory.write(address, bytes([number]) * _LENGTH)
            raw = TRANSMIT_LEGACY.pack(address=address, length=_LENGTH, eop=1, ifcs=1, rs=1)
            bus.memory.write(_RING + 16 * number, raw)
        bus.write32(BY_NAME["TDBAL"].offset, _RING)
        bus.write32(BY_NAME["TDLEN"].offset, 16 * 16)
        bus.write32(tctl.offset, tctl.value(EN=1, PSP=1))
        bus.write32(BY_NAME["TDT"].offset, frames)
        for pause, place, octet in writes:
            await env.sleep(pause)
            bus.memory.write(_BUFFER + place, bytes([octet]) * 8)
        await env.sleep(300_000)

    env.run(run())
    return sent


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 700), st.integers(0, 2048 * _FRAMES - 9), st.integers(0, 255)),
        min_size=1,
        max_size=60,
    )
)
def test_memory_that_changes_under_way(writes: list[tuple[int, int, int]]) -> None:
    sent = _sent(writes, batch=True)
    assert len(sent) == _FRAMES
    assert sent == _sent(writes, batch=False)


@pytest.mark.parametrize("place", [0, 512, 1024])
@pytest.mark.parametrize("number", [0, 12])
def test_memory_that_changes_in_the_very_cycle(number: int, place: int) -> None:
    """A write to the bytes of each burst of a frame, at every nanosecond around that from which it comes too late.
    Those of the last frame wait for room in the transmit buffer."""

    def octet(pause: int, *, batch: bool) -> int:
        sent = _sent([(pause, 2048 * number + place, 0xAA)], batch=batch, frames=number + 1)
        return sent[number][1][place]

    late = bisect.bisect(range(200_000), 0, key=lambda pause: octet(pause, batch=False) == number)
    assert 0 < late < 200_000
    around = range(late - 20, late + 20)
    shown = [octet(pause, batch=False) for pause in around]
    assert shown == [0xAA if pause < late else number for pause in around]
    assert [octet(pause, batch=True) for pause in around] == shown
