"""Runs one experiment in the simulator: ``python -m sim.rtl.launch FOLDER PARENT``, PARENT the caller's process number.

``FOLDER/experiment.json`` says what to run. The simulator leaves ``result.json`` or ``failure.txt``,
``capture.pcapng``, ``progress`` (bytes that crossed so far, as text) and ``simulator.log`` there.
"""

import json
import os
import sys
from pathlib import Path

from sim.rtl import build
from sim.rtl.lifetime import end_with_parent

__all__ = ["run"]


def run(folder: Path) -> None:
    """Run the experiment of a folder to its end. The outcome is in the folder's files."""
    waves = bool(json.loads((folder / "experiment.json").read_text())["waves"])
    runner = build.bench(waves=waves)
    runner.test(
        hdl_toplevel="bench",
        hdl_toplevel_lang="verilog",
        test_module="sim.rtl.worker",
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
    end_with_parent(int(sys.argv[2]))
    run(Path(sys.argv[1]))
