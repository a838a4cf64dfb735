"""Register file against the table: every register's reset value, mask, side effects and neighbours."""

import random
from dataclasses import replace

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from hw.register_file import RegisterFile
from hw.registers import BY_NAME, REGISTERS, STATISTICS, Access, Field, Register, Status, at_offset
from tests.hw.register_port import Registers
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate

PATTERNS = (0x5A5A_5A5A, 0xA5A5_A5A5, 0, 0xFFFF_FFFF)
"""Of the driver's self-test (``ethtool -t``)."""

SELF_TEST = {
    "RDH": (0xFFFF, 0xFFFF),
    "RDT": (0xFFFF, 0xFFFF),
    "RDBAH": (0xFFFF_FFFF, 0xFFFF_FFFF),
    "TDBAH": (0xFFFF_FFFF, 0xFFFF_FFFF),
    "RDLEN": (0x000F_FF80, 0x000F_FFFF),
    "TDLEN": (0x000F_FF80, 0x000F_FFFF),
    "TIPG": (0x3FFF_FFFF, 0x3FFF_FFFF),
    "RDBAL": (0xFFFF_FFF0, 0xFFFF_FFFF),
    "TDBAL": (0xFFFF_FFF0, 0xFFFF_FFFF),
    "RAH": (0x8003_FFFF, 0xFFFF_FFFF),
    "RAL": (0xFFFF_FFFF, 0xFFFF_FFFF),
    "FCAL": (0xFFFF_FFFF, 0xFFFF_FFFF),
    "FCAH": (0xFFFF, 0xFFFF_FFFF),
    "FCT": (0xFFFF, 0xFFFF_FFFF),
    "VET": (0xFFFF, 0xFFFF_FFFF),
    "RDTR": (0xFFFF, 0xFFFF_FFFF),
    "TIDV": (0xFFFF, 0xFFFF),
    "FCTTV": (0xFFFF, 0xFFFF),
    "FCRTH": (0xFFF8, 0xFFF8),
    "TXCW": (0xFFFF, 0xFFFF),
    "MTA": (0xFFFF_FFFF, 0xFFFF_FFFF),
}
"""The driver's own table: what is written is pattern & second, what must read back is that & first."""

# Registers that do not occur in the real table: access kinds that no built register has yet.
EXTRA = Register(
    name="EXTRA",
    offset=0x1_FFFC,
    fields=(
        Field(name="PLAIN", lsb=0, width=3, reset=5),
        Field(name="GO", lsb=4, width=2, access=Access.SC),
        Field(name="STICKY", lsb=8, width=4, access=Access.W1C),
        Field(name="COUNT", lsb=16, width=8, access=Access.STATISTIC),
        Field(name="GIVEN", lsb=12, width=2, reset=1, loaded=True),
        Field(name="PLACE", lsb=24, width=8, updated=True),
    ),
    description="",
)
TABLE = (*REGISTERS, EXTRA)
BUILT = [register for register in TABLE if register.status is not Status.NOT_BUILT]
BLOCK = {register.offset: register for register in STATISTICS}
"""Registers of the one block, which a memory outside answers for."""
HARDWARE = (Access.RO, Access.RC, Access.W1S, Access.W1C, Access.STATISTIC)


def hardware_mask(register: Register) -> int:
    return sum(item.mask for item in register.fields if item.access in HARDWARE or item.updated)


def stored_mask(register: Register) -> int:
    return sum(item.mask for item in register.fields if item.access is Access.RW and not item.updated)


