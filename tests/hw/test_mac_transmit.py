"""Transmit MAC against its golden function, with cocotbext-eth's GMII sink as the independent receiver."""

import random
from itertools import pairwise
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.eth import GmiiSink

from hw.interfaces import TransmitInfo
from hw.mac.transmit import MacTransmit, line_bytes
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate
from tests.hw.streams import drive, pack, pack_words

VET = 0x8100
WIRE_CYCLES_64 = 84
"""8 preamble, 64 frame, 12 gap: 1,488,095 frames/s."""


class Bench:
    """The MAC with a clock, its streams fed from a list and its GMII watched."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.pace = 1
        self.sink = GmiiSink(dut.txd, dut.tx_er, dut.tx_en, dut.clk, enable=dut.step)
        self.sink.log.setLevel("WARNING")
        self.sent = 0
        self.first: list[int] = []

    async def start(self, *, gap: int = 8, pad: bool = True, vme: bool = True, pace: int = 1) -> None:
        """``pace`` is the number of cycles in which the wire takes an octet."""
        dut = self.dut
        self.pace = pace
        Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
        dut.rst.value = 1
        dut.enable.value = 1
        dut.step.value = 1
        dut.gap.value = gap
        dut.pad.value = int(pad)
        dut.vme.value = int(vme)
        dut.vet.value = VET
        dut.info__valid.value = 0
        dut.packets__valid.value = 0
        await ClockCycles(dut.clk, 3)
        dut.rst.value = 0
        cocotb.start_soon(self._watch())
        if pace > 1:
            cocotb.start_soon(self._steps())

    async def _steps(self) -> None:
        while True:
            self.dut.step.value = 0
            await ClockCycles(self.dut.clk, self.pace - 1)
            self.dut.step.value = 1
            await RisingEdge(self.dut.clk)

    async def _watch(self) -> None:
        sending = False
        while True:
            await RisingEdge(self.dut.clk)
            if not int(self.dut.step.value):
                continue
            self.sent += int(self.dut.sent.value)
            if int(self.dut.tx_en.value) and not sending:
                self.first.append(int(self.dut.txd.value))
            sending = bool(int(self.dut.tx_en.value))

    def feed(self, frames: list[tuple[bytes, bool]], *, tag: int | None = None) -> None:
        """Queue these frames, each with whether it has IFCS, and all with VLE and this tag if one is given."""
        dut = self.dut
        vle = {} if tag is None else {"vle": 1, "special": tag}
        infos = [pack(TransmitInfo, {"length": len(frame), "ifcs": fcs, **vle}) for frame, fcs in frames]
        cocotb.start_soon(drive(dut.clk, dut, "info", infos))
        cocotb.start_soon(drive(dut.clk, dut, "packets", [word for frame, _ in frames for word in pack_words(frame)]))

    async def expect(self, frames: list[tuple[bytes, bool]], *, pad: bool, tag: int | None = None) -> list[Any]:
        """Receive these frames, with this tag if one is given, to the byte and without TX_ER; what the sink saw."""
        seen = []
        for frame, fcs in frames:
            got = await self.sink.recv()
            line = line_bytes(frame, pad=pad, fcs=fcs, vet=VET, tag=tag)
            # The sink leaves out a frame's first octet, but counts its time.
            assert bytes([self.first.pop(0)]) + bytes(got.data) == line
            assert got.sim_time_end - got.sim_time_start == len(line) * self.pace * CLOCK_PERIOD_NS * 1000
            assert got.error is None
            assert not fcs or got.check_fcs()
            seen.append(got)
        return seen


def gaps(seen: list[Any]) -> set[float]:
    return {(after.sim_time_start - before.sim_time_end) / (1000 * CLOCK_PERIOD_NS) for before, after in pairwise(seen)}


@cocotb.test()
async def sizes(dut: Any) -> None:
    """Every size around the minimum and the word, full size and jumbo: bytes and exactly 12 bytes of gap."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(1)
    lengths = [*range(1, 81), 1513, 1514, 1515, 1516, 1517, 1518, 9014, 16284]
    frames = [(rng.randbytes(length), True) for length in lengths]
    bench.feed(frames)
    seen = await bench.expect(frames, pad=True)
    assert gaps(seen) == {12}
    assert bench.sent == len(frames)


