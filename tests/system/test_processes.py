"""No simulator outlives the process that wanted it, however that ends."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.rtl import build

pytestmark = pytest.mark.rtl

_PATIENCE_SECONDS = 60

# Where the tests run in the background, SIGINT is ignored.
_PROGRAM = """
import signal, sys
from pathlib import Path
from sim.experiment import main_job
from sim.runner import run_all
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_all(main_job(Path(sys.argv[1]), modes=(0,), offloads=(True,)), jobs=1)
"""


def _children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _simulator(ancestor: int) -> int:
    """Waits for the simulator among the descendants of a process."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        descendants = [child for worker in _children(ancestor) for child in _children(worker)]
        for pid in descendants:
            if b"bench" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        time.sleep(0.05)
    raise AssertionError("no simulator came up")


def _ended(process: int) -> bool:
    """Waits for the end of a process that is not ours."""
    readable, _, _ = select.select([process], [], [], _PATIENCE_SECONDS)
    return bool(readable)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_simulator_ends_with_its_parent(tmp_path: Path, how: signal.Signals) -> None:
    build.bench()
    file = tmp_path / "file"
    file.write_bytes(bytes(3_000_000))
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    command = [sys.executable, str(program), str(file)]
    environment = os.environ | {"PYTHONPATH": str(build.REPOSITORY)}
    parent = subprocess.Popen(command, cwd=build.REPOSITORY, env=environment, stderr=subprocess.DEVNULL)
    simulator = _simulator(parent.pid)
    (worker,) = [int(Path(f"/proc/{simulator}/stat").read_text().rsplit(")", 1)[1].split()[1])]
    handles = [os.pidfd_open(pid) for pid in (worker, simulator)]
    try:
        assert worker in _children(parent.pid)
        parent.send_signal(how)
        assert parent.wait(_PATIENCE_SECONDS) != 0
        assert all(_ended(handle) for handle in handles)
    finally:
        for handle in handles:
            os.close(handle)
