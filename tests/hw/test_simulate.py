"""The bench helper itself: it runs tests, in two clock domains, and notices those that fail or are missing."""

import cocotb
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from tests.hw.simulate import CLOCK_PERIOD_NS, simulate


class Counter(wiring.Component):
    """Counts clocks in ``sync``, and in ``gmii_rx``."""

    enable: In(1)
    count: Out(8)
    other: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.count.eq(self.count + self.enable)
        m.d.gmii_rx += self.other.eq(self.other + 1)
        return m


@cocotb.test()
async def counts(dut) -> None:
    Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
    dut.rst.value = 1
    dut.enable.value = 1
    dut.gmii_rx_rst.value = 0
    dut.gmii_rx_clk.value = 0
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    for _ in range(11):
        await RisingEdge(dut.clk)
    assert dut.count.value.to_unsigned() == 10
    dut.gmii_rx_clk.value = 1
    await Timer(1, "ns")
    assert dut.other.value.to_unsigned() == 1


@cocotb.test()
async def wrong(dut) -> None:
    await Timer(1, "ns")
    raise AssertionError("this test fails on purpose")


def test_counts() -> None:
    simulate(Counter(), name="counter", test_module=__name__, testcase="counts")


def test_failure_is_seen() -> None:
    with pytest.raises(AssertionError, match="1 of 1 cocotb tests"):
        simulate(Counter(), name="counter", test_module=__name__, testcase="wrong")


def test_missing_is_seen() -> None:
    with pytest.raises(AssertionError, match="no cocotb test missing"):
        simulate(Counter(), name="counter", test_module=__name__, testcase="missing")


class HalfConstant(wiring.Component):
    """Some bits of a word are constant and some depend on a condition: a simulator may leave the constant ones out."""

    enable: In(1)
    word: Out(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.word[3].eq(1)
        with m.If(self.enable):
            m.d.comb += self.word[:2].eq(3)
        return m


@cocotb.test()
async def constant(dut) -> None:
    for enable, word in ((0, 0b1000), (1, 0b1011), (0, 0b1000)):
        dut.enable.value = enable
        await Timer(1, "ns")
        assert dut.word.value.to_unsigned() == word


def test_constant_bits_arrive() -> None:
    simulate(HalfConstant(), name="half_constant", test_module=__name__, testcase="constant")
