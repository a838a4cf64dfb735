"""Flow control on the whole NIC (IEEE 802.3 annex 31B; manual 8.7): pauses obeyed, pauses asked for."""

from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from hw.mac.fcs import append_fcs
from hw.mac.pause import pause_frame
from hw.nic import Nic
from hw.registers import BY_NAME
from tests.hw.nic_bench import OWN, NicBench
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate

PEER = bytes.fromhex("020000000002")
FLOW_CONTROL = bytes.fromhex("0180c2000001")
FCT = 0x8808
QUANTUM = 64
"""Cycles of 512 bit times."""
BYTES = CLOCK_PERIOD_NS * 1000  # picoseconds in which one is sent


async def started(dut: Any, *, rfce: int = 0, tfce: int = 0, **rctl: int) -> NicBench:
    bench = NicBench(dut)
    await bench.start()
    await bench.open(buffers=0, rctl=rctl)
    await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2, RFCE=rfce, TFCE=tfce)
    await bench.write("FCT", FCT)
    await bench.write("FCAL", int.from_bytes(FLOW_CONTROL[:4], "little"))
    await bench.write("FCAH", int.from_bytes(FLOW_CONTROL[4:], "little"))
    return bench


def pause(quanta: int, *, to: bytes = FLOW_CONTROL) -> bytes:
    """A pause frame of the peer, with FCS."""
    return append_fcs(pause_frame(destination=to, source=PEER, fct=FCT, quanta=quanta))


def own_pause(quanta: int) -> bytes:
    """What the NIC sends."""
    return append_fcs(pause_frame(destination=FLOW_CONTROL, source=OWN, fct=FCT, quanta=quanta))


def data(length: int, number: int = 0) -> bytes:
    """A frame without FCS from the NIC to the peer."""
    return (PEER + OWN + b"\x88\xb5" + bytes([number]) * length)[:length]


def times(bench: NicBench) -> list[tuple[float, float]]:
    """When the frames sent since the last look began and ended, in bytes."""
    seen = []
    while not bench.sink.empty():
        frame = bench.sink.recv_nowait()
        seen.append((frame.sim_time_start / BYTES, frame.sim_time_end / BYTES))
    return seen


async def is_paused(bench: NicBench) -> bool:
    return bool(BY_NAME["STATUS"]["TXOFF"].get(await bench.read("STATUS")))


@cocotb.test()
async def obeyed(dut: Any) -> None:
    """A pause frame comes while a frame is sent: that one is finished, the next begins 512 bit times x quanta later."""
    bench = await started(dut, rfce=1)
    for to in (FLOW_CONTROL, OWN):
        for quanta in (1, 10):
            await bench.transmit(*(bench.legacy(data(1514, number)) for number in range(3)))
            await RisingEdge(dut.gmii__tx_en)
            await ClockCycles(dut.clk, 300)
            bench.put(pause(quanta, to=to))
            await ClockCycles(dut.clk, 300)
            assert await is_paused(bench)
            await bench.settle(1000)
            assert not await is_paused(bench)
            first, second, third = times(bench)
            assert QUANTUM * quanta <= second[0] - first[1] <= QUANTUM * quanta + 12
            assert third[0] - second[1] == 12
    assert await bench.read("XOFFRXC") == 4
    assert await bench.read("GPTC") == 12
    for name in ("XONRXC", "FCRUC", "GPRC", "PRC64", "MPRC", "GORCL", "RNBC"):
        assert await bench.read(name) == 0, name


@cocotb.test()
async def ended(dut: Any) -> None:
    """XON ends a pause, another XOFF replaces it, and the end of CTRL.RFCE ends it."""
    bench = await started(dut, rfce=1)

    async def blocked() -> bool:
        await ClockCycles(dut.clk, 400)
        return await is_paused(bench) and not int(dut.gmii__tx_en.value) and bench.sink.empty()

    bench.put(pause(0xFFFF))
    await ClockCycles(dut.clk, 200)
    await bench.transmit(bench.legacy(data(60)))
    assert await blocked()
    bench.put(pause(0))
    await bench.settle(300)
    assert bench.sent() == [append_fcs(data(60))]
    assert not await is_paused(bench)

    bench.put(pause(0xFFFF))
    await ClockCycles(dut.clk, 200)
    await bench.transmit(bench.legacy(data(60)))
    assert await blocked()
    bench.put(pause(8))
    await bench.settle(8 * QUANTUM + 300)
    assert bench.sent() == [append_fcs(data(60))]

    bench.put(pause(0xFFFF))
    await ClockCycles(dut.clk, 200)
    await bench.transmit(bench.legacy(data(60)))
    assert await blocked()
    await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2)
    await bench.settle(300)
    assert bench.sent() == [append_fcs(data(60))]
    assert (await bench.read("XOFFRXC"), await bench.read("XONRXC")) == (4, 1)


