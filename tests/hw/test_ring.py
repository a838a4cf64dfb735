"""Descriptor prefetch against a memory that checks what is read."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hw.interfaces import Descriptor
from hw.ring import RingPrefetch
from hw.thresholds import Thresholds
from tests.hw.memory import HostMemory, fields, pattern
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate

FRAME_CYCLES = 84
"""A frame of 64 bytes takes that many cycles on the wire (IEEE 802.3: 8 + 64 + 12 bytes)."""


class Bench:
    """The ring's software, and the engine that takes its descriptors."""

    def __init__(self, dut, *, latency, ready=1.0) -> None:
        self.dut = dut
        self.memory = HostMemory(dut, "memory", latency=latency, ready=ready)
        self.taken: list[tuple[int, int]] = []
        self.cycle = 0
        self.want = lambda: True
        self.base = 0
        self.size = 0

    async def start(self) -> None:
        Clock(self.dut.clk, CLOCK_PERIOD_NS, "ns").start()
        for name in (
            "rst",
            "enable",
            "head_written",
            "head",
            "tail",
            "base",
            "length",
            "thresholds",
            "descriptors__ready",
        ):
            getattr(self.dut, name).value = 0
        cocotb.start_soon(self.memory.run())
        cocotb.start_soon(self._engine())
        self.dut.rst.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def _engine(self) -> None:
        dut = self.dut
        ready = False
        while True:
            await RisingEdge(dut.clk)
            self.cycle += 1
            if ready and int(dut.descriptors__valid.value) and not int(dut.head_written.value):
                item = fields(Descriptor, int(dut.descriptors__payload.value))
                self.taken.append((item["index"], item["data"]))
            ready = self.want()
            dut.descriptors__ready.value = ready

    async def set_ring(self, base: int, size: int) -> None:
        self.base, self.size = base, size
        self.dut.base.value = base
        self.dut.length.value = 16 * size

    def set_thresholds(self, **values: int) -> None:
        self.dut.thresholds.value = sum(value << Thresholds[name.lower()].offset for name, value in values.items())

    async def set_head(self, head: int) -> None:
        self.dut.head.value = head
        self.dut.head_written.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.head_written.value = 0
        self.dut.head.value = 0

    def expected(self, head: int, tail: int) -> list[tuple[int, int]]:
        result = []
        while head != tail:
            address = self.base + 16 * head
            result.append((head, pattern(address) | pattern(address + 8) << 64))
            head = (head + 1) % self.size
        return result

    def check_reads(self) -> None:
        for address, length, _ in self.memory.reads:
            assert self.base <= address, hex(address)
            assert address + length <= self.base + 16 * self.size, hex(address)
            assert address % 16 == length % 16 == 0

    async def taken_all(self, count: int, limit: int) -> None:
        for _ in range(limit):
            if len(self.taken) >= count:
                return
            await RisingEdge(self.dut.clk)
        raise AssertionError(f"{len(self.taken)} of {count} descriptors within {limit} cycles")


@cocotb.test()
async def every_head_and_tail(dut) -> None:
    """All heads and tails of small rings, at bases on either side of a 512-byte boundary."""
    rng = random.Random(2)
    bench = Bench(dut, latency=lambda: rng.randrange(12), ready=0.7)
    await bench.start()
    for base, size in ((0x1000, 8), (0xFFFF_FFFF_0000_11D0, 16)):
        dut.enable.value = 0
        await bench.set_ring(base, size)
        for head in range(size):
            for tail in range(size):
                # Tail before head, as the driver does, with the ring off: a tail alone must not start it.
                dut.enable.value = 0
                dut.tail.value = tail
                await bench.set_head(head)
                bench.taken.clear()
                bench.memory.reads.clear()
                dut.enable.value = 1
                expected = bench.expected(head, tail)
                await bench.taken_all(len(expected), 300)
                await ClockCycles(dut.clk, 12)
                assert bench.taken == expected, (head, tail)
                bench.check_reads()


@cocotb.test()
async def nonsense_reads_nothing(dut) -> None:
    """Head equal to tail, or either beyond the ring, or no ring: nothing is read, and a good head goes on."""
    bench = Bench(dut, latency=lambda: 5)
    await bench.start()
    dut.enable.value = 1
    for base, size, head, tail in (
        (0xFFFF_FFFF_FFFF_FFF0, 0xFFF8, 0xFFFF, 0xFFFF),  # what the driver's register test leaves behind
        (0x1000, 8, 3, 3),
        (0x1000, 8, 8, 2),
        (0x1000, 8, 2, 8),
        (0x1000, 8, 0xFFFF, 0),
        (0x1000, 8, 0, 0xFFFF),
        (0x1000, 8, 9, 12),
        (0x1000, 0, 0, 5),
        (0x1000, 0, 5, 0),
    ):
        dut.enable.value = 0
        await bench.set_ring(base, size)
        dut.tail.value = tail
        await bench.set_head(head)
        dut.enable.value = 1
        await ClockCycles(dut.clk, 60)
        assert not bench.memory.reads, (base, size, head, tail)
    await bench.set_ring(0x1000, 8)
    dut.tail.value = 2
    await bench.set_head(6)
    await bench.taken_all(4, 100)
    assert bench.taken == bench.expected(6, 2)


