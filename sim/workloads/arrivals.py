"""Arrival processes: when the next packet comes. Each draws from a generator of its own, so that every throttling mode
meets the same arrivals for the same seed.

Gaps are in nanoseconds, as floats: rounding each of them would shift the mean rate.
"""

import math
import random
from collections.abc import Iterator
from enum import StrEnum

__all__ = ["Arrivals", "gaps"]


class Arrivals(StrEnum):
    """How arrivals of a mean rate spread over time."""

    CONSTANT = "constant"
    """Equal gaps."""
    POISSON = "poisson"
    """Exponential gaps: independent sources."""
    ON_OFF = "on-off"
    """Bursts back to back, of a geometric number of packets, with exponential silences between."""


def gaps(process: Arrivals, *, rate: float, burst: float, burst_gap: float, random: random.Random) -> Iterator[float]:
    """Time from each arrival to the next, for ever, with a mean of 1/``rate`` (arrivals per second).

    ``burst`` is the mean number of packets in a burst, ``burst_gap`` the time in ns between two within one; both are of
    on-off alone. Raises ``ValueError`` if the bursts alone are slower than ``rate``.
    """
    mean = 1e9 / rate
    match process:
        case Arrivals.CONSTANT:
            while True:
                yield mean
        case Arrivals.POISSON:
            while True:
                yield random.expovariate(1.0) * mean
        case Arrivals.ON_OFF:
            silence = burst * mean - (burst - 1) * burst_gap
            if silence < burst_gap:
                raise ValueError(f"bursts with {burst_gap:g} ns between packets do not reach {rate:g} packets/s")
            while True:
                for _ in range(_geometric(burst, random) - 1):
                    yield burst_gap
                yield random.expovariate(1.0) * silence


def _geometric(mean: float, random: random.Random) -> int:
    """1, 2, 3, ... with this mean."""
    if mean <= 1.0:
        return 1
    return 1 + int(math.log(1.0 - random.random()) / math.log(1.0 - 1.0 / mean))
