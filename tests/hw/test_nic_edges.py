"""The whole NIC at its edges: slow and jittery memory, short preambles and gaps, ring ends, 4 GiB, no descriptors."""

import random
from functools import partial
from typing import Any

import cocotb
import pytest
from cocotb.triggers import with_timeout

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE
from hw.interfaces import MAX_BURST_BYTES
from hw.mac.fcs import PREAMBLE_BYTES, append_fcs
from hw.nic import Nic
from hw.registers import BY_NAME
from tests.hw.nic_bench import OWN, PREAMBLE_AND_SFD, NicBench
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate

PEER = bytes.fromhex("020000000002")
HEADER_BYTES = 14
LONGEST = 1514
"""Bytes of the longest frame without tag and FCS."""

SMALLEST_GAP = 8
"""Bytes between frames that a receiver must bear at 1 Gb/s (802.3 clause 4.4.2, interPacketGap: 64 bit times)."""

BUFFER_BYTES = 48 * 1024
"""What PBA gives to the receiver."""

FOUR_GIB = 1 << 32


def frame(rng: random.Random, size: int, *, to: bytes = OWN, source: bytes = PEER) -> bytes:
    """A frame of ``size`` bytes without FCS."""
    return to + source + b"\x88\xb5" + rng.randbytes(size - HEADER_BYTES)


async def both_ways(bench: NicBench, rng: random.Random, sizes: list[int], *, cycles: int) -> None:
    """A frame of each size in each direction at the same time; all arrive whole and in order, within ``cycles``."""
    incoming = [frame(rng, size) for size in sizes]
    outgoing = [frame(rng, size, to=PEER, source=OWN) for size in reversed(sizes)]
    await bench.give(len(sizes))
    for data in incoming:
        bench.put(append_fcs(data), preamble=PREAMBLE_AND_SFD[rng.randrange(PREAMBLE_BYTES) :])
    await bench.transmit(*(bench.legacy(data, rs=rng.randrange(2)) for data in outgoing))
    await with_timeout(bench.settle(2500), cycles * CLOCK_PERIOD_NS, "ns")
    assert [data for _, data in bench.received()] == list(map(append_fcs, incoming))
    assert bench.sent() == list(map(append_fcs, outgoing))
    assert await bench.read("TDH") == await bench.read("TDT")
    assert await bench.read("RDH") == await bench.read("RDT")
    assert await bench.read("MPC") == 0


@cocotb.test()
async def every_size(dut: Any) -> None:
    """Close-packed, with the least of preambles and gaps: all short sizes, and those around the ends of bursts."""
    rng = random.Random(1)
    bench = NicBench(dut, latency=lambda: rng.randrange(1, 60))
    await bench.start()
    bench.source.ifg = SMALLEST_GAP
    await bench.open(buffers=0)
    near = [MAX_BURST_BYTES * n + around for n in (1, 2) for around in range(-20, 3)]
    sizes = [*range(60, 140), *near, *range(LONGEST - 9, LONGEST + 1)]
    rng.shuffle(sizes)
    for start in range(0, len(sizes), 50):
        await both_ways(bench, rng, sizes[start : start + 50], cycles=100_000)


@cocotb.test()
async def slow_memory(dut: Any) -> None:
    """Reads answered after 1 to 2000 cycles, those of different tags in any order; requests and writes held up."""
    rng = random.Random(2)
    bench = NicBench(dut)
    await bench.start()
    await bench.open(buffers=0)
    for least, most, ready in ((1, 1, 0.5), (1, 30, 0.2), (1, 300, 1.0), (1, 2000, 0.6), (2000, 2000, 1.0)):
        bench.memory.latency = partial(rng.randint, least, most)
        bench.memory.ready = ready
        sizes = [rng.choice((60, 61, rng.randrange(60, 300), rng.randrange(60, LONGEST + 1))) for _ in range(20)]
        await both_ways(bench, rng, sizes, cycles=200_000)


