"""Statistics on the whole NIC: frames of every kind both ways, and all counters compared with what they should be."""

from typing import Any

import cocotb

from hw.frame_records import Received, Transmitted, receive_increments, transmit_increments
from hw.mac.fcs import FCS_BYTES, append_fcs
from hw.nic import Nic
from hw.registers import STATISTICS
from hw.statistics import Counters
from tests.hw.nic_bench import OWN, NicBench
from tests.hw.simulate import simulate

PEER = bytes.fromhex("020000000002")
GROUP = bytes.fromhex("01005e000001")
BROADCAST = b"\xff" * 6
SIZES = (64, 65, 127, 128, 255, 256, 511, 512, 1023, 1024, 1518, 1522)


def frame(size: int, *, to: bytes = OWN, good: bool = True) -> bytes:
    """A frame of ``size`` bytes with its FCS, or with a wrong one."""
    whole = append_fcs((to + PEER + bytes(size))[: size - FCS_BYTES])
    return whole if good else whole[:-1] + bytes([whole[-1] ^ 1])


async def compare(bench: NicBench, expected: Counters) -> None:
    """Every counter has the value expected, and is 0 when read again."""
    got = {item.name: await bench.read(item.name) for item in STATISTICS}
    want = {item.name: expected.read(item.name) for item in STATISTICS}
    assert {name: value for name, value in got.items() if value != want[name]} == {}, want
    for item in STATISTICS:
        assert await bench.read(item.name) == 0, f"{item.name} is not cleared by the read"


@cocotb.test()
async def received(dut: Any) -> None:
    bench = NicBench(dut)
    await bench.start()
    await bench.open(rctl={"BAM": 1})
    counters = Counters()

    def put(record: Received, *, to: bytes = OWN, error_at: int | None = None) -> None:
        bench.put(frame(record.length, to=to, good=not record.crc_error), error_at=error_at)
        counters.add(receive_increments(record))

    for size in SIZES:
        put(Received(length=size, kept=True))
    put(Received(length=63))
    put(Received(length=20))
    put(Received(length=63, crc_error=True))
    put(Received(length=1523, long=True))
    put(Received(length=1523, long=True, crc_error=True))
    put(Received(length=64, crc_error=True))
    put(Received(length=100, rx_error=True), error_at=50)
    put(Received(length=100), to=PEER)
    put(Received(length=100, multicast=True), to=GROUP)
    put(Received(length=100, broadcast=True, kept=True), to=BROADCAST)
    await bench.settle()
    await compare(bench, counters)

    # What RCTL lets in besides; bad frames count as bad even if they are stored.
    await bench.write_fields("RCTL", EN=1, MPE=1, UPE=1, LPE=1, SBP=1)
    put(Received(length=200, multicast=True, kept=True), to=GROUP)
    put(Received(length=200, kept=True), to=PEER)
    put(Received(length=200, broadcast=True), to=BROADCAST)
    put(Received(length=1523, kept=True))
    put(Received(length=9018, kept=True))
    put(Received(length=30, kept=True))
    put(Received(length=80, crc_error=True, kept=True))
    put(Received(length=80, rx_error=True, kept=True), error_at=3)
    await bench.settle()
    assert sum(fields["eop"] for fields, _ in bench.received()) == len(SIZES) + 8
    await compare(bench, counters)

    # Nothing is counted while the receiver is off.
    await bench.write_fields("RCTL", EN=0)
    bench.put(frame(64))
    await bench.settle()
    await compare(bench, counters)


@cocotb.test()
async def without_buffers(dut: Any) -> None:
    """Frames find no descriptor (RNBC) and wait, until there is no room for them either (MPC)."""
    bench = NicBench(dut)
    await bench.start()
    await bench.open(buffers=0, rctl={"LPE": 1})
    counters = Counters()
    for length, kept in ((16384, True), (16384, True), (16000, True), (4096, False), (64, True)):
        bench.put(frame(length))
        counters.add(receive_increments(Received(length=length, kept=kept, lost=not kept, no_buffer=True)))
    bench.put(frame(64, to=PEER))
    counters.add(receive_increments(Received(length=64)))
    await bench.settle()
    await compare(bench, counters)
    await bench.give(64)
    await bench.settle()
    stored = bench.received()
    assert sum(fields["eop"] for fields, _ in stored) == 4
    assert sum(fields["length"] for fields, _ in stored) == 16384 + 16384 + 16000 + 64
    await compare(bench, counters)


@cocotb.test()
async def transmitted(dut: Any) -> None:
    bench = NicBench(dut)
    await bench.start()
    await bench.open()
    counters = Counters()
    lengths = []
    descriptors = []

    def send(record: Transmitted, *, to: bytes = PEER) -> None:
        descriptors.append(bench.legacy((to + OWN + bytes(record.length))[: record.length - FCS_BYTES]))
        lengths.append(record.length)
        counters.add(transmit_increments(record))

    for size in SIZES:
        send(Transmitted(length=size))
    send(Transmitted(length=100, broadcast=True), to=BROADCAST)
    send(Transmitted(length=100, multicast=True), to=GROUP)
    send(Transmitted(length=9018))
    await bench.transmit(*descriptors)
    await bench.settle()
    await bench.transmit(bench.legacy(PEER + OWN + bytes(10)))  # padded
    lengths.append(64)
    counters.add(transmit_increments(Transmitted(length=64)))
    await bench.settle()
    await bench.write_fields("TCTL", EN=1)
    await bench.transmit(bench.legacy(BROADCAST + OWN + bytes(10)))
    lengths.append(26)
    counters.add(transmit_increments(Transmitted(length=26, broadcast=True)))
    await bench.settle()
    assert [len(octets) for octets in bench.sent()] == lengths
    await compare(bench, counters)


@cocotb.test()
async def segmented(dut: Any) -> None:
    """A context of three frames, and one whose descriptors end before PAYLEN is used up."""
    bench = NicBench(dut)
    await bench.start()
    await bench.open()
    counters = Counters()
    header = PEER + OWN + b"\x08\x00" + b"\x45" + bytes(39)
    context = bench.context(
        ipcss=14, ipcso=24, ipcse=33, tucss=34, tucso=50, paylen=250, tcp=1, ip=1, tse=1, hdrlen=54, mss=100
    )
    for given, frames, name in ((250, (158, 158, 108), "TSCTC"), (120, (158,), "TSCTFC")):
        await bench.transmit(context, bench.data(header + bytes(given), tse=1))
        await bench.settle()
        assert tuple(len(octets) for octets in bench.sent()) == frames
        counters.add({name: 1})
        for length in frames:
            counters.add(transmit_increments(Transmitted(length=length)))
    await compare(bench, counters)


@cocotb.test()
async def reset(dut: Any) -> None:
    """CTRL.RST clears what has been counted, and counting goes on afterwards."""
    bench = NicBench(dut)
    await bench.start()
    for length in (64, 200):
        await bench.open()
        counters = Counters()
        bench.put(frame(length))
        counters.add(receive_increments(Received(length=length, kept=True)))
        await bench.transmit(bench.legacy((PEER + OWN + bytes(length))[: length - FCS_BYTES]))
        counters.add(transmit_increments(Transmitted(length=length)))
        await bench.settle()
        if length == 64:
            await bench.write_fields("CTRL", RST=1)
            await compare(bench, Counters())
        else:
            await compare(bench, counters)


def test_nic() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
