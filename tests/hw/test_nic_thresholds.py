"""Descriptor thresholds on the whole NIC, by its registers (manual 3.2.4, 3.2.5, 3.4.1, 3.4.2, 13.4.43, 13.4.46)."""

import random
from typing import Any

import cocotb

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE, TRANSMIT_LEGACY
from hw.mac.fcs import append_fcs
from hw.moderation import CYCLES_PER_UNIT
from hw.nic import Nic
from hw.registers import BY_NAME
from tests.hw.moderation_bench import ICR, PEER, Moderation, frame_of
from tests.hw.nic_bench import OWN, RECEIVE_RING, RING, TRANSMIT_RING
from tests.hw.simulate import simulate

TRANSMIT_FETCHES, RECEIVE_FETCHES = 0, 2
"""Tags of the ring's reads."""

DATA = PEER + OWN + bytes(range(100))


class Bench(Moderation):
    """The bench with what is done to the rings in memory."""

    def fetched(self, tag: int) -> list[tuple[int, int]]:
        """First index and number of the descriptors of each read of a ring since the last call."""
        base = TRANSMIT_RING if tag == TRANSMIT_FETCHES else RECEIVE_RING
        reads = [((address - base) // 16, length // 16) for address, length, by in self.memory.reads if by == tag]
        self.memory.reads[:] = [read for read in self.memory.reads if read[2] != tag]
        return reads

    def written_back(self, base: int) -> list[tuple[int, int]]:
        """Offset and length in bytes of each write to the ring at ``base`` since the last call."""
        inside = [write for write in self.memory.writes if base <= write[0] < base + DESCRIPTOR_BYTES * RING]
        self.memory.writes[:] = [write for write in self.memory.writes if write not in inside]
        return [(address - base, length) for address, length in inside]

    def done(self, count: int) -> list[int]:
        """DD of the first transmit descriptors."""
        places = range(TRANSMIT_RING, TRANSMIT_RING + DESCRIPTOR_BYTES * count, DESCRIPTOR_BYTES)
        return [TRANSMIT_LEGACY.unpack(self.octets(place, DESCRIPTOR_BYTES))["dd"] for place in places]


def groups(offset: int, length: int) -> tuple[int, int]:
    """A write of ``length`` descriptors from index ``offset`` on, in bytes."""
    return DESCRIPTOR_BYTES * offset, DESCRIPTOR_BYTES * length


@cocotb.test()
async def as_linux_sets_it(dut: Any) -> None:
    """TXDCTL 01010000: descriptors with RS one at a time and whole, all others not, and the rest as it was."""
    bench = Bench(dut)
    await bench.begin("TXDW")
    await bench.write("TXDCTL", 0x0101_0000)
    first = [bench.context(tucss=34), bench.data(DATA, eop=0, rs=0), bench.data(DATA)]
    await bench.transmit(*first)
    await bench.settle()
    assert bench.written_back(TRANSMIT_RING) == [groups(2, 1)]
    place = TRANSMIT_RING + 2 * DESCRIPTOR_BYTES
    assert bench.octets(place, DESCRIPTOR_BYTES) == first[2][:12] + b"\x01" + first[2][13:]
    await bench.transmit(bench.legacy(DATA), bench.legacy(DATA))
    await bench.settle()
    assert bench.written_back(TRANSMIT_RING) == [groups(3, 1), groups(4, 1)]
    assert await bench.read("TDH") == 5
    assert await bench.read("ICR") & ICR.mask("TXDW")
    assert len(bench.sent()) == 3


@cocotb.test()
async def transmit_groups_wait_for_the_timers(dut: Any) -> None:
    """WTHRESH = 4 with IDE: four at a time; fewer when TIDV or TADV runs out, and only then the interrupt."""
    bench = Bench(dut)
    await bench.begin("TXDW", TIDV=20, TADV=0)
    await bench.write_fields("TXDCTL", GRAN=1, WTHRESH=4)
    await bench.transmit(*(bench.legacy(DATA, ide=1) for _ in range(6)))
    await bench.wait(15 * CYCLES_PER_UNIT)
    assert bench.done(6) == [1, 1, 1, 1, 0, 0]
    assert bench.written_back(TRANSMIT_RING) == [groups(0, 4)]
    assert await bench.read("TDH") == 4
    assert bench.rises == []
    assert await bench.acknowledge() & ICR.mask("TXDW", "TXQE") == ICR.mask("TXDW", "TXQE")
    assert bench.done(6) == [1] * 6
    assert bench.written_back(TRANSMIT_RING) == [groups(4, 2)]
    assert bench.written[5] + 20 * CYCLES_PER_UNIT < bench.rises[0] < bench.written[5] + 20 * CYCLES_PER_UNIT + 20

    await bench.write("TADV", 6)
    await bench.transmit(bench.legacy(DATA, ide=1))
    await bench.acknowledge()
    assert bench.done(7) == [1] * 7
    assert bench.written[6] + 6 * CYCLES_PER_UNIT < bench.rises[1] < bench.written[6] + 6 * CYCLES_PER_UNIT + 20


@cocotb.test()
async def transmit_groups_without_timers_are_not_stuck(dut: Any) -> None:
    """WTHRESH = 63 and no IDE: in groups while there is more to send, and what is left when there is no more."""
    bench = Bench(dut)
    await bench.begin("TXDW")
    await bench.write_fields("TXDCTL", GRAN=1, WTHRESH=63)
    await bench.transmit(*(bench.legacy(DATA[:60]) for _ in range(70)))
    assert await bench.acknowledge() & ICR.mask("TXDW")
    await bench.acknowledge()
    assert bench.done(70) == [1] * 70
    assert bench.written_back(TRANSMIT_RING) == [groups(0, 32), groups(32, 31), groups(63, 1), groups(64, 6)]
    assert len(bench.rises) == 2
    await bench.write("TXDCTL", 0)  # and whole groups become single ones
    await bench.transmit(bench.legacy(DATA))
    await bench.settle()
    assert bench.written_back(TRANSMIT_RING) == [(70 * DESCRIPTOR_BYTES + 12, 1)]


@cocotb.test()
@cocotb.parametrize(gran=[0, 1])
async def receive_groups(dut: Any, gran: int) -> None:
    """WTHRESH of 4 descriptors, in either granularity: four at a time; fewer when RDTR or RADV runs out, with FPD, or
    at once for a small packet. The interrupt comes after them, and the data before."""
    bench = Bench(dut)
    await bench.begin("RXT0", "SRPD", RDTR=15, RADV=0)
    await bench.write_fields("RXDCTL", GRAN=gran, WTHRESH=4 if gran else 1)
    frames = [frame_of(100 + number, number) for number in range(12)]
    for frame in frames[:6]:
        bench.send(frame)
    await bench.source.wait()
    await bench.wait(5 * CYCLES_PER_UNIT)
    assert [data for _, data in bench.received()] == [append_fcs(frame) for frame in frames[:4]]
    assert bench.written_back(RECEIVE_RING) == [groups(0, 4)]
    assert await bench.read("RDH") == 4
    assert bench.rises == []
    await bench.acknowledge()
    assert [data for _, data in bench.received()] == [append_fcs(frame) for frame in frames[4:6]]
    assert bench.written_back(RECEIVE_RING) == [groups(4, 2)]
    assert 0 < bench.rises[0] - bench.stored[5] - 15 * CYCLES_PER_UNIT < 20

    await bench.write("RADV", 3)
    bench.send(frames[6])
    await bench.acknowledge()
    assert [data for _, data in bench.received()] == [append_fcs(frames[6])]
    assert 0 < bench.rises[1] - bench.stored[6] - 3 * CYCLES_PER_UNIT < 20

    bench.send(frames[7])
    await bench.settle(100)
    assert bench.received() == []
    await bench.write("RDTR", BY_NAME["RDTR"].value(FPD=1, DELAY=15))
    assert await bench.acknowledge() == ICR.mask("RXT0")
    assert [data for _, data in bench.received()] == [append_fcs(frames[7])]

    await bench.write("RSRPD", len(frames[9]) + 4)
    bench.send(frames[10])
    await bench.source.wait()
    bench.send(frames[8])
    assert await bench.acknowledge() == ICR.mask("RXT0", "SRPD")
    assert [data for _, data in bench.received()] == [append_fcs(frames[10]), append_fcs(frames[8])]
    assert bench.written_back(RECEIVE_RING) == [groups(6, 1), groups(7, 1), groups(8, 2)]

    await bench.write("RDTR", 0)
    bench.send(frames[11])
    await bench.acknowledge()
    assert [data for _, data in bench.received()] == [append_fcs(frames[11])]
    assert bench.written_back(RECEIVE_RING) == [groups(10, 1)]


@cocotb.test()
async def receive_descriptors_run_out(dut: Any) -> None:
    """A frame that needs more buffers than there are, and WTHRESH = 63: software is told of those used, and gives
    more. The last one starts RDTR, which ends the wait."""
    bench = Bench(dut)
    await bench.begin("RXT0", buffers=2, RDTR=2)
    await bench.write_fields("RXDCTL", GRAN=1, WTHRESH=63)
    await bench.write_fields("RCTL", EN=1, BSIZE=3, RDMTS=0)
    frame = frame_of(1000)
    bench.send(frame)
    await bench.settle()
    parts = bench.received()
    assert [fields["eop"] for fields, _ in parts] == [0, 0]
    assert bench.stored == []
    await bench.give(4)
    await bench.acknowledge()
    parts += bench.received()
    assert [fields["eop"] for fields, _ in parts] == [0, 0, 0, 1]
    assert b"".join(data for _, data in parts) == append_fcs(frame)


@cocotb.test()
@cocotb.parametrize(rdmts=[0, 2])
async def minimum_threshold_counts_used_descriptors(dut: Any, rdmts: int) -> None:
    """RXDMT0 with the descriptor that is used, not with the group's write-back."""
    bench = Bench(dut)
    free = RING >> rdmts + 1
    await bench.begin(buffers=free + 2, RDTR=200)
    await bench.write_fields("RXDCTL", GRAN=1, WTHRESH=63)
    await bench.write_fields("RCTL", EN=1, RDMTS=rdmts)
    seen = []
    for number in range(3):
        bench.send(frame_of(64, number))
        await bench.settle(150)
        seen.append(bool(await bench.read("ICR") & ICR.mask("RXDMT0")))
    assert seen == [False, True, False]
    assert bench.received() == []


@cocotb.test()
async def prefetch(dut: Any) -> None:
    """Receive descriptors: when none is left if PTHRESH = 0; else below PTHRESH, if HTHRESH of them are there."""
    bench = Bench(dut)
    await bench.begin(buffers=10)
    assert bench.fetched(RECEIVE_FETCHES) == [(0, 10)]
    await bench.give(100)
    await bench.settle(60)
    assert bench.fetched(RECEIVE_FETCHES) == []
    for number in range(10):
        bench.send(frame_of(64, number))
    await bench.settle(150)
    assert bench.fetched(RECEIVE_FETCHES) == [(10, 22), (32, 32), (64, 10)]
    await bench.write_fields("RXDCTL", PTHRESH=62, HTHRESH=40, GRAN=1)
    for number in range(2):
        bench.send(frame_of(64, number))
    await bench.settle(150)
    assert bench.fetched(RECEIVE_FETCHES) == []  # 62 are left
    await bench.write_fields("RXDCTL", PTHRESH=62, HTHRESH=4, GRAN=1)
    await bench.settle(60)
    assert bench.fetched(RECEIVE_FETCHES) == []
    bench.send(frame_of(64))
    await bench.settle(150)
    assert bench.fetched(RECEIVE_FETCHES) == [(74, 3)]
    await bench.write_fields("RXDCTL", PTHRESH=63, HTHRESH=34, GRAN=1)
    for number in range(2):
        bench.send(frame_of(64, number))
    await bench.settle(150)
    assert bench.fetched(RECEIVE_FETCHES) == []  # 33 more are there
    await bench.give(1)
    await bench.settle(60)
    assert bench.fetched(RECEIVE_FETCHES) == [(77, 2)]


@cocotb.test()
async def starvation_by_host_threshold(dut: Any) -> None:
    """HTHRESH that is never reached: with nothing on the chip the few that are there are fetched all the same."""
    bench = Bench(dut)
    await bench.begin(buffers=0)
    for register in ("RXDCTL", "TXDCTL"):
        await bench.write_fields(register, PTHRESH=63, HTHRESH=63, WTHRESH=0, GRAN=0)
    for number in range(3):
        await bench.give(1)
        await bench.transmit(bench.legacy(DATA))
        bench.send(frame_of(64, number))
        await bench.settle(200)
        assert [data for _, data in bench.received()] == [append_fcs(frame_of(64, number))]
    assert bench.done(3) == [1, 1, 1]


@cocotb.test()
async def reset_forgets_a_group(dut: Any) -> None:
    """What waits for its group at CTRL.RST is not written afterwards, and the thresholds are those of a reset."""
    bench = Bench(dut)
    await bench.begin(RDTR=100, TIDV=100)
    for register in ("RXDCTL", "TXDCTL"):
        await bench.write_fields(register, WTHRESH=8, GRAN=1)
    bench.send(frame_of(64))
    await bench.transmit(bench.legacy(DATA, ide=1))
    await bench.settle(200)
    assert bench.stored
    assert bench.written
    await bench.write_fields("CTRL", RST=1)
    await bench.wait(101 * CYCLES_PER_UNIT)
    assert bench.written_back(TRANSMIT_RING) == bench.written_back(RECEIVE_RING) == []
    assert [await bench.read(name) for name in ("RXDCTL", "TXDCTL", "TSPMT")] == [0, 0, 0x0100_0400]
    await bench.open()
    bench.send(frame_of(64))
    await bench.settle()
    assert len(bench.received()) == 1


@cocotb.test()
@cocotb.parametrize(wthresh=[0, 3])
async def data_before_descriptors(dut: Any, wthresh: int) -> None:
    """Frames without pause over several buffers each, into a slow memory: when a descriptor's DD is written, its data
    has been, and descriptors are written in ring order."""
    bench = Bench(dut)
    bench.memory.ready = 0.6
    await bench.begin(buffers=100, RDTR=1)
    await bench.write_fields("RXDCTL", GRAN=1, WTHRESH=wthresh)
    await bench.write_fields("RCTL", EN=1, BSIZE=3)
    rng = random.Random(wthresh)
    frames = [frame_of(rng.choice((64, 256, 300, 900)), number) for number in range(30)]
    for frame in frames:
        bench.send(frame)
    await bench.settle()
    data_written: dict[int, int] = {}
    order = []
    for address, length in bench.memory.writes:
        if RECEIVE_RING <= address < RECEIVE_RING + DESCRIPTOR_BYTES * RING:
            for place in range(address & ~15, address + length, DESCRIPTOR_BYTES):
                fields = RECEIVE.unpack(bench.octets(place, DESCRIPTOR_BYTES))
                assert data_written[fields["address"]] == fields["length"]
                order.append((place - RECEIVE_RING) // DESCRIPTOR_BYTES)
        else:
            data_written[address & ~0x3FFF] = data_written.get(address & ~0x3FFF, 0) + length
    assert order == [*range(len(order))]
    received = b"".join(data for _, data in bench.received())
    assert received == b"".join(append_fcs(frame) for frame in frames)


@cocotb.test()
async def across_the_4_gb_line(dut: Any) -> None:
    """Rings of 8 and buffers that span 0x1_0000_0000, twice around."""
    bench = Bench(dut)
    await bench.begin(buffers=0)
    line = 1 << 32
    transmit_ring, receive_ring = line - 64, 2 * line - 64
    for prefix, base in (("TD", transmit_ring), ("RD", receive_ring)):
        await bench.write(f"{prefix}BAL", base & 0xFFFF_FFFF)
        await bench.write(f"{prefix}BAH", base >> 32)
        await bench.write(f"{prefix}LEN", 8 * DESCRIPTOR_BYTES)
    await bench.write_fields("RXDCTL", WTHRESH=3, GRAN=1)
    await bench.write_fields("TXDCTL", WTHRESH=3, GRAN=1)
    for number in range(17):
        place, lane = number % 8, number % 8
        outgoing = PEER + OWN + bytes([number] * 100)
        start = 3 * line - 64 + lane
        padded = bytes(lane) + outgoing + bytes(-(lane + len(outgoing)) % 8)
        bench.memory.load(3 * line - 64, padded)
        descriptor = TRANSMIT_LEGACY.pack(address=start, length=len(outgoing), eop=1, ifcs=1, rs=1)
        bench.memory.load(transmit_ring + 16 * place, descriptor)
        buffer = 5 * line - 40 - lane
        bench.memory.load(receive_ring + 16 * place, RECEIVE.pack(address=buffer))
        await bench.write("TDT", (place + 1) % 8)
        await bench.write("RDT", (place + 1) % 8)
        incoming = frame_of(120, number)
        bench.send(incoming)
        await bench.settle(200)
        assert bench.sent() == [append_fcs(outgoing)]
        assert bench.octets(transmit_ring + 16 * place, 16) == descriptor[:12] + b"\x01" + descriptor[13:]
        fields = RECEIVE.unpack(bench.octets(receive_ring + 16 * place, 16))
        assert (fields["dd"], fields["address"], fields["length"]) == (1, buffer, 120)
        assert bench.octets(buffer, 120) == append_fcs(incoming)
        assert await bench.read("TDH") == await bench.read("RDH") == (place + 1) % 8


@cocotb.test()
async def largest_rings(dut: Any) -> None:
    """4096 descriptors, over the end of the ring."""
    bench = Bench(dut)
    await bench.begin(buffers=0)
    size = 4096
    rings = {"TD": 0x800_0000, "RD": 0x900_0000}
    head, count = size - 20, 40
    for prefix, base in rings.items():
        await bench.write(f"{prefix}BAL", base)
        await bench.write(f"{prefix}LEN", size * DESCRIPTOR_BYTES)
        await bench.write(f"{prefix}T", head)
        await bench.write(f"{prefix}H", head)
        await bench.write_fields(f"{prefix[0]}XDCTL", WTHRESH=7, PTHRESH=8, HTHRESH=4, GRAN=1)
    for number in range(count):
        index = (head + number) % size
        bench.memory.load(rings["TD"] + 16 * index, bench.legacy(PEER + OWN + bytes([number] * 50)))
        bench.memory.load(rings["RD"] + 16 * index, RECEIVE.pack(address=0xA00_0000 + 0x1000 * number))
    await bench.write("RDT", (head + count) % size)
    await bench.write("TDT", (head + count) % size)
    frames = [frame_of(64, number) for number in range(count)]
    for frame in frames:
        bench.send(frame)
    await bench.settle()
    assert [frame[12:13] for frame in bench.sent()] == [bytes([number]) for number in range(count)]
    for number, frame in enumerate(frames):
        index = (head + number) % size
        assert bench.octets(rings["TD"] + 16 * index + 12, 1) == b"\x01"
        assert bench.octets(rings["RD"] + 16 * index + 12, 1)[0] & 1
        assert bench.octets(0xA00_0000 + 0x1000 * number, 64) == append_fcs(frame)
    assert await bench.read("TDH") == await bench.read("RDH") == 20


def test_nic() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
