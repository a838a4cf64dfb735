"""The rule of descriptor write-back: gateware against golden model, and that by hand."""

import random
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.thresholds import threshold
from hw.write_back import DescriptorWriteBack, WriteBackRule
from tests.hw.threshold_bench import BASES, QUIET, THRESHOLDS, Bench

WRITE_BACK = Bench(DescriptorWriteBack(status_byte=12, status_bytes=1))


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
