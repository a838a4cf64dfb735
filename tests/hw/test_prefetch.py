"""The rule of descriptor prefetch: gateware against golden functions, and these by hand."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.ring import RingPrefetch, bursts, fetch
from hw.thresholds import threshold
from tests.hw.threshold_bench import BASES, QUIET, THRESHOLDS, Bench

RING = Bench(RingPrefetch())


def test_golden_thresholds() -> None:
    assert [threshold(value, gran=1) for value in (0, 1, 63)] == [0, 1, 63]
    assert [threshold(value, gran=0) for value in (0, 1, 7)] == [0, 4, 28]


@pytest.mark.parametrize(
    ("on_chip", "available", "prefetch", "host", "count"),
    [
        (0, 0, 8, 0, 0),
        (0, 5, 0, 0, 5),  # empty: whatever there is
        (0, 5, 8, 60, 5),  # and HTHRESH does not matter
        (0, 500, 0, 0, 64),
        (1, 500, 0, 0, 0),  # PTHRESH = 0: only when empty
        (7, 500, 8, 4, 57),
        (8, 500, 8, 4, 0),
        (7, 3, 8, 4, 0),
        (7, 4, 8, 4, 4),
        (64, 500, 252, 0, 0),
    ],
)
def test_golden_fetch(on_chip: int, available: int, prefetch: int, host: int, count: int) -> None:
    assert fetch(on_chip=on_chip, available=available, prefetch=prefetch, host=host) == count


def test_golden_bursts() -> None:
    """The end of the ring, a multiple of 512, and the 4 GB line."""
    assert [*bursts(6, 5, base=0x1000, size=8)] == [(0x1060, 32), (0x1000, 48)]
    assert [*bursts(0, 40, base=0xFFFF_FF00, size=64)] == [(0xFFFF_FF00, 256), (0x1_0000_0000, 384)]


@st.composite
def prefetch_lives(draw: st.DrawFn) -> tuple[int, int, int, list[tuple[str, Any]]]:
    size = 8 * draw(st.one_of(st.integers(1, 9), st.sampled_from((32, 512))))
    steps = st.one_of(
        st.tuples(st.just("give"), st.integers(1, 100)),
        st.tuples(st.just("take"), st.integers(1, 70)),
        st.tuples(st.just("thresholds"), THRESHOLDS),
    )
    return draw(BASES), size, draw(st.integers(0, size - 1)), draw(st.lists(steps, min_size=4, max_size=14))


@settings(max_examples=40, deadline=None)
@example(
    life=(
        0,
        8,
        0,
        [
            ("give", 1),
            ("give", 1),
            ("thresholds", {"pthresh": 1, "hthresh": 1, "wthresh": 0, "gran": 0}),
            ("thresholds", {"pthresh": 0, "hthresh": 0, "wthresh": 0, "gran": 0}),
        ],
    ),
    latency=1,
)
@given(life=prefetch_lives(), latency=st.sampled_from((1, 30)))
def test_prefetch_does_what_the_rule_says(life: tuple[int, int, int, list[tuple[str, Any]]], latency: int) -> None:
    """Software and engine act one descriptor at a time, and then the requests are those of the rule, and no others."""
    base, size, head, steps = life
    dut = RING.dut

    async def process(context: Any) -> None:
        asked: list[tuple[int, int]] = []
        answers: list[tuple[int, int]] = []  # cycle when due, words
        now = 0
        context.set(dut.memory.read_request.ready, 1)
        context.set(dut.base, base)
        context.set(dut.length, 16 * size)
        context.set(dut.head, head)
        context.set(dut.tail, head)
        context.set(dut.head_written, 1)
        await context.tick()
        context.set(dut.head_written, 0)
        context.set(dut.enable, 1)

        async def cycle() -> None:
            nonlocal now
            if context.get(dut.memory.read_request.valid):
                request = context.get(dut.memory.read_request.payload)
                asked.append((request.address, request.length))
                answers.append((now + latency, request.length // 8))
            sending = bool(answers) and answers[0][0] <= now
            context.set(dut.memory.read_data.valid, sending)
            if sending:
                due, words = answers[0]
                context.set(dut.memory.read_data.payload.last, words == 1)
                answers[0] = (due, words - 1)
                if words == 1:
                    answers.pop(0)
            await context.tick()
            now += 1

        async def settle() -> None:
            quiet = 0
            while quiet < QUIET:
                before = len(asked)
                await cycle()
                quiet = 0 if answers or len(asked) != before else quiet + 1

        following = tail = head
        on_chip = 0
        control = {"pthresh": 0, "hthresh": 0, "gran": 0}
        expected: list[tuple[int, int]] = []

        async def compare() -> None:
            nonlocal following, on_chip
            while count := fetch(
                on_chip=on_chip,
                available=(tail - following) % size,
                prefetch=threshold(control["pthresh"], gran=control["gran"]),
                host=threshold(control["hthresh"], gran=control["gran"]),
            ):
                expected.extend(bursts(following, count, base=base, size=size))
                following = (following + count) % size
                on_chip += count
            await settle()
            assert asked == expected

        for what, value in steps:
            if what == "give":
                tail = (tail + min(value, size - 1 - (tail - following) % size - on_chip)) % size
                context.set(dut.tail, tail)
                await compare()
            elif what == "thresholds":
                control = value
                for name, setting in value.items():
                    context.set(dut.thresholds[name], setting)
                await compare()
            else:
                for _ in range(min(value, on_chip)):
                    context.set(dut.descriptors.ready, 1)
                    while not context.get(dut.descriptors.valid):
                        await cycle()
                    assert context.get(dut.descriptors.payload.index) == (following - on_chip) % size
                    await cycle()
                    context.set(dut.descriptors.ready, 0)
                    on_chip -= 1
                    await compare()

    RING.run(process)
