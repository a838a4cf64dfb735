"""Experiments as documents: TOML that says which runs there are. ``docs/experiments.md`` explains it to users.

A value that is a list is an axis of the grid; so is a table ``{ from, to, points, scale }``. ``[[workload]]`` may stand
more than once. The runs are all combinations.
"""

import difflib
import itertools
import json
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from sim.backend import Backend
from sim.errors import UserError
from sim.quantity import DOCUMENT, span
from sim.run import Driver, Host, LinkParameters, Run
from sim.workloads.registry import WORKLOADS
from sim.workloads.replay import Replay
from sim.workloads.workload import TimedWorkload

__all__ = ["DEFAULT_MODES", "load", "main_job"]

DEFAULT_MODES = (0, 1, 3, 4, 8000)
"""InterruptThrottleRate of the main job's runs: off, dynamic, dynamic conservative, simplified, fixed 8000/s."""

_SECTIONS: dict[str, type[BaseModel]] = {"driver": Driver, "link": LinkParameters, "host": Host}
_TOP = ("backend", "seeds", "itr_semantics", "simplified_interval", "time_limit", "workload", *_SECTIONS)
_KINDS = {kind.model_fields["kind"].default: kind for kind in WORKLOADS}
_RANGE = {"from", "to", "points", "scale"}
_UNVARIED = {"driver.interrupt_throttle_rate", "driver.offloads", "seed", "backend"}
"""Axes that every row names in a field of its own."""
_MAXIMUM_RUNS = 100_000
_SPELLINGS = {"InterruptThrottleRate": "interrupt_throttle_rate"}

_Axis = tuple[tuple[str, ...], list[Any]]
"""The path to a value, and the values that it takes."""


