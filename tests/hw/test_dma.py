"""DMA arbiter: four clients on a memory that is slow, reorders and holds up."""

import random
from collections import deque
from collections.abc import Container

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hw.dma import DmaArbiter
from hw.interfaces import ReadData, ReadRequest, WriteData, WriteRequest
from tests.hw.memory import HostMemory, fields, pattern
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate

CLIENTS = 4
OUTSTANDING = 6


def pack(layout, **values: int) -> int:
    return sum(values[name] << item.offset for name, item in layout if name in values)


def words_of(address: int, length: int) -> range:
    return range(address & ~7, address + length, 8)


class Client:
    """An engine: asks for bytes and checks what it gets, writes bursts. Forgets everything at ``flush``, as a register
    with ResetInserter does: at the end of a cycle in which that is high."""

    def __init__(self, dut, number: int) -> None:
        self.dut, self.number = dut, number
        self.rng = random.Random(number)
        self.to_read: deque[tuple[int, int]] = deque()
        self.to_write: deque[tuple[int, bytes]] = deque()
        self.expected: deque[tuple[int, bool]] = deque()
        self.reads_taken = 0
        self.words_got = 0
        self.pace = 1.0
        self.write_pace = 1.0
        self.expect_zeros: Container[int] = ()
        """Words that are read as 0."""
        for stream in ("read_request", "write_request", "write_data"):
            self.port(stream, "valid").value = 0

    def port(self, stream: str, part: str):
        return getattr(self.dut, f"clients__{self.number}__{stream}__{part}")

    def start(self) -> None:
        cocotb.start_soon(self._read())
        cocotb.start_soon(self._write())

    async def _read(self) -> None:
        """Asks; a request taken in a cycle is answered in a later one."""
        valid, ready = self.port("read_request", "valid"), self.port("read_request", "ready")
        data_valid, data = self.port("read_data", "valid"), self.port("read_data", "payload")
        asking = False
        while True:
            await RisingEdge(self.dut.clk)
            reset = int(self.dut.flush.value)
            if int(data_valid.value) and not reset:
                word = fields(ReadData, int(data.value))
                assert self.expected, f"client {self.number} got a word that it did not ask for"
                assert (word["data"], bool(word["last"])) == self.expected.popleft()
                self.words_got += 1
            if reset:
                asking = False
                self.to_read.clear()
                self.expected.clear()
            elif asking and int(ready.value):
                asking = False
                self.reads_taken += 1
                words = words_of(*self.to_read.popleft())
                self.expected += [
                    (0 if address in self.expect_zeros else pattern(address), address == words[-1]) for address in words
                ]
            if not asking and self.to_read and self.rng.random() < self.pace:
                asking = True
                address, length = self.to_read[0]
                self.port("read_request", "payload").value = pack(ReadRequest, address=address, length=length, tag=3)
            valid.value = asking

    async def _write(self) -> None:
        """Offers a request, and its words at the same time or later."""
        streams = ("write_request", "write_data")
        asking, words = False, deque()
        offered = dict.fromkeys(streams, False)
        while True:
            await RisingEdge(self.dut.clk)
            if int(self.dut.flush.value):
                self.to_write.clear()
                words.clear()
                asking, offered = False, dict.fromkeys(streams, False)
            else:
                taken = {item for item in streams if offered[item] and int(self.port(item, "ready").value)}
                if "write_request" in taken:
                    asking, offered["write_request"] = False, False
                if "write_data" in taken:
                    words.popleft()
                    offered["write_data"] = False
            if self.to_write and not asking and not words:
                address, content = self.to_write.popleft()
                asking = True
                padded = bytes(address % 8) + content
                for base in words_of(address, len(content)):
                    piece = padded[base - (address & ~7) :][:8]
                    strobe = sum(1 << i for i in range(8) if address <= base + i < address + len(content))
                    last = base + 8 >= address + len(content)
                    words.append(pack(WriteData, data=int.from_bytes(piece, "little"), strobe=strobe, last=last))
                self.port("write_request", "payload").value = pack(WriteRequest, address=address, length=len(content))
            offered["write_request"] = asking
            if words and not offered["write_data"] and self.rng.random() < self.write_pace:
                offered["write_data"] = True
                self.port("write_data", "payload").value = words[0]
            for stream in streams:
                self.port(stream, "valid").value = offered[stream]


