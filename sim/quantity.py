"""Quantities with units, as an experiment's text has them: ``"10 us"``, ``"1.5 Mb/s"``, ``"64 bytes"``, ``"20 k/s"``.

Each kind is an annotated number for pydantic models. Python code gives numbers in the base unit; a document (validated
with the context ``DOCUMENT``) must name the unit.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo

__all__ = ["DOCUMENT", "BitRate", "Duration", "EventRate", "Size", "parse", "span"]

DOCUMENT = {"units": "required"}
"""Validation context of values that people wrote: a bare number is refused where there is a unit."""

_QUANTITY = re.compile(r"\s*([+-]?[\d_.]+(?:[eE][+-]?\d+)?)\s*(\S*)\s*")


@dataclass(frozen=True)
class _Kind:
    name: str
    units: dict[str, float]
    """Factor to the base unit by name; the first is the base unit."""


_DURATION = _Kind("a time", {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9})
_SIZE = _Kind("a size", {"bytes": 1, "B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30})
_BIT_RATE = _Kind("a bit rate", {"b/s": 1, "kb/s": 1e3, "Mb/s": 1e6, "Gb/s": 1e9})
_EVENT_RATE = _Kind("a rate", {"/s": 1, "k/s": 1e3, "M/s": 1e6})


def _split(text: str) -> tuple[float, str] | None:
    found = _QUANTITY.fullmatch(text)
    try:
        return (float(found[1].replace("_", "")), found[2]) if found else None
    except ValueError:
        return None


def parse(text: str, kind: _Kind) -> float:
    """The value of a text in the base unit of its kind. Raises ``ValueError``."""
    found = _split(text)
    allowed = ", ".join(kind.units)
    if found is None:
        raise ValueError(f"{text!r} is not {kind.name}: a number with one of {allowed} is")
    value, unit = found
    if unit not in kind.units:
        raise ValueError(f"{text!r} has no unit of {kind.name}: {allowed} are")
    return value * kind.units[unit]


def _validator(kind: _Kind, *, whole: bool) -> BeforeValidator:
    def validate(value: object, info: ValidationInfo) -> float:
        if isinstance(value, str):
            number = parse(value, kind)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{value!r} is not {kind.name}: a text such as '1 {next(iter(kind.units))}' is")
        elif info.context == DOCUMENT and value != 0:
            raise ValueError(f"{value!r} needs a unit: one of {', '.join(kind.units)}, in quotes with the number")
        else:
            number = value
        return round(number) if whole else float(number)

    return BeforeValidator(validate)


Duration = Annotated[int, _validator(_DURATION, whole=True), Field(ge=0)]
"""Nanoseconds."""
Size = Annotated[int, _validator(_SIZE, whole=True), Field(ge=0)]
"""Bytes."""
BitRate = Annotated[float, _validator(_BIT_RATE, whole=False), Field(gt=0)]
"""Bits per second."""
EventRate = Annotated[float, _validator(_EVENT_RATE, whole=False), Field(gt=0)]
"""Events (packets, transactions, interrupts) per second."""


def span(first: object, last: object, points: int, *, logarithmic: bool) -> list[object]:
    """``points`` values from ``first`` to ``last``, both included: numbers, or texts that share a unit.

    Whole numbers give whole numbers, each once. Raises ``ValueError``.
    """
    ends = []
    for end in (first, last):
        found = _split(str(end)) if not isinstance(end, bool) else None
        if found is None:
            raise ValueError(f"{end!r} is not a number, nor one with a unit")
        ends.append(found)
    (low, unit), (high, other) = ends
    if unit != other:
        raise ValueError(f"from and to have the units {unit!r} and {other!r}; one for both is allowed")
    if points < 2:
        raise ValueError(f"points is 2 or more, not {points}")
    if logarithmic and (low <= 0 or high <= 0):
        raise ValueError("from and to are above 0 on a logarithmic scale")
    steps = [index / (points - 1) for index in range(points)]
    values = [low * (high / low) ** step if logarithmic else low + (high - low) * step for step in steps]
    if unit:
        return [f"{value:.6g} {unit}" for value in values]
    if isinstance(first, int) and isinstance(last, int):
        return list(dict.fromkeys(round(value) for value in values))
    return [*values]
