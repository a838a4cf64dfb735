"""Interrupt causes, mask and throttle: golden rule against gateware, to the cycle; and that no cause is lost."""

import random

import cocotb
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.interfaces import RegisterPort
from hw.interrupt import CAUSES, CYCLES_PER_UNIT, Event, InterruptController, InterruptThrottle, Semantics
from hw.register_file import RegisterFile
from hw.registers import BY_NAME
from tests.hw.register_port import Registers
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate

NAMES = ("ICR", "ICS", "IMS", "IMC", "ITR")
ICR, ICS, IMS, IMC, ITR = (BY_NAME[name].offset for name in NAMES)


def gateware_rises(throttle: InterruptThrottle, events, end: int) -> list[int]:
    """What ``InterruptThrottle.rises`` predicts, from the gateware: cycle 0 is the first after reset."""
    gate = throttle.create()
    rises = []

    async def bench(context) -> None:
        happening: dict[int, dict[Event, int]] = {}
        for cycle, event, *value in events:
            happening.setdefault(cycle, {})[event] = value[0] if value else 0
        pending = before = 0
        for cycle in range(end):
            now = happening.get(cycle, {})
            if Event.CAUSE in now:
                pending = 1
            elif Event.CLEAR in now:
                pending = 0
            if Event.INTERVAL in now:
                context.set(gate.interval, now[Event.INTERVAL])
            context.set(gate.pending, pending)
            context.set(gate.acknowledge, Event.ACKNOWLEDGE in now)
            if Event.ACKNOWLEDGE in now:
                pending = 0
            pin = context.get(gate.interrupt)
            if pin and not before:
                rises.append(cycle)
            before = pin
            await context.tick()

    simulator = Simulator(gate)
    simulator.add_clock(8e-9)
    simulator.add_testbench(bench)
    simulator.run()
    return rises


both = pytest.mark.parametrize("semantics", list(Semantics))

plain_events = st.tuples(st.integers(0, 600), st.sampled_from((Event.CAUSE, Event.ACKNOWLEDGE, Event.CLEAR)))
intervals = st.tuples(st.integers(0, 600), st.just(Event.INTERVAL), st.integers(0, 7))
histories = st.builds(
    lambda first, plain, more: sorted(
        {item[:2]: item for item in [(0, Event.INTERVAL, first), *more, *plain]}.values(), key=lambda item: item[0]
    ),
    st.integers(0, 7),
    st.lists(plain_events, min_size=3, max_size=40),
    st.lists(intervals, max_size=4),
)


@both
@settings(max_examples=150)
@given(events=histories)
def test_gate_is_as_golden(semantics: Semantics, events) -> None:
    # With 3 bits the counter of the gateware is full after 256 cycles, so idle times beyond that are met too.
    throttle = InterruptThrottle(semantics=semantics, interval_bits=3)
    assert gateware_rises(throttle, events, 700) == throttle.rises(events, end=700)


ITR_195 = 195 * 32
"""The driver's start value, 20000 interrupts a second: 49.92 us, 6240 cycles."""


@both
def test_in_numbers(semantics: Semantics) -> None:
    """By hand: an isolated cause, one in the gap, one after it, and two at once with a read of ICR between."""
    events = [
        (0, Event.INTERVAL, 195),
        (10, Event.CAUSE),
        (20, Event.ACKNOWLEDGE),
        (30, Event.CAUSE),
        (6290, Event.ACKNOWLEDGE),
        (13000, Event.CAUSE),
        (13100, Event.ACKNOWLEDGE),
        (13101, Event.CAUSE),
    ]
    expected = {
        Semantics.SINCE_LAST_INTERRUPT: [11, 11 + ITR_195, 13001, 13001 + ITR_195],
        # The first two causes are read before their hold-off is over.
        Semantics.HOLD_OFF: [31 + ITR_195, 13102 + ITR_195],
    }[semantics]
    throttle = InterruptThrottle(semantics=semantics)
    assert throttle.rises(events, end=20_000) == expected
    assert gateware_rises(throttle, events, 20_000) == expected


@both
def test_interval_changed_while_it_runs(semantics: Semantics) -> None:
    """A new interval counts from the start of the old one; one that is already over opens at once."""
    start = [(0, Event.INTERVAL, 0), (10, Event.CAUSE), (20, Event.ACKNOWLEDGE)]  # a rise at 11
    since_last = semantics is Semantics.SINCE_LAST_INTERRUPT
    origin = 11 if since_last else 101
    for new, rise in ((20, origin + 20 * 32), (5, max(origin + 5 * 32, 301)), (1, 301), (0, 301)):
        events = [*start, (50, Event.INTERVAL, 10), (100, Event.CAUSE), (300, Event.INTERVAL, new)]
        throttle = InterruptThrottle(semantics=semantics)
        assert throttle.rises(events, end=1000) == [11, rise]
        assert gateware_rises(throttle, events, 1000) == [11, rise]