def place(rng: random.Random, number: int) -> tuple[int, int]:
    """A random span that crosses no multiple of 512; each client has a gigabyte of its own."""
    length = rng.choice((1, 8, 16, 64, 512, rng.randrange(1, 513)))
    return (number << 30) + 512 * rng.randrange(1 << 20) + rng.randrange(513 - length), length


async def start(dut, **memory) -> tuple[HostMemory, list[Client]]:
    Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
    dut.flush.value = 0
    dut.rst.value = 1
    host = HostMemory(dut, "memory", **memory)
    clients = [Client(dut, number) for number in range(CLIENTS)]
    dut.memory__read_data__valid.value = 0
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    cocotb.start_soon(host.run())
    for client in clients:
        client.start()
    return host, clients


async def until_idle(dut, limit: int) -> None:
    for _ in range(limit):
        await RisingEdge(dut.clk)
        if int(dut.idle.value):
            return
    raise AssertionError(f"not idle within {limit} cycles")


@cocotb.test()
async def everything_at_once(dut) -> None:
    rng = random.Random(4)
    host, clients = await start(dut, latency=lambda: rng.choice((0, 5, 60, 200)), ready=0.6)
    reads, written = 0, []
    for client in clients:
        client.pace = client.write_pace = rng.choice((1.0, 0.4))
        client.to_read.extend(place(rng, client.number) for _ in range(60))
        reads += 60
        for _ in range(40):
            address, length = place(rng, client.number)
            content = rng.randbytes(length)
            client.to_write.append((address, content))
            written.append((client.number, address, content))
    most = 0
    while any(client.to_read or client.to_write or client.expected for client in clients) or not int(dut.idle.value):
        await RisingEdge(dut.clk)
        most = max(most, *host.unanswered.values(), 0)
    assert len(host.reads) == reads
    assert {(tag, address >> 30) for address, _, tag in host.reads} == {(i, i) for i in range(CLIENTS)}
    assert most == OUTSTANDING
    for number in range(CLIENTS):
        mine = [(address, len(content)) for owner, address, content in written if owner == number]
        assert [burst for burst in host.writes if burst[0] >> 30 == number] == mine
    model: dict[int, int] = {}
    for _, address, content in written:
        for offset, byte in enumerate(content):
            model[address + offset] = byte
    for address in host.words:
        for lane in range(8):
            old = pattern(address) >> 8 * lane & 0xFF
            assert host.words[address] >> 8 * lane & 0xFF == model.pop(address + lane, old), hex(address + lane)
    assert not model


@cocotb.test()
async def fair(dut) -> None:
    """Clients that always ask get equal shares, of reads and of writes, whoever came first."""
    host, clients = await start(dut, latency=lambda: 3)
    clients[2].to_read.extend((2 << 30, 8) for _ in range(100))
    await ClockCycles(dut.clk, 20)
    head_start = len(host.reads)
    for client in clients:
        client.to_read.extend((client.number << 30, 8) for _ in range(100))
        client.to_write.extend((client.number << 30 | 1 << 20, bytes(8)) for _ in range(100))
    await ClockCycles(dut.clk, 200)
    shares = [sum(tag == number for _, _, tag in host.reads[head_start:]) for number in range(CLIENTS)]
    assert min(shares) >= 15
    assert max(shares) - min(shares) <= 1, shares
    shares = [sum(address >> 30 == number for address, _ in host.writes) for number in range(CLIENTS)]
    assert min(shares) >= 8
    assert max(shares) - min(shares) <= 1, shares


