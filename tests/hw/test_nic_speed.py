"""10, 100 and 1000 Mb/s and loopback in the MAC on the whole NIC, with cocotbext-eth at the far end of MII and GMII."""

import random
from itertools import pairwise
from typing import Any

import cocotb
from amaranth.sim import Simulator
from cocotb.triggers import Edge, RisingEdge

from hw.frame_records import Received, Transmitted, receive_increments, transmit_increments
from hw.mac.fcs import append_fcs
from hw.mac.mii import split_octets
from hw.mac.speed import Speed
from hw.nic import Nic
from hw.registers import BY_NAME
from hw.statistics import Counters
from tests.hw.nic_bench import OWN, RECEIVE_CLOCK_PS, NicBench
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate

PEER = bytes.fromhex("020000000002")
BROADCAST = b"\xff" * 6
OCTET_NS = {Speed.MEGABIT_10: 800, Speed.MEGABIT_100: 80, Speed.GIGABIT: 8}
STATUS, ICR = BY_NAME["STATUS"], BY_NAME["ICR"]

ADVERTISE = {Speed.MEGABIT_10: (0x0041, 0), Speed.MEGABIT_100: (0x01E1, 0), Speed.GIGABIT: (0x0DE1, 0x0E00)}
"""Registers 4 and 9 of the PHY from which a speed results."""


async def started(dut: Any, **options: Any) -> NicBench:
    bench = NicBench(dut)
    await bench.start(**options)
    return bench


async def advertise(bench: NicBench, speed: Speed) -> None:
    """Let the PHY negotiate this speed."""
    page, gigabit = ADVERTISE[speed]
    await bench.write_phy(4, page)
    await bench.write_phy(9, gigabit)
    await bench.write_phy(0, 0x1340)


async def follow_speed(bench: NicBench) -> None:
    """RX_CLK as a PHY gives it."""
    while True:
        await Edge(bench.dut.gmii__tx_speed)
        bench.clock_receiver(RECEIVE_CLOCK_PS[Speed(int(bench.dut.gmii__tx_speed.value))])


def frame(length: int, *, to: bytes = PEER) -> bytes:
    """``length`` bytes without FCS."""
    return (to + OWN + random.Random(length).randbytes(length))[:length]


@cocotb.test()
async def negotiated(dut: Any) -> None:
    """Each speed by negotiation: LSC, STATUS, frames both ways to the byte and in their time, and the counters."""
    bench = await started(dut)
    cocotb.start_soon(follow_speed(bench))
    await bench.open()
    before = Speed.GIGABIT
    for speed in (Speed.MEGABIT_100, Speed.MEGABIT_10, Speed.GIGABIT):
        await bench.wait(100)
        assert STATUS["SPEED"].get(await bench.read("STATUS")) == before
        await bench.read("ICR")
        await advertise(bench, speed)
        await bench.wait(100)
        assert await bench.read("ICR") & ICR.mask("LSC")
        await bench.wait(1000)
        assert await bench.read("STATUS") == STATUS.value(LU=1, FD=1, SPEED=speed, ASDV=speed)
        counters = Counters()
        outgoing = [frame(length) for length in (60, 61, 62, 100)]
        incoming = [frame(length, to=OWN) for length in (60, 63, 200)]
        await bench.transmit(*(bench.legacy(data) for data in (*outgoing, frame(30))))
        for data in incoming:
            bench.send(data)
        await bench.settle(20_000 if speed == Speed.MEGABIT_10 else 2000)
        sent = [bench.sink.recv_nowait() for _ in range(bench.sink.count())]
        expected = [append_fcs(data.ljust(60, b"\0")) for data in (*outgoing, frame(30))]
        assert [bytes(got.get_payload(strip_fcs=False)) for got in sent] == expected
        for got, data in zip(sent, expected, strict=True):
            assert got.error is None
            counters.add(transmit_increments(Transmitted(length=len(data))))
            # The sink leaves out the first symbol's data but not its time.
            assert got.sim_time_end - got.sim_time_start == (8 + len(data)) * OCTET_NS[speed] * 1000
        assert [data for _, data in bench.received()] == [append_fcs(data) for data in incoming]
        for data in incoming:
            counters.add(receive_increments(Received(length=len(data) + 4, kept=True)))
        pairs = ("TOTL", "TOTH", "TORL", "TORH")  # the read of the high word clears both
        for name in ("GPTC", "TPT", "PTC64", "PTC127", "GPRC", "TPR", "PRC64", "PRC255", "RXERRC", *pairs):
            assert await bench.read(name) == counters.read(name), name
        before = speed


