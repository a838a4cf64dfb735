"""What calibration looks at: short programs that make each stage of the NIC show how long it takes."""

from functools import partial
from typing import Any

from hw.descriptors import TRANSMIT_CONTEXT, TRANSMIT_DATA
from sim.fidelity.probe_bench import RX_BUFFERS, STRIDE, Probe, ProbeBench

__all__ = ["PROBES"]

_RX, _TX = {"RXT0": 1, "RXDMT0": 1, "RXO": 1}, {"TXDW": 1}


async def _accesses(bench: ProbeBench) -> None:
    bench.ask("STATUS")
    await bench.wait(200)
    for _ in range(2):
        bench.write("LEDCTL", 0)
    bench.ask("STATUS")
    await bench.wait(200)
    bench.ask("TPR")
    bench.ask("STATUS")
    await bench.wait(200)


async def _registers(bench: ProbeBench) -> None:
    bench.write("IMS", LSC=1)
    bench.write("ICS", LSC=1)
    for name in ("STATUS", "STATUS", "TPR", "STATUS", "ICR", "TORH", "ICR"):
        bench.ask(name)
    await bench.look(400)
    bench.write("ITR", 2)
    for _ in range(3):
        bench.write("ICS", RXT0=1)
        bench.write("IMS", RXT0=1)
        bench.ask("ICR")
        await bench.look(150)


async def _reset(bench: ProbeBench) -> None:
    bench.write("CTRL", RST=1)
    bench.ask("STATUS")
    await bench.look(400)


async def _eeprom(bench: ProbeBench) -> None:
    for delay in range(6):
        bench.write("EERD", START=1, ADDR=3)
        for _ in range(delay):
            bench.write("LEDCTL", 0)
        bench.ask("EERD")
        await bench.wait(300)


async def _phy(bench: ProbeBench) -> None:
    bench.write("IMS", LSC=1)
    bench.write("CTRL", SLU=1, FD=1, SPEED=2, PHY_RST=1)
    await bench.look(60)
    bench.ask("ICR")
    await bench.look(200)
    bench.write("CTRL", SLU=1, FD=1, SPEED=2)
    await bench.look(200)
    bench.ask("ICR")
    bench.write("IMS", MDAC=1)
    bench.write("MDIC", DATA=0x0360, REG=16, PHY=1, OP=1, INT_EN=1)
    await bench.wait(3150)
    await bench.look(200)
    bench.ask("ICR")
    await bench.wait(300)


