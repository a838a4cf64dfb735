"""Receive buffer: whole frames in order or none, against a queue in Python."""

import random
from collections import deque
from typing import Any

import pytest
from amaranth.sim import Simulator

from hw.receive.buffer import ReceiveBuffer
from hw.receive.layouts import ReceiveInfo
from tests.hw.streams import words_of

WORDS = 61


def info_of(rng: random.Random, length: int) -> dict[str, int]:
    return {name: rng.getrandbits(layout.width) for name, layout in ReceiveInfo} | {"length": length}


class Bench:
    def __init__(self, seed: int, *, frames: int, share: float, drain: bool = True) -> None:
        self.rng = random.Random(seed)
        self.frames, self.share, self.drain = frames, share, drain
        self.dut = ReceiveBuffer(words=WORDS, bank_words=16)
        self.expected: deque[tuple[dict[str, int], bytes]] = deque()
        self.lost = self.kept = 0
        simulator = Simulator(self.dut)
        simulator.add_clock(8e-9)
        simulator.add_testbench(self.write)
        simulator.add_testbench(self.read, background=True)
        simulator.run()

    async def pulse(self, context: Any, signal: Any) -> None:
        context.set(signal, 1)
        await context.tick()
        context.set(signal, 0)
        await context.tick().repeat(self.rng.choice((1, 1, 3)))

    async def write(self, context: Any) -> None:
        dut, rng = self.dut, self.rng
        for _ in range(self.frames):
            data = rng.randbytes(rng.choice((1, 8, 9, 60, 64, 8 * WORDS, rng.randrange(1, 8 * WORDS + 100))))
            for word, _, _ in words_of(data):
                context.set(dut.word, word)
                await self.pulse(context, dut.write)
            if rng.randrange(4) == 0 or context.get(dut.overflowed):
                self.lost += context.get(dut.overflowed)
                await self.pulse(context, dut.rewind)
                assert not context.get(dut.overflowed)
                continue
            drop_last = rng.randrange(2)
            last = len(data) % 8 or 8
            length = max(len(data) - last, 0) if drop_last else len(data) - rng.randrange(last)
            info = info_of(rng, length)
            context.set(dut.info, info)
            context.set(dut.drop_last, drop_last)
            self.expected.append((info, data[:length]))
            self.kept += 1
            await self.pulse(context, dut.commit)
        if self.drain:
            for _ in range(2000):
                if not self.expected:
                    break
                await context.tick()
            assert not self.expected

    async def take(self, context: Any, stream: Any) -> Any:
        while self.rng.random() > self.share:
            await context.tick()
        context.set(stream.ready, 1)
        while not context.get(stream.valid):
            await context.tick()
        payload = context.get(stream.payload)
        await context.tick()
        context.set(stream.ready, 0)
        return payload

    async def read(self, context: Any) -> None:
        dut = self.dut
        while self.share:
            info = await self.take(context, dut.frames)
            wanted, data = self.expected[0]
            assert {name: info[name] for name, _ in ReceiveInfo} == wanted
            got = b""
            while len(got) < len(data):
                word = await self.take(context, dut.packets)
                got += word.data.to_bytes(8, "little")[: word.count]
                assert word.last == (len(got) == len(data))
                assert word.last or word.count == 8
            assert got == data
            self.expected.popleft()
        await context.tick()


@pytest.mark.parametrize("seed", range(6))
def test_frames_come_out_whole(seed: int) -> None:
    bench = Bench(seed, frames=60, share=(0.1, 0.5, 1.0)[seed % 3])
    assert bench.kept > 10
    assert bench.lost > 0


def test_capacity() -> None:
    """Nobody reads: all but one word can be used, and one more since the reader has taken the first information."""
    bench = Bench(1, frames=40, share=0, drain=False)
    used = sum(1 + (len(data) + 7) // 8 for _, data in bench.expected)
    assert WORDS - 9 <= used <= WORDS + 2


def test_fill() -> None:
    """Words in use, wherever in the memory they lie: of a frame that comes in, of one that waits (of which the reader
    has up to three words in hand), none when it is forgotten or taken out."""
    dut = ReceiveBuffer(words=WORDS, bank_words=16)

    async def put(context: Any, words: int) -> None:
        for _ in range(words):
            context.set(dut.write, 1)
            await context.tick()
            context.set(dut.write, 0)
            await context.tick().repeat(3)

    async def finish(context: Any, signal: Any) -> None:
        context.set(signal, 1)
        await context.tick()
        context.set(signal, 0)
        await context.tick().repeat(8)

    async def process(context: Any) -> None:
        for words in (*range(1, 40), 50, 59):
            assert context.get(dut.fill) == 0
            await put(context, words)
            assert context.get(dut.fill) == words
            await finish(context, dut.rewind)
            assert context.get(dut.fill) == 0
            await put(context, words)
            context.set(dut.info.length, 8 * words)
            await finish(context, dut.commit)
            assert words - 2 <= context.get(dut.fill) <= words + 1
            context.set(dut.frames.ready, 1)
            context.set(dut.packets.ready, 1)
            await context.tick().repeat(words + 12)
            context.set(dut.frames.ready, 0)
            context.set(dut.packets.ready, 0)

    simulator = Simulator(dut)
    simulator.add_clock(8e-9)
    simulator.add_testbench(process)
    simulator.run()


def test_size_is_checked() -> None:
    with pytest.raises(ValueError, match="3"):
        ReceiveBuffer(words=3)
    with pytest.raises(ValueError, match="8193"):
        ReceiveBuffer(words=8193)
    with pytest.raises(ValueError, match="24"):
        ReceiveBuffer(bank_words=24)
