"""Transmit write-back: which pulses come with which descriptor, and which bits are set in memory."""

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.descriptors import TRANSMIT_LEGACY
from hw.transmit.writeback import TransmitWriteBack
from hw.write_back import WriteBackRule

RING = 24
BASE = 0x1_0000
CYCLES = 90
"""Longer than what a group of all descriptors takes."""


@pytest.mark.parametrize("threshold", [0, 1, 2])
@pytest.mark.parametrize("wthresh", [0, 1, 5])
def test_pulses_and_memory(threshold: int, wthresh: int) -> None:
    """TXDW and IDE for RS descriptors; TXQE when the head meets the tail, TXD_LOW when 8 x LWTHRESH are left, and only
    then. DD in those with RS alone; the others of a group are as they were. None of them is left when no more come."""
    rng = random.Random(threshold)
    component = TransmitWriteBack()
    head = tail = 5
    seen: list[tuple[str, int]] = []
    expected: list[tuple[str, int]] = []
    memory: dict[int, int] = {}
    expected_memory: dict[int, int] = {}

    async def bench(context: Any) -> None:
        nonlocal head, tail
        context.set(component.base, BASE)
        context.set(component.length, 16 * RING)
        context.set(component.low_threshold, threshold)
        context.set(component.thresholds, {"wthresh": wthresh, "gran": 1})
        context.set(component.write_request.ready, 1)
        context.set(component.write_data.ready, 1)
        context.set(component.tail, tail)
        context.set(component.head_value, head)
        context.set(component.head_written, 1)
        await context.tick()
        context.set(component.head_written, 0)
        rule = WriteBackRule()
        contents: dict[int, bytes] = {}
        address = 0
        for number in range(200):
            if head == tail or rng.randrange(6) == 0:
                tail = (head + rng.randrange(1, RING - len(rule.group))) % RING
                context.set(component.tail, tail)
            report, delayed = rng.randrange(2), rng.randrange(2)
            raw = TRANSMIT_LEGACY.pack(
                address=rng.getrandbits(64), length=rng.getrandbits(16), eop=1, rs=report, ide=delayed, ec=1, special=9
            )
            contents[head] = raw
            context.set(component.completions.payload, {"data": int.from_bytes(raw, "little"), "index": head})
            context.set(component.completions.valid, 1)
            written = rule.use(head, report=bool(report), wthresh=wthresh)
            head = (head + 1) % RING
            left = (tail - head) % RING
            if left == 0:
                written = written or rule.dry(timer_running=False)
            reported = [TRANSMIT_LEGACY.unpack(contents[index]) for index in written]
            expected.extend([("delayed", number)] if report and delayed else [])
            prompt = any(fields["rs"] and not fields["ide"] for fields in reported)
            expected.extend([("prompt", number)] if prompt else [])
            expected.extend([("empty", number)] if left == 0 else [])
            expected.extend([("low", number)] if left == 8 * threshold else [])
            for index in written:
                done = bytearray(contents[index])
                if done[11] & 0x08:
                    done[12] = 0x01
                places = range(16) if wthresh else range(12, 13)
                expected_memory.update({BASE + 16 * index + place: done[place] for place in places})
            for _ in range(CYCLES):
                if context.get(component.write_request.valid):
                    address = context.get(component.write_request.payload.address) & ~7
                if context.get(component.write_data.valid):
                    word = context.get(component.write_data.payload)
                    lanes = [lane for lane in range(8) if word.strobe >> lane & 1]
                    memory.update({address + lane: word.data >> 8 * lane & 0xFF for lane in lanes})
                    address += 8
                told = context.get(component.written)
                is_delayed = context.get(component.delayed)
                pulses = {
                    "delayed": told and is_delayed,
                    "prompt": told and not is_delayed,
                    "empty": context.get(component.empty),
                    "low": context.get(component.low),
                }
                seen.extend((name, number) for name, pulse in pulses.items() if pulse)
                taken = context.get(component.completions.ready)
                await context.tick()
                if taken:
                    context.set(component.completions.valid, 0)
            assert memory == expected_memory
            assert context.get(component.head) == (rule.group[0] if rule.group else head)

    simulator = Simulator(component)
    simulator.add_clock(8e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert sorted(seen, key=lambda event: (event[1], event[0])) == sorted(
        expected, key=lambda event: (event[1], event[0])
    )
    assert {name for name, _ in seen} == {"delayed", "prompt", "empty", "low"}