@cocotb.test()
@cocotb.parametrize(pace=[2, 10])
async def slower_wire(dut: Any, pace: int) -> None:
    """Gap, padding, tag and FCS go by octets, not by cycles."""
    bench = Bench(dut)
    await bench.start(pace=pace)
    frames = [(random.Random(length).randbytes(length), True) for length in (1, 8, 59, 60, 61, 100, 300)]
    bench.feed(frames, tag=0xA123)
    seen = await bench.expect(frames, pad=True, tag=0xA123)
    assert gaps(seen) == {12 * pace}
    assert bench.sent == len(frames)


@cocotb.test()
async def options(dut: Any) -> None:
    """No padding, no FCS, per frame."""
    bench = Bench(dut)
    await bench.start(pad=False, gap=0)
    rng = random.Random(2)
    frames = [(rng.randbytes(length), bool(length % 3)) for length in (1, 2, 3, 7, 8, 9, 59, 60, 61, 64, 100)]
    bench.feed(frames)
    seen = await bench.expect(frames, pad=False)
    assert gaps(seen) == {4}


@cocotb.test()
@cocotb.parametrize(pad=[False, True])
async def tags(dut: Any, pad: bool) -> None:
    """A tag behind the addresses, in frames of every length around them and around the minimum, which counts the tag.
    Such a frame gets its FCS whatever IFCS says.
    """
    bench = Bench(dut)
    await bench.start(pad=pad)
    rng = random.Random(3)
    frames = [(rng.randbytes(length), bool(length % 3)) for length in (*range(1, 81), 1514, 9014)]
    bench.feed(frames, tag=0xA123)
    seen = await bench.expect(frames, pad=pad, tag=0xA123)
    assert gaps(seen) == {12}
    # By hand: 57 bytes and a tag are more than the minimum, and come back as they were sent.
    frame, got = frames[56][0], bytes(seen[56].data)
    assert got[-65:-4] == frame[:12] + bytes.fromhex("8100a123") + frame[12:]


@cocotb.test()
async def tags_without_vme(dut: Any) -> None:
    """VLE is ignored, and IFCS counts."""
    bench = Bench(dut)
    await bench.start(vme=False)
    frames = [(random.Random(length).randbytes(length), bool(length % 2)) for length in (14, 60, 61)]
    bench.feed(frames, tag=0xA123)
    await bench.expect(frames, pad=True)


@cocotb.test()
async def pad_without_fcs(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start(gap=1023)
    frames = [(b"short", False), (bytes(range(70)), False)]
    bench.feed(frames)
    seen = await bench.expect(frames, pad=True)
    assert gaps(seen) == {1027}


@cocotb.test()
async def line_rate(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    frames = [(random.Random(n).randbytes(60), True) for n in range(30)]
    bench.feed(frames)
    seen = await bench.expect(frames, pad=True)
    assert seen[-1].sim_time_start - seen[0].sim_time_start == 29 * WIRE_CYCLES_64 * CLOCK_PERIOD_NS * 1000


@cocotb.test()
async def enable(dut: Any) -> None:
    """A frame that has begun is finished; the next one waits."""
    bench = Bench(dut)
    await bench.start()
    frames = [(bytes(range(100)), True), (bytes(range(100, 200)), True)]
    bench.feed(frames)
    await RisingEdge(dut.tx_en)
    dut.enable.value = 0
    await bench.expect(frames[:1], pad=True)
    await ClockCycles(dut.clk, 300)
    assert not int(dut.tx_en.value)
    assert bench.sink.empty()
    dut.enable.value = 1
    await bench.expect(frames[1:], pad=True)


@cocotb.test()
async def missing_word(dut: Any) -> None:
    """A word that comes late spoils its frame for the receiver, and only that one."""
    bench = Bench(dut)
    await bench.start()
    frames = [(bytes(range(64)), True), (bytes(range(64, 128)), True)]
    cocotb.start_soon(drive(dut.clk, dut, "info", [pack(TransmitInfo, {"length": 64, "ifcs": 1})] * 2))
    words = [word for frame, _ in frames for word in pack_words(frame)]
    await drive(dut.clk, dut, "packets", words[:3])
    await ClockCycles(dut.clk, 20)
    cocotb.start_soon(drive(dut.clk, dut, "packets", words[3:]))
    spoilt = await bench.sink.recv(compact=False)
    assert sum(spoilt.error) > 0
    bench.first.clear()
    await bench.expect(frames[1:], pad=True)


def test_mac_transmit() -> None:
    simulate(MacTransmit(), name="mac_transmit", test_module=__name__)
