"""The whole transmit path against the golden functions, and its rate (manual 3.3 to 3.6, IEEE 802.3 clause 4.4.2)."""

import random
from typing import Any

import cocotb

from hw.transmit import TransmitPath
from tests.hw.simulate import simulate
from tests.hw.transmit_bench import Bench, check
from tests.hw.transmit_model import Chain, random_chain


def test_path() -> None:
    simulate(TransmitPath(), name="transmit_path", test_module="tests.hw.test_transmit_path")


@cocotb.test()
@cocotb.parametrize(
    (
        ("seed", "latency", "busy", "mac_busy"),
        [(1, (0, 0), 0.0, 0.0), (2, (0, 150), 0.3, 0.0), (3, (100, 150), 0.0, 0.7), (4, (0, 40), 0.6, 0.6)],
    )
)
async def chains(dut: Any, seed: int, latency: tuple[int, int], busy: float, mac_busy: float) -> None:
    """Random and hostile chains, random memory latency and back-pressure."""
    chain = random_chain(seed, packets=120)
    bench = Bench(dut, chain, seed=seed, read_latency=latency, busy=busy, mac_busy=mac_busy, ring_entries=1024)
    bench.first_index = 1000
    expected = chain.frames()
    assert len(expected) > 120
    await check(bench, expected, limit=100_000)


@cocotb.test()
async def largest_packets(dut: Any) -> None:
    """16288 bytes are sent, 16289 are not (manual 3.3.3.1), and neither do harm to their neighbours."""
    chain = Chain(random.Random(21))
    for size in (60, 16288, 16289, 61, 40000, 62, 16288, 16288, 63):
        data = chain.generator.randbytes(size)
        for start in range(0, size, 9000):
            chain.legacy(data[start : start + 9000], eop=start + 9000 >= size, rs=1, ifcs=1)
    chain.context(tse=1, mss=16300, hdrlen=54, paylen=16310, tcp=1, ip=1, ipcss=14, tucss=34)
    chain.data(chain.generator.randbytes(54 + 16310), eop=1, tse=1)
    bench = Bench(dut, chain)
    expected = chain.frames()
    assert [len(frame) for frame, _ in expected] == [60, 16288, 61, 62, 16288, 16288, 63, 64]
    await check(bench, expected, limit=100_000)
    assert bench.pulses["oversize"] == 3
    assert bench.pulses["cut_short"] == 0


@cocotb.test()
async def head_written(dut: Any) -> None:
    """TDH starts where software puts it, and wraps at TDLEN."""
    chain = Chain(random.Random(22))
    for _ in range(12):
        chain.legacy(chain.generator.randbytes(60), eop=1)
    bench = Bench(dut, chain, ring_entries=16, first_index=9)
    await check(bench, chain.frames(), limit=5000)
    assert bench.heads == [*range(10, 16), *range(6)]


def _check_rate(bench: Bench, periods: list[int]) -> None:
    """Once frames flow, each starts right after the one before, and no word is late."""
    assert bench.late == 0
    gaps = [after - before for before, after in zip(bench.starts, bench.starts[1:], strict=False)]
    assert gaps == periods[: len(gaps)]


@cocotb.test()
@cocotb.parametrize(pieces=[1, 2], offload=[0, 1])
async def frames_of_64_bytes_at_line_rate(dut: Any, pieces: int, offload: int) -> None:
    """60 bytes + FCS, one frame per 84 byte times, with host memory 1 us away."""
    chain = Chain(random.Random(23))
    count = 100
    for _ in range(count):
        data = chain.generator.randbytes(60)
        if offload:
            chain.context(ipcss=14, ipcso=24, ipcse=33, tucss=34, tucso=50, tcp=1, ip=1)
        for n in range(pieces):
            piece = data[n * 60 // pieces : (n + 1) * 60 // pieces]
            if offload:
                chain.data(piece, eop=n == pieces - 1, rs=1, ifcs=1, txsm=1, ixsm=1)
            else:
                chain.legacy(piece, eop=n == pieces - 1, rs=1, ifcs=1)
    bench = Bench(dut, chain, read_latency=(125, 125), wire=True, ring_entries=512)
    await check(bench, chain.frames(), limit=20_000)
    _check_rate(bench, [84] * (count - 1))


@cocotb.test()
async def large_frames_at_line_rate(dut: Any) -> None:
    """Segments of 1460 bytes with the header in its own descriptor, then plain frames of 1514 bytes."""
    chain = Chain(random.Random(24))
    chain.context(
        tse=1, mss=1460, hdrlen=54, paylen=10 * 1460, tcp=1, ip=1, ipcss=14, ipcso=24, ipcse=33, tucss=34, tucso=50
    )
    chain.data(chain.generator.randbytes(54), tse=1, ixsm=1, txsm=1, ifcs=1)
    for n in range(4):
        chain.data(chain.generator.randbytes(3650), tse=1, ifcs=1, eop=n == 3, rs=n == 3)
    for _ in range(10):
        chain.legacy(chain.generator.randbytes(1514), eop=1, ifcs=1, rs=1)
    bench = Bench(dut, chain, read_latency=(125, 125), wire=True)
    await check(bench, chain.frames(), limit=50_000)
    _check_rate(bench, [1538] * 19)
    assert bench.outstanding >= 1536 // 8
