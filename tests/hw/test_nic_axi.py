"""The whole NIC on AXI: cocotbext-axi's manager at the registers, its RAM as host memory, real frames on the GMII."""

import logging
import random
from typing import Any

import cocotb
import pytest
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiRam

from hw.axi_nic import AxiNic
from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE
from hw.mac.fcs import append_fcs
from hw.nic import Nic
from hw.registers import BY_NAME
from tests.hw.axi_memory import BurstWatch, failing_at, ram
from tests.hw.nic_bench import OWN, RECEIVE_RING, TRANSMIT_RING, NicBench
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate

PEER = bytes.fromhex("020000000002")
LONGEST_NS = 100_000 * CLOCK_PERIOD_NS


class AxiMemory:
    """cocotbext-axi's RAM, as ``NicBench`` wants host memory."""

    def __init__(self, dut: Any, *, busy: float) -> None:
        self.ram: AxiRam = ram(dut, "m_axi_", busy=busy)
        self._watch = BurstWatch(dut, "m_axi_")
        self.writes = self._watch.writes

    async def run(self) -> None:
        """The RAM runs by itself."""

    def load(self, address: int, content: bytes) -> None:
        self.ram.write(address, content)

    def word(self, address: int) -> int:
        return int.from_bytes(self.ram.read(address, 8), "little")


class AxiRegisters:
    """cocotbext-axi's manager, as ``NicBench`` wants registers."""

    def __init__(self, dut: Any) -> None:
        self._manager = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil_"), dut.clk, dut.rst)
        for part in (self._manager.write_if, self._manager.read_if):
            part.log.setLevel(logging.WARNING)

    async def write(self, address: int, data: int) -> None:
        await self._manager.write_dword(address, data)

    async def read(self, address: int) -> int:
        return int(await self._manager.read_dword(address))


async def started(dut: Any, *, busy: float = 0.0) -> NicBench:
    bench = NicBench(dut, memory=AxiMemory(dut, busy=busy), registers=AxiRegisters(dut))
    await bench.start()
    await bench.open(buffers=40)
    return bench


def frames(rng: random.Random, count: int, *, to: bytes, source: bytes) -> list[bytes]:
    return [to + source + b"\x88\xb5" + rng.randbytes(rng.choice((46, 47, 300, 1500))) for _ in range(count)]


async def both_ways(bench: NicBench, rng: random.Random, count: int) -> None:
    """This many frames in each direction at once, to the byte."""
    incoming = frames(rng, count, to=OWN, source=PEER)
    outgoing = frames(rng, count, to=PEER, source=OWN)
    for data in incoming:
        bench.send(data)
    await bench.transmit(*map(bench.legacy, outgoing))
    await with_timeout(bench.settle(), LONGEST_NS, "ns")
    assert [data for _, data in bench.received()] == list(map(append_fcs, incoming))
    assert bench.sent() == list(map(append_fcs, outgoing))
    assert await bench.read("TDH") == await bench.read("TDT")


@cocotb.test()
@cocotb.parametrize(busy=[0.0, 0.5])
async def frames_both_ways(dut: Any, busy: float) -> None:
    """On a bus that is always ready, and on one whose channels all pause half of the time."""
    bench = await started(dut, busy=busy)
    await both_ways(bench, random.Random(1), 12)
    assert await bench.read("MPC") == 0
    assert int(dut.read_errors.value) == int(dut.write_errors.value) == 0


@cocotb.test()
async def what_icr_tells_is_in_memory(dut: Any) -> None:
    """Memory performs writes late, and software hurries: with RXT0 it finds the frame, with TXDW the status."""
    bench = await started(dut)
    rng = random.Random(2)
    interface = bench.memory.ram.write_if
    perform = interface._write

    async def late(address: int, data: bytes) -> None:
        await ClockCycles(dut.clk, rng.randrange(1, 12))
        await perform(address, data)

    interface._write = late
    icr = BY_NAME["ICR"]
    await bench.read("ICR")
    await bench.write("IMS", icr.mask("RXT0", "TXDW"))
    for number in range(12):
        (incoming,) = frames(rng, 1, to=OWN, source=PEER)
        (outgoing,) = frames(rng, 1, to=PEER, source=OWN)
        bench.send(incoming)
        await bench.transmit(bench.legacy(outgoing))
        left = icr.mask("RXT0", "TXDW")
        while left:
            if not int(dut.interrupt.value):
                await with_timeout(RisingEdge(dut.interrupt), LONGEST_NS, "ns")
            causes = await bench.read("ICR")
            if causes & icr.mask("RXT0"):
                assert [data for _, data in bench.received()] == [append_fcs(incoming)], number
            if causes & icr.mask("TXDW"):
                assert bench.octets(TRANSMIT_RING + DESCRIPTOR_BYTES * number + 12, 1) == b"\x01", number
            left &= ~causes
        await bench.settle(200)
        assert bench.sent() == [append_fcs(outgoing)]


