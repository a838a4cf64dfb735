"""Runs one session in the simulator: ``python -m sim.qemu.launch FOLDER PARENT``, PARENT the caller's process number.

``FOLDER/settings.json`` says what to serve. The simulator leaves ``result.json`` or ``failure.txt``, and
``server.log``, ``simulator.log`` there; ``ready`` appears when the socket is there.
"""

import os
import sys
from pathlib import Path

from sim.rtl import build
from sim.rtl.lifetime import end_with_parent


def run(folder: Path) -> None:
    """Run the session of a folder to its end."""
    runner = build.bench()
    runner.test(
        hdl_toplevel="bench",
        hdl_toplevel_lang="verilog",
        test_module="sim.qemu.worker",
        build_dir=runner.build_dir,
        test_dir=folder,
        results_xml=str(folder / "cocotb.xml"),
        log_file=folder / "simulator.log",
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
