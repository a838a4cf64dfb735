"""VLAN tags: the golden functions against scapy, and the tag stripper against them."""

import random
from typing import Any

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from hw.receive.strip import TagStripper
from hw.vlan import insert, strip, tag_of
from tests.hw.streams import words_of

VET = 0x8100


@given(st.integers(0, 4095), st.integers(0, 7), st.integers(0, 1), st.binary(max_size=100))
def test_golden_against_scapy(identifier: int, priority: int, cfi: int, payload: bytes) -> None:
    addresses = {"src": "02:00:00:00:00:02", "dst": "02:00:00:00:00:01"}
    plain = bytes(Ether(**addresses, type=0x1234) / Raw(payload))
    tag = Dot1Q(vlan=identifier, prio=priority, dei=cfi, type=0x1234)
    tagged = bytes(Ether(**addresses, type=VET) / tag / Raw(payload))
    information = priority << 13 | cfi << 12 | identifier
    assert insert(plain, VET, information) == tagged
    assert strip(tagged, VET) == plain
    assert tag_of(tagged, VET) == information
    assert tag_of(plain, VET) is None
    twice = insert(tagged, VET, 0x0FFF)
    assert (tag_of(twice, VET), strip(twice, VET)) == (0x0FFF, tagged)


def test_golden_edges() -> None:
    """Truncated tags are none, VET = 0 tells none, a frame without anything behind its addresses gets none."""
    tagged = bytes(12) + bytes.fromhex("81000005")
    assert tag_of(tagged, VET) == 5
    assert strip(tagged, VET) == bytes(12)
    for length in range(16):
        assert tag_of(tagged[:length], VET) is None
        assert strip(tagged[:length], VET) == tagged[:length]
    assert tag_of(bytes(64), 0) is None
    assert tag_of(tagged, 0x88A8) is None
    assert insert(bytes(12), VET, 1) == bytes(12)
    assert insert(bytes(13), VET, 1) == bytes(12) + bytes.fromhex("81000001") + bytes(1)


class Bench:
    """Lets frames go by a ``TagStripper`` and joins the words that come out."""

    def __init__(self) -> None:
        self.dut = TagStripper()
        self.simulator = Simulator(self.dut)
        self.simulator.add_clock(8e-9)
        self.simulator.add_testbench(self._run)
        self.used = False
        self.work: list[tuple[bytes, dict[str, int], int]] = []
        self.results: list[tuple[list[int], bool, bool]] = []

    async def _run(self, context: Any) -> None:
        dut = self.dut
        for frame, types, pause in self.work:
            written: list[int] = []

            async def tick(written: list[int] = written) -> None:
                if context.get(dut.write):
                    written.append(context.get(dut.output))
                await context.tick()

            for name, value in types.items():
                context.set(getattr(dut.types, name), value)
            for data, count, last in words_of(frame):
                context.set(dut.word.data, data)
                context.set(dut.word.count, count)
                context.set(dut.word.last, last)
                await tick()
                context.set(dut.taken, 1)
                await tick()
                context.set(dut.taken, 0)
                # What stands there once a word has gone by is no longer that word.
                context.set(dut.word.data, 0x5A5A_0081_0081_5A5A)
                context.set(dut.word.count, 8)
                await tick()
                await tick()
                for _ in range(pause):
                    await tick()
            self.results.append((written, bool(context.get(dut.stripped)), bool(context.get(dut.short_tail))))

    def check(self, work: list[tuple[bytes, dict[str, int], int]]) -> None:
        self.work, self.results = work, []
        if self.used:
            self.simulator.reset()
        self.used = True
        self.simulator.run()
        for (frame, types, _), (words, stripped, short_tail) in zip(work, self.results, strict=True):
            kept = strip(frame, types["vet"]) if types["vme"] else frame
            assert stripped == (kept != frame)
            assert len(words) == (len(kept) + 7) // 8, len(frame)
            assert b"".join(word.to_bytes(8, "little") for word in words)[: len(kept)] == kept
            assert short_tail == ((len(kept) - 1) % 8 < 4)


BENCH = Bench()


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=80),
            st.sampled_from((None, VET, 0x88A8, 0)),
            st.fixed_dictionaries({"vme": st.integers(0, 1), "vet": st.sampled_from((VET, VET, 0x88A8, 0))}),
            st.integers(0, 3),
        ),
        min_size=5,
        max_size=15,
    )
)
def test_stripper_against_golden(cases: list[tuple[bytes, int | None, dict[str, int], int]]) -> None:
    work = []
    for frame, kind, types, pause in cases:
        changed = frame if kind is None else frame[:12] + kind.to_bytes(2, "big") + frame[14:]
        work.append((changed[: max(len(frame), 1)], types, pause))
    BENCH.check(work)


@pytest.mark.parametrize("tagged", [False, True])
def test_stripper_at_every_length(tagged: bool) -> None:
    rng = random.Random(3)
    frames = []
    for length in range(1, 100):
        frame = rng.randbytes(12) + (bytes.fromhex("8100") if tagged else b"\x08\0") + rng.randbytes(100)
        frames.append((frame[:length], {"vme": 1, "vet": VET}, length & 1))
    BENCH.check(frames)
