"""LEDs: gateware against the golden function, the phase of blinking, and how long activity is shown."""

import itertools
from typing import Any

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.leds import CYCLES_PER_BLINK, LedMode, Leds, is_on
from hw.registers import BY_NAME

SPAN = 5
SOURCES = {"link": 1, "speed": 3, "activity": 1, "full_duplex": 1, "paused": 1}
states = st.fixed_dictionaries({name: st.integers(0, most) for name, most in SOURCES.items()})
controls = st.lists(st.tuples(st.sampled_from(LedMode), st.booleans(), st.booleans()), min_size=4, max_size=4)


def run(process: Any) -> None:
    dut = Leds(cycles_per_blink=SPAN)
    simulator = Simulator(dut)
    simulator.add_clock(8e-9)

    async def testbench(context: Any) -> None:
        await process(context, dut)

    simulator.add_testbench(testbench)
    simulator.run()


def apply(context: Any, dut: Leds, state: dict[str, int]) -> None:
    for name, value in state.items():
        context.set(dut.state[name], value)


@settings(max_examples=60)
@given(controls, states)
def test_gateware_is_the_golden_function(control: list[tuple[LedMode, bool, bool]], state: dict[str, int]) -> None:
    """With sources that stay as they are: over two periods each LED has the phases that the golden function says."""

    async def process(context: Any, dut: Leds) -> None:
        apply(context, dut, state)
        for number, (mode, ivrt, blink) in enumerate(control):
            context.set(dut.control[number].mode, mode)
            context.set(dut.control[number].ivrt, ivrt)
            context.set(dut.control[number].blink, blink)
        await context.tick().repeat(4)
        seen = []
        for _ in range(4 * SPAN):
            seen.append(context.get(dut.leds))
            await context.tick()
        for number, (mode, ivrt, blink) in enumerate(control):
            on = [is_on(mode, ivrt=ivrt, blink=blink, lit=lit, state=state) for lit in (False, True)]
            shown = [bool(value >> number & 1) for value in seen]
            if on[0] == on[1]:
                assert shown == [on[0]] * len(shown)
            else:
                changes = [place for place in range(1, len(shown)) if shown[place] != shown[place - 1]]
                assert len(changes) in (3, 4)
                assert {after - before for before, after in itertools.pairwise(changes)} == {SPAN}

    run(process)


def test_activity_is_stretched() -> None:
    """One cycle of it is shown for one to two spans; and not without a link."""

    async def process(context: Any, dut: Leds) -> None:
        context.set(dut.control[0].mode, LedMode.ACTIVITY)
        for link in (1, 0):
            context.set(dut.state.link, link)
            for wait in range(SPAN):
                await context.tick().repeat(3 * SPAN + wait)
                assert not context.get(dut.leds[0])
                context.set(dut.state.activity, 1)
                await context.tick()
                context.set(dut.state.activity, 0)
                shown = 0
                for _ in range(3 * SPAN):
                    await context.tick()
                    shown += context.get(dut.leds[0])
                assert SPAN <= shown <= 2 * SPAN if link else not shown

    run(process)


def test_link_activity() -> None:
    """Off without a link, on with one; it goes out with activity, or with BLINK it blinks."""
    idle = {"link": 1, "speed": 2, "activity": 0, "full_duplex": 1, "paused": 0}
    for blink, busy in ((False, [False, False]), (True, [False, True])):
        for state, expected in ((idle | {"link": 0}, [False] * 2), (idle, [True] * 2), (idle | {"activity": 1}, busy)):
            on = [is_on(LedMode.LINK_ACTIVITY, ivrt=False, blink=blink, lit=lit, state=state) for lit in (False, True)]
            assert on == expected


def test_modes_and_times() -> None:
    """What the table gives after reset, and 200 ms of 125 MHz."""
    ledctl = BY_NAME["LEDCTL"]
    assert ledctl.reset == 0x0706_8302
    modes = [LedMode(ledctl[f"LED{number}_MODE"].reset) for number in range(4)]
    assert modes == [LedMode.LINK_UP, LedMode.ACTIVITY, LedMode.LINK_100, LedMode.LINK_1000]
    assert CYCLES_PER_BLINK * 8 == 200_000_000
    gigabit = {"link": 1, "speed": 2, "activity": 0, "full_duplex": 1, "paused": 0}
    lit = {mode for mode in LedMode if is_on(mode, ivrt=False, blink=False, lit=False, state=gigabit)}
    assert lit == {
        LedMode.LINK_10_1000,
        LedMode.LINK_100_1000,
        LedMode.LINK_UP,
        LedMode.LINK_ACTIVITY,
        LedMode.LINK_1000,
        LedMode.FULL_DUPLEX,
        LedMode.LED_ON,
    }


def test_impossible_span() -> None:
    with pytest.raises(ValueError, match="not 1"):
        Leds(cycles_per_blink=1)