class Bench:
    """Software, and an outside for all registers: memories for the arrays, values for fields kept by the NIC."""

    def __init__(self, dut) -> None:
        self.dut = dut
        self.registers = Registers(dut)
        kept = (item.name for item in BUILT if item.count == 1 and not item.block and hardware_mask(item))
        self.hardware = dict.fromkeys(kept, 0)
        self.block = dict.fromkeys(BLOCK, 0)
        self.arrays = {item.name: [0] * item.count for item in BUILT if item.count > 1}
        self.accesses: list[tuple[str, str, int]] = []
        """Pulses seen, as (register, "read" or "written", write_data)."""
        self.follow = True
        """Whether fields kept by the NIC take what is written, as an engine's head does."""

    def port(self, register: str, part: str):
        return getattr(self.dut, f"{register.lower()}__{part}")

    async def start(self) -> None:
        Clock(self.dut.clk, CLOCK_PERIOD_NS, "ns").start()
        self.dut.reset.value = self.dut.hold.value = 0
        for name in self.hardware:
            self.set_hardware(name, 0)
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        cocotb.start_soon(self._answer())
        for register in BUILT:
            if register.block:
                continue
            if register.count > 1:
                cocotb.start_soon(self._array(register))
            else:
                cocotb.start_soon(self._pulses(register, "read"))
                cocotb.start_soon(self._pulses(register, "written"))

    def set_hardware(self, name: str, value: int) -> None:
        self.hardware[name] = value
        self.port(name, "hardware").value = value

    async def _pulses(self, register: Register, kind: str) -> None:
        pulse = self.port(register.name, kind)
        while True:
            await RisingEdge(pulse)
            await RisingEdge(self.dut.clk)
            assert int(pulse.value)
            data = int(self.port(register.name, "write_data").value)
            self.accesses.append((register.name, kind, data if kind == "written" else 0))
            if kind == "written" and self.follow and register.name in self.hardware:
                self.set_hardware(register.name, data)
            await RisingEdge(self.dut.clk)
            assert not int(pulse.value), f"{register.name}.{kind} is longer than a cycle"

    async def _array(self, register: Register) -> None:
        memory = self.arrays[register.name]
        while True:
            await RisingEdge(self.dut.clk)
            address = int(self.port(register.name, "address").value)
            if int(self.port(register.name, "write").value):
                memory[address] = int(self.port(register.name, "write_data").value)
            self.port(register.name, "read_data").value = memory[address]  # of the address in the cycle that ends

    async def _answer(self) -> None:
        """The memory of the block: it takes some cycles, and clears what is read."""
        rng = random.Random(9)
        request, acknowledge = self.port("STATISTICS", "request"), self.port("STATISTICS", "acknowledge")
        while True:
            await RisingEdge(self.dut.clk)
            acknowledge.value = 0
            self.port("STATISTICS", "read_data").value = 0xDEAD_BEEF
            if not int(request.value) or int(acknowledge.value):
                continue
            if delay := rng.randrange(8):
                await ClockCycles(self.dut.clk, delay)
            offset = 0x4000 + 4 * int(self.port("STATISTICS", "address").value)
            assert int(request.value), "the request waits for its answer"
            if offset in self.block:
                self.accesses.append((BLOCK[offset].name, "read", 0))
            self.port("STATISTICS", "read_data").value = self.block.get(offset, 0)
            self.block |= {offset: 0} if offset in self.block else {}
            acknowledge.value = 1

    async def write(self, address: int, data: int) -> None:
        """Write, and wait until it is performed."""
        await self.registers.write(address, data)
        await ClockCycles(self.dut.clk, 4)

    async def read(self, address: int) -> int:
        return await self.registers.read(address)


@cocotb.test()
async def reset_values(dut) -> None:
    bench = Bench(dut)
    await bench.start()
    for register in TABLE:
        for offset in register.offsets():
            built = register.status is not Status.NOT_BUILT
            expected = register.reset & stored_mask(register) if built else register.reset
            assert await bench.read(offset) == expected, register.name
    # Values that the manual gives, by hand.
    assert await bench.read(0x0410) == 8 | 8 << 10 | 6 << 20
    assert await bench.read(0x3830) == 0x0100_0400
    assert await bench.read(0x0100) == await bench.read(0x0400) == await bench.read(0x00D0) == 0


@cocotb.test()
async def self_test_patterns(dut) -> None:
    """Row by row what the driver's self-test does, for every register of the table, and its own rows as it has them."""
    bench = Bench(dut)
    await bench.start()
    for register in TABLE:
        for offset in register.offsets():
            for data in PATTERNS:
                await bench.write(offset, data)
                got = await bench.read(offset)
                if register.status is Status.NOT_BUILT:
                    assert got == register.reset, register.name
                else:
                    follows = register.count == 1 and not register.block
                    back = register.writable_mask | (hardware_mask(register) if follows else 0)
                    assert got == data & back, (register.name, hex(data), hex(got))
    rows = 0
    for name, (mask, write) in SELF_TEST.items():
        register = BY_NAME[name]
        if register.status is not Status.NOT_BUILT:
            rows += 1
            for data in PATTERNS:
                await bench.write(register.offset, data & write)
                assert await bench.read(register.offset) == data & write & mask, name
    assert rows >= 11
    for write, mask in ((0, 0xFFFF_FFFF), (0xFFFF_FFFF, 0x06DF_B3FE), (0x003F_FFFB, 0x06DF_B3FE)):
        await bench.write(BY_NAME["RCTL"].offset, write)
        assert await bench.read(BY_NAME["RCTL"].offset) == write & mask


