"""The whole bridge with the host's own protocol code at its pins: what crosses, in which order, and with bit errors."""

import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any

import cocotb
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hw.bridge.bridge import SerialBridge
from hw.bridge.uart import BaudRate
from hw.interfaces import (
    MAX_BURST_BYTES,
    MemoryPort,
    ReadData,
    ReadRequest,
    RegisterPort,
    RegisterRequest,
    WriteData,
    WriteRequest,
)
from sim.board.bus import SerialBus
from sim.board.link import LinkError, LinkParameters
from sim.host import IDEAL, HostCpu
from tests.hw.cocotb_engine import CocotbEngine
from tests.hw.memory import fields
from tests.hw.serial_line import SerialLine, disturb
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate
from tests.hw.streams import pack

BAUD = 12_500_000
MEMORY_KIB = 8
BUILD_ID = bytes(range(1, 9))
T1_CYCLES = 40_000
PARAMETERS = LinkParameters(baud=BAUD, t1=400_000, connect_t1=200_000, attempts=20)


class NoisyBridge(wiring.Component):
    """A bridge, and a line that can be disturbed both ways."""

    rx: In(1, init=1)
    tx: Out(1)
    flip_rx: In(1)
    flip_tx: In(1)
    memory: In(MemoryPort())
    registers: In(RegisterPort())
    interrupt: In(1)
    reset: Out(1)
    connected: Out(1)
    damaged: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bridge = bridge = SerialBridge(
            rate=BaudRate(baud=BAUD), build_id=BUILD_ID, memory_kib=MEMORY_KIB, t1_cycles=T1_CYCLES
        )
        connect(m, flipped(self.memory), bridge.memory)
        connect(m, bridge.registers, flipped(self.registers))
        m.d.comb += [
            bridge.rx.eq(self.rx ^ self.flip_rx),
            self.tx.eq(bridge.tx ^ self.flip_tx),
            bridge.interrupt.eq(self.interrupt),
            self.reset.eq(bridge.reset),
            self.connected.eq(bridge.connected),
            self.damaged.eq(bridge.damaged),
        ]
        return m


class Device:
    """What is behind the bridge: registers that store, and DMA when the bench asks for it."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.registers: dict[int, int] = {}
        self.accesses: list[tuple[str, int, int]] = []
        self.on_read: Callable[[int], Awaitable[None]] | None = None
        for name in ("memory__read_request", "memory__write_request", "memory__write_data", "registers__response"):
            getattr(dut, f"{name}__valid").value = 0
        dut.registers__request__ready.value = 0
        cocotb.start_soon(self._serve())

    async def burst_after_burst(self, address: int) -> None:
        """DMA of one place for ever, until the reset of a link, which ends it in the midst of a burst."""
        running = cocotb.start_soon(self._for_ever(address))
        await RisingEdge(self.dut.reset)
        running.cancel()
        self.dut.memory__write_request__valid.value = self.dut.memory__write_data__valid.value = 0

    async def _for_ever(self, address: int) -> None:
        for number in itertools.count(1):
            await self.write(address, bytes([number % 256]) * MAX_BURST_BYTES)

    async def _serve(self) -> None:
        dut = self.dut
        while True:
            dut.registers__request__ready.value = 1
            await self._until("registers__request__valid")
            dut.registers__request__ready.value = 0
            access = fields(RegisterRequest, int(dut.registers__request__payload.value))
            if access["write"]:
                self.accesses.append(("write", access["address"], access["data"]))
                self.registers[access["address"]] = access["data"]
                continue
            self.accesses.append(("read", access["address"], 0))
            if self.on_read is not None:
                await self.on_read(access["address"])
            dut.registers__response__valid.value = 1
            dut.registers__response__payload.value = self.registers.get(access["address"], 0)
            await self._until("registers__response__ready")
            dut.registers__response__valid.value = 0

    async def _until(self, name: str) -> None:
        """The end of the first cycle in which this signal is 1. Sleeps until then: Python in every cycle is slow."""
        signal = getattr(self.dut, name)
        while True:
            await RisingEdge(self.dut.clk)
            if int(signal.value):
                return
            await RisingEdge(signal)

    async def write(self, address: int, data: bytes) -> None:
        """DMA, one burst."""
        dut = self.dut
        dut.memory__write_request__payload.value = pack(WriteRequest, {"address": address, "length": len(data)})
        dut.memory__write_request__valid.value = 1
        await self._until("memory__write_request__ready")
        dut.memory__write_request__valid.value = 0
        start, end = address & ~7, address + len(data)
        padded = bytes(address - start) + data + bytes(-end % 8)
        dut.memory__write_data__valid.value = 1
        for word in range(start, end, 8):
            strobe = sum(1 << lane for lane in range(8) if address <= word + lane < end)
            bits = {
                "data": int.from_bytes(padded[word - start : word - start + 8], "little"),
                "strobe": strobe,
                "last": int(word + 8 >= end),
            }
            dut.memory__write_data__payload.value = pack(WriteData, bits)
            await self._until("memory__write_data__ready")
        dut.memory__write_data__valid.value = 0

    async def read(self, address: int, length: int, tag: int) -> bytes:
        """DMA, one burst."""
        dut = self.dut
        request = {"address": address, "length": length, "tag": tag}
        dut.memory__read_request__payload.value = pack(ReadRequest, request)
        dut.memory__read_request__valid.value = 1
        await self._until("memory__read_request__ready")
        dut.memory__read_request__valid.value = 0
        words = b""
        while True:
            await RisingEdge(dut.clk)
            if not int(dut.memory__read_data__valid.value):
                continue
            word = fields(ReadData, int(dut.memory__read_data__payload.value))
            assert word["tag"] == tag
            words += word["data"].to_bytes(8, "little")
            if word["last"]:
                assert len(words) == (address % 8 + length + 7) // 8 * 8
                return words[address % 8 : address % 8 + length]


async def start(dut: Any, *, seed: int = 1) -> tuple[CocotbEngine, SerialBus, Device, SerialLine]:
    """Clock, reset, and the host's side of the line."""
    engine = CocotbEngine(seed=seed)
    dut.interrupt.value = dut.flip_rx.value = dut.flip_tx.value = 0
    dut.rx.value = 1
    dut.rst.value = 1
    device = Device(dut)
    Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    line = SerialLine(engine, dut.rx, dut.tx, baud=BAUD)
    bus = SerialBus(engine, HostCpu(engine, IDEAL), line.write, parameters=PARAMETERS)
    line.receive = bus.receive
    return engine, bus, device, line


