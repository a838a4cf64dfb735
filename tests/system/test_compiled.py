"""The compiled modules show the same as the readable ones that they are made of, to the nanosecond."""

import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from sim import compiled, compiler
from sim.backend import Backend
from sim.experiment import main_job
from sim.fidelity.grid import GRID
from sim.fidelity.machines import model_outcome
from sim.model.launch import simulate
from sim.outputs import Outputs


def _shown(folder: Path) -> list[Any]:
    """All that the model says of the grid, and of the main job with a small file."""
    rows = []
    file = folder / "sent"
    file.write_bytes(random.Random(1).randbytes(20_000))
    for run in main_job(file, backend=Backend.MODEL):
        place = folder / run.name
        place.mkdir()
        rows += [asdict(row) for row in simulate(run, place, Outputs())]
    for row in rows:
        del row["wall_time"], row["cycles_per_second"]
    return [asdict(model_outcome(scenario)) for scenario in GRID] + rows


@pytest.mark.slow
def test_the_same_to_the_nanosecond(tmp_path: Path) -> None:
    made = compiler.build()
    folder = tmp_path / "transfers"  # of both, for a row names the file
    folder.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != compiled.INTERPRETED}
    command = [sys.executable, "-m", "tests.system.test_compiled", folder, made]
    answer = subprocess.run(command, env=environment, cwd=compiled.ROOT, check=True, stdout=subprocess.PIPE)
    shutil.rmtree(folder)
    folder.mkdir()
    assert json.loads(answer.stdout) == json.loads(json.dumps(_shown(folder), default=str))


def test_not_used_when_the_readable_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    monkeypatch.setattr(compiled, "sources", list)
    compiled.place().mkdir(parents=True)
    monkeypatch.delenv(compiled.INTERPRETED)
    assert compiled.folder() == compiled.place()
    monkeypatch.setenv(compiled.INTERPRETED, "1")
    assert compiled.folder() is None


def test_not_used_when_a_source_has_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    monkeypatch.setattr(compiled, "sources", lambda: [Path("module.py")])
    monkeypatch.delenv(compiled.INTERPRETED)
    (tmp_path / "module.py").write_text("VALUE = 1\n")
    compiled.place().mkdir(parents=True)
    assert compiled.folder() is not None
    (tmp_path / "module.py").write_text("VALUE = 2\n")
    assert compiled.folder() is None


if __name__ == "__main__":
    import sim.model.nic

    assert Path(sys.argv[2]) in Path(sim.model.nic.__file__ or "").parents, "the compiled modules are not at work"
    print(json.dumps(_shown(Path(sys.argv[1])), default=str))