@cocotb.test()
async def all_at_once(dut) -> None:
    """Every register gets a value of its own, then all are read: none has another's, or another's pulse."""
    bench = Bench(dut)
    await bench.start()
    bench.follow = False
    rng = random.Random(7)
    offsets = [(register, offset) for register in TABLE for offset in (*register.offsets(),)[: register.count]]
    rng.shuffle(offsets)
    expected = {}
    for register, offset in offsets:
        data = rng.getrandbits(32)
        bench.accesses.clear()
        await bench.write(offset, data)
        built = register.status is not Status.NOT_BUILT
        pulses = built and register.count == 1 and not register.block
        seen = [(register.name, "written", data)] if pulses else []
        assert bench.accesses == seen
        expected[offset] = data & stored_mask(register) if built else register.reset
        if built and register.count == 1:
            expected[offset] |= (value := rng.getrandbits(32) & hardware_mask(register))
            if register.block:
                bench.block[offset] = value
            elif value:
                bench.set_hardware(register.name, value)
        if register.count == 1 and built and stored_mask(register):
            got = int(bench.port(register.name, "value").value)
            assert got == data & stored_mask(register), register.name
    rng.shuffle(offsets)
    for register, offset in offsets:
        bench.accesses.clear()
        assert await bench.read(offset) == expected[offset], register.name
        built = register.status is not Status.NOT_BUILT and register.count == 1
        assert bench.accesses == ([(register.name, "read", 0)] if built else [])
    assert await bench.read(BY_NAME["CTRL"].shadows[0]) == expected[0]


