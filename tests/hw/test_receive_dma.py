"""Receive DMA: gateware against golden function at every alignment, and the golden function by hand."""

import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.descriptors import RECEIVE
from hw.interfaces import MAX_BURST_BYTES
from hw.receive.align import WriteAligner, align
from hw.receive.dma import ReceiveDma, buffer_bytes, store
from hw.receive.layouts import ReceiveInfo
from tests.hw.streams import words_of

BASE = 0xFFFF_FFFF_1234_5670
RING = 40
INFO = {name: 0 for name, _ in ReceiveInfo}


def mask(strobe: int) -> int:
    return sum(0xFF << 8 * lane for lane in range(8) if strobe >> lane & 1)


class Bench:
    """A component in the simulator, started anew for each run."""

    def __init__(self, dut: Any, *processes: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        self.dut = dut
        self.simulator = Simulator(dut)
        self.simulator.add_clock(8e-9)
        self.used = False
        self.processes: list[Callable[[Any], Coroutine[Any, Any, None]]] = []
        for place in range(4):
            self.simulator.add_testbench(self._runner(place), background=place > 0)

    def _runner(self, place: int) -> Callable[[Any], Coroutine[Any, Any, None]]:
        async def run(context: Any) -> None:
            if place < len(self.processes):
                await self.processes[place](context)

        return run

    def run(self, *processes: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        """The first one decides about the end."""
        self.processes = list(processes)
        if self.used:
            self.simulator.reset()
        self.used = True
        self.simulator.run()


async def put(context: Any, stream: Any, values: list[Any], rng: random.Random, share: float) -> None:
    for value in values:
        while rng.random() > share:
            await context.tick()
        context.set(stream.payload, value)
        context.set(stream.valid, 1)
        while not context.get(stream.ready):
            await context.tick()
        await context.tick()
        context.set(stream.valid, 0)


async def get(context: Any, stream: Any, rng: random.Random, share: float) -> Any:
    while rng.random() > share:
        await context.tick()
    context.set(stream.ready, 1)
    while not context.get(stream.valid):
        await context.tick()
    payload = context.get(stream.payload)
    await context.tick()
    context.set(stream.ready, 0)
    return payload


def packet_words(frame: bytes) -> list[dict[str, int]]:
    return [{"data": data, "count": count, "last": last} for data, count, last in words_of(frame)]


ALIGNER = Bench(WriteAligner())


@pytest.mark.parametrize("offset", range(8))
def test_aligner(offset: int) -> None:
    """Every alignment with every length of a few words, and across the ends of bursts, in one cycle per word."""
    dut = ALIGNER.dut
    rng = random.Random(offset)
    cases = [(block + offset, length) for block in (0, 8, 496, 504) for length in (*range(1, 26), 512, 600)]
    pieces = [(address, rng.randbytes(length)) for address, length in cases]

    async def process(context: Any) -> None:
        context.set(dut.output.ready, 1)
        for address, piece in pieces:
            context.set(dut.begin, 1)
            context.set(dut.address, address)
            context.set(dut.length, len(piece))
            await context.tick()
            context.set(dut.begin, 0)
            context.set(dut.enable, 1)
            source = iter(packet_words(piece))
            word = next(source)
            for data, strobe, last in align(piece, address):
                context.set(dut.packets.payload, word or {})
                context.set(dut.packets.valid, word is not None)
                assert context.get(dut.burst_end) == last
                ready = context.get(dut.packets.ready)
                assert ready == (word is not None)
                if ready:
                    word = next(source, None)
                await context.tick()
                assert context.get(dut.output.valid)
                output = context.get(dut.output.payload)
                assert (output.data & mask(strobe), output.strobe, output.last) == (data, strobe, last)
            assert word is None
            context.set(dut.packets.valid, 0)
            context.set(dut.enable, 0)

    ALIGNER.run(process)


def test_golden_align() -> None:
    assert align(bytes(range(1, 11)), 6) == [
        (0x0201 << 48, 0b1100_0000, False),
        (0x0A09_0807_0605_0403, 0xFF, True),
    ]
    assert [last for _, _, last in align(bytes(24), 500)] == [False, True, False, True]


def test_golden_store() -> None:
    """3 bytes over buffers of 2 (a size that no register gives, to keep it short), with a null address between."""
    info = INFO | {"checksum": 0xABCD, "ipcs": 1, "tcpe": 1}
    writes = list(store(b"xyz", info, iter([(7, 0), (0, 0x100), (1, 0), (2, 0x200)]), base=0x1000, size=2))
    assert writes == [
        (0x1078, bytes.fromhex("0000000001000000")),
        (0x100, b"xy"),
        (0x1008, bytes.fromhex("0200cdab01000000")),
        (0x1018, bytes.fromhex("0000000001000000")),
        (0x200, b"z"),
        (0x1028, bytes.fromhex("0100000043200000")),
    ]


@pytest.mark.parametrize(("bsex", "sizes"), [(0, (2048, 1024, 512, 256)), (1, (2048, 16384, 8192, 4096))])
def test_buffer_sizes(bsex: int, sizes: tuple[int, ...]) -> None:
    assert tuple(buffer_bytes(bsize=bsize, bsex=bsex) for bsize in range(4)) == sizes


DMA = Bench(ReceiveDma())


@st.composite
def frames(draw: st.DrawFn) -> tuple[dict[str, int], bytes]:
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    length = draw(st.sampled_from((0, 1, 7, 8, 9, 60, 64, 255, 256, 257, 511, 512, 513, 1000, 1024, 1522)))
    info = {name: rng.getrandbits(layout.width) for name, layout in ReceiveInfo}
    return info | {"length": length}, rng.randbytes(length)


@settings(max_examples=25)
@given(
    work=st.lists(frames(), min_size=1, max_size=6),
    sizes=st.tuples(st.integers(0, 3), st.sampled_from((0, 0, 0, 1))),
    seed=st.integers(0, 1 << 32),
    share=st.sampled_from((0.3, 1.0)),
)
def test_gateware_against_golden(
    work: list[tuple[dict[str, int], bytes]], sizes: tuple[int, int], seed: int, share: float
) -> None:
    rng = random.Random(seed)
    dut = DMA.dut
    bsize, bsex = sizes
    # Buffers that touch neither each other nor the ring, some of them at the ends of bursts.
    places = [
        (n % RING, 0 if rng.randrange(6) == 0 else 0x4_0000_8000 * (n + 1) + rng.randrange(8192)) for n in range(99)
    ]
    used = iter(places)
    numbers = iter(places)
    expected: list[tuple[int, bytes]] = []
    ends = []
    for info, frame in work:
        expected += store(frame, info, used, base=BASE, size=buffer_bytes(bsize=bsize, bsex=bsex))
        ends.append(len(expected))
    lengths = []

    async def check(context: Any) -> None:
        """Bursts and used descriptors in one order: a descriptor does not come before its data."""
        context.set(dut.rctl.bsize, bsize)
        context.set(dut.rctl.bsex, bsex)
        for number, (address, data) in enumerate(expected, 1):
            if BASE <= address < BASE + 16 * RING:
                assert not context.get(dut.write_data.valid)
                item = await get(context, dut.used, rng, share)
                index, place = next(numbers)
                assert item.index == index == (address - BASE) // 16
                assert item.data == place | int.from_bytes(data, "little") << 64
                assert item.report
                assert item.event == (number in ends)
                if item.event:
                    lengths.append(context.get(dut.used_bytes))
                continue
            for start in (address, *range((address | MAX_BURST_BYTES - 1) + 1, address + len(data), MAX_BURST_BYTES)):
                end = min((start | MAX_BURST_BYTES - 1) + 1, address + len(data))
                request = await get(context, dut.write_request, rng, share)
                assert (request.address, request.length) == (start, end - start)
                for place in range(start & ~7, end, 8):
                    assert not context.get(dut.used.valid)
                    word = await get(context, dut.write_data, rng, share)
                    lanes = [lane for lane in range(8) if start <= place + lane < end]
                    assert word.strobe == sum(1 << lane for lane in lanes)
                    assert word.last == (place + 8 >= end)
                    octets = [word.data >> 8 * lane & 0xFF for lane in lanes]
                    assert bytes(octets) == data[place + lanes[0] - address :][: len(lanes)]
        await context.tick().repeat(5)
        assert not context.get(dut.write_request.valid)
        assert lengths == [info["length"] for info, _ in work]

    async def give_infos(context: Any) -> None:
        await put(context, dut.frames, [info for info, _ in work], rng, share)

    async def give_words(context: Any) -> None:
        await put(context, dut.packets, [word for _, frame in work for word in packet_words(frame)], rng, share)

    async def give_descriptors(context: Any) -> None:
        old = (1 << 64) - 1 << 64
        await put(
            context, dut.descriptors, [{"data": place | old, "index": index} for index, place in places], rng, share
        )

    DMA.run(check, give_infos, give_words, give_descriptors)


def test_status_bits_are_the_table() -> None:
    """Bit for bit, by the manual's table 3-2 and 3-3: the descriptor of one frame with every flag set."""
    info = {name: 1 for name, _ in ReceiveInfo} | {"length": 3, "checksum": 0, "special": 0xA123}
    *_, (_, status) = store(b"abc", info, iter([(0, 8)]), base=0, size=2048)
    assert status == bytes.fromhex("0300 0000 ef e1 23a1".replace(" ", ""))
    assert RECEIVE.unpack(bytes(8) + status)["eop"] == 1