@cocotb.test()
async def line_rate(dut: Any) -> None:
    """100 Mb/s both ways at once with the smallest frames: 148,810 frames/s, a gap of 96 bit times."""
    count = 24
    bench = await started(dut, receive_clock_ps=RECEIVE_CLOCK_PS[Speed.MEGABIT_100])
    await bench.open()
    await advertise(bench, Speed.MEGABIT_100)
    await bench.wait(100)
    bench.source.ifg = 24  # in cycles of RX_CLK, which are nibbles
    outgoing = [frame(60)[:50] + bytes([number] * 10) for number in range(count)]
    incoming = [OWN + data[6:] for data in outgoing]
    await bench.transmit(*(bench.legacy(data) for data in outgoing))
    put = [bench.send(data) for data in incoming]
    await bench.settle()
    sent = [bench.sink.recv_nowait() for _ in range(bench.sink.count())]
    assert [bytes(got.get_payload(strip_fcs=False)) for got in sent] == [append_fcs(data) for data in outgoing]
    times = [(got.sim_time_start, got.sim_time_end) for got in sent]
    assert {after[0] - before[1] for before, after in pairwise(times)} == {96 * 10 * 1000}
    assert times[-1][0] - times[0][0] == (count - 1) * 84 * 80 * 1000
    assert [data for _, data in bench.received()] == [append_fcs(data) for data in incoming]
    assert len(put) == count


@cocotb.test()
async def forced(dut: Any) -> None:
    """CTRL.FRCSPD goes before ASDE, and that before the PHY. Half duplex by force is refused in both."""
    bench = await started(dut)

    async def status(**ctrl: int) -> dict[str, int]:
        await bench.write_fields("CTRL", SLU=1, **ctrl)
        await bench.wait(2000)
        value = await bench.read("STATUS")
        return {name: STATUS[name].get(value) for name in ("SPEED", "ASDV", "FD", "LU")}

    gigabit = {"SPEED": 2, "ASDV": 2, "FD": 1, "LU": 1}
    assert await status() == gigabit
    assert await status(FRCSPD=1, SPEED=3) == gigabit
    assert await status(SPEED=0) == gigabit
    assert await status(FRCDPX=1, FD=0) == gigabit
    bench.clock_receiver(RECEIVE_CLOCK_PS[Speed.MEGABIT_100])
    assert await status() == gigabit | {"ASDV": 1}
    assert await status(ASDE=1) == gigabit | {"SPEED": 1, "ASDV": 1}
    assert await status(ASDE=1, FRCSPD=1, SPEED=0) == gigabit | {"SPEED": 0, "ASDV": 1}
    bench.clock_receiver(RECEIVE_CLOCK_PS[Speed.MEGABIT_10])
    assert await status(ASDE=1) == gigabit | {"SPEED": 0, "ASDV": 0}
    await bench.write_phy(0, 0x2100)
    assert await status() == gigabit | {"SPEED": 1, "ASDV": 0}
    await bench.write_phy(0, 0x2000)
    assert (await status())["LU"] == 0

    # What is forced works: PHY and MAC at 100 Mb/s.
    await bench.write_phy(0, 0x2100)
    bench.clock_receiver(RECEIVE_CLOCK_PS[Speed.MEGABIT_100])
    await bench.open()
    await bench.write_fields("CTRL", SLU=1, FRCSPD=1, FRCDPX=1, FD=1, SPEED=1)
    await bench.wait(100)
    outgoing, incoming = frame(80), frame(90, to=OWN)
    await bench.transmit(bench.legacy(outgoing))
    bench.send(incoming)
    await bench.settle()
    assert bench.sent() == [append_fcs(outgoing)]
    assert [data for _, data in bench.received()] == [append_fcs(incoming)]