async def set_rings(bench: NicBench, *, transmit: int, receive: int, entries: int, index: int) -> None:
    """Rings at these addresses, both heads and tails at ``index``, set while both directions are off."""
    for name in ("RCTL", "TCTL"):
        await bench.write(name, 0)
    for prefix, base in (("TD", transmit), ("RD", receive)):
        await bench.write(f"{prefix}BAL", base % FOUR_GIB)
        await bench.write(f"{prefix}BAH", base // FOUR_GIB)
        await bench.write(f"{prefix}LEN", entries * DESCRIPTOR_BYTES)
        await bench.write(f"{prefix}H", index)
        await bench.write(f"{prefix}T", index)
    await bench.write_fields("RCTL", EN=1)
    await bench.write_fields("TCTL", EN=1, PSP=1)


async def around_a_ring(
    bench: NicBench, rng: random.Random, *, transmit: int, receive: int, index: int, buffers: int, rounds: int
) -> None:
    """Rings of 8 at these addresses, from this index on; ``rounds`` of 1 to 7 frames each way at once. Buffers lie
    around the address ``buffers``, at any alignment."""
    entries = 8
    await set_rings(bench, transmit=transmit, receive=receive, entries=entries, index=index)
    for _ in range(rounds):
        count = rng.randrange(1, entries)
        incoming = [frame(rng, rng.randrange(60, 90)) for _ in range(count)]
        outgoing = [frame(rng, rng.randrange(60, 90), to=PEER, source=OWN) for _ in range(count)]
        places = [buffers + 0x800 * n - rng.randrange(100) for n in range(count)]
        for n, (place, data) in enumerate(zip(places, outgoing, strict=True)):
            slot = DESCRIPTOR_BYTES * ((index + n) % entries)
            source = place + 0x10_0000
            padded = bytes(source % 8) + data
            bench.memory.load(source & ~7, padded + bytes(-len(padded) % 8))
            bench.memory.load(receive + slot, RECEIVE.pack(address=place))
            bench.memory.load(transmit + slot, bench.legacy(b"", address=source, length=len(data)))
        index = (index + count) % entries
        await bench.write("RDT", index)
        await bench.write("TDT", index)
        for data in incoming:
            bench.send(data)
        await with_timeout(bench.settle(300), 20_000 * CLOCK_PERIOD_NS, "ns")
        assert bench.sent() == list(map(append_fcs, outgoing))
        for n, (place, data) in enumerate(zip(places, incoming, strict=True)):
            slot = DESCRIPTOR_BYTES * ((index - count + n) % entries)
            done = RECEIVE.unpack(bench.octets(receive + slot, DESCRIPTOR_BYTES))
            assert (done["dd"], done["eop"], done["length"]) == (1, 1, len(data) + 4)
            assert bench.octets(place, len(data) + 4) == append_fcs(data)
            assert bench.octets(transmit + slot + 12, 1) == b"\x01"
        assert await bench.read("TDH") == await bench.read("RDH") == index


@cocotb.test()
async def the_end_of_a_ring(dut: Any) -> None:
    """Rings of 8 that begin at each descriptor of a burst's span, used from each index on, around their end."""
    rng = random.Random(3)
    bench = NicBench(dut, latency=lambda: rng.randrange(1, 40))
    await bench.start()
    await bench.open(buffers=0)
    for offset in range(MAX_BURST_BYTES // DESCRIPTOR_BYTES):
        base = 0x40_0000 + DESCRIPTOR_BYTES * offset
        await around_a_ring(
            bench, rng, transmit=base, receive=base + 0x4000, index=offset % 8, buffers=0x100_0000, rounds=3
        )


@cocotb.test()
async def across_4_gib(dut: Any) -> None:
    """Rings and buffers of which a part lies below 4 GiB and a part above."""
    rng = random.Random(4)
    bench = NicBench(dut, latency=lambda: rng.randrange(1, 40))
    await bench.start()
    await bench.open(buffers=0)
    for below in range(1, 8):
        base = FOUR_GIB - DESCRIPTOR_BYTES * below
        for transmit, receive in ((base, base + (1 << 40)), (base + (5 << 32), base)):
            await around_a_ring(
                bench, rng, transmit=transmit, receive=receive, index=below % 8, buffers=FOUR_GIB << 1, rounds=2
            )
    # Buffers whose pieces, and a burst of whose, end at 4 GiB.
    await bench.open(buffers=0)
    for before in (1, 7, 8, 511, 512, 513, 1000):
        data = frame(rng, LONGEST)
        place = FOUR_GIB - before
        bench.memory.load(0x2_0000 + DESCRIPTOR_BYTES * bench.receive_tail, RECEIVE.pack(address=place))
        bench.receive_tail += 1
        await bench.write("RDT", bench.receive_tail)
        bench.send(data)
        await bench.settle(300)
        assert bench.octets(place, len(data) + 4) == append_fcs(data)
        # And out again, from there.
        await bench.transmit(bench.legacy(b"", address=place, length=len(data)))
        await bench.settle()
        assert bench.sent() == [append_fcs(data)]


@cocotb.test()
async def starvation(dut: Any) -> None:
    """Frames that find no descriptor wait in the buffer, those that find no room there are counted in MPC, and
    nothing is lost twice, torn or reordered."""
    rng = random.Random(5)
    bench = NicBench(dut, latency=lambda: rng.randrange(1, 60))
    await bench.start()
    await bench.open(buffers=3)
    sent = [frame(rng, rng.choice((LONGEST, LONGEST, 60, 300))) for _ in range(60)]
    for data in sent:
        bench.put(append_fcs(data), preamble=PREAMBLE_AND_SFD[-2:])
    await bench.settle()
    assert await bench.read("ICR") & BY_NAME["ICR"].mask("RXO")
    got = [data for _, data in bench.received()]
    assert got == list(map(append_fcs, sent[:3]))
    missed = await bench.read("MPC")
    assert missed > 0
    for _ in range(len(sent) - len(got) - missed):
        await bench.give(1)
        await bench.settle(300)
        got += [data for _, data in bench.received()]
    assert len(got) + missed == len(sent)
    numbers = [sent.index(data[:-4]) for data in got]
    assert numbers == sorted(set(numbers)), "out of order"
    # Until the first loss nothing is lost; the buffer was as full as the table says.
    kept = sum(len(data) for data in got[3:])
    assert BUFFER_BYTES - 64 * len(got) - LONGEST < kept <= BUFFER_BYTES
    # As if nothing had been.
    await both_ways(bench, rng, [60, LONGEST, 61] * 5, cycles=60_000)


@cocotb.test()
async def descriptors_one_by_one(dut: Any) -> None:
    """Software is always late with descriptors: frames keep coming, and each gets its own."""
    rng = random.Random(6)
    bench = NicBench(dut, latency=lambda: rng.randrange(1, 100))
    await bench.start()
    await bench.open(buffers=0)
    bench.source.ifg = SMALLEST_GAP
    sent = [frame(rng, rng.randrange(60, 200)) for _ in range(80)]
    for data in sent:
        bench.put(append_fcs(data), preamble=PREAMBLE_AND_SFD[rng.randrange(PREAMBLE_BYTES) :])
    got: list[bytes] = []
    for _ in range(len(sent)):
        await bench.give(1)
        await bench.wait(rng.choice((1, 30, 300)))
        got += [data for _, data in bench.received()]
    await bench.settle()
    got += [data for _, data in bench.received()]
    assert got == list(map(append_fcs, sent))
    assert await bench.read("MPC") == 0


@pytest.mark.slow
def test_nic_edges() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
