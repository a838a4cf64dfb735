"""How closely the model has followed the RTL in a test, told where the test's output is seen."""

import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

__all__ = ["Tally", "tell"]

_MOST_RACES = 0.1
"""Of the programs of a test. Hypothesis draws several that are nearly the same one after the other."""
_FEW = 5


@dataclass
class Tally:
    """Of the programs that have been compared."""

    programs: int = 0
    races: list[int] = field(default_factory=list)
    """For each that was a race how far the two are apart, in cycles."""

    def leave(self, name: str) -> None:
        """For ``tell``, in the folder of the simulator."""
        Path(os.environ["NICLAB_RUN"], f"{name}.tally.json").write_text(json.dumps(asdict(self)))


def tell(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Print what the tests of a simulator have left. Raises ``AssertionError`` if there were too many races."""
    for path in sorted(folder.glob("*.tally.json")):
        tally = Tally(**json.loads(path.read_text()))
        apart = ", ".join(f"{count} by {cycles} cycles" for cycles, count in sorted(Counter(tally.races).items()))
        equal = tally.programs - len(tally.races)
        with capsys.disabled():
            print(
                f"\n{path.name.partition('.')[0]}: {equal} of {tally.programs} programs equal at once"
                f"{f'; races: {apart}' if apart else ''}"
            )
        assert len(tally.races) <= max(_FEW, _MOST_RACES * tally.programs), path.name
