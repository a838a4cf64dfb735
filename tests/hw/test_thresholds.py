"""The rules of prefetch and write-back: gateware against golden model, and the golden model by hand."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.interfaces import MAX_BURST_BYTES
from hw.ring import RingPrefetch, bursts, fetch
from hw.thresholds import ON_CHIP, threshold
from hw.write_back import DescriptorWriteBack, WriteBackRule

QUIET = 24
"""Cycles in which every component has done what it is going to do for one descriptor."""


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


def test_golden_write_back() -> None:
    rule = WriteBackRule()
    assert rule.use(3, report=True, wthresh=0) == [3]
    assert rule.use(4, report=False, wthresh=4) == []
    assert rule.group == []  # no RS: nothing to tell, and no group begins
    assert [rule.use(index, report=index == 5, wthresh=3) for index in (5, 6, 7)] == [[], [], [5, 6, 7]]
    assert rule.use(8, report=True, wthresh=9) == []
    assert rule.dry(timer_running=True) == []
    assert rule.dry(timer_running=False) == [8]
    assert rule.flush() == []


class Bench:
    """A component in the simulator, started anew for each run."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.simulator = Simulator(dut)
        self.simulator.add_clock(8e-9)
        self.used = False
        self.process: Callable[[Any], Any]
        self.simulator.add_testbench(self._run)

    async def _run(self, context: Any) -> None:
        await self.process(context)

    def run(self, process: Callable[[Any], Any]) -> None:
        self.process = process
        if self.used:
            self.simulator.reset()
        self.used = True
        self.simulator.run()


RING = Bench(RingPrefetch())
BASES = st.one_of(
    st.integers(0, (1 << 60) - 1).map(lambda number: 16 * number),
    st.integers(1, 70).map(lambda number: (1 << 32) - 16 * number),  # the ring spans the 4 GB line
)
THRESHOLDS = st.fixed_dictionaries(
    {
        "pthresh": st.sampled_from((0, 1, 7, 15, 16, 32, 63)),
        "hthresh": st.sampled_from((0, 1, 4, 8, 63)),
        "wthresh": st.sampled_from((0, 1, 2, 3, 5, 15, 16, 63)),
        "gran": st.sampled_from((0, 1)),
    }
)


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


WRITE_BACK = Bench(DescriptorWriteBack(status_byte=12, status_bytes=1))


@st.composite
def write_back_lives(draw: st.DrawFn) -> tuple[int, int, int, list[tuple[str, Any]]]:
    size = draw(st.sampled_from((8, 16, 40, 96)))
    use = st.tuples(st.just("use"), st.integers(1, size))
    steps = st.one_of(
        use,
        use,
        st.tuples(st.just("give"), st.integers(1, size)),
        st.tuples(st.just("give"), st.integers(1, size)),
        st.tuples(st.just("flush"), st.none()),
        st.tuples(st.just("timer"), st.booleans()),
        st.tuples(st.just("thresholds"), THRESHOLDS),
        st.tuples(st.just("head"), st.integers(0, size - 1)),
        st.tuples(st.just("jump"), st.integers(1, 3)),
    )
    first = [("thresholds", draw(THRESHOLDS)), ("timer", draw(st.booleans())), ("give", size)]
    return draw(BASES), size, draw(st.integers(0, size - 1)), first + draw(st.lists(steps, min_size=6, max_size=20))


MORE_THAN_FITS = [
    ("thresholds", {"pthresh": 0, "hthresh": 0, "wthresh": 63, "gran": 0}),
    ("timer", True),
    ("give", 96),
    ("use", 95),
]


