"""ITR on the whole NIC in both meanings (manual 13.4.18): when the pin rises, to the cycle, after frames are stored."""

from itertools import pairwise
from typing import Any

import cocotb
import pytest

from hw.interrupt import InterruptThrottle, Semantics
from hw.nic import Nic
from tests.hw.moderation_bench import Moderation, frame_of
from tests.hw.simulate import simulate

INTERVAL = 12
GAP = 32 * INTERVAL

BUSY, SINGLE = 40, 3


async def interrupts_under_load(bench: Moderation, semantics: Semantics) -> int:
    """Frames without pause, then single ones, and software that reads ICR at every interrupt. Every rise of the pin is
    where the rule has it. Returns the number of interrupts under load; the single frames have one each."""
    await bench.begin("RXT0", ITR=INTERVAL)

    async def software() -> None:
        while True:
            await bench.acknowledge()

    cocotb.start_soon(software())
    for number in range(BUSY):
        bench.send(frame_of(64, number))
    await bench.settle(3 * GAP)
    busy = len(bench.rises)
    for _ in range(SINGLE):
        bench.send(frame_of(64))
        await bench.settle(3 * GAP)
    assert len(bench.stored) == BUSY + SINGLE
    assert len(bench.rises) == len(bench.falls) == busy + SINGLE
    assert busy > 5

    rule = InterruptThrottle(semantics=semantics)
    acknowledged = 0
    last_rise = None
    for rise, fall in zip(bench.rises, bench.falls, strict=True):
        pending = next(cycle + 1 for cycle in bench.stored if cycle + 1 >= acknowledged)
        assert rise == rule.earliest(pending_since=pending, last_rise=last_rise, interval=INTERVAL)
        last_rise, acknowledged = rise, fall
    return busy


@cocotb.test()
async def since_last_interrupt(dut: Any) -> None:
    """One interrupt per interval at full load; an isolated frame is not delayed."""
    bench = Moderation(dut)
    busy = await interrupts_under_load(bench, Semantics.SINCE_LAST_INTERRUPT)
    assert {b - a for a, b in pairwise(bench.rises[:busy])} == {GAP}
    assert bench.rises[busy:] == [cycle + 2 for cycle in bench.stored[BUSY:]]


@cocotb.test()
async def hold_off(dut: Any) -> None:
    """Every interrupt is an interval later than its first cause, that of an isolated frame too."""
    bench = Moderation(dut)
    busy = await interrupts_under_load(bench, Semantics.HOLD_OFF)
    assert min(b - a for a, b in pairwise(bench.rises[:busy])) > GAP
    assert bench.rises[0] == bench.stored[0] + 2 + GAP
    assert bench.rises[busy:] == [cycle + 2 + GAP for cycle in bench.stored[BUSY:]]


@pytest.mark.parametrize("semantics", list(Semantics))
def test_throttle(semantics: Semantics) -> None:
    name = "nic" if semantics is Semantics.SINCE_LAST_INTERRUPT else f"nic_{semantics.value}"
    simulate(Nic(semantics=semantics), name=name, test_module=__name__, testcase=semantics.value)
