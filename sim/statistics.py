"""Means over seeds, and how sure they are."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Mean", "mean"]

_T_95: tuple[float, ...] = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_T_95 += (2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086)
"""Student's t, two-sided 95 %, for 1 to 20 degrees of freedom."""
_NORMAL_95 = 1.96


@dataclass(frozen=True)
class Mean:
    """``value`` plus or minus ``half`` holds the true mean in 95 of 100 cases; ``half`` is 0 for a single value."""

    value: float
    half: float
    count: int


def mean(values: Sequence[float]) -> Mean:
    """Of at least one value, each of another seed."""
    count = len(values)
    average = math.fsum(values) / count
    if count == 1:
        return Mean(average, 0.0, 1)
    deviation = math.sqrt(math.fsum((value - average) ** 2 for value in values) / (count - 1))
    t = _T_95[count - 2] if count - 2 < len(_T_95) else _NORMAL_95
    return Mean(average, t * deviation / math.sqrt(count), count)
