"""The bridge's parts against their golden functions: UART, framing, RGMII's pairs, the PHY monitor, PLL dividers."""

import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.boards.ecp5 import pll_dividers
from hw.boards.phy_monitor import PhyMonitor, link_of
from hw.boards.rgmii import RgmiiReceive, RgmiiTransmit, transmit_pins
from hw.bridge.framing import Deframer, Enframer, FrameOctet, enframe
from hw.bridge.journal import Journal, value_message
from hw.bridge.protocol import Message
from hw.bridge.uart import BaudRate, UartReceiver, UartTransmitter
from hw.mac.mii import NIBBLE_CYCLES
from hw.mac.speed import Speed

# Background testbenches that wait at the end of a simulation complain when they are collected.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

BAUDS = (12.5e6, 12e6, 3e6)


def simulate(component: Any, *testbenches: Callable[[Any], Coroutine[Any, Any, None]], domain: str = "sync") -> None:
    simulator = Simulator(component)
    simulator.add_clock(8e-9, domain=domain)
    first, *others = testbenches
    simulator.add_testbench(first)
    for testbench in others:
        simulator.add_testbench(testbench, background=True)
    simulator.run()


@pytest.mark.parametrize("baud", BAUDS)
def test_uart_transmitter(baud: float) -> None:
    """Every edge in the cycle that the golden function says, in ten octets without a pause between them."""
    rate = BaudRate(baud=baud)
    dut = UartTransmitter(rate=rate)
    octets = random.Random(1).randbytes(3)

    async def send(context: Any) -> None:
        for octet in octets:
            context.set(dut.i.payload, octet)
            context.set(dut.i.valid, 1)
            await context.tick().until(dut.i.ready)
        context.set(dut.i.valid, 0)
        await context.tick().repeat(round(12 * rate.clock / baud))

    levels: list[int] = []

    async def watch(context: Any) -> None:
        async for _, _, tx in context.tick().sample(dut.tx):
            levels.append(tx)

    simulate(dut, send, watch)
    at = 0
    edges = rate.edges(10)
    for octet in octets:
        at = levels.index(0, at)
        bits = [0, *(octet >> bit & 1 for bit in range(8)), 1]
        for bit, begins, ends in zip(bits, [0, *edges], edges, strict=False):
            assert set(levels[at + begins : at + ends]) == {bit}, (octet, bit)
        at += edges[8]


@pytest.mark.parametrize("skew", [0.975, 1.0, 1.025])
@pytest.mark.parametrize("baud", BAUDS)
def test_uart_receiver(baud: float, skew: float) -> None:
    """Octets of a sender whose clock is 2.5 % off, back to back; then one without a stop bit, and one after that."""
    rate = BaudRate(baud=baud)
    dut = UartReceiver(rate=rate)
    octets = bytes([0x00, 0xFF, 0x55, random.Random(2).getrandbits(8)])
    cycles = rate.clock / baud * skew
    levels: list[int] = []

    def line(bits: list[int], start: float) -> float:
        for bit in bits:
            levels.extend([bit] * (round(start + cycles) - len(levels)))
            start += cycles
        return start

    at = line([1], 0)
    for octet in octets:
        at = line([0, *(octet >> bit & 1 for bit in range(8)), 1], at)
    at = line([1, *[0] * 12, 1, 1], at)
    at = line([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1], at)
    found: list[tuple[int, int]] = []

    async def send(context: Any) -> None:
        for level in levels:
            context.set(dut.rx, level)
            await context.tick()
        await context.tick().repeat(8)

    async def watch(context: Any) -> None:
        async for _, _, valid, octet, error in context.tick().sample(dut.valid, dut.octet, dut.framing_error):
            if valid:
                found.append((octet, error))

    simulate(dut, send, watch)
    assert found == [*((octet, 0) for octet in octets), (0, 1), (0x55, 0)]


