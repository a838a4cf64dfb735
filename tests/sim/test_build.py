"""A step is made again exactly when what it is made from has changed."""

from pathlib import Path

import pytest

from sim.rtl import build


def _made(folder: Path, digest: str) -> bool:
    with build.step(folder, digest) as needed:
        return needed


def test_a_step_is_kept_until_its_sources_change(tmp_path: Path) -> None:
    folder = tmp_path / "step"
    assert [_made(folder, digest) for digest in ("a", "a", "b", "b", "a")] == [True, False, True, False, True]


def test_a_step_that_fails_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "step"
    _made(folder, "a")
    with pytest.raises(RuntimeError, match="cut short"), build.step(folder, "b"):
        raise RuntimeError("cut short")
    assert _made(folder, "a")  # what is there may be half of "b"


def test_digests_depend_on_every_part() -> None:
    parts = (["text"], ["-O3"], "5.48")
    assert build.digest(*parts) == build.digest(["text"], ["-O3"], "5.48")
    for changed in ((["texts"], *parts[1:]), (parts[0], ["-O2"], parts[2]), (*parts[:2], "5.49")):
        assert build.digest(*changed) != build.digest(*parts)


@pytest.mark.rtl
def test_the_default_file_is_large_enough_and_made_once() -> None:
    announced: list[str] = []
    path = build.nic_verilog()
    assert build.nic_verilog(announced.append) == path
    assert announced == []
    assert path.stat().st_size >= 1_000_000
