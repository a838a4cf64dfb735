"""Writes a report's directory: all of it or nothing."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sim.errors import UserError
from sim.report.conditions import Conditions
from sim.report.page import page
from sim.results import Row, to_json
from sim.table import write_parquet

__all__ = ["check_directory", "write_report"]

_DEFAULT_RATE = 3


def check_directory(directory: Path) -> None:
    """Raises ``UserError`` if a report cannot be written there, or would replace something that is no report."""
    target = directory.resolve()
    if target.exists():
        if not target.is_dir():
            raise UserError(f"{directory} is not a directory")
        if any(target.iterdir()) and not (target / "results.json").is_file():
            raise UserError(f"{directory} holds files and no report; choose another directory")
    parent = next(parent for parent in target.parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"{directory} cannot be created in {parent}")


@contextmanager
def _replaced(directory: Path) -> Iterator[Path]:
    """Gives an empty directory beside ``directory`` that takes its place at the end, unless something is raised."""
    target = directory.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    new, old = (target.with_name(f".{target.name}.{kind}-{os.getpid()}") for kind in ("new", "old"))
    try:
        new.mkdir()
        yield new
        if target.exists():
            target.rename(old)
        new.rename(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.rename(target)
        shutil.rmtree(new, ignore_errors=True)
        raise
    finally:
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


def _default_run(rows: Sequence[Row]) -> Row:
    """A row in the driver's default mode, with offloads if there is one."""
    candidates = [row for row in rows if row.interrupt_throttle_rate == _DEFAULT_RATE] or list(rows)
    return next((row for row in candidates if row.offloads), candidates[0])


def write_report(
    directory: Path,
    rows: Sequence[Row],
    conditions: Conditions,
    *,
    captures: Mapping[str, Path],
    waves: Mapping[str, Path] | None = None,
) -> None:
    """Write ``index.html``, ``results.json``, ``rows.parquet``, and per run, as far as they are given,
    ``captures/<name>.pcapng`` and ``waves/<name>.fst``, with ``capture.pcapng`` being that of the default mode.

    ``captures`` and ``waves`` say by a run's name where its file is. A report that is there already is replaced when
    the new one is complete; it stays as it was if anything is raised.
    """
    with _replaced(directory) as folder:
        (folder / "results.json").write_text(json.dumps(to_json(list(rows), conditions), indent=1), encoding="utf-8")
        write_parquet(list(rows), folder / "rows.parquet")
        for subfolder, suffix, files in (("captures", "pcapng", captures), ("waves", "fst", waves or {})):
            for name, path in files.items():
                (folder / subfolder).mkdir(exist_ok=True)
                shutil.copyfile(path, folder / subfolder / f"{name}.{suffix}")
                for view in (path.with_suffix(".gtkw"), path.with_suffix(".sucl")):
                    if view.exists():
                        # A view names its waveform.
                        text = view.read_text().replace(path.name, f"{name}.{suffix}")
                        (folder / subfolder / f"{name}{view.suffix}").write_text(text)
        default = _default_run(rows).name
        if default in captures:
            shutil.copyfile(captures[default], folder / "capture.pcapng")
        (folder / "index.html").write_text(page(rows, conditions), encoding="utf-8")
