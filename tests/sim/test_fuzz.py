"""``make fuzz`` on properties that hold and on one that does not."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hw.simulate import REPOSITORY

pytestmark = pytest.mark.slow

HOLDS = """
from hypothesis import given, settings, strategies as st
@settings(max_examples=50)
@given(st.integers())
def test_holds(number):
    assert number == int(str(number))
"""
MACHINE = """
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule
class Holds(RuleBasedStateMachine):
    @rule()
    def step(self):
        assert True
TestHolds = Holds.TestCase
TestHolds.settings = settings(max_examples=50)
"""
FAILS = """
from hypothesis import given, strategies as st
@given(st.integers(0, 1000))
def test_fails(number):
    assert number < 500
"""


def fuzz(path: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz", *options, str(path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Where the tests run in the background, SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize("text", [HOLDS, MACHINE])
def test_time_ends_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "test_holds.py"
    path.write_text(text)
    with fuzz(path, "--seconds", "4", "--seed", "7") as process:
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert output.startswith("seed 7;")
    counts = [int(number) for number in re.findall(r"^(\d+) examples", output, re.MULTILINE)]
    assert counts  # how many there were is a matter of the machine's speed
    assert counts == sorted(counts)


def test_a_failure_says_how_to_see_it_again(tmp_path: Path) -> None:
    path = tmp_path / "test_fails.py"
    path.write_text(FAILS)
    with fuzz(path) as process:
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 1, output
    assert "number=500" in output
    (seed,) = re.findall(r"again with: make fuzz SEED=(\d+)", output)
    with fuzz(path, "--seed", seed) as process:
        again = process.communicate(timeout=120)[0]
    assert process.returncode == 1
    assert f"SEED={seed}" in again


def test_interruption_is_a_clean_end(tmp_path: Path) -> None:
    path = tmp_path / "test_holds.py"
    path.write_text(HOLDS)
    with fuzz(path) as process:
        assert process.stdout is not None
        while not re.match(r"\d+ examples", process.stdout.readline()):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert "no failure" in output