@both
@pytest.mark.parametrize("interval", [0, 1, 7])
def test_after_a_long_idle_time(semantics: Semantics, interval: int) -> None:
    """However long the last interrupt was ago, the rule is the same: the counter sticks, and does not wrap."""
    throttle = InterruptThrottle(semantics=semantics, interval_bits=3)
    hold_off = 32 * interval if semantics is Semantics.HOLD_OFF else 0
    for idle in range(225, 1000, 31):
        again = 300 + idle
        events = [(0, Event.INTERVAL, interval), (10, Event.CAUSE), (300, Event.ACKNOWLEDGE), (again, Event.CAUSE)]
        assert gateware_rises(throttle, events, 1600) == [11 + hold_off, again + 1 + hold_off]


def test_interval_has_16_bits() -> None:
    assert InterruptThrottle().interval_bits == BY_NAME["ITR"]["INTERVAL"].width == 16


def test_unit_is_256_ns() -> None:
    assert CYCLES_PER_UNIT * CLOCK_PERIOD_NS == 256


def test_bad_semantics() -> None:
    with pytest.raises(ValueError, match="not 'since_last'"):
        InterruptThrottle(semantics="since_last")


def test_bad_interval_bits() -> None:
    with pytest.raises(ValueError, match="not 0"):
        InterruptThrottle(interval_bits=0)


@both
@pytest.mark.parametrize("seed", range(4))
def test_controller_is_as_defined(semantics: Semantics, seed: int) -> None:
    """Random causes and accesses, in the same cycles too. A bit is in ICR in cycle n if it was set in some cycle c < n
    and cleared in none between (c < cycle < n); IMS likewise, and the pin is what the golden rule makes of both."""
    end, everything = 3000, (1 << CAUSES) - 1
    rng = random.Random(seed)
    causes = [rng.getrandbits(CAUSES) & rng.getrandbits(CAUSES) if rng.random() < 0.04 else 0 for _ in range(end)]
    accesses = {
        cycle: (rng.choice(("read", "read", "read", "IMS", *NAMES)), rng.getrandbits(CAUSES))
        for cycle in range(end)
        if rng.random() < 0.06
    }
    throttle = InterruptThrottle(semantics=semantics)
    controller = InterruptController(throttle=throttle)
    icr, ims, pin = [], [], []

    async def bench(context) -> None:
        members = {name: getattr(controller, name.lower()) for name in NAMES}
        for cycle in range(end):
            kind, data = accesses.get(cycle, (None, 0))
            context.set(controller.causes, causes[cycle])
            context.set(controller.icr.read, kind == "read")
            for name, member in members.items():
                context.set(member.written, name == kind)
                context.set(member.write_data, data)
            icr.append(context.get(controller.icr.hardware).as_bits())
            ims.append(context.get(controller.ims.hardware).as_bits())
            pin.append(context.get(controller.interrupt))
            await context.tick()
            if kind == "ITR":  # the register file has the new value in the next cycle
                context.set(controller.itr.value.interval, data & 3)

    simulator = Simulator(controller)
    simulator.add_clock(8e-9)
    simulator.add_testbench(bench)
    simulator.run()

    has_cause = has_mask = pending = 0
    events: list[tuple[int, Event] | tuple[int, Event, int]] = []
    low: list[int] = []
    for cycle in range(end):
        assert (icr[cycle], ims[cycle]) == (has_cause, has_mask), cycle
        kind, data = accesses.get(cycle, (None, 0))
        now = has_cause & has_mask != 0
        if now and (not pending or accesses.get(cycle - 1, (None,))[0] == "read"):
            events.append((cycle, Event.CAUSE))
        elif not now and pending:
            events.append((cycle, Event.CLEAR))
        pending = now
        if kind == "read":
            events.append((cycle, Event.ACKNOWLEDGE))
        if kind == "read" or not now:
            low.append(cycle + 1)
        if kind == "ITR":
            events.append((cycle + 1, Event.INTERVAL, data & 3))
        cleared = {"read": everything, "ICR": data}.get(kind, 0)
        has_cause = has_cause & ~cleared | causes[cycle] | (data if kind == "ICS" else 0)
        has_mask = (has_mask | (data if kind == "IMS" else 0)) & ~(data if kind == "IMC" else 0)
    rises = [cycle for cycle in range(1, end) if pin[cycle] and not pin[cycle - 1]]
    assert rises == throttle.rises(events, end=end)
    assert len(rises) > 10
    assert not any(pin[cycle] for cycle in low if cycle < end)


