"""MDIO master and built-in PHY, joined as in the NIC: results against the PHY's golden model, frames on the wire."""

import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.mac.speed import Speed
from hw.mdio import READ, WRITE, MdioMaster, frame_bits
from hw.phy import PHY_ADDRESS, Phy, PhyModel
from hw.phy_link import PARTNER, LinkPartner
from hw.register_file import RegisterSignature
from hw.registers import BY_NAME

MDIC = BY_NAME["MDIC"]
PERIOD = 8
"""Cycles per MDC, the fewest."""


class Joined(wiring.Component):
    """Master and PHY, and what is on the wire between them."""

    mdic: In(RegisterSignature(MDIC))
    reset: In(1)
    done: Out(1)
    mdc: Out(1)
    mdio: Out(1)
    oe: Out(1)
    phy_reset: In(1)
    cable: In(1)
    link: Out(1)
    speed: Out(Speed)
    loopback: Out(1)

    def __init__(self, *, period: int, partner: LinkPartner) -> None:
        self._period = period
        self._partner = partner
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.master = master = MdioMaster(cycles_per_mdc=self._period)
        m.submodules.phy = phy = Phy(partner=self._partner)
        connect(m, flipped(self.mdic), master.mdic)
        connect(m, master.bus, phy.bus)
        m.d.comb += [
            master.reset.eq(self.reset),
            self.done.eq(master.done),
            self.mdc.eq(master.bus.mdc),
            self.oe.eq(master.bus.oe),
            self.mdio.eq((master.bus.o | ~master.bus.oe) & phy.bus.i),
            phy.reset.eq(self.phy_reset),
            phy.cable.eq(self.cable),
            self.link.eq(phy.link),
            self.speed.eq(phy.speed),
            self.loopback.eq(phy.loopback),
        ]
        return m