@cocotb.test()
async def not_obeyed(dut: Any) -> None:
    """Without CTRL.RFCE, and frames that are not good pause frames: nothing stops, and none is counted as one."""
    whole = pause(0xFFFF)
    bad = (
        whole[:-1] + bytes([whole[-1] ^ 1]),
        append_fcs(whole[:40]),
        pause(0xFFFF, to=PEER),
        append_fcs(whole[:12] + b"\x88\x09" + whole[14:-4]),
        append_fcs(whole[:14] + b"\x01\x00" + whole[16:-4]),
    )
    for rfce, frames in ((0, (whole, *bad)), (1, bad)):
        bench = await started(dut, rfce=rfce, SBP=1, UPE=1, MPE=1)
        for frame in frames:
            bench.put(frame)
            await ClockCycles(dut.clk, 300)
            assert not await is_paused(bench)
        bench.put(whole, error_at=20)
        await ClockCycles(dut.clk, 300)
        assert not await is_paused(bench)
        assert (await bench.read("XOFFRXC"), await bench.read("XONRXC"), await bench.read("FCRUC")) == (0, 0, rfce)
        await bench.write_fields("CTRL", RST=1)
        await bench.wait(100)


@cocotb.test()
async def thresholds(dut: Any) -> None:
    """CTRL.TFCE: XOFF when the fill reaches FCRTH, again at half of its time, XON when it has fallen to FCRTL."""
    bench = await started(dut, tfce=1)
    await bench.write_fields("FCRTH", RTH=4096 // 8)
    await bench.write_fields("FCRTL", RTL=2000 // 8, XONE=1)
    await bench.write("FCTTV", 200)
    incoming = OWN + PEER + bytes(1018)
    # A frame takes its bytes, and 8 for what is known of it; of one that waits up to 40 are in hand already.
    for _ in range(3):
        bench.send(incoming)
    await bench.settle(300)
    assert bench.sent() == []
    bench.send(incoming)
    await bench.settle(300)
    assert bench.sent() == [own_pause(200)]
    await bench.wait(3 * 100 * QUANTUM)
    repeated = bench.sent()
    assert 2 <= len(repeated) <= 3
    assert set(repeated) == {own_pause(200)}
    await bench.give(2)
    await bench.settle(300)
    assert bench.sent() == []
    await bench.give(2)
    await bench.settle(300)
    assert bench.sent() == [own_pause(0)]
    await bench.wait(150 * QUANTUM)
    assert bench.sent() == []
    assert len(bench.received()) == 4

    # Without XONE nothing tells the end; without TFCE nothing is sent at all.
    await bench.write_fields("FCRTL", RTL=2000 // 8)
    for _ in range(4):
        bench.send(incoming)
    await bench.settle(300)
    await bench.give(4)
    await bench.settle(300)
    assert bench.sent() == [own_pause(200)]
    await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2)
    for _ in range(4):
        bench.send(incoming)
    await bench.settle(300)
    await bench.give(4)
    await bench.settle(300)
    assert bench.sent() == []
    sent = 2 + len(repeated)
    assert (await bench.read("XOFFTXC"), await bench.read("XONTXC")) == (sent, 1)
    assert (await bench.read("TPT"), await bench.read("TOTL")) == (sent + 1, 64 * (sent + 1))
    for name in ("GPTC", "PTC64", "MPTC", "GOTCL"):
        assert await bench.read(name) == 0, name


@cocotb.test()
async def by_software(dut: Any) -> None:
    """TCTL.SWXOFF sends a frame with the time FCTTV, whatever CTRL.TFCE is, between data frames and during a pause; it
    reads 1 until then. Software's own pause frames are data."""
    bench = await started(dut, rfce=1)
    await bench.write("FCTTV", 0x1234)
    frames = [data(1514, number) for number in range(3)]
    await bench.transmit(*(bench.legacy(frame) for frame in frames))
    await RisingEdge(dut.gmii__tx_en)
    await bench.write_fields("TCTL", EN=1, PSP=1, SWXOFF=1)
    assert BY_NAME["TCTL"]["SWXOFF"].get(await bench.read("TCTL")) == 1
    await bench.settle(300)
    assert BY_NAME["TCTL"]["SWXOFF"].get(await bench.read("TCTL")) == 0
    first, *rest = (append_fcs(frame) for frame in frames)
    assert bench.sent() == [first, own_pause(0x1234), *rest]

    bench.put(pause(0xFFFF))
    await bench.wait(300)
    await bench.transmit(bench.legacy(data(60)))
    await bench.write("FCTTV", 0)
    await bench.write_fields("TCTL", EN=1, SWXOFF=1)  # without PSP: it has the minimum length all the same
    await bench.wait(300)
    assert await is_paused(bench)
    assert bench.sent() == [own_pause(0)]
    bench.put(pause(0))
    await bench.settle(300)
    assert bench.sent() == [append_fcs(data(60))]
    assert (await bench.read("XOFFTXC"), await bench.read("XONTXC")) == (1, 1)
    made = pause_frame(destination=FLOW_CONTROL, source=OWN, fct=FCT, quanta=7)
    await bench.transmit(bench.legacy(made))
    await bench.settle(300)
    assert bench.sent() == [append_fcs(made)]
    assert (await bench.read("XOFFTXC"), await bench.read("MPTC")) == (0, 1)


class Peer:
    """Sends frames as fast as the wire takes them, and obeys pause frames as annex 31B says."""

    def __init__(self, bench: NicBench, frames: list[bytes]) -> None:
        self.bench = bench
        self.frames = frames
        self.until = 0
        """Cycle at which its pause ends."""
        self.pauses: list[int] = []

    async def listen(self) -> None:
        while True:
            octets = bytes((await self.bench.sink.recv()).get_payload(strip_fcs=False))
            assert append_fcs(octets[:-4]) == octets
            if octets[:6] == FLOW_CONTROL and octets[12:16] == bytes.fromhex("88080001"):
                quanta = int.from_bytes(octets[16:18], "big")
                self.pauses.append(quanta)
                self.until = self.bench.cycle() + QUANTUM * quanta

    async def send(self) -> None:
        for frame in self.frames:
            while self.bench.cycle() < self.until:
                await ClockCycles(self.bench.dut.clk, 8)
            self.bench.put(frame)
            await self.bench.source.wait()


@cocotb.test()
@cocotb.parametrize(tfce=[0, 1])
async def starving_host(dut: Any, tfce: int) -> None:
    """The host gives no buffers for longer than the pause time, twice: with flow control no frame is lost, while the
    NIC's own frames go on; without it the buffer overflows, and MPC counts."""
    bench = await started(dut, tfce=tfce, LPE=1, BSEX=1, BSIZE=1)
    await bench.write_fields("FCRTH", RTH=32768 // 8)
    await bench.write_fields("FCRTL", RTL=16384 // 8, XONE=1)
    await bench.write("FCTTV", 40)
    frames = [append_fcs(OWN + PEER + bytes([number]) * (3000 + 8 * number)) for number in range(28)]
    peer = Peer(bench, frames)
    listening = cocotb.start_soon(peer.listen())
    sending = cocotb.start_soon(peer.send())
    await bench.transmit(*(bench.legacy(data(1514, number)) for number in range(40)))
    received: list[bytes] = []
    for buffers in (0, 10):
        await bench.give(buffers)
        await bench.wait(62000)  # 80 KiB could come in that time
        received += [octets for _, octets in bench.received()]
    await bench.give(60)
    await sending
    await bench.settle(3000)
    received += [octets for _, octets in bench.received()]
    listening.cancel()
    lost = await bench.read("MPC")
    assert await bench.read("GPTC") == 40
    if tfce:
        assert received == frames
        assert lost == 0
        assert peer.pauses.count(40) > 10
        assert 0 in peer.pauses
        assert (await bench.read("XOFFTXC"), await bench.read("XONTXC")) == (
            sum(quanta != 0 for quanta in peer.pauses),
            peer.pauses.count(0),
        )
    else:
        assert peer.pauses == []
        assert lost > 0
        assert lost + len(received) == len(frames)
        assert received == [frame for frame in frames if frame in received]


@cocotb.test()
async def refused_at_last(dut: Any) -> None:
    """A peer that pays no heed: the frame that overflows the buffer is lost, counted, and asks for one more pause."""
    bench = await started(dut, tfce=1, LPE=1)
    await bench.write_fields("FCRTH", RTH=32768 // 8)
    await bench.write("FCTTV", 0xFFFF)
    for _ in range(4):
        bench.put(append_fcs(OWN + PEER + bytes(16000)))
    await bench.settle(300)
    assert bench.sent() == [own_pause(0xFFFF)] * 2
    assert await bench.read("MPC") == 1


def test_nic() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
