"""The calibration file: what is refused, and how."""

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from sim.errors import UserError
from sim.fidelity.calibrate import fit, open_checkpoints
from sim.fidelity.probes import PROBES
from sim.fidelity.probing import probe_model
from sim.model.timing import CALIBRATION, Calibration, Timing, nic_digest


def _file(folder: Path, **changes: object) -> Path:
    timing = Timing(**dict.fromkeys((item.name for item in fields(Timing)), 3))
    content = {"commit": "abc", "nic": nic_digest(), "timing": asdict(timing), **changes}
    path = folder / "calibration.json"
    path.write_text(json.dumps(content))
    return path


def test_of_this_nic(tmp_path: Path) -> None:
    assert Calibration.load(_file(tmp_path)).timing.register_access == 3


def test_saved_and_loaded(tmp_path: Path) -> None:
    calibration = Calibration.load(_file(tmp_path))
    calibration.save(tmp_path / "again.json")
    assert Calibration.load(tmp_path / "again.json") == calibration


def test_of_another_nic(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"measured on another NIC \(0123.*make calibrate") as error:
        Calibration.load(_file(tmp_path, nic="0123"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        "[]",
        '{"commit": "a", "nic": "b"}',
        '{"commit": "a", "nic": "b", "timing": {"register_access": 1}}',
        '{"commit": "a", "nic": "b", "timing": {"unknown": 1}}',
    ],
)
def test_no_calibration(tmp_path: Path, content: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(content)
    with pytest.raises(UserError, match="make calibrate") as error:
        Calibration.load(path)
    assert "\n" not in str(error.value)


def test_not_a_number_of_cycles(tmp_path: Path) -> None:
    timing = {item.name: 3 for item in fields(Timing)} | {"mac_read": "fast"}
    with pytest.raises(UserError, match="mac_read is not a number of cycles"):
        Calibration.load(_file(tmp_path, timing=timing))


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="make calibrate"):
        Calibration.load(tmp_path / "none.json")


def test_the_committed_one_is_of_this_nic() -> None:
    """Fails when the NIC has changed since the calibration: run ``make calibrate``."""
    assert Calibration.load(CALIBRATION).nic == nic_digest()


@pytest.mark.slow
def test_calibration_finds_a_parameter_that_shortens_what_is_shown() -> None:
    """With the model in the RTL's place. A larger ``requester_room`` makes a request come sooner."""
    timing = Calibration.load().timing
    shown = [probe_model(probe, timing) for probe in PROBES]
    off = replace(timing, requester_room=timing.requester_room + 2)
    assert "requester_room" in [item.parameter for item, _, _ in open_checkpoints(shown, off)]
    assert open_checkpoints(shown, fit(shown, off)) == []
