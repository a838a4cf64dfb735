"""AXI4 manager behind the DMA arbiter: on cocotbext-axi's RAM that pauses, on one that reorders, on one that fails."""

import random
from typing import Any

import cocotb
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge
from hypothesis import given
from hypothesis import strategies as st

from hw.axi import MAX_ERRORS, AxiManager, AxiSignature, burst
from hw.dma import DmaArbiter
from hw.interfaces import MAX_BURST_BYTES, MemoryPort
from tests.hw.axi_memory import PAGE, BurstWatch, ReorderingRam, failing_at, ram
from tests.hw.memory import pattern
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate
from tests.hw.test_dma import CLIENTS, Client, place, words_of


class Arbitrated(wiring.Component):
    """Four clients, arbiter and manager."""

    clients: In(MemoryPort()).array(CLIENTS)
    flush: In(1)
    idle: Out(1)
    axi: Out(AxiSignature())
    writes_pending: Out(range(3))
    write_done: Out(1)
    read_errors: Out(range(MAX_ERRORS + 1))
    write_errors: Out(range(MAX_ERRORS + 1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.arbiter = arbiter = DmaArbiter(clients=CLIENTS)
        m.submodules.manager = manager = AxiManager()
        for number in range(CLIENTS):
            connect(m, flipped(self.clients[number]), arbiter.clients[number])
        connect(m, arbiter.memory, manager.memory)
        connect(m, manager.axi, flipped(self.axi))
        m.d.comb += [arbiter.flush.eq(self.flush), self.idle.eq(arbiter.idle)]
        for name in ("writes_pending", "write_done", "read_errors", "write_errors"):
            m.d.comb += getattr(self, name).eq(getattr(manager, name))
        return m


async def start(dut: Any) -> list[Client]:
    """Clock and reset; the memory must be there before."""
    dut.flush.value = 0
    dut.rst.value = 1
    clients = [Client(dut, number) for number in range(CLIENTS)]
    Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 2)
    for client in clients:
        client.start()
    return clients


async def finish(dut: Any, clients: list[Client], limit: int = 100_000) -> None:
    """Until all that the clients were given is done and answered."""
    quiet = 0
    for _ in range(limit):
        await RisingEdge(dut.clk)
        busy = any(client.to_read or client.to_write or client.expected for client in clients)
        quiet = 0 if busy or not int(dut.idle.value) or int(dut.writes_pending.value) else quiet + 1
        if quiet == 10:  # a write taken from the list of a client is offered some cycles later
            return
    raise AssertionError(f"not done within {limit} cycles")


def give(clients: list[Client], rng: random.Random, *, reads: int, writes: int) -> dict[int, int]:
    """Random work for all; returns the bytes that are to be in memory afterwards."""
    model: dict[int, int] = {}
    for client in clients:
        client.pace = client.write_pace = rng.choice((1.0, 0.4))
        for _ in range(reads):
            client.to_read.append(place(rng, client.number))
        for _ in range(writes):
            address, length = place(rng, client.number)
            content = rng.randbytes(length)
            client.to_write.append((address + (1 << 40), content))
            model |= {address + (1 << 40) + n: byte for n, byte in enumerate(content)}
    return model


def load(memory: Any, clients: list[Client]) -> None:
    """What the clients expect to read."""
    for client in clients:
        for address, length in client.to_read:
            for word in words_of(address, length):
                memory.write(word, pattern(word).to_bytes(8, "little"))


async def everything(dut: Any, *, busy: float) -> None:
    """All clients read and write; the five channels pause for this share of the cycles."""
    memory = ram(dut, "axi_", busy=busy)
    watch = BurstWatch(dut, "axi_")
    clients = await start(dut)
    model = give(clients, random.Random(busy), reads=40, writes=25)
    load(memory, clients)
    asked = sorted((*burst(*request), client.number) for client in clients for request in client.to_read)
    written = sorted(burst(address, len(data)) for client in clients for address, data in client.to_write)
    await finish(dut, clients)
    assert sorted(watch.reads) == asked
    assert sorted(watch.writes) == written
    assert all(memory.read(address, 1)[0] == byte for address, byte in model.items())
    assert int(dut.read_errors.value) == int(dut.write_errors.value) == 0


@cocotb.test()
async def never_paused(dut: Any) -> None:
    await everything(dut, busy=0.0)


@cocotb.test()
async def paused_now_and_then(dut: Any) -> None:
    await everything(dut, busy=0.3)


@cocotb.test()
async def paused_most_of_the_time(dut: Any) -> None:
    await everything(dut, busy=0.8)


@cocotb.test()
async def ids_overtake(dut: Any) -> None:
    """Every client gets its own words in order, whatever order the bus has for the ids."""
    memory = ReorderingRam(dut, "axi_", seed=3, delay=20)
    watch = BurstWatch(dut, "axi_")
    clients = await start(dut)
    model = give(clients, random.Random(3), reads=60, writes=10)
    await finish(dut, clients)
    assert memory.overtaken > 300
    assert len(watch.reads) == 60 * CLIENTS
    assert all(memory.memory.read(address, 1)[0] == byte for address, byte in model.items())


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_write_is_done_when_answered(dut: Any) -> None:
    """What ``write_done`` tells of is in memory, though this performs it late."""
    memory = ReorderingRam(dut, "axi_", seed=4, delay=50)
    clients = await start(dut)
    addresses = [0x5000 + 24 * n for n in range(20)]
    clients[1].to_write.extend((address, bytes([n + 1]) * 16) for n, address in enumerate(addresses))
    for address in addresses:
        while not int(dut.write_done.value):
            await RisingEdge(dut.clk)
        assert memory.memory.read(address, 16) == bytes([addresses.index(address) + 1]) * 16
        assert int(dut.writes_pending.value) >= 1
        await RisingEdge(dut.clk)
    await finish(dut, clients)
    assert int(dut.writes_pending.value) == 0


@cocotb.test()
async def errors(dut: Any) -> None:
    """Each transfer read with an error gives zeros, each burst written with one is lost, and all else goes on."""
    memory = ram(dut, "axi_", busy=0.2)
    clients = await start(dut)
    failing_at(memory, 0x7000)
    good = [0x5000 + 64 * n for n in range(6)]
    for address in range(0x5000, 0x6000, 8):
        memory.write(address, pattern(address).to_bytes(8, "little"))
    clients[0].to_write.extend([(0x8000, b"before"), (0x7000, b"lost" * 4), (0x8010, b"behind")])
    for address in good:
        clients[2].to_read.append((address, 40))
    await finish(dut, clients)
    assert memory.read(0x8000, 6) == b"before"
    assert memory.read(0x8010, 6) == b"behind"
    assert memory.read(0x7000, 16) == bytes(16)
    assert (int(dut.write_errors.value), int(dut.read_errors.value)) == (1, 0)

    clients[3].expect_zeros = range(0x7000, 0x7000 + PAGE)
    clients[3].to_read.extend([(0x7100, 24), (0x5200, 8), (0x7203, 17)])
    await finish(dut, clients)
    assert (int(dut.write_errors.value), int(dut.read_errors.value)) == (1, 6)
    clients[3].to_read.extend((0x7000, 512) for _ in range(5))
    await finish(dut, clients)
    assert int(dut.read_errors.value) == MAX_ERRORS


@cocotb.test()
async def decode_errors_amid_a_burst(dut: Any) -> None:
    memory = ReorderingRam(dut, "axi_", seed=6)
    clients = await start(dut)
    memory.decode_errors = {0x2008, 0x2018}
    for number, client in enumerate(clients):
        client.to_read.extend([(0x3000 + 512 * number, 64)] * 4)
    clients[1].expect_zeros = memory.decode_errors
    clients[1].to_read.append((0x2000, 40))
    await finish(dut, clients)
    assert int(dut.read_errors.value) == 2


def test_axi() -> None:
    simulate(Arbitrated(), name="axi", test_module=__name__)


@given(st.integers(0, 2**64 // MAX_BURST_BYTES - 1), st.integers(0, MAX_BURST_BYTES - 1), st.data())
def test_bursts_stay_within_a_page_and_hold_what_was_asked_for(block: int, offset: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(1, MAX_BURST_BYTES - offset))
    asked = block * MAX_BURST_BYTES + offset
    address, field = burst(asked, length)
    end = address + 8 * (field + 1)
    assert address % 8 == 0
    assert 0 <= field < 256
    assert address <= asked
    assert asked + length <= end < asked + length + 8
    assert address // PAGE == (end - 1) // PAGE
