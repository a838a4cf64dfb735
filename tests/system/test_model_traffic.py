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
from tests.system.lockstep_tally import tell
from tests.system.programs import traffic_programs

_EXAMPLES = 100


@cocotb.test()
async def any_traffic(dut: HierarchyObject) -> None:
    wake = dut.wake
    assert isinstance(wake, LogicObject)
    rtl = Rtl(RtlEngine(Bench(), wake, seed=1))
    await explore(traffic_programs, rtl.check, examples=_EXAMPLES)
    rtl.tally.leave("any_traffic")


@pytest.mark.slow
@pytest.mark.rtl
def test_any_traffic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_module(build.bench(), __name__, tmp_path)
    tell(tmp_path, capsys)