async def _receive(bench: ProbeBench, *, size: int, count: int = 1, **rctl: int) -> None:
    await bench.open(**rctl)
    bench.write("IMS", **_RX)
    bench.give(20)
    await bench.wait(400)
    bench.watch_receive(0, 1, 2, count - 1)
    bench.watch("end of data", RX_BUFFERS + (size - 1) // 8 * 8)
    bench.put(size, count)
    await bench.look(110 + 21 * count + count * size + 250)


async def _receive_without_descriptors(bench: ProbeBench) -> None:
    await bench.open()
    bench.write("IMS", **_RX)
    bench.put(64, 3)
    await bench.wait(500)
    bench.watch_receive(0, 1, 2)
    bench.watch("end of data", RX_BUFFERS + 56)
    bench.give(2)
    await bench.look(350)
    bench.give(6)
    await bench.look(350)


async def _receive_many(bench: ProbeBench, **thresholds: int) -> None:
    """Over the end of what one fetch brings."""
    await bench.open()
    if thresholds:
        bench.write("RXDCTL", **thresholds)
    bench.give(100)
    await bench.wait(500)
    bench.put(64, 75)
    bench.watch_receive(62, 63, 64, 65, 66)
    await bench.wait(84 * 58)
    await bench.look(84 * 20)


async def _receive_pieces(bench: ProbeBench) -> None:
    await bench.open(BSIZE=3)
    bench.write("IMS", **_RX)
    bench.give(12, addresses=[RX_BUFFERS + STRIDE * index + 3 * index for index in range(12)])
    await bench.wait(400)
    bench.watch_receive(0, 1, 2, 3, 4, 5)
    bench.put(1000, 2)
    await bench.look(2700)


async def _receive_groups(bench: ProbeBench) -> None:
    await bench.open()
    bench.write("RXDCTL", WTHRESH=3, GRAN=1)
    bench.write("RDTR", 1)
    bench.write("IMS", **_RX)
    bench.give(20)
    await bench.wait(400)
    bench.watch_receive(0, 2, 3, 4)
    bench.put(64, 5)
    await bench.look(1100)


async def _transmit(bench: ProbeBench, *, length: int, lane: int = 0, count: int = 1, **txdctl: int) -> None:
    await bench.open()
    if txdctl:
        bench.write("TXDCTL", **txdctl)
    bench.write("IMS", **_TX)
    bench.watch_transmit(*range(count))
    bench.send([bench.legacy(length, lane=lane) for _ in range(count)])
    await bench.look(600 + count * max(length, 200))


async def _transmit_twice(bench: ProbeBench) -> None:
    """The second doorbell while the first descriptor is on its way."""
    await bench.open()
    bench.write("IMS", **_TX)
    bench.watch_transmit(0, 1, 2)
    bench.send([bench.legacy(60)])
    await bench.look(30)
    bench.send([bench.legacy(60), bench.legacy(60)])
    await bench.look(900)


async def _transmit_pieces(bench: ProbeBench) -> None:
    await bench.open()
    bench.write("IMS", **_TX)
    bench.watch_transmit(0, 1, 2, 3)
    bench.send([bench.legacy(40, eop=0), bench.legacy(0, eop=0), bench.legacy(90, eop=0, lane=5), bench.legacy(30)])
    await bench.look(900)


async def _segmentation(bench: ProbeBench, *, payload: int, pieces: int) -> None:
    await bench.open()
    bench.write("TXDCTL", GRAN=1, WTHRESH=1)
    bench.write("IMS", **_TX)
    header = 54
    octets = bytes(range(1, 1 + header)) + bytes(payload)
    context = TRANSMIT_CONTEXT.pack(
        ipcss=14,
        ipcso=24,
        ipcse=33,
        tucss=34,
        tucso=50,
        paylen=payload,
        tcp=1,
        ip=1,
        tse=1,
        dext=1,
        hdrlen=header,
        mss=700,
    )
    address = bench.data(octets)
    cut = -(-len(octets) // pieces)
    descriptors = [context]
    for start in range(0, len(octets), cut):
        length = min(cut, len(octets) - start)
        last = int(start + length == len(octets))
        values: dict[str, Any] = {"address": address + start, "dtalen": length, "dtyp": 1, "dext": 1, "eop": last}
        descriptors.append(TRANSMIT_DATA.pack(**values, ifcs=1, rs=1, tse=1, ixsm=1, txsm=1))
    bench.watch_transmit(*range(1, pieces + 1))
    bench.send(descriptors)
    await bench.look(1500 + payload * 2)


async def _transmitter_on(bench: ProbeBench) -> None:
    await bench.open()
    bench.write("TCTL", PSP=1)
    bench.send([bench.legacy(60), bench.legacy(60)])
    await bench.look(300)
    bench.write("TCTL", EN=1, PSP=1)
    await bench.look(900)


async def _link_lost(bench: ProbeBench) -> None:
    """Without a link frames wait."""
    await bench.open()
    bench.write("CTRL", FD=1, SPEED=2)
    bench.watch_transmit(0)
    bench.send([bench.legacy(60), bench.legacy(60)])
    await bench.look(500)
    bench.write("CTRL", SLU=1, FD=1, SPEED=2)
    await bench.look(400)


async def _saturate(bench: ProbeBench, *, length: int, count: int) -> None:
    """More than the buffer holds."""
    await bench.open()
    bench.watch_transmit(*range(count))
    bench.send([bench.legacy(length) for _ in range(count)])
    await bench.look(400 + count * (max(length, 60) + 24))


async def _loopback(bench: ProbeBench) -> None:
    await bench.open(LBM=1)
    bench.write("IMS", **_RX)
    bench.give(4)
    await bench.wait(400)
    bench.watch_receive(0)
    bench.send([bench.legacy(60)])
    await bench.look(800)


PROBES = (
    Probe("accesses", _accesses),
    Probe("registers", _registers),
    Probe("reset", _reset),
    Probe("eeprom", _eeprom),
    Probe("phy", _phy),
    *(Probe(f"receive {size}", partial(_receive, size=size)) for size in (64, 65, 66, 67, 68, 71, 72, 600)),
    Probe("receive three", partial(_receive, size=64, count=3)),
    Probe("receive without CRC", partial(_receive, size=64, count=2, SECRC=1)),
    Probe("receive a runt", partial(_receive, size=20, SBP=1)),
    Probe("receive without descriptors", _receive_without_descriptors),
    Probe("receive many", _receive_many),
    Probe("receive many with thresholds", partial(_receive_many, PTHRESH=16, HTHRESH=4, GRAN=1)),
    Probe("receive in pieces", _receive_pieces),
    Probe("receive in groups", _receive_groups),
    *(Probe(f"transmit {length}", partial(_transmit, length=length)) for length in (60, 61, 64, 65, 600)),
    Probe("transmit unaligned", partial(_transmit, length=1001, lane=5)),
    Probe("transmit eight", partial(_transmit, length=60, count=8)),
    Probe("transmit eight, whole descriptors", partial(_transmit, length=60, count=8, GRAN=1, WTHRESH=1)),
    Probe("transmit groups", partial(_transmit, length=60, count=8, GRAN=1, WTHRESH=4)),
    Probe("transmit twice", _transmit_twice),
    Probe("transmit in pieces", _transmit_pieces),
    Probe("segmentation", partial(_segmentation, payload=2000, pieces=1)),
    Probe("segmentation in pieces", partial(_segmentation, payload=3000, pieces=3)),
    Probe("transmitter on", _transmitter_on),
    Probe("link lost", _link_lost),
    Probe("saturate, short", partial(_saturate, length=60, count=90)),
    Probe("saturate, long", partial(_saturate, length=1514, count=14)),
    Probe("loopback", _loopback),
    *(
        Probe(f"width {width}, {way}", program, {"dma_width": width})
        for width in (4, 2)
        for way, program in (
            ("receive", partial(_receive, size=200, count=2)),
            ("transmit", partial(_transmit, length=200, count=2, GRAN=1, WTHRESH=1)),
        )
    ),
)