@cocotb.test()
async def change_in_traffic(dut: Any) -> None:
    """New speeds while frames go both ways: every frame sent arrives whole, since those behind wait for the link; what
    is received is what was put on the wire, whole and in its order."""
    bench = await started(dut)
    cocotb.start_soon(follow_speed(bench))
    await bench.open(buffers=200)
    outgoing = [frame(200 + 7 * number) for number in range(60)]
    incoming = [append_fcs(frame(100 + 9 * number, to=OWN)) for number in range(60)]
    speeds = (Speed.MEGABIT_100, Speed.GIGABIT, Speed.MEGABIT_100)
    for number, speed in enumerate(speeds):
        page, gigabit = ADVERTISE[speed]
        await bench.write_phy(4, page)
        await bench.write_phy(9, gigabit)
        part = slice(20 * number, 20 * number + 20)
        for data in incoming[part]:
            bench.put(data)
        await bench.write_fields("MDIC", OP=1, PHY=1, REG=0, DATA=0x1340)
        await bench.wait(2500)
        await bench.transmit(*(bench.legacy(data) for data in outgoing[part]))
        await bench.settle(4000)
        assert STATUS["SPEED"].get(await bench.read("STATUS")) == speed
    assert bench.sent() == [append_fcs(data) for data in outgoing]
    received = [data for _, data in bench.received()]
    assert received == [data for data in incoming if data in received]
    assert len(received) > 20, "only some are lost with the link"
    last = frame(333, to=OWN)
    bench.send(last)
    await bench.settle()
    assert [data for _, data in bench.received()] == [append_fcs(last)]


@cocotb.test()
async def alignment(dut: Any) -> None:
    """A frame with a nibble too many: ALGNERRC and not CRCERRS, dropped, or with SBP stored with CE. The frames around
    it are unharmed; the preamble may have lost a nibble."""
    bench = await started(dut, receive_clock_ps=RECEIVE_CLOCK_PS[Speed.MEGABIT_100])
    await bench.open()
    await advertise(bench, Speed.MEGABIT_100)
    await bench.wait(100)
    whole = [append_fcs(frame(length, to=OWN)) for length in (60, 61, 70)]

    async def line(nibbles: list[int]) -> None:
        for nibble in nibbles:
            dut.gmii__rxd.value, dut.gmii__rx_dv.value = nibble, 1
            await RisingEdge(dut.gmii_rx_clk)
        dut.gmii__rx_dv.value = 0
        for _ in range(24):
            await RisingEdge(dut.gmii_rx_clk)

    start = [5] * 14 + [0x5, 0xD]
    for sbp in (0, 1):
        await bench.write_fields("RCTL", EN=1, SBP=sbp)
        await line([*start, *split_octets(whole[0])])
        await line([*start, *split_octets(whole[1]), 7])
        await line([*start[1:], *split_octets(whole[2])])
        wrong = whole[1][:-1] + bytes([whole[1][-1] ^ 1])
        await line([*start, *split_octets(wrong)])
        await bench.settle()
        got = [(data, fields["ce"], fields["rxe"]) for fields, data in bench.received()]
        good, last = (whole[0], 0, 0), (whole[2], 0, 0)
        assert got == ([good, (whole[1], 1, 0), last, (wrong, 1, 0)] if sbp else [good, last])
        counts = {name: await bench.read(name) for name in ("ALGNERRC", "CRCERRS", "RXERRC", "GPRC", "TPR")}
        assert counts == {"ALGNERRC": 1, "CRCERRS": 1, "RXERRC": 0, "GPRC": 2, "TPR": 4}


@cocotb.test()
async def no_link(dut: Any) -> None:
    """Frames wait for the link, one that has begun is finished; power-down of the PHY takes the link away, and it comes
    back by negotiation."""
    bench = await started(dut)
    await bench.open()
    await bench.write_phy(0, 0x1940)
    await bench.read("ICR")
    outgoing = [frame(60 + number) for number in range(5)]
    await bench.transmit(*(bench.legacy(data) for data in outgoing))
    bench.send(frame(60, to=OWN))
    await bench.settle()
    assert bench.sent() == []
    assert bench.received() == []
    assert not await bench.read("STATUS") & STATUS.mask("LU")
    await bench.write_phy(0, 0x1140)
    await bench.settle()
    assert await bench.read("STATUS") & STATUS.mask("LU")
    assert await bench.read("ICR") & ICR.mask("LSC")
    assert bench.sent() == [append_fcs(data) for data in outgoing]
    assert await bench.read("TPR") == 0

    await bench.transmit(*(bench.legacy(data) for data in outgoing))
    await RisingEdge(dut.gmii__tx_en)
    dut.link.value = 0
    await bench.settle()
    assert bench.sent() == [append_fcs(outgoing[0])]
    dut.link.value = 1
    await bench.settle()
    assert bench.sent() == [append_fcs(data) for data in outgoing[1:]]


