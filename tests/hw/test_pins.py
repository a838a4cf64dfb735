"""Software-definable pins: gateware against the golden function, and the edges that are causes."""

from typing import Any

from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.pins import PIN_COUNT, Pins, read_back

SYNCHRONISER = 2
octets = st.integers(0, (1 << PIN_COUNT) - 1)
steps = st.lists(st.tuples(octets, octets, octets, st.integers(0, 15), st.integers(0, 3)), min_size=2, max_size=20)


@settings(max_examples=60)
@given(steps)
def test_gateware_is_the_golden_function(cases: list[tuple[int, int, int, int, int]]) -> None:
    """Step by step: pins change, both registers or one are written; what reads back, is driven, and has risen."""
    dut = Pins()
    simulator = Simulator(dut)
    simulator.add_clock(8e-9)

    async def testbench(context: Any) -> None:
        data = before = 0
        for pins, written, direction, enable, registers in cases:
            context.set(dut.pins.i, pins)
            context.set(dut.write_data, written)
            context.set(dut.direction, direction)
            context.set(dut.enable, enable)
            context.set(dut.written, registers)
            rises = 0
            for _ in range(SYNCHRONISER + 2):
                _, _, now = await context.tick().sample(dut.rises)
                rises |= now
                context.set(dut.written, 0)
            for half in range(2):
                if registers >> half & 1:
                    data = data & ~(0xF << 4 * half) | written & 0xF << 4 * half
            shown = read_back(data=data, direction=direction, pins=pins)
            assert context.get(dut.read_data) == shown
            assert (context.get(dut.pins.o), context.get(dut.pins.oe)) == (data, direction)
            # A pin that changes between input and output may have been up on the way, so only what stays is promised.
            must = shown >> 4 & ~(before >> 4) & enable
            assert rises & must == must
            assert not rises & ~enable
            before = shown

    simulator.add_testbench(testbench)
    simulator.run()


def test_one_edge_is_one_cause() -> None:
    """Each of SDP4 to SDP7 by itself: one pulse for a rise, however long, none for a fall, none if not enabled."""
    dut = Pins()
    simulator = Simulator(dut)
    simulator.add_clock(8e-9)

    async def testbench(context: Any) -> None:
        for enable in (0xF, 0x0):
            context.set(dut.enable, enable)
            for pin in range(PIN_COUNT):
                seen = []
                for level in (1, 0, 1, 0):
                    context.set(dut.pins.i, level << pin)
                    for _ in range(5):
                        _, _, now = await context.tick().sample(dut.rises)
                        seen.append(now)
                cause = 1 << pin >> 4 & enable
                assert sorted(seen, reverse=True)[:3] == [cause, cause, 0]

    simulator.add_testbench(testbench)
    simulator.run()