@pytest.mark.parametrize("baud", [0, -1, 32e6, 100, None])
def test_impossible_baud(baud: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        BaudRate(baud=baud)


class Loop(wiring.Component):
    """Enframer into deframer; octets go over when the bench says so, and may be changed on the way."""

    i: In(stream.Signature(FrameOctet))
    go: In(1)
    flip: In(8)
    octet: Out(8)
    taken: Out(1)
    o_octet: Out(8)
    o_valid: Out(1)
    end: Out(1)
    good: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.enframer = enframer = Enframer()
        m.submodules.deframer = deframer = Deframer()
        connect(m, flipped(self.i), enframer.i)
        m.d.comb += [
            enframer.o.ready.eq(self.go),
            self.octet.eq(enframer.o.payload),
            self.taken.eq(enframer.o.valid & self.go),
            deframer.octet.eq(enframer.o.payload ^ self.flip),
            deframer.valid.eq(self.taken),
        ]
        for name in ("o_octet", "o_valid", "end", "good"):
            m.d.comb += getattr(self, name).eq(getattr(deframer, name))
        return m


def through_loop(frames: list[bytes], flips: dict[int, int]) -> tuple[bytes, list[bytes | None]]:
    """What crosses the line, of which octets are changed by number, and the frames that come out: None if bad."""
    dut = Loop()
    crossed = bytearray()
    found: list[bytes | None] = []
    octets = bytearray()

    async def send(context: Any) -> None:
        for frame in frames:
            for number, octet in enumerate(frame):
                context.set(dut.i.payload.data, octet)
                context.set(dut.i.payload.last, number == len(frame) - 1)
                context.set(dut.i.valid, 1)
                await context.tick().until(dut.i.ready)
            context.set(dut.i.valid, 0)
        await context.tick().repeat(80)

    async def pace(context: Any) -> None:
        while True:
            context.set(dut.flip, flips.get(len(crossed), 0))
            context.set(dut.go, 1)
            if context.get(dut.taken):
                crossed.append(context.get(dut.octet))
            await context.tick()
            context.set(dut.go, 0)
            await context.tick().repeat(3)

    async def watch(context: Any) -> None:
        sampled = context.tick().sample(dut.o_valid, dut.o_octet, dut.end, dut.good)
        async for _, _, valid, octet, end, good in sampled:
            if valid:
                octets.append(octet)
            if end:
                found.append(bytes(octets) if good else None)
                octets.clear()

    simulate(dut, send, pace, watch)
    return bytes(crossed), found


@settings(max_examples=5, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=8) | st.just(b"\x7e\x7d\x5e\x20"), min_size=1, max_size=3))
def test_framing(frames: list[bytes]) -> None:
    crossed, found = through_loop(frames, {})
    assert crossed == b"".join(map(enframe, frames))
    assert found == frames


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 7))
def test_damage(place: int, bit: int) -> None:
    """One bit wrong anywhere: the frame is bad or, with a flag gone, one with the next; that one comes through, or the
    one after it does."""
    frames = [b"is hit", b"next", b"last"]
    place %= len(enframe(frames[0]))
    _, found = through_loop(frames, {place: 1 << bit})
    assert frames[0] not in found
    assert found[-1] == frames[-1]
    assert None in found


@pytest.mark.parametrize("seed", range(3))
def test_journal(seed: int) -> None:
    """A level that goes up and down among writes and values: messages stay whole, changes are told once each, and the
    last level is the one told last."""
    rng = random.Random(seed)
    dut = Journal()
    told: list[bytes] = []
    level = 0

    async def status(context: Any) -> None:
        nonlocal level
        for _ in range(40):
            level ^= 1
            context.set(dut.status, level)
            await context.tick().repeat(rng.choice((1, 1, 2, 3, 5, 20, 60)))
        await context.tick().repeat(300)

    async def writes(context: Any) -> None:
        while True:
            await context.tick().repeat(rng.choice((1, 3, 10, 40)))
            context.set(dut.pending, 1)
            await context.tick().repeat(rng.choice((1, 2)))
            length = rng.randint(2, 12)
            for number in range(length):
                context.set(dut.writes.valid, 1)
                context.set(dut.writes.payload.data, Message.WRITE_MEMORY if number == 0 else 0x55)
                context.set(dut.writes.payload.last, number == length - 1)
                await context.tick().until(dut.writes.ready)
            context.set(dut.writes.valid, 0)
            context.set(dut.pending, 0)

    async def values(context: Any) -> None:
        while True:
            await context.tick().repeat(rng.choice((5, 20, 50)))
            context.set(dut.value.valid, 1)
            context.set(dut.value.payload, 0xAABBCCDD)
            await context.tick().until(dut.value.ready)
            context.set(dut.value.valid, 0)

    async def sink(context: Any) -> None:
        message = bytearray()
        while True:
            ready = rng.random() < 0.6
            context.set(dut.o.ready, ready)
            if ready and context.get(dut.o.valid):
                message.append(context.get(dut.o.payload.data))
                if context.get(dut.o.payload.last):
                    told.append(bytes(message))
                    message.clear()
            await context.tick()

    simulate(dut, status, writes, values, sink)
    levels = [message[1] for message in told if message[0] == Message.STATUS]
    assert levels == [1 - number % 2 for number in range(len(levels))]
    assert levels[-1] == level
    rest = [message for message in told if message[0] != Message.STATUS]
    assert {message for message in rest if message[0] == Message.VALUE} == {value_message(0xAABBCCDD)}
    assert all(set(message[1:]) == {0x55} for message in rest if message[0] == Message.WRITE_MEMORY)


