"""Figures in one form, and what the synthesis check makes of them."""

import json
from pathlib import Path

from sim.measurement import Figure, commit, write
from sim.synthesis import BLOCK_RAMS, check


def _figure(name: str, value: float, limit: float) -> Figure:
    return Figure(name=name, value=value, unit="", limit=limit, conditions={"limit": "a law"})


def test_the_file_has_value_limit_and_ratio(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    write([_figure("a", 3.0, 4.0), _figure("b", 2.0, 1.0)], path)
    rows = json.loads(path.read_text())
    assert [(row["name"], row["value"], row["limit"], row["ratio"]) for row in rows] == [
        ("a", 3.0, 4.0, 0.75),
        ("b", 2.0, 1.0, 2.0),
    ]
    assert sorted(rows[0]) == ["conditions", "limit", "name", "ratio", "unit", "value"]
    assert [file.name for file in tmp_path.iterdir()] == ["figures.json"]


def test_the_commit_is_named() -> None:
    name = commit().removesuffix("+")
    assert name == "unknown" or (len(name) == 12 and int(name, 16))


def test_timing_missed_on_speed_8_and_another_number_of_block_rams_are_told() -> None:
    met = [_figure("fmax.sync.speed8.seed1", 130, 125), _figure("area.nic.bram", BLOCK_RAMS, BLOCK_RAMS)]
    assert check(met) == []
    assert check([*met, _figure("fmax.sync.speed6.seed1", 100, 125)]) == []
    assert check([*met, _figure("fmax.gmii_rx.speed8.seed2", 124.9, 125)]) == [
        "fmax.gmii_rx.speed8.seed2 is 124.9 MHz, below 125"
    ]
    assert check([met[0], _figure("area.nic.bram", BLOCK_RAMS - 1, 1)]) == [
        f"the NIC has {BLOCK_RAMS - 1} block RAMs, not {BLOCK_RAMS}"
    ]
