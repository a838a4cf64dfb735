"""Receive MAC, fed by cocotbext-eth's GMII source as independent transmitter, and by hand where that is too kind."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.eth import GmiiFrame, GmiiSource

from hw.mac.fcs import append_fcs
from hw.mac.receive import MacReceive, ReceiveWord
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate
from tests.hw.streams import now_and_then, take

DEPTH = 16


@dataclass
class Frame:
    """A frame as the words of the MAC tell it."""

    data: bytes = b""
    crc_error: bool = False
    rx_error: bool = False
    overrun: bool = False


@dataclass
class Collector:
    """Puts words together to frames, and holds them against the rules of ``ReceiveWord``."""

    frames: list[Frame] = field(default_factory=list)
    part: bytes = b""

    def add(self, payload: int) -> None:
        word = ReceiveWord.from_bits(payload)
        assert word.data < 1 << 8 * word.count, "unused lanes are 0"
        self.part += word.data.to_bytes(8, "little")[: word.count]
        if not word.last:
            assert word.count == 8
            assert not any((word.crc_error, word.rx_error, word.overrun))
            return
        assert word.count or word.overrun
        self.frames.append(Frame(self.part, bool(word.crc_error), bool(word.rx_error), bool(word.overrun)))
        self.part = b""


class Bench:
    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.source = GmiiSource(dut.rxd, dut.rx_er, dut.rx_dv, dut.gmii_rx_clk)
        self.source.log.setLevel("WARNING")
        self.collector = Collector()
        self.ready = True

    async def start(self, *, period_ps: int = 8000, go: Callable[[], bool] | None = None) -> None:
        dut = self.dut
        Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
        Clock(dut.gmii_rx_clk, period_ps, "ps").start()
        for name in ("rxd", "rx_dv", "rx_er", "half", "words__ready"):
            getattr(dut, name).value = 0
        dut.step.value = 1
        dut.rst.value = dut.gmii_rx_rst.value = 1
        await ClockCycles(dut.clk, 4)
        dut.rst.value = dut.gmii_rx_rst.value = 0
        await ClockCycles(dut.clk, 4)
        cocotb.start_soon(take(dut.clk, dut, "words", self.collector.add, go or (lambda: self.ready)))

    async def line(self, octets: bytes, *, error: int | None = None, idle: int = 12) -> None:
        """RX_DV over exactly these octets, with RX_ER at one of them; then ``idle`` cycles without."""
        dut = self.dut
        for index, octet in enumerate(octets):
            dut.rxd.value, dut.rx_dv.value, dut.rx_er.value = octet, 1, int(index == error)
            await RisingEdge(dut.gmii_rx_clk)
        dut.rx_dv.value = dut.rx_er.value = 0
        await ClockCycles(dut.gmii_rx_clk, idle)

    async def settle(self) -> None:
        await self.source.wait()
        await ClockCycles(self.dut.clk, 400)

    def expect(self, *frames: Frame) -> None:
        assert self.collector.frames == list(frames)
        assert self.collector.part == b""


def good(length: int, seed: int = 0) -> bytes:
    """A frame with FCS, ``length`` bytes in all."""
    return append_fcs(random.Random(f"{length} {seed}").randbytes(length - 4))


PREAMBLE = bytes.fromhex("55555555555555d5")


@cocotb.test()
@cocotb.parametrize(period=[7998, 8000, 8002])
async def sizes(dut: Any, period: int) -> None:
    """Close-packed frames of every size around the word, with an independent FCS, at unequal clocks."""
    bench = Bench(dut)
    await bench.start(period_ps=period)
    frames = []
    for length in [*range(1, 140), 1514, 1515, 9014, 16380]:
        frame = GmiiFrame.from_payload(random.Random(length).randbytes(length), min_len=0)
        frames.append(bytes(frame.get_payload(strip_fcs=False)))
        bench.source.send_nowait(frame)
    await bench.settle()
    bench.expect(*map(Frame, frames))


@cocotb.test()
async def errors(dut: Any) -> None:
    """One wrong bit anywhere, and RX_ER on any byte or in the preamble, mark that frame alone."""
    bench = Bench(dut)
    await bench.start()
    expected = []
    rng = random.Random(3)
    for length in (5, 8, 9, 16, 64, 100):
        frame = good(length)
        for bit in (0, 8 * length - 1, rng.randrange(8 * length)):
            broken = (int.from_bytes(frame, "little") ^ 1 << bit).to_bytes(length, "little")
            await bench.line(PREAMBLE + broken)
            expected.append(Frame(broken, crc_error=True))
        for place in (0, 6, 7, 8, length + 7):
            await bench.line(PREAMBLE + frame, error=place)
            expected.append(Frame(frame, rx_error=True))
        await bench.line(PREAMBLE + frame)
        expected.append(Frame(frame))
    await bench.settle()
    bench.expect(*expected)


@cocotb.test()
async def odd_lines(dut: Any) -> None:
    """Short preambles, gaps of one cycle, blips, carriers without delimiter, false carrier: next frame unharmed."""
    bench = Bench(dut)
    await bench.start()
    expected = []
    for index, preamble in enumerate((b"\xd5", b"\x55\xd5", PREAMBLE, b"\x55" * 40 + b"\xd5")):
        frame = good(64 + index)
        await bench.line(preamble + frame, idle=1)
        expected.append(Frame(frame))
        await bench.line(b"\x55", idle=1)  # blip
        await bench.line(b"\x0e", idle=1)
        await bench.line(PREAMBLE[:-1], idle=1)  # no delimiter
        await bench.line(b"\x55\x57\x55\xd5" + good(64), idle=1)  # spoilt preamble
        await bench.line(PREAMBLE, idle=1)  # delimiter and nothing
        dut.rxd.value, dut.rx_er.value = 0x0E, 1  # false carrier (table 35-2)
        await ClockCycles(dut.gmii_rx_clk, 5)
        dut.rx_er.value = 0
        short = b"\x01\x02\x03\x04"[: index + 1]
        await bench.line(PREAMBLE + short, idle=1)
        expected.append(Frame(short, crc_error=True))
    await bench.settle()
    bench.expect(*expected)


@cocotb.test()
async def giant(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    frame = good(40000)
    await bench.line(PREAMBLE + frame)
    await bench.line(PREAMBLE + good(64))
    await bench.settle()
    bench.expect(Frame(frame), Frame(good(64)))


@cocotb.test()
async def slow_reader(dut: Any) -> None:
    """One word in about 6 cycles, at random times, is enough for line rate at the smallest frame."""
    bench = Bench(dut)
    await bench.start(go=now_and_then(4, 1 / 6))
    frames = [good(64, seed) for seed in range(60)]
    for frame in frames:
        await bench.line(PREAMBLE + frame)
    await bench.settle()
    bench.expect(*map(Frame, frames))


@cocotb.test()
async def overrun(dut: Any) -> None:
    """A reader that stops: whole frames, then one marked cut, then a mark for each lost one, then whole ones again."""
    bench = Bench(dut)
    await bench.start()
    bench.ready = False
    frames = [good(64, seed) for seed in range(8)]
    for frame in frames:
        await bench.line(PREAMBLE + frame)
    bench.ready = True
    await bench.settle()
    after = good(64, 99)
    await bench.line(PREAMBLE + after)
    await bench.settle()
    got = bench.collector.frames
    whole = [frame for frame in got if not frame.overrun]
    cut = [frame for frame in got if frame.overrun]
    assert whole == [*map(Frame, frames[: len(whole) - 1]), Frame(after)]
    assert len(whole) - 1 >= DEPTH // 8
    assert len(got) == 9
    assert cut[0].data == frames[len(whole) - 1][: len(cut[0].data)]
    assert all(frame == Frame(overrun=True) for frame in cut[1:])


@cocotb.test()
async def overrun_in_one_frame(dut: Any) -> None:
    """A reader that stops and goes on while one frame comes in: what it gets is the beginning, marked, and no more."""
    bench = Bench(dut)
    await bench.start()
    frame = good(900)
    for pause in (300, 500, 700, 880):
        bench.ready = False
        cocotb.start_soon(bench.line(PREAMBLE + frame))
        await ClockCycles(dut.clk, pause)
        bench.ready = True
        await ClockCycles(dut.clk, 1000)
        await bench.line(PREAMBLE + good(64))
        await bench.settle()
        cut, after = bench.collector.frames
        assert cut == Frame(frame[: len(cut.data)], overrun=True)
        assert len(cut.data) < pause + 8
        assert after == Frame(good(64))
        bench.collector.frames.clear()


@cocotb.test()
async def reset_of_reader(dut: Any) -> None:
    """Reset of ``sync`` in mid-frame: the rest of the frame vanishes, the next one is whole."""
    bench = Bench(dut)
    await bench.start()
    for moment in range(1, 80, 7):
        cocotb.start_soon(bench.line(PREAMBLE + good(200)))
        await ClockCycles(dut.clk, 20 + moment)
        dut.rst.value = 1
        await ClockCycles(dut.clk, 3)
        dut.rst.value = 0
        bench.collector.part = b""
        await bench.settle()
        await bench.line(PREAMBLE + good(70))
        await bench.settle()
        bench.expect(Frame(good(70)))
        bench.collector.frames.clear()


@cocotb.test()
async def reset_of_both(dut: Any) -> None:
    """Reset of both domains in mid-frame: what is left of the frame is no frame, even if it looks like one."""
    bench = Bench(dut)
    await bench.start()
    for moment in range(20):
        carrier = PREAMBLE + bytes(40) + PREAMBLE + good(100)
        cocotb.start_soon(bench.line(carrier))
        await ClockCycles(dut.clk, 20 + moment)
        dut.rst.value = dut.gmii_rx_rst.value = 1
        await ClockCycles(dut.clk, 8)
        dut.rst.value = dut.gmii_rx_rst.value = 0
        bench.collector.part = b""
        await ClockCycles(dut.clk, 2 * len(carrier))
        await bench.line(PREAMBLE + good(70))
        await bench.settle()
        bench.expect(Frame(good(70)))
        bench.collector.frames.clear()


def test_mac_receive() -> None:
    simulate(MacReceive(depth=DEPTH), name="mac_receive", test_module=__name__)


@pytest.mark.parametrize("depth", [0, 8, 24])
def test_depth_is_checked(depth: int) -> None:
    with pytest.raises(ValueError, match=str(depth)):
        MacReceive(depth=depth)
