"""The whole NIC and long frames: RCTL.LPE, all sizes of receive buffers, several descriptors both ways (manual 3.2.2,
3.3.3, 13.4.22).
"""

import random
from itertools import pairwise
from typing import Any

import cocotb

from hw.mac.fcs import append_fcs
from hw.nic import Nic
from tests.hw.nic_bench import OWN, NicBench
from tests.hw.simulate import simulate

PEER = bytes.fromhex("020000000002")
LONGEST_SENT = 16288
"""Bytes without FCS: the most that the transmit buffer takes (manual 3.3.3, legacy length)."""


def frame(length: int) -> bytes:
    """A frame of so many bytes with its FCS."""
    return append_fcs(OWN + PEER + b"\x88\xb5" + random.Random(length).randbytes(length - 18))


async def receive(bench: NicBench, whole: bytes, size: int) -> None:
    """The frame comes in over as many buffers of this size as it needs."""
    await bench.give(-(-len(whole) // size))
    bench.put(whole)
    await bench.settle(300)
    done = bench.received()
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    assert [data for _, data in done] == pieces
    assert [fields["eop"] for fields, _ in done] == [0] * (len(pieces) - 1) + [1]
    assert all(not (fields["ce"] or fields["rxe"]) for fields, _ in done)
    assert [bool(fields["ixsm"]) for fields, _ in done] == [False] * (len(pieces) - 1) + [True]


@cocotb.test()
@cocotb.parametrize(
    (
        ("bsex", "bsize", "size"),
        [(0, 0, 2048), (0, 1, 1024), (0, 2, 512), (0, 3, 256), (1, 1, 16384), (1, 2, 8192), (1, 3, 4096)],
    )
)
async def received(dut: Any, bsex: int, bsize: int, size: int) -> None:
    """1523, 9014 and 16384 bytes, FCS included, in every size of buffer; one byte more, and more, is too long."""
    bench = NicBench(dut)
    await bench.start()
    await bench.open(buffers=0, rctl={"LPE": 1, "BSEX": bsex, "BSIZE": bsize})
    for length in (1523, 9014, 16384):
        await receive(bench, frame(length), size)
    assert await bench.read("PRC1522") == 3
    if size == 2048:
        for length in (16385, 16500):
            bench.put(frame(length))
        await receive(bench, frame(64), size)
        assert (await bench.read("ROC"), await bench.read("RLEC")) == (2, 2)
        await bench.write_fields("RCTL", EN=1)
        for length in (1523, 9014):
            bench.put(frame(length))
        await receive(bench, frame(1522), size)
        assert (await bench.read("ROC"), await bench.read("MPC")) == (2, 0)


@cocotb.test()
async def transmitted(dut: Any) -> None:
    """1523, 9014 and 16292 bytes, FCS included, in one descriptor and in several of odd sizes; one byte more is not
    sent, and what comes behind it is."""
    bench = NicBench(dut)
    await bench.start()
    await bench.open()
    for length in (1523 - 4, 9014 - 4, LONGEST_SENT):
        data = frame(length + 4)[:-4]
        await bench.transmit(bench.legacy(data))
        cuts = [0, 1, 300, length // 2 + 1, length - 3, length]
        parts = [data[start:end] for start, end in pairwise(cuts)]
        await bench.transmit(*(bench.data(part, eop=int(index == len(parts) - 1)) for index, part in enumerate(parts)))
        await bench.settle(2500)
        assert bench.sent() == [append_fcs(data)] * 2
    assert await bench.read("PTC1522") == 6
    last = frame(64)[:-4]
    await bench.transmit(
        bench.data(bytes(10000), eop=0), bench.data(bytes(LONGEST_SENT + 1 - 10000)), bench.legacy(last)
    )
    await bench.settle(4000)
    assert bench.sent() == [append_fcs(last)]


def test_nic() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
