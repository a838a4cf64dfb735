"""Properties see the same examples, whatever ran before them."""

import subprocess
import sys
from pathlib import Path

from tests.hw.simulate import REPOSITORY

DRAWS = """
import sys
from hypothesis import given, settings, strategies as st
from tests.examples import load_profile
load_profile()
sys.path.insert(0, sys.argv[1])
if sys.argv[2] == "imported":
    import numbers_of_others
@settings(max_examples=200)
@given(st.integers())
def draws(number):
    print(number)
draws()
"""


def drawn(path: Path, others: str) -> str:
    script = path / "draws.py"
    script.write_text(DRAWS)
    run = [sys.executable, str(script), str(path), others]
    ended = subprocess.run(run, cwd=REPOSITORY, env={"PYTHONPATH": "."}, check=True, capture_output=True, text=True)
    return ended.stdout


def test_examples_do_not_depend_on_imports(tmp_path: Path) -> None:
    numbers = [70_001 * number for number in range(1, 200)]
    (tmp_path / "numbers_of_others.py").write_text(f"NUMBERS = {numbers}\n")
    alone = drawn(tmp_path, "alone")
    assert len(alone.split()) > 100
    assert drawn(tmp_path, "imported") == alone
