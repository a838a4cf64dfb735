"""One run, wherever it takes place: in a worker process of this machine or of a cluster."""

import shutil
import traceback
from pathlib import Path

from sim.backend import Backend
from sim.errors import RunFailedError, UserError
from sim.model.launch import simulate as simulate_model
from sim.outputs import Outputs
from sim.results import Row
from sim.rtl import build
from sim.rtl.launch import simulate as simulate_rtl
from sim.run import Run

__all__ = ["execute", "folder_of"]


def folder_of(run: Run) -> Path:
    """Where a run's files lie."""
    return build.BUILD / "runs" / run.experiment / run.name


def execute(run: Run, outputs: Outputs, key: str) -> list[Row]:
    """The rows of a run. ``key`` is the run's where it was asked for.

    Raises ``RunFailedError``, also if this is another version of niclab, or the run's file another, than there.
    """
    if run.key != key:
        raise RunFailedError(f"run {run.name}: the worker has another niclab, or another {run.workload.input_file}")
    folder = folder_of(run)
    if run.backend is Backend.RTL or outputs.any:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    try:
        match run.backend:
            case Backend.RTL:
                return simulate_rtl(run, folder, outputs)
            case Backend.MODEL:
                return simulate_model(run, folder, outputs)
    except (RunFailedError, UserError):
        raise
    except Exception as error:
        # A fault of ours, or a full disk: it ends this run, not the others.
        folder.mkdir(parents=True, exist_ok=True)
        trace = folder / "traceback.txt"
        trace.write_text(traceback.format_exc())
        raise RunFailedError(f"run {run.name}: {type(error).__name__}: {error}; see {trace}") from error