class _Document:
    """A text, and where in it a key stands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not UTF-8 text: byte {error.start} is no part of a character") from None
        try:
            self.content: dict[str, Any] = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"\(at line (\d+).*\)", str(error))
            line = int(found[1]) if found else self.text.count("\n") + 1
            raise UserError(f"{path}:{line}: {re.sub(r' [(]at .*[)]', '', str(error))}") from None

    def fail(self, place: tuple[str, ...], message: str, *, workload: int = 0) -> UserError:
        return UserError(f"{self.path}:{self._line(place, workload)}: {message}")

    def _line(self, place: tuple[str, ...], workload: int) -> int:
        """The line of the key at ``place``; of its section if the key is not there; 1 if that is not there either."""
        section: tuple[str, ...] = ()
        number_of_workload = -1
        best = 1
        for number, text in enumerate(self.text.splitlines(), start=1):
            if header := re.match(r"\s*\[+\s*([\w.\-]+)\s*\]+", text):
                section = tuple(header[1].split("."))
                number_of_workload += section == ("workload",)
                if section == place[:1] and (section != ("workload",) or number_of_workload == workload):
                    best = number
            elif (
                (key := re.match(r"\s*([\w\-.]+)\s*=", text))
                and (*section, *key[1].split(".")) == place[:2]
                and (section != ("workload",) or number_of_workload == workload)
            ):
                return number
        return best


def load(path: Path, *, backend: Backend | None = None) -> list[Run]:
    """The runs of an experiment, in the order of its axes. ``backend`` stands for what the document names.

    A relative file of a workload is beside the document. Raises ``UserError`` with file, line and what is allowed.
    """
    document = _Document(path)
    content = document.content
    for key in content:
        if key not in _TOP:
            raise document.fail((key,), f"unknown key {key!r}; {_listed(_TOP)} are allowed")
    if backend is not None:
        content["backend"] = backend.value
    workloads = content.get("workload", [])
    if isinstance(workloads, dict):
        workloads = [workloads]
    if not workloads or not all(isinstance(workload, dict) for workload in workloads):
        raise document.fail(("workload",), f"[workload] or several [[workload]] must stand, each with kind: {_kinds()}")
    runs: dict[str, Run] = {}
    distinct = _distinct(workloads)
    for index, workload in enumerate(workloads):
        tree = {key: value for key, value in content.items() if key != "workload"} | {"workload": workload}
        for run in _grid(document, tree, index, distinct.get(workload.get("kind"), set())):
            if runs.setdefault(run.name, run) != run:
                raise document.fail(("workload",), f"two runs have the name {run.name}", workload=index)
    return list(runs.values())


def _distinct(workloads: list[dict[str, Any]]) -> dict[Any, set[str]]:
    """By kind, the parameters in which several workloads of the kind differ: they tell those apart."""
    found: dict[Any, set[str]] = {}
    for kind in {str(workload.get("kind")) for workload in workloads}:
        members = [workload for workload in workloads if str(workload.get("kind")) == kind]
        names = {name for member in members for name in member}
        found[kind] = {name for name in names if len({json.dumps(member.get(name)) for member in members}) > 1}
    return found


def _grid(document: _Document, tree: dict[str, Any], index: int, distinct: set[str]) -> Iterator[Run]:
    """All runs of one workload; ``distinct`` are the parameters that tell it from others of its kind."""
    axes: list[_Axis] = [(("seed",), _seeds(document, tree.pop("seeds", 1)))]
    fixed: dict[str, Any] = {}
    for key, value in tree.items():
        if key in ("workload", *_SECTIONS):
            if not isinstance(value, dict):
                raise document.fail((key,), f"[{key}] is a section with keys, not {value!r}")
            fixed[key] = {}
            for name, item in value.items():
                _place(document, (key, name), item, axes, fixed[key], index)
        else:
            _place(document, (key,), value, axes, fixed, index)
    count = 1
    for _, values in axes:
        count *= len(values)
    if count > _MAXIMUM_RUNS:
        raise document.fail((), f"{count} runs; {_MAXIMUM_RUNS} are allowed")
    # Modes and seeds turn fastest: what is compared comes together.
    axes.sort(key=lambda axis: (axis[0] == ("seed",), axis[0] == ("driver", "interrupt_throttle_rate")))
    names = [".".join(place) for place, values in axes if len(values) > 1]
    names += [name for name in sorted(f"workload.{key}" for key in distinct) if name not in names]
    for combination in itertools.product(*(values for _, values in axes)):
        content = {key: dict(value) if isinstance(value, dict) else value for key, value in fixed.items()}
        for (place, _), value in zip(axes, combination, strict=True):
            target = content
            for part in place[:-1]:
                target = target[part]
            target[place[-1]] = value
        chosen = {".".join(place): value for (place, _), value in zip(axes, combination, strict=True)}
        given = {name: chosen.get(name, fixed["workload"].get(name.removeprefix("workload."))) for name in names}
        yield _run(document, content, {name: value for name, value in given.items() if value is not None}, index)


def _place(
    document: _Document,
    place: tuple[str, ...],
    value: Any,
    axes: list[_Axis],
    fixed: dict[str, Any],
    index: int,
) -> None:
    """A value as an axis, or as it is."""
    if isinstance(value, dict):
        if not {"from", "to", "points"} <= set(value) <= _RANGE or value.get("scale", "linear") not in (
            "linear",
            "log",
        ):
            raise document.fail(
                place, f"{place[-1]}: a range has from, to, points, and scale 'linear' or 'log'", workload=index
            )
        points = value["points"]
        try:
            if not isinstance(points, int) or isinstance(points, bool):
                raise ValueError(f"points is a whole number, not {points!r}")
            value = span(value["from"], value["to"], points, logarithmic=value.get("scale") == "log")
        except ValueError as error:
            raise document.fail(place, f"{place[-1]}: {error}", workload=index) from None
    if isinstance(value, list):
        if not value:
            raise document.fail(place, f"{place[-1]}: an empty list has no runs", workload=index)
        axes.append((place, list({json.dumps(item): item for item in value}.values())))
    else:
        fixed[place[-1]] = value


def _seeds(document: _Document, value: Any) -> list[int]:
    """A number n is the seeds 1 to n."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10_000:
        return list(range(1, value + 1))
    whole = isinstance(value, list) and value and all(type(seed) is int and seed >= 0 for seed in value)
    if whole and len(set(value)) == len(value):
        return [*value]
    raise document.fail(("seeds",), f"seeds is how many (1..10000), or a list of different numbers, not {value!r}")