@cocotb.test()
@cocotb.parametrize(receive_clock_ps=[7_999, 8_001])
async def mac_loopback(dut: Any, receive_clock_ps: int) -> None:
    """RCTL.LBM = 01 without a cable, at clocks that are not equal: frames come back at each speed, close-packed and
    through the filter, nothing goes out, and what is on the wire is not received. Afterwards all is as before."""
    bench = await started(dut, link=False, receive_clock_ps=receive_clock_ps)
    await bench.open(rctl={"BAM": 1, "LBM": 1, "LPE": 1}, buffers=200)
    await bench.read("ICR")
    for speed in (Speed.GIGABIT, Speed.MEGABIT_100, Speed.MEGABIT_10):
        await bench.write_fields("CTRL", SLU=1, FRCSPD=1, SPEED=speed, FRCDPX=1, FD=1)
        await bench.wait(300)
        assert await bench.read("STATUS") & STATUS.mask("LU", "SPEED") == STATUS.value(LU=1, SPEED=speed)
        few = speed == Speed.MEGABIT_10
        lengths = (60, 61, 100) if few else (60, 61, 62, 63, 64, 65, 66, 67, 500, 1514)
        back = [frame(length, to=BROADCAST) for length in lengths]
        await bench.transmit(bench.legacy(frame(60)), *(bench.legacy(data) for data in back))
        if speed == Speed.GIGABIT:
            for _ in range(8):
                bench.send(frame(80, to=BROADCAST))
        await bench.settle(20_000)
        assert [data for _, data in bench.received()] == [append_fcs(data) for data in back]
    longest = frame(16288, to=BROADCAST)  # the most that one packet may have (manual 3.3.3)
    await bench.write_fields("CTRL", SLU=1, FRCSPD=1, SPEED=Speed.GIGABIT, FRCDPX=1, FD=1)
    await bench.transmit(bench.legacy(longest[:8000], eop=0), bench.legacy(longest[8000:]))
    await bench.settle(40_000)
    assert b"".join(data for _, data in bench.received()) == append_fcs(longest)
    assert bench.sent() == []
    assert await bench.read("STATUS") & STATUS.mask("LU")
    assert await bench.read("TPR") == await bench.read("TPT") == 11 + 11 + 4 + 1
    assert await bench.read("CRCERRS") == await bench.read("RXERRC") == 0

    await bench.write_fields("RCTL", EN=1, BAM=1)
    await bench.wait(100)
    assert not await bench.read("STATUS") & STATUS.mask("LU")
    dut.link.value = 1
    await bench.wait(100)
    incoming = frame(99, to=OWN)
    bench.send(incoming)
    await bench.transmit(bench.legacy(incoming))
    await bench.settle()
    assert bench.sent() == [append_fcs(incoming)]
    assert [data for _, data in bench.received()] == [append_fcs(incoming)]


def test_nic() -> None:
    simulate(Nic(), name="nic", test_module=__name__)


def test_speed_of_a_phy_outside() -> None:
    """Without the built-in PHY the pin tells the speed, and CTRL.FRCSPD is stronger."""
    dut = Nic(builtin_phy=False)

    async def process(context: Any) -> None:
        port = dut.registers

        async def access(name: str, value: int | None = None) -> int:
            request = {"address": BY_NAME[name].offset, "write": value is not None, "data": value or 0}
            context.set(port.request.payload, request)
            context.set(port.request.valid, 1)
            await context.tick().until(port.request.ready)
            context.set(port.request.valid, 0)
            if value is not None:
                return 0
            context.set(port.response.ready, 1)
            (answer,) = await context.tick().sample(port.response.payload).until(port.response.valid)
            return int(answer)

        context.set(dut.link, 1)
        ctrl = BY_NAME["CTRL"]
        for speed in Speed:
            context.set(dut.speed, speed)
            await access("CTRL", ctrl.value(SLU=1))
            await context.tick().repeat(6)
            assert await access("STATUS") & STATUS.mask("SPEED", "LU") == STATUS.value(SPEED=speed, LU=1)
            await context.tick().repeat(100)  # an octet of 10 Mb/s
            assert context.get(dut.gmii.tx_speed) == speed
        await access("CTRL", ctrl.value(SLU=1, FRCSPD=1, SPEED=1))
        assert STATUS["SPEED"].get(await access("STATUS")) == Speed.MEGABIT_100

    simulator = Simulator(dut)
    for domain in ("sync", "gmii_rx"):
        simulator.add_clock(CLOCK_PERIOD_NS * 1e-9, domain=domain)
    simulator.add_testbench(process)
    simulator.run()
