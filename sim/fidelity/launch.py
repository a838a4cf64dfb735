"""Runs scenarios in the simulator: ``python -m sim.fidelity.launch FOLDER PARENT``, PARENT the caller's process number.

``FOLDER/scenarios.json`` is the list; ``outcomes.jsonl`` gets a line for each that has been played.
"""

import os
import sys
from pathlib import Path

from sim.rtl import build
from sim.rtl.lifetime import end_with_parent

__all__ = ["run"]


def run(folder: Path) -> None:
    """Play the scenarios of a folder."""
    runner = build.bench()
    runner.test(
        hdl_toplevel="bench",
        hdl_toplevel_lang="verilog",
        test_module="sim.fidelity.rtl_worker",
        build_dir=runner.build_dir,
        test_dir=folder,
        results_xml=str(folder / "cocotb.xml"),
        log_file=folder / "simulator.log",
        extra_env={
            "NICLAB_SCENARIOS": str(folder),
            "NICLAB_PARENT": str(os.getpid()),
            "COCOTB_ANSI_OUTPUT": "0",
            "COCOTB_LOG_LEVEL": "WARNING",
        },
    )


if __name__ == "__main__":
    end_with_parent(int(sys.argv[2]))
    run(Path(sys.argv[1]))
