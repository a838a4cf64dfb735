"""The model does what the RTL does whatever software writes: any register, any descriptor (``tests.system.programs``)."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import cocotb
import pytest
from cocotb.handle import HierarchyObject, LogicObject
from hypothesis.strategies import SearchStrategy

from sim.rtl import build
from sim.rtl.engine import RtlEngine
from sim.rtl.shared import Bench
from sim.rtl.simulator import run_module
from tests.hw.explore import explore
from tests.system.lockstep import Program, Rtl
from tests.system.programs import descriptor_programs, register_programs

_EXAMPLES = 150


async def _lockstep(dut: HierarchyObject, programs: SearchStrategy[Program]) -> None:
    wake = dut.wake
    assert isinstance(wake, LogicObject)
    rtl = Rtl(RtlEngine(Bench(), wake, seed=1))
    check: Callable[[Program], Awaitable[None]] = rtl.check
    await explore(programs, check, examples=_EXAMPLES)


@cocotb.test()
async def any_registers(dut: HierarchyObject) -> None:
    await _lockstep(dut, register_programs)


@cocotb.test()
async def any_descriptors(dut: HierarchyObject) -> None:
    await _lockstep(dut, descriptor_programs)


@pytest.mark.slow
def test_any_program(tmp_path: Path) -> None:
    run_module(build.bench(), __name__, tmp_path)