def test_latencies() -> None:
    """The pin's cycles as the controller's documentation promises them, with every bit enabled in cycle 1."""
    controller = InterruptController(throttle=InterruptThrottle())
    pin = []
    acts = {
        0: lambda context: context.set(controller.ims.written, 1),
        5: lambda context: context.set(controller.causes, 1),  # pin 7
        10: lambda context: context.set(controller.icr.read, 1),  # pin low 11
        15: lambda context: context.set(controller.ics.written, 1),  # pin 17
        20: lambda context: [context.set(controller.icr.read, 1), context.set(controller.causes, 2)],  # low 21, high 22
        25: lambda context: context.set(controller.imc.written, 1),  # pin low 27
        30: lambda context: context.set(controller.ims.written, 1),  # pin 32
        35: lambda context: context.set(controller.icr.written, 1),  # pin low 37
    }

    async def bench(context) -> None:
        for name in NAMES:
            context.set(getattr(controller, name.lower()).write_data, 0xFFFF_FFFF)
        for cycle in range(40):
            for signal in (controller.causes, controller.icr.read):
                context.set(signal, 0)
            for name in NAMES:
                context.set(getattr(controller, name.lower()).written, 0)
            acts.get(cycle, lambda _: None)(context)
            pin.append(context.get(controller.interrupt))
            await context.tick()

    simulator = Simulator(controller)
    simulator.add_clock(8e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert [cycle for cycle in range(1, 40) if pin[cycle] != pin[cycle - 1]] == [7, 11, 17, 21, 22, 27, 32, 37]


class Interrupts(wiring.Component):
    """Register file and controller, connected as in the NIC."""

    port: Out(RegisterPort())
    causes: In(CAUSES)
    interrupt: Out(1)
    icr_read: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.file = file = RegisterFile(registers=[BY_NAME[name] for name in NAMES])
        m.submodules.controller = controller = InterruptController(
            throttle=InterruptThrottle(semantics=Semantics.SINCE_LAST_INTERRUPT)
        )
        connect(m, flipped(self.port), file.port)
        for name in NAMES:
            connect(m, getattr(file, name.lower()), getattr(controller, name.lower()))
        m.d.comb += [
            controller.causes.eq(self.causes),
            self.interrupt.eq(controller.interrupt),
            self.icr_read.eq(file.icr.read),
        ]
        return m


async def start(dut) -> Registers:
    Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
    dut.causes.value = 0
    dut.rst.value = 1
    registers = Registers(dut)
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    return registers


@cocotb.test()
async def no_cause_is_lost(dut) -> None:
    """Software reads ICR while causes come at random: every one is in exactly one answer, also those that come in the
    very cycle of a read."""
    registers = await start(dut)
    rng = random.Random(6)
    answers: list[int] = []
    met = 0

    async def causes() -> None:
        nonlocal met
        collected = driven = 0
        while True:
            await RisingEdge(dut.clk)
            if int(dut.icr_read.value):
                answers.append(collected)
                collected = 0
                met += bool(driven)
            collected |= driven
            driven = sum(1 << bit for bit in range(CAUSES) if rng.random() < 0.05)
            dut.causes.value = driven

    task = cocotb.start_soon(causes())
    got = [await registers.read(ICR) for _ in range(400)]
    task.cancel()
    assert got == answers
    assert met > 100


@cocotb.test()
async def each_bit(dut) -> None:
    """Bits 0 to 16: set by ICS, cleared by a read or by writing 1; masked ones do not interrupt, enabled ones do."""
    registers = await start(dut)
    for bit in range(CAUSES):
        one, others = 1 << bit, (1 << CAUSES) - 1 ^ 1 << bit
        await registers.write(IMC, 0xFFFF_FFFF)
        await registers.write(ICS, one)
        await ClockCycles(dut.clk, 10)
        assert not int(dut.interrupt.value)
        await registers.write(IMS, others)
        await ClockCycles(dut.clk, 10)
        assert not int(dut.interrupt.value)
        await registers.write(IMS, one)
        assert await registers.read(IMS) == one | others
        await ClockCycles(dut.clk, 10)
        assert int(dut.interrupt.value)
        await registers.write(IMC, one)
        assert await registers.read(IMS) == others
        assert not int(dut.interrupt.value)
        await registers.write(IMS, one)
        assert await registers.read(ICR) == one
        assert not int(dut.interrupt.value)
        assert await registers.read(ICR) == 0
        await registers.write(IMC, 0xFFFF_FFFF)
        await registers.write(ICS, 0xFFFF_FFFF)
        await registers.write(ICR, one)
        assert await registers.read(ICR) == others
        assert await registers.read(ICS) == await registers.read(IMC) == 0


def test_controller() -> None:
    simulate(Interrupts(), name="interrupts", test_module=__name__)