@cocotb.test()
async def bus_errors(dut: Any) -> None:
    """Errors at payload and at descriptors are counted, and stop nothing: what comes behind is as it should be."""
    bench = await started(dut)
    rng = random.Random(3)
    bad = 0x300_0000
    failing_at(bench.memory.ram, bad)
    data = frames(rng, 2, to=PEER, source=OWN)
    # Payload that cannot be read goes out as zeros.
    await bench.transmit(bench.legacy(data[0], address=bad + 8), bench.legacy(data[1]))
    await with_timeout(bench.settle(), LONGEST_NS, "ns")
    assert bench.sent() == [append_fcs(bytes(len(data[0]))), append_fcs(data[1])]
    assert int(dut.read_errors.value) == -(-len(data[0]) // 8)
    assert int(dut.write_errors.value) == 0
    # A buffer that cannot be written: that frame's data is lost, the next frame is not.
    incoming = frames(rng, 2, to=OWN, source=PEER)
    bench.memory.load(RECEIVE_RING + DESCRIPTOR_BYTES * bench.receive_tail, RECEIVE.pack(address=bad))
    bench.receive_tail += 1
    await bench.give(1)
    for _ in range(40):  # those given before
        bench.send(incoming[1])
    for frame in incoming:
        bench.send(frame)
    await with_timeout(bench.settle(), 10 * LONGEST_NS, "ns")
    received = bench.received()
    assert len(received) == 42
    assert [frame for _, frame in received[:40]] == [append_fcs(incoming[1])] * 40
    assert received[40][1] == bytes(len(incoming[0]) + 4)
    assert received[41][1] == append_fcs(incoming[1])
    assert int(dut.write_errors.value) == -(-(len(incoming[0]) + 4) // 512)
    # Descriptors that cannot be read are zeros: they transfer nothing, and are passed over.
    errors = int(dut.read_errors.value)
    await bench.write("TCTL", 0)
    await bench.write("TDBAL", bad)
    await bench.write("TDH", 0)
    await bench.write("TDT", 5)
    await bench.write_fields("TCTL", EN=1, PSP=1)
    await with_timeout(bench.settle(), LONGEST_NS, "ns")
    assert int(dut.read_errors.value) == errors + 10
    assert await bench.read("TDH") == 5
    assert bench.sent() == []
    # And after a reset all is well.
    await bench.write_fields("CTRL", RST=1)
    await bench.open(buffers=40)
    await both_ways(bench, rng, 5)


@cocotb.test()
async def nothing_is_written_after_a_reset(dut: Any) -> None:
    """Once the first read after CTRL.RST is answered, memory stays as it is; then all begins anew."""
    bench = await started(dut, busy=0.7)
    rng = random.Random(4)
    for _ in range(15):
        for data in frames(rng, 4, to=OWN, source=PEER):
            bench.send(data)
        await bench.transmit(*map(bench.legacy, frames(rng, 4, to=PEER, source=OWN)))
        await bench.wait(rng.randrange(50, 2500))
        await bench.write_fields("CTRL", RST=1)
        await with_timeout(bench.read("STATUS"), LONGEST_NS, "ns")
        begun, done = list(bench.memory.writes), int(dut.m_axi__bready.value)
        assert not done, "a write is not answered"
        await bench.wait(1000)
        assert bench.memory.writes == begun
        await bench.source.wait()
        await bench.open(buffers=40)
        bench.sink.clear()
        await both_ways(bench, rng, 2)


@pytest.mark.slow
def test_nic_axi() -> None:
    simulate(AxiNic(nic=Nic()), name="axi_nic", test_module=__name__)
