"""Transmit write-back: which pulses come with which descriptor, against a model of the ring's head and tail."""

import random

import pytest
from amaranth.sim import Simulator

from hw.transmit.writeback import TransmitWriteBack

RING = 24
BASE = 0x1_0000


@pytest.mark.parametrize("threshold", [0, 1, 2])
def test_pulses(threshold: int) -> None:
    """TXDW and IDE with each RS descriptor; TXQE when none is left, TXD_LOW when 8 x LWTHRESH are, and only then."""
    rng = random.Random(threshold)
    component = TransmitWriteBack()
    head = tail = 5
    expected: list[tuple[str, int]] = []
    seen: list[tuple[str, int]] = []
    written_to: list[int] = []
    addresses: list[int] = []

    async def bench(context) -> None:
        nonlocal head, tail
        context.set(component.base, BASE)
        context.set(component.length, 16 * RING)
        context.set(component.low_threshold, threshold)
        context.set(component.write_request.ready, 1)
        context.set(component.write_data.ready, 1)
        context.set(component.head_value, head)
        context.set(component.head_written, 1)
        await context.tick()
        context.set(component.head_written, 0)
        for number in range(200):
            if head == tail or rng.randrange(6) == 0:
                tail = (head + rng.randrange(1, RING)) % RING
                context.set(component.tail, tail)
            report, delayed = rng.randrange(2), rng.randrange(2)
            values = {"index": head, "report": report, "delayed": delayed}
            context.set(component.completions.payload, values)
            context.set(component.completions.valid, 1)
            if report:
                addresses.append(BASE + 16 * head + 12)
            head = (head + 1) % RING
            left = (tail - head) % RING
            # In the order in which they come.
            expected.extend(
                (name, number) for name in ("delayed", "written") if report and (name != "delayed" or delayed)
            )
            expected.extend([("empty", number)] if left == 0 else [])
            expected.extend([("low", number)] if left == 8 * threshold else [])
            for cycle in range(9):
                if context.get(component.write_request.valid):
                    written_to.append(context.get(component.write_request.payload.address))
                written = context.get(component.written)
                pulses = {
                    "delayed": written and context.get(component.delayed),
                    "written": written,
                    "empty": context.get(component.empty),
                    "low": context.get(component.low),
                }
                seen.extend((name, number) for name, pulse in pulses.items() if pulse)
                await context.tick()
                if cycle == 0:
                    context.set(component.completions.valid, 0)
            assert context.get(component.head) == head

    simulator = Simulator(component)
    simulator.add_clock(8e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == expected
    assert written_to == addresses
    assert {name for name, _ in seen} == {"delayed", "written", "empty", "low"}
