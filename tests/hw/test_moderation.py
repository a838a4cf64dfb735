"""The delay timers: golden rules against gateware, to the cycle."""

from collections.abc import Callable

import pytest
from amaranth.lib.wiring import Component
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.moderation import (
    CYCLES_PER_UNIT,
    AbsoluteTimer,
    DelayEvent,
    DelayTimer,
    InterruptDelay,
    InterruptDelayTimers,
    PacketTimer,
)
from hw.registers import BY_NAME
from tests.hw.simulate import CLOCK_PERIOD_NS

PACKET_DELAY, ABSOLUTE_DELAY, EXPIRE, DONE = DelayEvent

Events = list[tuple[int, DelayEvent] | tuple[int, DelayEvent, int]]


def expired_in(component: Component, end: int, drive: Callable[..., None]) -> list[int]:
    """The cycles, counted from 0 after reset, in which ``expired`` is high; ``drive(context, cycle)`` sets inputs."""
    cycles = []

    async def bench(context) -> None:
        for cycle in range(end):
            drive(context, cycle)
            if context.get(component.expired):
                cycles.append(cycle)
            await context.tick()

    simulator = Simulator(component)
    simulator.add_clock(8e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return cycles


def gateware_expiries(rule: InterruptDelay, events: Events, end: int) -> list[int]:
    """What ``InterruptDelay.expiries`` predicts, from the gateware."""
    timers = rule.create()
    happening: dict[int, dict[DelayEvent, int]] = {}
    for cycle, event, *value in events:
        happening.setdefault(cycle, {})[event] = value[0] if value else 0

    def drive(context, cycle: int) -> None:
        now = happening.get(cycle, {})
        if PACKET_DELAY in now:
            context.set(timers.packet_delay, now[PACKET_DELAY])
        if ABSOLUTE_DELAY in now:
            context.set(timers.absolute_delay, now[ABSOLUTE_DELAY])
        context.set(timers.expire, EXPIRE in now)
        context.set(timers.event, DONE in now)

    return expired_in(timers, end, drive)


# Near multiples of the unit, so that events meet expiries.
cycles_near_units = st.builds(lambda unit, more: 128 * unit + more, st.integers(0, 8), st.integers(0, 3))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [PacketTimer, AbsoluteTimer])
@settings(max_examples=40)
@given(events=st.lists(cycles_near_units, min_size=1, max_size=12), delay=st.integers(1, 7))
def test_timer_is_as_golden(kind: type[PacketTimer] | type[AbsoluteTimer], events: list[int], delay: int) -> None:
    timer = kind(delay_bits=3)
    gateware = timer.create()

    def drive(context, cycle: int) -> None:
        context.set(gateware.delay, delay)
        context.set(gateware.event, cycle in events)

    assert expired_in(gateware, 2000, drive) == timer.expiries(events, delay=delay)


@pytest.mark.slow
@settings(max_examples=80)
@given(
    packet=st.integers(0, 7),
    absolute=st.integers(0, 7),
    plain=st.lists(st.tuples(cycles_near_units, st.sampled_from((DONE, DONE, DONE, EXPIRE))), min_size=3, max_size=20),
    delays=st.lists(
        st.tuples(cycles_near_units, st.sampled_from((PACKET_DELAY, ABSOLUTE_DELAY)), st.integers(0, 7)), max_size=4
    ),
)
def test_timers_are_as_golden(packet: int, absolute: int, plain: Events, delays: Events) -> None:
    start: Events = [(0, PACKET_DELAY, packet), (0, ABSOLUTE_DELAY, absolute)]
    events = sorted({item[:2]: item for item in [*start, *delays, *plain]}.values(), key=lambda item: item[0])
    rule = InterruptDelay(delay_bits=3)
    assert gateware_expiries(rule, events, 2000) == rule.expiries(events, end=2000)


@pytest.mark.parametrize("delay", [1, 3])
@pytest.mark.parametrize("kind", [PacketTimer, AbsoluteTimer])
def test_pair_and_single_timers_agree(kind: type[PacketTimer] | type[AbsoluteTimer], delay: int) -> None:
    """The packet timer alone is the pair with no absolute one; the absolute alone that with a packet delay of one more
    (the manual's way, 3.2.7.1.2)."""
    cycles = [5, 20, 120, 133, 260, 388, 389, 1000, 1384, 1400]
    packet, absolute = (delay, 0) if kind is PacketTimer else (delay + 1, delay)
    events: Events = [(0, PACKET_DELAY, packet), (0, ABSOLUTE_DELAY, absolute), *((cycle, DONE) for cycle in cycles)]
    assert InterruptDelay().expiries(events, end=9999) == kind().expiries(cycles, delay=delay)


