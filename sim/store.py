"""Rows that are kept: one Parquet file per run, named by the digest of all that the run depends on.

So a sweep that was cut short goes on where it stopped, and a changed input has rows of its own and no others.
"""

from pathlib import Path

from sim.results import Row
from sim.table import read_parquet, write_parquet

__all__ = ["Store"]


class Store:
    """A directory of rows by the runs' keys."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _path(self, key: str) -> Path:
        return self.directory / key[:2] / f"{key}.parquet"

    def get(self, key: str) -> list[Row] | None:
        """The rows of a run, None if they are not there, or not readable."""
        path = self._path(key)
        if not path.exists():
            return None
        try:
            return read_parquet(path)
        except ValueError:
            return None

    def put(self, key: str, rows: list[Row]) -> None:
        """Keep a run's rows; they are safe when this returns. Raises ``OSError``, and nothing is half written."""
        write_parquet(rows, self._path(key))