@cocotb.test()
async def holes(dut) -> None:
    """Offsets that no register has, and unaligned ones: read 0, and a write does nothing anywhere."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(8)
    near = {offset ^ 1 << bit for register in TABLE for offset in register.offsets() for bit in range(17)}
    near = {offset for offset in near if at_offset(offset) is None and offset != EXTRA.offset}
    before = [await bench.read(register.offset) for register in BUILT]
    bench.accesses.clear()
    for offset in rng.sample(sorted(near), 1500):
        await bench.registers.write(offset, 0xFFFF_FFFF)
        assert await bench.read(offset) == 0, hex(offset)
    assert bench.accesses == []
    assert not any(any(memory) for memory in bench.arrays.values())
    assert [await bench.read(register.offset) for register in BUILT] == before


@cocotb.test()
async def self_clearing(dut) -> None:
    """A self-clearing field is up for the one cycle after ``written``; zeros start nothing."""
    bench = Bench(dut)
    await bench.start()
    for register, name in ((BY_NAME["CTRL"], "RST"), (EXTRA, "GO")):
        item = register[name]
        for data, pulse in ((item.mask, item.mask), (0xFFFF_FFFF & ~item.mask, 0), (1 << item.lsb, 1 << item.lsb)):
            written, values = [], []
            await bench.registers.write(register.offset, data)
            for _ in range(6):
                await RisingEdge(dut.clk)
                written.append(int(bench.port(register.name, "written").value))
                values.append(int(bench.port(register.name, "value").value) & item.mask)
            assert written == [0, 1, 0, 0, 0, 0]
            assert values == [0, 0, pulse, 0, 0, 0]
            assert not await bench.read(register.offset) & item.mask


@cocotb.test()
async def nic_reset(dut) -> None:
    """``reset`` restores what is stored; accesses wait for its end, none is lost, the bus side goes on."""
    bench = Bench(dut)
    await bench.start()
    tipg, rctl = BY_NAME["TIPG"], BY_NAME["RCTL"]
    for late in range(5):
        await bench.write(tipg.offset, 0x1234)
        await bench.write(rctl.offset, 0x8002)
        bench.accesses.clear()
        task = cocotb.start_soon(bench.registers.write(rctl.offset, 0x4))
        await ClockCycles(dut.clk, late)
        dut.reset.value = 1
        await ClockCycles(dut.clk, 20)
        performed_before = bool(bench.accesses)
        dut.reset.value = 0
        await task
        await ClockCycles(dut.clk, 6)
        assert bench.accesses == [("RCTL", "written", 4)]
        assert await bench.read(rctl.offset) == (0 if performed_before else 4)
        assert performed_before == (late >= 2)  # its third cycle is the reset's first, or before that
        assert await bench.read(tipg.offset) == tipg.reset
    bench.accesses.clear()
    await bench.registers.request(address=tipg.offset)  # a read whose response waits through a reset
    await ClockCycles(dut.clk, 6)
    dut.reset.value = 1
    await ClockCycles(dut.clk, 3)
    dut.reset.value = 0
    assert int(dut.port__response__valid.value)
    assert int(dut.port__response__payload.value) == tipg.reset


@cocotb.test()
async def load_and_hold(dut) -> None:
    """``load`` gives loaded fields their values and leaves the others; accesses wait for the end of ``hold``."""
    bench = Bench(dut)
    await bench.start()
    bench.follow = False
    load, load_data = bench.port("EXTRA", "load"), bench.port("EXTRA", "load_data")
    for given in (2, 0, 3):
        for reset in (0, 1):
            dut.reset.value, dut.hold.value = reset, 1
            task = cocotb.start_soon(bench.registers.read(EXTRA.offset))
            load.value, load_data.value = 1, EXTRA.value(GIVEN=given, PLAIN=2)
            await RisingEdge(dut.clk)
            load.value = dut.reset.value = 0
            await ClockCycles(dut.clk, 10)
            assert not task.done()
            dut.hold.value = 0
            assert await task == EXTRA.value(GIVEN=given, PLAIN=5)
    await bench.write(EXTRA.offset, EXTRA.value(GIVEN=1, PLAIN=6))
    assert await bench.read(EXTRA.offset) == EXTRA.value(GIVEN=1, PLAIN=6)


@cocotb.test()
async def timing(dut) -> None:
    """The cycles that are promised, a response that waits, and read after write at full speed."""
    bench = Bench(dut)
    await bench.start()
    await bench.registers.request(address=BY_NAME["RCTL"].offset)  # taken in cycle 1
    reads, valids = [], []
    for _ in range(2, 9):
        await RisingEdge(dut.clk)
        reads.append(int(bench.port("RCTL", "read").value))
        valids.append(int(dut.port__response__valid.value))
        assert not int(dut.port__request__ready.value)
    assert reads == [0, 1, 0, 0, 0, 0, 0]
    assert valids == [0, 0, 0, 1, 1, 1, 1]
    dut.port__response__ready.value = 1
    await ClockCycles(dut.clk, 2)
    dut.port__response__ready.value = 0
    for data in range(10):
        for name in ("RDT", "RDH"):  # one stored here, one in an engine
            await bench.registers.write(BY_NAME[name].offset, data)
            assert await bench.registers.read(BY_NAME[name].offset) == data


def test_register_file() -> None:
    simulate(RegisterFile(registers=TABLE), name="register_file", test_module=__name__)


def test_two_at_one_offset() -> None:
    with pytest.raises(ValueError, match="EXTRA and CTRL are both at 0x00004"):
        RegisterFile(registers=(*REGISTERS, replace(EXTRA, offset=4)))


@pytest.mark.parametrize("changes", [{"count": 12}, {"stride": 12}, {"offset": 0x5410}, {"shadows": (0x5600,)}])
def test_bad_array(changes: dict) -> None:
    with pytest.raises(ValueError, match="RAL: an array"):
        RegisterFile(registers=(replace(BY_NAME["RAL"], **changes),))


@pytest.mark.parametrize("changes", [{"offset": 0x1_0000}, {"shadows": (0x5C00,)}])
def test_bad_block(changes: dict) -> None:
    with pytest.raises(ValueError, match="STATISTICS: a block"):
        RegisterFile(registers=(*STATISTICS[:-1], replace(STATISTICS[-1], **changes)))


def test_array_in_a_block() -> None:
    with pytest.raises(ValueError, match="STATISTICS: a block"):
        RegisterFile(registers=(replace(STATISTICS[0], count=2),))


def test_stranger_within_a_block() -> None:
    with pytest.raises(ValueError, match="STATISTICS: EXTRA lies within"):
        RegisterFile(registers=(*STATISTICS, replace(EXTRA, offset=0x4024)))
