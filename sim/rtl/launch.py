"""Runs one experiment on the Verilated NIC, in a simulator process.

``FOLDER/request.json`` says what to run. The simulator leaves ``rows.json`` or ``failure.txt`` there, what the outputs
ask for (``sim.outputs``), and ``simulator.log``.
"""

import json
from dataclasses import asdict
from pathlib import Path

from sim.errors import RunFailedError
from sim.outputs import Outputs
from sim.results import Row
from sim.rtl import build
from sim.rtl.simulator import run_module
from sim.run import Run
from sim.waveview import write_views

__all__ = ["simulate"]


def simulate(run: Run, folder: Path, outputs: Outputs) -> list[Row]:
    """The rows of a run, whose files lie in ``folder``. The simulator ends when this process does.

    Raises ``RunFailedError``.
    """
    (folder / "request.json").write_text(
        json.dumps({"run": run.model_dump(mode="json"), "outputs": asdict(outputs), "key": run.key})
    )
    runner = build.bench(waves=outputs.waves, semantics=run.itr_semantics)
    reason = "the simulator ended without a result"
    try:
        run_module(runner, "sim.rtl.worker", folder, waves=outputs.waves)
    except RuntimeError as error:
        reason = str(error)
    except SystemExit:  # how the runner tells of a failure where pytest is loaded
        pass
    if outputs.waves:
        write_views(folder, build.nic_verilog())
    rows = folder / "rows.json"
    if not rows.exists():
        failure = folder / "failure.txt"
        if failure.exists():
            reason = failure.read_text().strip()
        raise RunFailedError(f"run {run.name}: {reason}; the log is {folder / 'simulator.log'}")
    return [Row(**row) for row in json.loads(rows.read_text())]