def _run(document: _Document, content: dict[str, Any], chosen: dict[str, Any], index: int) -> Run:
    workload = content["workload"]
    kind = workload.get("kind")
    if kind not in _KINDS:
        raise document.fail(("workload", "kind"), f"kind is one of {_kinds()}, not {kind!r}", workload=index)
    if isinstance(workload.get("file"), str):
        workload["file"] = str(document.path.parent / workload["file"])
    content |= {"experiment": document.path.stem}
    try:
        run = Run.model_validate(content, context=DOCUMENT)
    except ValidationError as error:
        place, message = _explain(error, kind)
        raise document.fail(place, message, workload=index) from None
    _, load_unit = run.workload.load
    carries_load = {"workload.rate", "workload.speed", f"workload.{load_unit}"}
    varied = {name: value for name, value in chosen.items() if name not in _UNVARIED | carries_load}
    _check_input(document, run, index)
    _check_time(document, run, index)
    return run.model_copy(update={"varied": varied})


def _check_input(document: _Document, run: Run, index: int) -> None:
    """A workload's file is looked at before anything runs."""
    try:
        if isinstance(run.workload, Replay):
            run.workload.packets()
        elif run.workload.input_file is not None:
            check_file(run.workload.input_file)
    except UserError as error:
        raise document.fail(("workload", "file"), str(error), workload=index) from None


def _check_time(document: _Document, run: Run, index: int) -> None:
    """Rather than at the end of a long run that was in vain."""
    workload = run.workload
    if isinstance(workload, TimedWorkload) and (needed := workload.warm_up + workload.duration) >= run.time_limit:
        raise document.fail(
            ("workload", "duration"),
            f"warm_up and duration take {needed / 1e9:g} s, but a run is given up after time_limit, "
            f"{run.time_limit / 1e9:g} s; set a longer one at the top",
            workload=index,
        )


def check_file(file: Path) -> None:
    """Raises ``UserError`` unless the file can be read to its end; an empty one can."""
    try:
        # Opening a pipe would wait for its writer, so the kind of file is looked at first.
        kind = file.stat().st_mode
        if stat.S_ISDIR(kind):
            raise UserError(f"{file} is a directory, not a file")
        if not stat.S_ISREG(kind):
            raise UserError(f"{file} is not a regular file")
        with file.open("rb") as content:
            content.read(1)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _explain(error: ValidationError, kind: str) -> tuple[tuple[str, ...], str]:
    """Where the first fault is, and what is wrong and allowed there."""
    faults = error.errors(include_url=False)
    fault = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    # A tagged union puts its tag into the place.
    place = tuple(str(part) for part in fault["loc"] if part != kind or fault["loc"][0] != "workload")
    key = place[-1] if place else ""
    if fault["type"] == "extra_forbidden":
        model = _KINDS[kind] if place[0] == "workload" else _SECTIONS[place[0]]
        allowed = [name for name in model.model_fields if name != "kind"]
        if place[0] == "driver":
            allowed.append("offloads")
        near = difflib.get_close_matches(key, allowed, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return place, f"unknown key {key!r}; {hint}{_listed(allowed)} are allowed"
    if fault["type"] == "missing":
        return place, f"{kind} needs {key}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "value_error" and (key in _SECTIONS or key == "workload"):
        # Raised by the section as a whole, and it names the key.
        named = re.match(r"\w+", message)
        return (*place, _SPELLINGS.get(named[0], named[0])) if named else place, message
    return place, f"{key}: {message[0].lower()}{message[1:]}, not {fault['input']!r}" if "input" in fault else message


def _listed(names: Any) -> str:
    return ", ".join(names)


def _kinds() -> str:
    return _listed(_KINDS)


def main_job(
    file: Path,
    *,
    modes: tuple[int, ...] = DEFAULT_MODES,
    offloads: tuple[bool, ...] = (True, False),
    seed: int = 1,
    backend: Backend = Backend.RTL,
) -> list[Run]:
    """The runs of the main job: a file to the other host and back, in each mode with each setting of the offloads.

    Raises ``UserError`` for a file that cannot be read.
    """
    check_file(file)
    return [
        Run.model_validate(
            {
                "experiment": "main-job",
                "backend": backend,
                "workload": {"kind": "file", "file": file.resolve()},
                "driver": {"interrupt_throttle_rate": mode, "offloads": on},
                "seed": seed,
            }
        )
        for mode in modes
        for on in offloads
    ]