@settings(max_examples=60, deadline=None)
@example(life=(0x1000, 96, 7, MORE_THAN_FITS), seed=0, share=1.0)
@given(life=write_back_lives(), seed=st.integers(0, 1 << 32), share=st.sampled_from((0.4, 1.0)))
def test_write_back_does_what_the_rule_says(
    life: tuple[int, int, int, list[tuple[str, Any]]], seed: int, share: float
) -> None:
    """Every burst with its bytes, head, pulses and what is left, after each thing that happens."""
    base, size, head, steps = life
    dut = WRITE_BACK.dut
    rng = random.Random(seed)

    async def process(context: Any) -> None:
        bursts_seen: list[tuple[int, int]] = []
        bursts_at_flushed = 0
        octets: dict[int, int] = {}
        pulses = dict.fromkeys(("event", "prompt", "flushed"), 0)
        pending: list[tuple[int, int, int]] = []  # address, length, words received

        async def cycle() -> None:
            nonlocal bursts_at_flushed
            take_request = rng.random() < share
            take_data = rng.random() < share
            context.set(dut.write_request.ready, take_request)
            context.set(dut.write_data.ready, take_data)
            for name in pulses:
                pulses[name] += context.get(getattr(dut, name))
            if context.get(dut.flushed):
                bursts_at_flushed = len(bursts_seen)
            if take_request and context.get(dut.write_request.valid):
                request = context.get(dut.write_request.payload)
                pending.append((request.address, request.length, 0))
            if take_data and context.get(dut.write_data.valid):
                address, length, received = pending.pop(0)
                word = context.get(dut.write_data.payload)
                place = (address & ~7) + 8 * received
                lanes = [lane for lane in range(8) if address <= place + lane < address + length]
                assert word.strobe == sum(1 << lane for lane in lanes)
                octets.update({place + lane: word.data >> 8 * lane & 0xFF for lane in lanes})
                last = place + 8 >= address + length
                assert word.last == last
                if last:
                    bursts_seen.append((address, length))
                else:
                    pending.insert(0, (address, length, received + 1))
            await context.tick()

        async def settle() -> None:
            quiet = 0
            while quiet < QUIET:
                before = len(bursts_seen)
                await cycle()
                quiet = (
                    0 if pending or context.get(dut.write_request.valid) or len(bursts_seen) != before else quiet + 1
                )

        async def set_head(value: int) -> None:
            context.set(dut.head_value, value)
            context.set(dut.head_written, 1)
            await cycle()
            context.set(dut.head_written, 0)
            await settle()

        context.set(dut.base, base)
        context.set(dut.length, 16 * size)
        tail = head_now = following = head
        context.set(dut.tail, tail)
        await set_head(head)
        rule = WriteBackRule()
        control = {"wthresh": 0, "gran": 0}
        timer = 0
        contents: dict[int, int] = {}
        expected: list[tuple[int, int]] = []
        expected_octets: dict[int, int] = {}
        expected_pulses = dict.fromkeys(pulses, 0)
        prompt_in_group = False
        jumped = 0

        def write(written: list[int], *, alone: bool = False) -> None:
            nonlocal head_now, prompt_in_group
            if alone and written:
                expected.append((base + 16 * written[0] + 12, 1))
                expected_octets[base + 16 * written[0] + 12] = contents[written[0]] >> 96 & 0xFF
            else:
                expected.extend(rule.requests(written, base=base, size=size))
                for index in written:
                    expected_octets.update(
                        {base + 16 * index + at: contents[index] >> 8 * at & 0xFF for at in range(16)}
                    )
            if written:
                head_now = (written[-1] + 1) % size
                expected_pulses["prompt"] += prompt_in_group
                prompt_in_group = False

        singles = [(what, number) for what, value in steps for number in (range(value) if what == "use" else (value,))]
        for what, value in singles:
            wthresh = threshold(control["wthresh"], gran=control["gran"])
            if what == "use":
                if following == tail:
                    continue
                if jumped:  # as software does that moves the head under a running NIC
                    write(rule.flush())
                    following = (following + jumped) % size
                    jumped = 0
                report = rng.random() < 0.6
                event, prompt = (report and rng.random() < 0.5 for _ in range(2))
                contents[following] = rng.getrandbits(128)
                for name, setting in zip(("report", "event", "prompt"), (report, event, prompt), strict=True):
                    context.set(dut.used.payload[name], setting)
                context.set(dut.used.payload.data, contents[following])
                context.set(dut.used.payload.index, following)
                context.set(dut.used.valid, 1)
                while not context.get(dut.used.ready):
                    await cycle()
                await cycle()
                context.set(dut.used.valid, 0)
                expected_pulses["event"] += event
                prompt_in_group |= prompt
                write(rule.use(following, report=report, wthresh=wthresh), alone=wthresh == 0)
                following = (following + 1) % size
                if not rule.group:
                    head_now = following
            elif what == "give":
                tail = (tail + min(value, size - 1 - (tail - head_now) % size)) % size
                context.set(dut.tail, tail)
            elif what == "flush":
                context.set(dut.flush, 1)
                await cycle()
                context.set(dut.flush, 0)
                expected_pulses["flushed"] += 1
                write(rule.flush())
                await settle()
                assert bursts_at_flushed == len(expected)
            elif what == "jump":
                jumped = min(value, max((tail - following) % size - 1, 0))
            elif what == "timer":
                timer = value
                context.set(dut.timer_running, timer)
            elif what == "thresholds":
                control = value
                for name, setting in value.items():
                    context.set(dut.thresholds[name], setting)
                if len(rule.group) >= threshold(control["wthresh"], gran=control["gran"]):
                    write(rule.flush())
            else:
                rule.group.clear()
                prompt_in_group = False
                jumped = 0
                head_now = following = tail = value
                context.set(dut.tail, tail)
                await set_head(value)
            if following == tail:
                write(rule.dry(timer_running=bool(timer)))
            await settle()
            assert bursts_seen == expected
            assert octets == expected_octets
            assert pulses == expected_pulses
            assert context.get(dut.head) == head_now
            assert context.get(dut.left) == (tail - following) % size

    WRITE_BACK.run(process)


def test_a_burst_holds_the_longest_request() -> None:
    assert ON_CHIP * 16 == 2 * MAX_BURST_BYTES


@pytest.mark.parametrize(("byte", "count", "said"), [(7, 1, 7), (16, 1, 16), (12, 0, 0), (12, 5, 5)])
def test_bad_arguments(byte: int, count: int, said: int) -> None:
    with pytest.raises(ValueError, match=f"not {said}"):
        DescriptorWriteBack(status_byte=byte, status_bytes=count)
