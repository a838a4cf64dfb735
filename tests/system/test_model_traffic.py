"""The model does what the RTL does when registers change, and resets come, while frames come and go."""

from pathlib import Path

import cocotb
import pytest
from cocotb.handle import HierarchyObject, LogicObject

from sim.rtl import build
from sim.rtl.engine import RtlEngine
from sim.rtl.shared import Bench
from sim.rtl.simulator import run_module
from tests.hw.explore import explore
from tests.system.lockstep import Rtl
from tests.system.programs import traffic_programs

_EXAMPLES = 100


@cocotb.test()
async def any_traffic(dut: HierarchyObject) -> None:
    wake = dut.wake
    assert isinstance(wake, LogicObject)
    await explore(traffic_programs, Rtl(RtlEngine(Bench(), wake, seed=1)).check, examples=_EXAMPLES)


@pytest.mark.slow
@pytest.mark.rtl
def test_any_traffic(tmp_path: Path) -> None:
    run_module(build.bench(), __name__, tmp_path)
