"""No simulator outlives the process that wanted it, however that ends."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sim.experiment import Experiment
from sim.rtl import build

pytestmark = pytest.mark.rtl

_PATIENCE_SECONDS = 60

# Where the tests run in the background, SIGINT is ignored.
_PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from sim.experiment import Experiment
from sim.runner import run_all
run_all([Experiment(file=Path(sys.argv[1]), interrupt_throttle_rate=0, offloads=True)], folder=Path(sys.argv[2]),
        on_progress=lambda progress: print(progress.done, flush=True))
"""


def _children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _ended(process: int) -> bool:
    """Waits for the end of a process that is not ours."""
    readable, _, _ = select.select([process], [], [], _PATIENCE_SECONDS)
    return bool(readable)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_simulator_ends_with_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    build.bench()
    file = tmp_path / "file"
    file.write_bytes(bytes(3_000_000))
    command = [sys.executable, "-c", _PROGRAM, str(file), str(tmp_path)]
    parent = subprocess.Popen(
        command, cwd=build.REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    while parent.stdout.readline().strip() == "0":  # until the file is on its way
        pass
    (launcher,) = _children(parent.pid)
    (simulator,) = _children(launcher)
    handles = [os.pidfd_open(pid) for pid in (launcher, simulator)]
    try:
        assert b"bench" in Path(f"/proc/{simulator}/cmdline").read_bytes()
        parent.send_signal(how)
        assert parent.wait(_PATIENCE_SECONDS) != 0
        assert all(_ended(handle) for handle in handles)
    finally:
        for handle in handles:
            os.close(handle)
    name = Experiment(file=file, interrupt_throttle_rate=0, offloads=True).name
    assert not (tmp_path / name / "result.json").exists()
