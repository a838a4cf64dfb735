"""Boards from Amaranth to files: ``python -m sim.board.elaborate FOLDER``, where ``FOLDER/parameters.json`` says what.

Leaves ``top.il`` for synthesis, ``top.lpf`` with the pins, ``top.v`` for simulation, and ``device.json``. It is a
process of its own because the order of things in the files follows that of sets, which Python varies from run to run.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hw.boards.all import BOARDS
from hw.boards.parameters import BoardParameters
from hw.verilog import mend
from sim.errors import RunFailedError
from sim.rtl import build

__all__ = ["build_id", "elaborate"]


def _values(parameters: Any) -> dict[str, Any]:
    """Parameters as JSON takes them."""
    values = dataclasses.asdict(parameters)
    values["baud"] = float(values["baud"])  # the same number, the same text
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}


def _digest(board: str, parameters: Any) -> str:
    return build.digest(build.hardware_sources(), board, _values(parameters), version("amaranth"))


def build_id(board: str, parameters: Any) -> bytes:
    """Tells bitstreams apart: eight bytes of a digest of all that one is made from."""
    return bytes.fromhex(_digest(board, dataclasses.replace(parameters, build_id=bytes(8))))[:8]


def elaborate(board: str, parameters: Any, folder: Path, announce: Callable[[str], None] = lambda text: None) -> None:
    """Make the files of a board of ``hw.boards.all.BOARDS`` in a folder, unless they are there."""
    with build.step(folder, _digest(board, parameters)) as needed:
        if not needed:
            return
        announce(f"{board}: Amaranth to netlist")
        (folder / "parameters.json").write_text(json.dumps({"board": board, **_values(parameters)}))
        result = subprocess.run(
            [sys.executable, "-m", "sim.board.elaborate", str(folder.resolve())],
            cwd=build.REPOSITORY,
            env=os.environ | {"PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            (folder / "error.log").write_text(result.stderr)
            raise RunFailedError(f"the board does not elaborate; see {folder / 'error.log'}")


def _write(folder: Path) -> None:
    from hw.boards.top import BoardTop  # takes its time to import, and who only wants a build id need not

    values = json.loads((folder / "parameters.json").read_text())
    board = BOARDS[values.pop("board")]
    for name in ("build_id", "mac_address"):
        values[name] = bytes.fromhex(values[name])
    platform = board.platform()
    plan = platform.prepare(BoardTop(board=board, parameters=BoardParameters(**values)), "top", debug_verilog=True)
    for source, target in (("top.il", "top.il"), ("top.lpf", "top.lpf")):
        content = plan.files[source]
        (folder / target).write_bytes(content.encode() if isinstance(content, str) else content)
    verilog = plan.files["top.debug.v"]
    (folder / "top.v").write_text(mend(verilog if isinstance(verilog, str) else verilog.decode()))
    device = {"device": platform.device, "package": platform.package, "speed": platform.speed}
    (folder / "device.json").write_text(json.dumps(device))


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