NUMBERS: list[tuple[int, int, Events, list[int]]] = [
    # RDTR = 2 alone: 256 cycles after the last of a train; the train's second comes one cycle before the end.
    (2, 0, [(10, DONE), (265, DONE), (1000, DONE)], [521, 1256]),
    # An event in the cycle of the expiry is not before it.
    (2, 0, [(10, DONE), (266, DONE)], [266, 522]),
    # RADV = 3 ends a train that RDTR = 2 would not, and stops the packet timer.
    (2, 3, [(10, DONE), (200, DONE), (390, DONE)], [394]),
    # The packet timer ends first, and stops the absolute one; the next packet starts both anew.
    (1, 3, [(10, DONE), (300, DONE), (420, DONE), (540, DONE), (660, DONE)], [138, 684]),
    # RDTR = 0: at once, whatever RADV is.
    (0, 3, [(10, DONE), (12, DONE)], [10, 12]),
    # Flushed: at once, and nothing afterwards; without anything waiting too.
    (2, 3, [(10, DONE), (50, EXPIRE), (900, EXPIRE)], [50, 900]),
    # Flushed in the cycle of an event: that one is told later.
    (2, 0, [(10, EXPIRE), (10, DONE)], [10, 266]),
    # A new delay does not touch the running timer; 0 neither.
    (2, 0, [(10, DONE), (20, PACKET_DELAY, 7), (300, DONE)], [266, 300 + 896]),
    (2, 3, [(10, DONE), (20, PACKET_DELAY, 0)], [266]),
    # At once stops the timers that run.
    (2, 3, [(10, DONE), (20, PACKET_DELAY, 0), (30, DONE)], [30]),
]


@pytest.mark.parametrize(("packet", "absolute", "events", "expected"), NUMBERS)
def test_in_numbers(packet: int, absolute: int, events: Events, expected: list[int]) -> None:
    history: Events = [(0, PACKET_DELAY, packet), (0, ABSOLUTE_DELAY, absolute), *events]
    rule = InterruptDelay(delay_bits=3)
    assert rule.expiries(history, end=2000) == expected
    assert gateware_expiries(rule, history, 2000) == expected


def test_the_longest_delay() -> None:
    """All bits of a small timer; the real one has 16."""
    timer = PacketTimer(delay_bits=5).create()

    def drive(context, cycle: int) -> None:
        context.set(timer.delay, 31)
        context.set(timer.event, cycle == 3)

    assert expired_in(timer, 4200, drive) == [3 + 31 * 128]
    assert all(len(PacketTimer().create().delay) == BY_NAME[name]["DELAY"].width for name in ("RDTR", "RADV"))
    assert all(len(AbsoluteTimer().create().delay) == BY_NAME[name]["DELAY"].width for name in ("TIDV", "TADV"))


def test_unit_is_1024_ns() -> None:
    assert CYCLES_PER_UNIT * CLOCK_PERIOD_NS == 1024


def test_stop_of_a_single_timer() -> None:
    """Stopped it is silent; an event in the cycle of the stop starts it anew, whichever kind it is."""
    for restarts in (True, False):
        timer = DelayTimer(restarts=restarts, delay_bits=2)

        def drive(context, cycle: int, timer: DelayTimer = timer) -> None:
            context.set(timer.delay, 1)
            context.set(timer.event, cycle in (0, 200, 250))
            context.set(timer.stop, cycle in (100, 250))

        assert expired_in(timer, 500, drive) == [250 + 128]


def test_bad_arguments() -> None:
    for kind in (PacketTimer, AbsoluteTimer, InterruptDelay):
        with pytest.raises(ValueError, match="delay_bits must be at least 1, not 0"):
            kind(delay_bits=0)
    with pytest.raises(ValueError, match="not 'fast'"):
        InterruptDelayTimers(rule="fast")


@pytest.mark.parametrize("restarts", [True, False])
def test_no_delay_is_no_start(restarts: bool) -> None:
    """Not even a whole turn of the counter later."""
    timer = DelayTimer(restarts=restarts, delay_bits=2)
    assert expired_in(timer, 1100, lambda context, cycle: context.set(timer.event, cycle == 3)) == []