class Bench:
    """Software at MDIC."""

    def __init__(self, *, period: int = PERIOD, partner: LinkPartner = PARTNER) -> None:
        self.dut = Joined(period=period, partner=partner)
        self.period = period
        self.simulator = Simulator(self.dut)
        self.simulator.add_clock(8e-9)
        self.simulator.add_testbench(self._run)
        self.simulator.add_testbench(self._watch, background=True)
        self.bits = ""
        """MDIO at each rise of MDC."""
        self.driven = 0
        """At how many of them the master drove it."""
        self.done = 0
        self.used = False
        self.process: Callable[[Any], Coroutine[Any, Any, None]]

    async def _run(self, context: Any) -> None:
        await self.process(context)

    async def _watch(self, context: Any) -> None:
        before = 0
        async for _, _, mdc, mdio, oe, done in context.tick().sample(
            self.dut.mdc, self.dut.mdio, self.dut.oe, self.dut.done
        ):
            self.done += done
            if mdc and not before:
                self.bits += str(mdio)
                self.driven += oe
            before = mdc

    def run(self, process: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        self.process = process
        self.bits, self.driven, self.done = "", 0, 0
        if self.used:
            self.simulator.reset()
        self.used = True
        self.simulator.run()

    async def write(self, context: Any, value: int) -> None:
        mdic = self.dut.mdic
        context.set(mdic.write_data, value)
        context.set(mdic.written, 1)
        await context.tick()
        context.set(mdic.written, 0)

    def value(self, context: Any) -> int:
        hardware = context.get(self.dut.mdic.hardware)
        return sum(item.put(getattr(hardware, item.name.lower())) for item in MDIC.fields)

    async def access(self, context: Any, operation: int, register: int, data: int = 0, **more: int) -> int:
        """One management access; returns MDIC when READY."""
        fields = {"PHY": PHY_ADDRESS, **more}
        await self.write(context, MDIC.value(OP=operation, REG=register, DATA=data, **fields))
        return await self.ready(context)

    async def ready(self, context: Any) -> int:
        for _ in range(66 * self.period):
            await context.tick()
            if MDIC["READY"].get(self.value(context)):
                return self.value(context)
        raise AssertionError("MDIC is never ready")


BENCH = Bench()

PARTNER_WITHOUT_GIGABIT = LinkPartner(gigabit_status=0)

registers = st.one_of(st.sampled_from((0, 0, 1, 1, 2, 4, 9, 17, 20)), st.integers(0, 31))
control = st.sampled_from(
    (0x1140, 0x9140, 0x1340, 0x1940, 0x4140, 0x5140, 0x0340, 0x0140, 0x2100, 0x0100, 0x6100, 0x2140, 0x2000, 0xFFFF, 0)
)
advertisement = st.sampled_from((0x0DE1, 0x0141, 0x0101, 0x0041, 0x00A1, 0x0001))
gigabit_control = st.sampled_from((0x0E00, 0x0200, 0x0100, 0))
accesses = st.one_of(
    st.tuples(st.just("read"), registers, st.integers(0, 0xFFFF)),
    st.tuples(st.just("write"), registers, st.integers(0, 0xFFFF)),
    st.tuples(st.just("write"), st.just(0), control),
    st.tuples(st.just("write"), st.just(4), advertisement),
    st.tuples(st.just("write"), st.just(9), gigabit_control),
    st.tuples(st.just("cable"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("reset"), st.just(0), st.just(0)),
)


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(accesses, min_size=1, max_size=12))
@example([("write", 0, 0x1340), ("read", 0, 0)])
@example([("cable", 1, 0), ("write", 0, 0x1940), ("reset", 0, 0), ("read", 0, 0)])
@example([("cable", 1, 0), ("read", 1, 0), ("read", 1, 0), ("write", 0, 0x1340), ("read", 1, 0), ("read", 1, 0)])
@example(
    [("cable", 1, 0), ("write", 0, 0x1940), ("read", 17, 0), ("write", 0, 0x8000), ("read", 17, 0), ("read", 0, 0)]
)
@example([("cable", 1, 0), ("read", 1, 0), ("cable", 0, 0), ("cable", 1, 0), ("read", 1, 0), ("read", 1, 0)])
@example([("write", 4, 0x1234), ("read", 4, 0), ("reset", 0, 0), ("read", 4, 0), ("write", 2, 0x5678), ("read", 2, 0)])
def test_against_golden(history: list[tuple[str, int, int]]) -> None:

    async def process(context: Any) -> None:
        golden = PhyModel()
        for kind, number, data in history:
            match kind:
                case "read":
                    expected = MDIC.value(OP=READ, REG=number, PHY=PHY_ADDRESS, DATA=golden.read(number), READY=1)
                    assert await BENCH.access(context, READ, number, data) == expected
                case "write":
                    expected = MDIC.value(OP=WRITE, REG=number, PHY=PHY_ADDRESS, DATA=data, READY=1)
                    assert await BENCH.access(context, WRITE, number, data) == expected
                    golden.write(number, data)
                case "cable":
                    context.set(BENCH.dut.cable, number)
                    golden.cable(bool(number))
                case "reset":
                    context.set(BENCH.dut.phy_reset, 1)
                    await context.tick().repeat(3)
                    assert not context.get(BENCH.dut.link)
                    context.set(BENCH.dut.phy_reset, 0)
                    golden.reset()
            await context.tick().repeat(40)
            assert context.get(BENCH.dut.link) == golden.link
            if golden.link:
                assert context.get(BENCH.dut.speed) == golden.speed

    BENCH.run(process)


def test_what_registers_tell_of_the_link() -> None:
    """Registers 1, 5, 10 and 17 with another partner: by negotiation, by force, in loopback, without a cable."""
    partner = PARTNER_WITHOUT_GIGABIT
    bench = Bench(partner=partner)

    async def process(context: Any) -> None:
        golden = PhyModel(partner=partner)
        for cable, value in ((1, 0x1140), (1, 0x0100), (0, 0x0100), (0, 0x6100)):
            context.set(bench.dut.cable, cable)
            golden.cable(bool(cable))
            await bench.access(context, WRITE, 0, value)
            golden.write(0, value)
            await context.tick().repeat(40)
            for number in (1, 1, 5, 10, 17):
                got = MDIC["DATA"].get(await bench.access(context, READ, number))
                assert got == golden.read(number), (cable, hex(value), number)
        assert [golden.read(number) for number in (1, 17, 10, 5)] == [0x794D, 0x6C00, 0, 0xC1E1]

    bench.run(process)


def test_loopback_pin() -> None:
    async def process(context: Any) -> None:
        for value, looping in ((0x4140, 1), (0x0140, 0), (0x5140, 1), (0x8140, 0)):
            await BENCH.access(context, WRITE, 0, value)
            await context.tick().repeat(4)
            assert context.get(BENCH.dut.loopback) == looping

    BENCH.run(process)


def test_management_while_the_cable_comes() -> None:
    """A link that is being made does not disturb a frame on MDIO."""

    async def process(context: Any) -> None:
        await BENCH.write(context, MDIC.value(OP=READ, REG=2, PHY=PHY_ADDRESS))
        await context.tick().repeat(50 * PERIOD)
        context.set(BENCH.dut.cable, 1)
        assert MDIC["DATA"].get(await BENCH.ready(context)) == 0x0141

    BENCH.run(process)


@settings(max_examples=20)
@given(
    st.sampled_from((READ, WRITE)),
    st.integers(0, 31).filter(lambda phy: phy != PHY_ADDRESS),
    st.integers(0, 31),
    st.integers(0, 0xFFFF),
)
def test_frames(operation: int, other: int, register: int, data: int) -> None:
    """The bits on the wire; and a PHY that is not there: no answer to a read, and this one is not disturbed."""

    async def process(context: Any) -> None:
        nobody = await BENCH.access(context, operation, register, data, PHY=other)
        written = {"OP": operation, "REG": register, "PHY": other, "READY": 1}
        if operation == READ:
            assert nobody == MDIC.value(**written, DATA=0xFFFF, ERROR=1)
            assert BENCH.bits[:46] == frame_bits(operation=READ, phy=other, register=register, data=0)[:46]
            assert BENCH.bits[46:] == "1" * 18
            assert BENCH.driven == 46
        else:
            assert nobody == MDIC.value(**written, DATA=data)
            assert BENCH.bits == frame_bits(operation=WRITE, phy=other, register=register, data=data)
            assert BENCH.driven == 64
        BENCH.bits = ""
        assert MDIC["DATA"].get(await BENCH.access(context, READ, 2, data)) == 0x0141
        assert BENCH.bits[46:] == "10" + f"{0x0141:016b}"

    BENCH.run(process)


@pytest.mark.parametrize("operation", [0b00, 0b11])
def test_no_operation(operation: int) -> None:
    async def process(context: Any) -> None:
        value = await BENCH.access(context, operation, 3, 5)
        assert value == MDIC.value(OP=operation, REG=3, PHY=PHY_ADDRESS, DATA=5, READY=1, ERROR=1)
        await context.tick().repeat(100)
        assert BENCH.bits == ""

    BENCH.run(process)


def test_interrupt_and_busy() -> None:
    """INT_EN gives one pulse with READY; what is written meanwhile has no effect; READY falls at once."""

    async def process(context: Any) -> None:
        await BENCH.access(context, READ, 2)
        assert BENCH.done == 0
        command = MDIC.value(OP=READ, REG=3, PHY=PHY_ADDRESS, INT_EN=1)
        await BENCH.write(context, command)
        assert not MDIC["READY"].get(BENCH.value(context))
        await context.tick().repeat(200)
        assert BENCH.done == 0
        await BENCH.write(context, MDIC.value(OP=WRITE, REG=4, PHY=PHY_ADDRESS, DATA=0xFFFF))
        assert await BENCH.ready(context) == command | MDIC.value(DATA=0x0C20, READY=1)
        await context.tick().repeat(1000)
        assert BENCH.done == 1
        assert len(BENCH.bits) == 128

    BENCH.run(process)


@pytest.mark.parametrize("after", [*range(1, 66 * PERIOD, 37), 64 * PERIOD, 64 * PERIOD + 1, 64 * PERIOD + 2])
def test_reset_in_a_frame(after: int) -> None:
    """MDIC reads 0 after a reset and stays so; the frame is sent to its end, so the PHY knows where the next begins."""

    async def process(context: Any) -> None:
        await BENCH.write(context, MDIC.value(OP=WRITE, REG=4, PHY=PHY_ADDRESS, DATA=0x1234, INT_EN=1))
        await context.tick().repeat(after)
        done = BENCH.done
        context.set(BENCH.dut.reset, 1)
        await context.tick().repeat(16)
        context.set(BENCH.dut.reset, 0)
        for _ in range(66 * PERIOD):
            assert not BENCH.value(context) & MDIC.mask("READY", "ERROR", "INT_EN")
            await context.tick()
        assert BENCH.value(context) == 0
        assert BENCH.done - done <= (after >= 64 * PERIOD)
        assert BENCH.bits == frame_bits(operation=WRITE, phy=PHY_ADDRESS, register=4, data=0x1234)
        assert MDIC["DATA"].get(await BENCH.access(context, READ, 4)) == 0x1234

    BENCH.run(process)


@pytest.mark.parametrize("period", [8, 50])
def test_clock(period: int) -> None:
    """MDC's period, and the time that a command takes."""
    bench = Bench(period=period)

    async def process(context: Any) -> None:
        await bench.write(context, MDIC.value(OP=READ, REG=2, PHY=PHY_ADDRESS))
        rises: list[int] = []
        before = 0
        for cycle in range(70 * period):
            mdc = context.get(bench.dut.mdc)
            if mdc and not before:
                rises.append(cycle)
            before = mdc
            if MDIC["READY"].get(bench.value(context)):
                break
            await context.tick()
        assert [second - first for first, second in itertools.pairwise(rises)] == [period] * 63
        assert cycle == 64 * period + 2

    bench.run(process)


@pytest.mark.parametrize("period", [0, 6, 9])
def test_period_is_checked(period: int) -> None:
    with pytest.raises(ValueError, match=f"cycles_per_mdc must be even and at least 8, not {period}"):
        MdioMaster(cycles_per_mdc=period)