def place(rng: random.Random) -> tuple[int, int]:
    """A burst that crosses no multiple of the longest."""
    size = MEMORY_KIB * 1024
    address = rng.randrange(size)
    room = MAX_BURST_BYTES - address % MAX_BURST_BYTES
    return address, rng.choice((1, rng.randint(1, room), room))


@cocotb.test()
async def identity(dut: Any) -> None:
    engine, bus, _, _ = await start(dut)
    assert not int(dut.connected.value)
    await engine.run(bus.connect())
    assert int(dut.connected.value)
    known = bus.link.identity
    assert known is not None
    assert (known.version, known.build_id, known.memory_kib) == (1, BUILD_ID, MEMORY_KIB)
    assert len(bus.memory.array) == MEMORY_KIB * 1024


@cocotb.test()
async def order(dut: Any) -> None:
    """Memory before registers, and register values after memory."""
    engine, bus, device, _ = await start(dut)
    rng = random.Random(2)
    content = rng.randbytes(700)
    seen: list[bytes] = []

    async def on_read(address: int) -> None:
        seen.append(await device.read(4100, len(content) % MAX_BURST_BYTES, 1))
        await device.write(4097, b"before the value")

    device.on_read = on_read

    async def host() -> None:
        await bus.connect()
        bus.write32(0x3818, 0x12345678)
        bus.memory.write(4100, content)
        assert await bus.read32(0x3818) == 0x12345678
        assert bus.memory.read(4097, 16) == b"before the value"

    await engine.run(host())
    assert seen == [content[: len(content) % MAX_BURST_BYTES]]
    assert device.accesses == [("write", 0x3818, 0x12345678), ("read", 0x3818, 0)]


@cocotb.test()
async def outside(dut: Any) -> None:
    """DMA past the end reads as ones and writes nothing, and the host gets to know."""
    engine, bus, device, _ = await start(dut)

    async def on_read(address: int) -> None:
        assert await device.read(MEMORY_KIB * 1024 + 8, 24, 2) == b"\xff" * 24
        await device.write((1 << 40) + 16, b"nowhere to be seen")
        await device.write(16, b"seen")

    device.on_read = on_read

    async def host() -> None:
        await bus.connect()
        assert not bus.outside
        await bus.read32(0)
        await bus.read32(0)
        assert bus.outside
        assert bus.memory.read(0, 40) == bytes(16) + b"seen" + bytes(20)

    await engine.run(host())


@cocotb.test()
async def interrupt(dut: Any) -> None:
    """The line is pushed, after the memory that was written before it."""
    engine, bus, device, _ = await start(dut)
    calls: list[bytes] = []

    async def handler() -> None:
        calls.append(bus.memory.read(512, 4))
        dut.interrupt.value = 0
        await bus.read32(0xC0)

    async def nic() -> None:
        for round_ in range(4):
            await device.write(512, bytes([round_] * 4))
            dut.interrupt.value = 1
            await ClockCycles(dut.clk, 20_000)

    async def host() -> None:
        await bus.connect()
        bus.request_irq(handler)
        cocotb.start_soon(nic())
        while len(calls) < 4:
            await engine.sleep(1000)
        await engine.sleep(300_000)

    await engine.run(host())
    assert calls == [bytes([round_] * 4) for round_ in range(4)]


