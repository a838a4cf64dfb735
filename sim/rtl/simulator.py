"""The simulator of the bench, as a process: ``python -m sim.rtl.simulator MODULE FOLDER PARENT``.

``MODULE`` has the cocotb tests that are to be run, ``FOLDER``, which they find in ``NICLAB_RUN``, says what they are to
do and takes what they leave, and the simulator's log. ``PARENT`` is the caller's process number.
"""

import os
import sys
from pathlib import Path

from cocotb_tools.runner import Runner

from sim.rtl import build
from sim.rtl.lifetime import end_with_parent

__all__ = ["run_module"]


def run_module(runner: Runner, module: str, folder: Path, *, waves: bool = False) -> None:
    """Run a module's cocotb tests in the bench that ``runner`` has built. The simulator ends when this process does.

    Raises ``RuntimeError``, or where pytest is loaded ``SystemExit``, if a test fails.
    """
    runner.test(
        hdl_toplevel="bench",
        hdl_toplevel_lang="verilog",
        test_module=module,
        build_dir=runner.build_dir,
        test_dir=folder,
        results_xml=str(folder / "cocotb.xml"),
        log_file=folder / "simulator.log",
        waves=waves,
        extra_env={
            "NICLAB_RUN": str(folder),
            "NICLAB_PARENT": str(os.getpid()),
            "COCOTB_ANSI_OUTPUT": "0",
            "COCOTB_LOG_LEVEL": "WARNING",
        },
    )


if __name__ == "__main__":
    end_with_parent(int(sys.argv[3]))
    run_module(build.bench(), sys.argv[1], Path(sys.argv[2]))