@cocotb.test()
async def one_is_never_in_the_way_of_another(dut) -> None:
    """A client at its limit of unanswered reads, and one that stalls a write burst, leave the others' reads alone."""
    slow = 2000
    latency = {0: slow}
    host, clients = await start(dut, latency=lambda: latency.get(len(host.reads) // OUTSTANDING, 4))
    clients[0].to_read.extend((0x100, 64) for _ in range(20))
    clients[3].write_pace = 0.0
    clients[3].to_write.append((3 << 30, bytes(64)))
    await ClockCycles(dut.clk, 40)
    assert len(host.reads) == OUTSTANDING
    clients[1].to_read.extend((1 << 30, 64) for _ in range(20))
    await ClockCycles(dut.clk, 300)
    assert clients[1].words_got == 20 * 8
    assert clients[0].words_got == 0
    clients[3].write_pace = 1.0
    await until_idle(dut, 3 * slow)
    assert clients[0].words_got == 20 * 8
    assert host.writes == [(3 << 30, 64)]


@cocotb.test()
async def flush(dut) -> None:
    """Clients are reset in the middle of everything: no stale word reaches them, every write burst ends."""
    rng = random.Random(5)
    host, clients = await start(dut, latency=lambda: rng.choice((0, 3, 50, 150)), ready=0.5)
    held = 0
    for _ in range(120):
        for client in clients:
            client.pace = client.write_pace = rng.choice((1.0, 0.5, 0.1))
            client.to_read.extend(place(rng, client.number) for _ in range(rng.randrange(16)))
            for _ in range(rng.randrange(3)):
                address, length = place(rng, client.number)
                client.to_write.append((address, bytes(length)))
        await ClockCycles(dut.clk, rng.randrange(1, 120))
        held += any(client.expected for client in clients)
        dut.flush.value = 1
        await ClockCycles(dut.clk, rng.choice((1, 1, 4)))
        dut.flush.value = 0
        await RisingEdge(dut.clk)
        if rng.random() < 0.3:
            await until_idle(dut, 3000)
            assert not any(host.unanswered.values())
    assert held > 100, "the resets hardly met a read in flight"
    await until_idle(dut, 3000)
    # Everything works as before, and nothing is left over.
    for client in clients:
        client.pace = client.write_pace = 1.0
        client.to_read.extend(place(rng, client.number) for _ in range(10))
    await ClockCycles(dut.clk, 5)
    await until_idle(dut, 10_000)
    await ClockCycles(dut.clk, 5)
    assert not any(client.to_read or client.expected for client in clients)


@cocotb.test()
async def flush_in_any_cycle_of_a_write(dut) -> None:
    """A reset in each cycle of short bursts: what comes after is whole, and what is abandoned writes nothing else."""
    host, clients = await start(dut, latency=lambda: 0, ready=0.8)
    for delay in range(60):
        for client in clients:
            for count in (8, 24):
                client.to_write.append((client.number << 30, bytes([0xEE]) * count))
        await ClockCycles(dut.clk, 1 + delay)
        dut.flush.value = 1
        await RisingEdge(dut.clk)
        dut.flush.value = 0
        await RisingEdge(dut.clk)
        for client in clients:
            client.to_write.append(((client.number << 30) + 64 + 16 * delay, bytes([delay]) * 16))
        await ClockCycles(dut.clk, 3)
        await until_idle(dut, 500)
    for number in range(CLIENTS):
        for delay in range(60):
            for offset in (64, 72):
                address = (number << 30) + offset + 16 * delay
                assert host.words.pop(address).to_bytes(8, "little") == bytes([delay]) * 8
        for offset in (0, 8, 16):
            assert host.words.pop((number << 30) + offset) == 0xEEEE_EEEE_EEEE_EEEE
    assert not host.words


def test_dma() -> None:
    simulate(DmaArbiter(clients=CLIENTS, outstanding=OUTSTANDING), name="dma", test_module=__name__)


@pytest.mark.parametrize("clients", [0, 5])
def test_bad_clients(clients: int) -> None:
    with pytest.raises(ValueError, match=f"not {clients}"):
        DmaArbiter(clients=clients)


def test_bad_outstanding() -> None:
    with pytest.raises(ValueError, match="not 0"):
        DmaArbiter(clients=1, outstanding=0)