async def traffic(engine: CocotbEngine, bus: SerialBus, device: Device, rng: random.Random, rounds: int) -> None:
    """Random writes of both sides at once; at the end both copies are what a model says."""
    model = bytearray(MEMORY_KIB * 1024)
    half = len(model) // 2
    registers: dict[int, int] = {}
    running = cocotb.start_soon(_dma(device, random.Random(rng.random()), model, half, rounds))
    for number in range(rounds):
        address = rng.randrange(half)
        data = rng.choice((rng.randbytes(16), bytes([0x7E, 0x7D] * 20), rng.randbytes(rng.randint(1, 400))))
        data = data[: half - address]
        bus.memory.write(address, data)
        model[address : address + len(data)] = data
        offset = 4 * rng.randrange(64)
        registers[offset] = rng.getrandbits(32)
        bus.write32(offset, registers[offset])
        if number % 3 == 0:
            offset = rng.choice(list(registers))
            assert await bus.read32(offset) == registers[offset]
    while not running.done() or not bus.link.idle():
        await engine.sleep(10_000)
    await bus.read32(0)
    assert bytes(bus.memory.array) == bytes(model)
    assert device.registers == registers
    stored = [access[1:] for access in device.accesses if access[0] == "write"]
    assert len(stored) == rounds, "each write is made once"
    whole = b"".join([await _in_cocotb(engine, device.read(place, 512, 3)) for place in range(0, len(model), 512)])
    assert whole == bytes(model)


async def _dma(device: Device, rng: random.Random, model: bytearray, half: int, rounds: int) -> None:
    for _ in range(rounds):
        address, length = place(rng)
        if address < half:
            address += half
        data = rng.randbytes(length)
        await device.write(address, data)
        model[address : address + length] = data


async def _in_cocotb(engine: CocotbEngine, coroutine: Any) -> Any:
    """Wait for something of the bench in the engine."""
    done = engine.event()

    async def run() -> Any:
        result = await coroutine
        engine.post(done.set)
        return result

    task = cocotb.start_soon(run())
    await done.wait()
    return task.result()


async def all_of(dut: Any, *, error_rate: float, rounds: int, seed: int) -> tuple[SerialBus, int]:
    """Traffic with this many bits in one wrong; returns the bus, and the time taken in ns."""
    engine, bus, device, _ = await start(dut, seed=seed)
    if error_rate:
        for flip in (dut.flip_rx, dut.flip_tx):
            cocotb.start_soon(disturb(engine, flip, baud=BAUD, error_rate=error_rate))

    async def host() -> None:
        await bus.connect()
        await traffic(engine, bus, device, random.Random(seed), rounds)

    begun = engine.now
    await engine.run(host())
    return bus, engine.now - begun


@cocotb.test()
async def clean(dut: Any) -> None:
    bus, _ = await all_of(dut, error_rate=0, rounds=12, seed=5)
    counters = bus.link.counters
    assert counters.frames_resent == counters.frames_damaged == counters.timeouts == counters.rejects_received == 0


@cocotb.test()
async def bit_errors(dut: Any) -> None:
    """One bit in 10,000 wrong costs time, never data."""
    bus, _ = await all_of(dut, error_rate=1e-4, rounds=40, seed=6)
    counters = bus.link.counters
    assert counters.frames_damaged > 3, counters
    assert counters.frames_resent > 3, counters


@cocotb.test()
async def a_bad_line(dut: Any) -> None:
    """Ten times as many."""
    bus, _ = await all_of(dut, error_rate=1e-3, rounds=8, seed=7)
    assert bus.link.counters.frames_damaged > 20, bus.link.counters


@cocotb.test()
async def cut(dut: Any) -> None:
    """A line that is cut is told of."""
    engine, bus, _, _ = await start(dut)

    async def host() -> str:
        await bus.connect()
        dut.flip_tx.value = 1
        try:
            await bus.read32(0)
        except LinkError as error:
            return str(error)
        return "none"

    assert "20 attempts" in await engine.run(host())


@cocotb.test()
async def again(dut: Any) -> None:
    """A second link, in the middle of what the first one was doing: nothing of that is left."""
    engine, _, device, line = await start(dut)
    alive = True
    bus = SerialBus(
        engine,
        HostCpu(engine, IDEAL),
        lambda octets: line.write(octets) if alive else None,
        parameters=PARAMETERS,
    )
    line.receive = bus.receive

    async def first() -> None:
        await bus.connect()
        for offset in range(0, 4000, 500):
            bus.memory.write(offset, bytes([offset // 500 + 1]) * 500)
        bus.write32(0, 1)
        cocotb.start_soon(device.burst_after_burst(4096))
        await engine.sleep(2_000_000)

    await engine.run(first())
    assert not bus.link.idle()
    assert int(dut.memory__write_data__valid.value), "a burst waits for the line"
    alive = False
    device.registers.clear()
    device.accesses.clear()
    other = SerialBus(engine, bus.cpu, line.write, parameters=PARAMETERS)
    line.receive = other.receive

    async def second() -> None:
        await other.connect()
        await traffic(engine, other, device, random.Random(8), 6)

    await engine.run(second())


TESTS = ["identity", "order", "outside", "interrupt", "clean", "bit_errors", "a_bad_line", "cut", "again"]


@pytest.mark.slow
@pytest.mark.parametrize("testcase", TESTS)
def test_bridge(testcase: str) -> None:
    simulate(NoisyBridge(), name="noisy_bridge", test_module=__name__, testcase=testcase)