@pytest.mark.parametrize("speed", list(Speed))
def test_rgmii_transmit(speed: Speed) -> None:
    dut = RgmiiTransmit()
    rng = random.Random(3)
    cycles = NIBBLE_CYCLES.get(speed, 1)
    expected: list[tuple[int, int, int]] = []
    seen: list[tuple[int, int, int]] = []

    async def drive(context: Any) -> None:
        context.set(dut.tx_speed, speed)
        for _ in range(6):
            txd, en, er = rng.getrandbits(8 if speed is Speed.GIGABIT else 4), rng.getrandbits(1), rng.getrandbits(1)
            context.set(dut.txd, txd)
            context.set(dut.tx_en, en)
            context.set(dut.tx_er, er)
            for cycle in range(cycles):
                context.set(dut.tx_strobe, cycle == 0)
                await context.tick()
                expected.extend(transmit_pins(txd=txd, en=en, er=er, speed=speed, cycle=cycle))
                txc, ctl, td = context.get(dut.txc), context.get(dut.tx_ctl), context.get(dut.td)
                seen.extend((txc >> half & 1, ctl >> half & 1, td >> 4 * half & 15) for half in range(2))

    simulate(dut, drive)
    assert seen == expected
    # TXC is high for the first half of each nibble's time, and there is one rise in each.
    clock = [pins[0] for pins in seen]
    assert clock == ([1] * cycles + [0] * cycles) * 6


def test_rgmii_receive() -> None:
    dut = RgmiiReceive()

    async def drive(context: Any) -> None:
        for ctl, dv, er in ((0b11, 1, 0), (0b01, 1, 1), (0b10, 0, 0), (0b00, 0, 0)):
            context.set(dut.rx_ctl, ctl)
            context.set(dut.rd, 0xA0 | ctl)
            await context.tick("gmii_rx")
            assert (context.get(dut.rxd), context.get(dut.rx_dv), context.get(dut.rx_er)) == (0xA0 | ctl, dv, er)

    simulate(dut, drive, domain="gmii_rx")


REGISTERS = st.fixed_dictionaries(
    {
        0: st.sampled_from([0x1140, 0x0140, 0x2100, 0x0100, 0x1000]),
        1: st.sampled_from([0x796D, 0x7969]),
        4: st.sampled_from([0x0DE1, 0x0061, 0x01E1]),
        5: st.sampled_from([0xC1E1, 0x4061, 0x0000, 0x4081]),
        9: st.sampled_from([0x0200, 0x0000]),
        10: st.sampled_from([0x3C00, 0x0000]),
    }
)


@settings(max_examples=4, deadline=None)
@given(REGISTERS)
def test_phy_monitor(registers: dict[int, int]) -> None:
    """Link and speed as the golden function has them of the registers that the monitor reads, bit by bit."""
    dut = PhyMonitor(address=3, reset_cycles=5, interval_cycles=20, cycles_per_mdc=8)
    read: list[int] = []

    async def run(context: Any) -> None:
        assert context.get(dut.phy_reset)
        await context.tick().repeat(12)
        assert not context.get(dut.phy_reset)
        while len(read) < len(registers):
            await context.tick()
        await context.tick().repeat(2000)
        link, speed = link_of(registers)
        assert (bool(context.get(dut.link)), Speed(context.get(dut.speed))) == (link, speed)
        assert set(read) == set(registers)
        context.set(dut.reset, 1)
        await context.tick()
        context.set(dut.reset, 0)
        await context.tick().repeat(3)
        assert context.get(dut.phy_reset)
        assert not context.get(dut.link)

    async def phy(context: Any) -> None:
        """Answers frames of clause 22 for its address."""
        context.set(dut.bus.i, 1)
        bits = ""
        answer = ""
        before = 0
        async for _, _, mdc, o, oe in context.tick().sample(dut.bus.mdc, dut.bus.o, dut.bus.oe):
            if mdc and not before:
                bits += str(o if oe else context.get(dut.bus.i))
                head = bits[bits.find("1" * 32 + "01") + 32 :] if "1" * 32 + "01" in bits else ""
                if len(head) == 14 and head[2:4] == "10" and int(head[4:9], 2) == 3:
                    read.append(int(head[9:14], 2))
                    answer = f"10{registers[read[-1]]:016b}"
                if len(head) == 32:
                    bits = ""
            if before and not mdc:
                context.set(dut.bus.i, int(answer[0]) if answer else 1)
                answer = answer[1:]
            before = mdc

    simulate(dut, run, phy)


def test_pll_dividers() -> None:
    for hertz in (100e6, 25e6, 30e6, 50e6):
        dividers = pll_dividers(hertz, 125e6)
        assert hertz / dividers.input * dividers.feedback == pytest.approx(125e6)
        assert 400e6 <= dividers.output * 125e6 <= 800e6
    with pytest.raises(ValueError, match="no dividers"):
        pll_dividers(100e6 / 3, 125e6 * 1.0001)