@cocotb.test()
async def random_tails_and_heads(dut) -> None:
    """A long random life: the tail moves on, the engine stalls, software starts anew at other heads in mid-fetch."""
    rng = random.Random(3)
    bench = Bench(dut, latency=lambda: rng.choice((0, 3, 40, 150)), ready=0.5)
    await bench.start()
    dut.enable.value = 1
    for life in range(40):
        size = rng.choice((8, 32, 72, 256))
        pace = rng.choice((1.0, 0.3, 0.02))
        bench.set_thresholds(PTHRESH=rng.choice((0, 7, 63)), HTHRESH=rng.choice((0, 4)), GRAN=rng.randrange(2))
        bench.want = lambda pace=pace: rng.random() < pace
        head = rng.randrange(size)
        dut.enable.value = 0
        await bench.set_ring(16 * rng.randrange(1 << 40), size)
        dut.tail.value = head
        await bench.set_head(head)
        bench.taken.clear()
        dut.enable.value = 1
        reads_of_old_ring = len(bench.memory.reads) + 1  # one request may have been on offer
        tail, given = head, 0
        for _ in range(rng.randrange(1, 12)):
            step = rng.randrange(size - (given - len(bench.taken)))
            tail = (tail + step) % size
            given += step
            dut.tail.value = tail
            await ClockCycles(dut.clk, rng.randrange(1, 200))
        if life % 2:  # every other life ends in mid-fetch
            await bench.taken_all(given, 100 * given + 1000)
            await ClockCycles(dut.clk, 50)
            assert len(bench.taken) == given
        bench.memory.reads[:reads_of_old_ring] = []
        bench.check_reads()
        bench.memory.reads.clear()
        everything = [bench.expected(i, (i + 1) % size)[0] for i in range(size)]
        assert bench.taken == [everything[(head + i) % size] for i in range(len(bench.taken))]


@cocotb.test()
@cocotb.parametrize(prefetch=[0, 32])
async def line_rate(dut, prefetch: int) -> None:
    """Frames of 64 bytes at line rate take one descriptor each. With PTHRESH of half the cache none waits behind
    another one at read latencies up to 20 us. With PTHRESH = 0 those wait that come while the next are fetched."""
    bench = Bench(dut, latency=lambda: latency)
    await bench.start()
    bench.set_thresholds(PTHRESH=prefetch, HTHRESH=8, GRAN=1)
    dut.enable.value = 1
    await bench.set_ring(0x12340, 256)
    for latency in (125, 500, 1000, 2500):
        bench.want = lambda: False
        dut.tail.value = 0
        await bench.set_head(0)
        bench.taken.clear()
        dut.tail.value = 255
        await ClockCycles(dut.clk, 2 * latency + 100)
        first = bench.cycle
        waiting = []

        def want(first=first, waiting=waiting) -> bool:
            # Frames come one by one; the engine asks for a descriptor while there is one without.
            frames = (bench.cycle - first) // FRAME_CYCLES
            waiting.append(frames - len(bench.taken))
            return waiting[-1] > 0 and not int(dut.descriptors__ready.value)

        bench.want = want
        for _ in range(25):
            await ClockCycles(dut.clk, 16 * FRAME_CYCLES)
            dut.tail.value = (len(bench.taken) - 1) % 256  # software refills now and then
        fetched_late = 0 if prefetch else latency // FRAME_CYCLES
        assert len(bench.taken) >= 398 - fetched_late
        assert fetched_late <= max(waiting) <= fetched_late + 1, (latency, max(waiting))


@cocotb.test()
async def a_fetch_takes_one_latency(dut) -> None:
    """64 descriptors that lie in three bursts, one of which ends at the end of the ring: all on their way at once."""
    bench = Bench(dut, latency=lambda: 1000)
    await bench.start()
    dut.enable.value = 1
    await bench.set_ring(0x1_0000_0000 - 16 * 16, 64)
    dut.tail.value = 49
    await bench.set_head(50)
    await ClockCycles(dut.clk, 60)
    assert [length // 16 for _, length, _ in bench.memory.reads] == [14, 16, 32, 1]
    await bench.taken_all(63, 1000 + 5 * 63)
    assert bench.taken == bench.expected(50, 49)


@cocotb.test()
async def largest_ring(dut) -> None:
    """4096 descriptors and 65528, the most that 20 bits of RDLEN hold, to the last and around."""
    bench = Bench(dut, latency=lambda: 20)
    await bench.start()
    for size in (4096, 65528):
        dut.enable.value = 0
        await bench.set_ring(0xFFFF_F000, size)
        head = size - 70
        dut.tail.value = 100
        await bench.set_head(head)
        bench.taken.clear()
        bench.memory.reads.clear()
        dut.enable.value = 1
        await bench.taken_all(170, 3000)
        await ClockCycles(dut.clk, 60)
        assert bench.taken == bench.expected(head, 100)
        bench.check_reads()


@cocotb.test()
async def disabled(dut) -> None:
    """Off: no request, and the descriptors in the cache stay for later."""
    bench = Bench(dut, latency=lambda: 5)
    await bench.start()
    await bench.set_ring(0x4000, 64)
    bench.want = lambda: False
    dut.enable.value = 1
    dut.tail.value = 50
    await ClockCycles(dut.clk, 200)
    assert sum(length for _, length, _ in bench.memory.reads) == 50 * 16
    dut.enable.value = 0
    bench.want = lambda: True
    await ClockCycles(dut.clk, 100)
    assert bench.taken == bench.expected(0, 1)  # the one that was on offer
    assert len(bench.memory.reads) == 2
    dut.tail.value = 60
    await ClockCycles(dut.clk, 50)
    assert len(bench.memory.reads) == 2
    dut.enable.value = 1
    await bench.taken_all(60, 1000)
    assert bench.taken == bench.expected(0, 60)


def test_ring() -> None:
    simulate(RingPrefetch(), name="ring", test_module=__name__)
