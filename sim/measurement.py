"""Figures in one form, for people and for tools."""

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sim.rtl.build import REPOSITORY

__all__ = ["Figure", "commit", "write"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value.

    ``limit`` is what it is held against, measured in the same run where it is not a law. ``conditions`` says what the
    limit is, and all that one needs to measure again.
    """

    name: str
    value: float
    unit: str
    limit: float
    conditions: dict[str, Any]

    @property
    def ratio(self) -> float:
        """Value over limit."""
        return self.value / self.limit


def commit() -> str:
    """The commit that is checked out, ``+`` appended if the tree differs from it; ``unknown`` outside of git."""
    git = ["git", "-C", str(REPOSITORY)]
    try:
        head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout else "")


def write(figures: list[Figure], path: Path) -> None:
    """Write figures as JSON, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps([asdict(figure) | {"ratio": figure.ratio} for figure in figures], indent=1))
    temporary.rename(path)
