"""What a stock Linux driver did with this NIC, recorded once, is done again: the promise of QEMU, kept without QEMU.

``stock_driver.trace.gz`` is of Debian's kernel 6.12.117: probe, open, pings, TCP with segmentation, counters, close,
unload. It was made by ``niclab qemu --trace``, see docs/qemu.md.
"""

import gzip
import json
from pathlib import Path

import pytest

from sim.engine import EventEngine
from sim.model.guest_nic import ModelNic
from sim.qemu.trace import read_trace
from sim.qemu.trace_replay import replay
from sim.rtl import build
from sim.wire import Link

TRACE = Path(__file__).parent / "stock_driver.trace.gz"
STATION = bytes.fromhex("020000000001")


def differences_on_rtl(trace: Path, folder: Path) -> list[str]:
    runner = build.bench()
    result = folder / "differences.json"
    runner.test(
        hdl_toplevel="bench",
        hdl_toplevel_lang="verilog",
        test_module="tests.system.trace_worker",
        build_dir=runner.build_dir,
        test_dir=folder,
        results_xml=str(folder / "cocotb.xml"),
        log_file=folder / "simulator.log",
        extra_env={
            "NICLAB_TRACE": str(trace),
            "NICLAB_RESULT": str(result),
            "PYTHONPATH": str(build.REPOSITORY),
            "COCOTB_ANSI_OUTPUT": "0",
            "COCOTB_LOG_LEVEL": "WARNING",
        },
    )
    assert result.exists(), (folder / "simulator.log").read_text()[-2000:]
    differences: list[str] = json.loads(result.read_text())
    return differences


def differences_on_model(trace: Path) -> list[str]:
    env = EventEngine(seed=1)
    link = Link(env, delay=0)
    return env.run(replay(ModelNic(env, link), link, STATION, read_trace(trace)))


def test_the_recording_has_all_that_it_should() -> None:
    text = gzip.decompress(TRACE.read_bytes()).decode()
    lines = text.splitlines()
    assert sum(line.startswith("W 4 ") for line in lines) >= 3  # resets through the I/O window
    assert sum(line.startswith("t ") for line in lines) > 10
    assert sum(line.startswith("f ") for line in lines) > 10


@pytest.mark.rtl
@pytest.mark.slow
def test_the_verilated_nic_behaves_as_recorded(tmp_path: Path) -> None:
    assert differences_on_rtl(TRACE, tmp_path) == []


def test_the_model_behaves_as_recorded() -> None:
    assert differences_on_model(TRACE) == []


def test_differences_are_found(tmp_path: Path) -> None:
    """The same recording with one bit of a frame, of a register and of a counter otherwise than the NIC has them, and
    one frame for the NIC more."""
    lines = gzip.decompress(TRACE.read_bytes()).decode().splitlines()
    frame = next(index for index, line in enumerate(lines) if line.startswith("t "))
    lines[frame] = lines[frame][:-1] + ("1" if lines[frame][-1] == "0" else "0")
    register = next(index for index, line in enumerate(lines) if line.startswith("r 8 "))
    lines[register] = f"r 8 {int(lines[register].split()[2], 16) ^ 2:x}"
    counter = next(index for index, line in enumerate(lines) if line.startswith("r 4088 ") and line != "r 4088 0")
    lines[counter] = f"r 4088 {int(lines[counter].split()[2], 16) + 1:x}"
    lines.insert(0, "f " + STATION.hex() + 54 * "00")
    changed = tmp_path / "changed.trace.gz"
    changed.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    differences = differences_on_model(changed)
    assert len(differences) == 4
    for words in ("STATUS reads", "GORCL gave", "0 is the first unlike", "the descriptor of a frame of 60 bytes"):
        assert any(words in difference for difference in differences)
