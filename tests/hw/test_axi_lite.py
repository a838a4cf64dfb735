"""AXI4-Lite subordinate: cocotbext-axi's manager in front, a register port that takes its time behind."""

import logging
import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from hw.axi_lite import AxiLiteSubordinate
from hw.interfaces import RegisterRequest
from tests.hw.axi_memory import paused
from tests.hw.memory import fields
from tests.hw.simulate import CLOCK_PERIOD_NS, simulate

WORDS = 1 << 15


class RegisterModel:
    """Serves the register port: performs requests in order, answers reads ``slowness`` cycles later at most."""

    def __init__(self, dut: Any, rng: random.Random, slowness: int) -> None:
        self._dut = dut
        self._rng = rng
        self._slowness = slowness
        self.words = [0] * WORDS
        self.performed: list[tuple[bool, int]] = []
        """(write, byte address) in order"""
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        dut = self._dut
        request_ready, answer_valid = dut.registers__request__ready, dut.registers__response__valid
        while True:
            request_ready.value = answer_valid.value = 0
            await ClockCycles(dut.clk, 1 + self._rng.randrange(1 + self._slowness))
            request_ready.value = 1
            await RisingEdge(dut.clk)
            while not int(dut.registers__request__valid.value):
                await RisingEdge(dut.clk)
            request_ready.value = 0
            request = fields(RegisterRequest, int(dut.registers__request__payload.value))
            assert request["address"] % 4 == 0
            self.performed.append((bool(request["write"]), request["address"]))
            if request["write"]:
                self.words[request["address"] // 4] = request["data"]
                continue
            await ClockCycles(dut.clk, 1 + self._rng.randrange(1 + self._slowness))
            dut.registers__response__payload.value = self.words[request["address"] // 4]
            answer_valid.value = 1
            await RisingEdge(dut.clk)
            while not int(dut.registers__response__ready.value):
                await RisingEdge(dut.clk)


async def start(dut: Any, *, slowness: int = 0, busy: float = 0.0) -> tuple[AxiLiteMaster, RegisterModel]:
    dut.rst.value = 1
    dut.writes_pending.value = dut.write_done.value = 0
    manager = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "axi_"), dut.clk, dut.rst)
    ends = [
        *(getattr(manager.write_if, f"{name}_channel") for name in ("aw", "w", "b")),
        *(getattr(manager.read_if, f"{name}_channel") for name in ("ar", "r")),
    ]
    for number, end in enumerate(ends):
        if busy:
            end.set_pause_generator(paused(number, busy))
    for part in (manager.write_if, manager.read_if, *ends):
        part.log.setLevel(logging.WARNING)
    Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()
    model = RegisterModel(dut, random.Random(slowness), slowness)
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await ClockCycles(dut.clk, 2)
    return manager, model


async def exercise(dut: Any, *, slowness: int, busy: float) -> None:
    """Writers and readers of their own words, all at once: a read always gives what was last written."""
    manager, _ = await start(dut, slowness=slowness, busy=busy)

    async def user(number: int) -> None:
        rng = random.Random(number)
        mine = dict.fromkeys(rng.sample(range(number, WORDS, 8), 4), 0)
        for _ in range(25):
            word = rng.choice(list(mine))
            if rng.randrange(2):
                mine[word] = rng.getrandbits(32)
                answer = await manager.write(4 * word, mine[word].to_bytes(4, "little"))
                assert answer.resp == AxiResp.OKAY
            else:
                got = await manager.read(4 * word, 4)
                assert got.resp == AxiResp.OKAY
                assert int.from_bytes(got.data, "little") == mine[word]

    users = [cocotb.start_soon(user(number)) for number in range(8)]
    for task in users:
        await with_timeout(task, 1, "ms")


@cocotb.test()
async def fast(dut: Any) -> None:
    await exercise(dut, slowness=0, busy=0.0)


@cocotb.test()
async def slow_registers(dut: Any) -> None:
    await exercise(dut, slowness=12, busy=0.0)


@cocotb.test()
async def pauses_on_every_channel(dut: Any) -> None:
    await exercise(dut, slowness=2, busy=0.6)


@cocotb.test()
async def reads_and_writes_in_turn(dut: Any) -> None:
    """Neither of the two, when both are always wanted, waits for more than one of the other."""
    manager, model = await start(dut)
    writes = [cocotb.start_soon(manager.write(4 * n, bytes(4))) for n in range(30)]
    reads = [cocotb.start_soon(manager.read(4 * n, 4)) for n in range(30)]
    for task in (*writes, *reads):
        await with_timeout(task, 1, "ms")
    kinds = [write for write, _ in model.performed]
    assert all(kinds[n : n + 3] not in ([True] * 3, [False] * 3) for n in range(50)), kinds


@cocotb.test()
async def strobes(dut: Any) -> None:
    """A part of a word is refused; no strobes at all do nothing; the lowest address bits do not count."""
    manager, model = await start(dut)
    assert (await manager.write(0x104, b"\x11\x22\x33\x44")).resp == AxiResp.OKAY
    for address, data in ((0x104, b"\x55"), (0x105, b"\x55\x66"), (0x106, b"\x77\x88"), (0x104, b"\x01\x02\x03")):
        assert (await manager.write(address, data)).resp == AxiResp.SLVERR
    assert (await manager.read(0x104, 4)).data == b"\x11\x22\x33\x44"
    assert (await manager.read(0x106, 2)).data == b"\x33\x44"
    assert model.performed == [(True, 0x104), (False, 0x104), (False, 0x104)]

    # What the manager of cocotbext-axi never does: an address that is no multiple of 4, and no strobes at all.
    address, word = manager.write_if.aw_channel, manager.write_if.w_channel
    for strobe, response, performed in ((0, AxiResp.OKAY, 3), (0xF, AxiResp.OKAY, 4), (0x8, AxiResp.SLVERR, 4)):
        address.send_nowait(address._transaction_obj(awaddr=0x107, awprot=0))
        word.send_nowait(word._transaction_obj(wdata=0, wstrb=strobe))
        await with_timeout(RisingEdge(dut.axi__bvalid), 20 * CLOCK_PERIOD_NS, "ns")
        assert int(dut.axi__bresp.value) == response
        assert len(model.performed) == performed
    assert model.performed[-1] == (True, 0x104)


@cocotb.test()
async def a_read_waits_for_the_writes_before_it(dut: Any) -> None:
    """Those pending when it was performed, no later ones."""
    manager, _ = await start(dut)
    for pending in (1, 2):
        dut.writes_pending.value = pending
        read = cocotb.start_soon(manager.read(0, 4))
        for done in range(pending):
            await ClockCycles(dut.clk, 100)
            assert not read.done(), f"{done} of {pending} done"
            dut.write_done.value = 1
            await RisingEdge(dut.clk)
            dut.write_done.value = 0
        # There are new ones now, which do not matter.
        await with_timeout(read, 20 * CLOCK_PERIOD_NS, "ns")
    # A write waits for nothing.
    await with_timeout(manager.write(0, bytes(4)), 20 * CLOCK_PERIOD_NS, "ns")
    # One that is done in every cycle holds up nobody, and is not counted twice.
    dut.write_done.value = 1
    dut.writes_pending.value = 1
    for _ in range(3):
        await with_timeout(manager.read(0, 4), 30 * CLOCK_PERIOD_NS, "ns")


def test_axi_lite() -> None:
    simulate(AxiLiteSubordinate(), name="axi_lite", test_module=__name__)
