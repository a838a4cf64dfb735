"""The Internet checksum: golden function against RFC 1071's own words, gateware against the golden function."""

import struct
from dataclasses import dataclass

import pytest
from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.checksum import InternetChecksum, InternetChecksumProcessor
from tests.hw.streams import words_of

PARAMETERS = InternetChecksum(max_bytes=16288)


def rfc1071(data: bytes, seed: int) -> int:
    """RFC 1071 section 4.1: add the words, then fold the carries."""
    total = seed
    for (word,) in struct.iter_unpack(">H", data + bytes(len(data) % 2)):
        total += word
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@dataclass(frozen=True)
class Sum:
    """One packet with the range to be summed; ``gap`` cycles without a word before each of its words."""

    data: bytes
    start: int
    end: int
    seed: int
    gap: int


def sums(max_bytes: int) -> st.SearchStrategy[Sum]:
    content = st.one_of(st.binary(min_size=1, max_size=max_bytes), st.integers(1, max_bytes).map(bytes))
    content = st.one_of(content, st.integers(1, max_bytes).map(lambda size: b"\xff" * size))
    start = st.one_of(st.integers(0, 20), st.integers(0, 255))
    end = st.one_of(st.just(0), st.integers(0, max_bytes + 8), st.integers(0, 0xFFFF))
    seed = st.one_of(st.just(0), st.just(0xFFFF), st.integers(0, 0xFFFF))
    return st.builds(Sum, data=content, start=start, end=end, seed=seed, gap=st.integers(0, 2))


@given(sums(300))
def test_golden_is_rfc_1071(case: Sum) -> None:
    stop = case.end + 1 if case.end else len(case.data)
    wanted = rfc1071(case.data[case.start : stop], case.seed)
    assert PARAMETERS.compute(case.data, start=case.start, end=case.end, seed=case.seed) == wanted


def test_golden_gives_the_example_of_rfc_1071() -> None:
    """Section 3: 0001 f203 f4f5 f6f7 add up to ddf2."""
    assert PARAMETERS.compute(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


def run(cases: list[Sum]) -> list[tuple[int, int]]:
    """The sums that the gateware gives to packets sent one right after the other, each with its delay in cycles."""
    dut = PARAMETERS.create()
    results: list[tuple[int, int]] = []
    last_words: list[int] = []

    async def drive(ctx) -> None:
        now = 0
        for case in cases:
            ctx.set(dut.start, case.start)
            ctx.set(dut.end, case.end)
            ctx.set(dut.seed, case.seed)
            for data, count, last in words_of(case.data):
                for _ in range(case.gap):
                    ctx.set(dut.valid, 0)
                    await ctx.tick()
                    now += 1
                # Lanes past the count hold anything.
                garbage = (0xA5A5A5A5A5A5A5A5 << 8 * count) & (1 << 64) - 1
                ctx.set(dut.valid, 1)
                ctx.set(dut.word, {"data": data | garbage, "count": count, "last": last})
                await ctx.tick()
                now += 1
            last_words.append(now)
        ctx.set(dut.valid, 0)
        await ctx.tick().repeat(8)

    async def watch(ctx) -> None:
        now = 0
        async for _, _, done, value in ctx.tick().sample(dut.done, dut.sum):
            if done:
                results.append((value, now - last_words[len(results)] + 1))
            now += 1

    simulator = Simulator(dut)
    simulator.add_clock(8e-9)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch, background=True)
    simulator.run()
    return results


@settings(max_examples=30)
@given(st.lists(sums(200), min_size=1, max_size=8))
@example([Sum(b"\xff" * 16288, 0, 0, 0xFFFF, 0), Sum(b"\xff" * 16287, 1, 0, 0xFFFF, 0), Sum(b"\x01", 0, 0, 0, 0)])
def test_gateware_is_golden(cases: list[Sum]) -> None:
    wanted = [PARAMETERS.compute(case.data, start=case.start, end=case.end, seed=case.seed) for case in cases]
    assert run(cases) == [(value, 5) for value in wanted]


@pytest.mark.parametrize("max_bytes", [0, -1, 65537])
def test_bad_length_is_quoted(max_bytes: int) -> None:
    with pytest.raises(ValueError, match=str(max_bytes)):
        InternetChecksum(max_bytes=max_bytes)


def test_bad_parameters_are_quoted() -> None:
    with pytest.raises(ValueError, match="16288"):
        InternetChecksumProcessor(parameters=16288)
