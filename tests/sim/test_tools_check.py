"""The check of system tools: all that is missing is named at once, with its package."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "sim" / "tools_check.sh"
SHELL = shutil.which("sh") or "/bin/sh"


def check(path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SHELL, str(SCRIPT)],
        env={"PATH": str(path), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def program(path: Path, text: str) -> None:
    path.write_text(f"#!{SHELL}\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH where everything is there."""
    for name in ("c++", "make", "perl", "python3", "cat"):
        program(tmp_path / name, "exit 0")
    return tmp_path


def test_nothing_is_said_if_nothing_is_missing(tools: Path) -> None:
    result = check(tools)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    result = check(tmp_path)
    assert result.returncode == 1
    assert [line.rpartition("(package ")[2] for line in result.stderr.splitlines()[1:]] == [
        "python3)",
        "g++)",
        "make)",
        "perl)",
    ]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        # The first call asks for the version; scripts on standard input come with "-".
        ("python3", 'case "$3" in *platform*) echo 3.9.2;; *sys.exit*) exit 1;; esac', "python3 is 3.9.2"),
        ("python3", 'case "$3" in *print*) echo 3.12;; *ensurepip*) exit 1;; esac', "(package python3.12-venv)"),
        ("python3", 'case "$3" in *print*) echo 3.12;; esac; [ "$2" != - ]', "(package libpython3.12)"),
        ("c++", "exit 1", "(package g++ 10 or later)"),
        ("perl", "exit 2", "(package perl)"),
    ],
)
def test_tool_that_does_not_do_is_named(tools: Path, name: str, text: str, line: str) -> None:
    program(tools / name, text)
    result = check(tools)
    assert result.returncode == 1
    assert line in result.stderr
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize(("header", "package"), [("zlib.h", "zlib1g-dev"), ("lz4.h", "liblz4-dev")])
def test_header_is_asked_for_with_waves_only(tools: Path, header: str, package: str) -> None:
    program(tools / "c++", f'[ "$1" != -E ] || ! read line || [ "$line" != "#include <{header}>" ]')
    assert check(tools).returncode == 0
    result = check(tools, WAVES="1")
    assert result.stderr.splitlines()[1:] == [f"  {header}: compresses waveforms (WAVES=1) (package {package})"]


def test_python_of_these_tests_passes(tools: Path) -> None:
    program(tools / "python3", f'exec {sys.executable} "$@"')
    result = check(tools)
    assert (result.returncode, result.stderr) == (0, "")
