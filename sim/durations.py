"""How long things took, kept in memory that does not grow with how many there were."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Durations"]

_EXACT = 1 << 16
"""So many are kept as they are."""
_BITS = 12
"""Significant bits of those beyond: an error of 1/8192 at most."""


class Durations:
    """Of ns, not negative. Quantiles are exact up to 65,536 values; beyond that, times longer than 4 µs may be wrong by
    0.013 %. There are at most some 2,000 kinds of value per octave."""

    def __init__(self) -> None:
        self._recent: list[int] = []
        self._values = np.empty(0, np.int64)
        """Ascending, each with its count."""
        self._counts = np.empty(0, np.int64)
        self._longest = 0
        self._folded = 0

    def __len__(self) -> int:
        return self._folded + len(self._recent)

    def append(self, duration: int) -> None:
        self._recent.append(duration)
        if len(self._recent) > _EXACT:
            self._fold()

    def _fold(self) -> None:
        recent = np.array(self._recent, np.int64)
        self._recent.clear()
        self._folded += len(recent)
        self._longest = max(self._longest, int(recent.max()))
        every = np.concatenate((self._values, _rounded(recent)))
        counts = np.concatenate((self._counts, np.ones(len(recent), np.int64)))
        self._values, places = np.unique(every, return_inverse=True)
        self._counts = np.bincount(places, weights=counts).astype(np.int64)

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """In ns, between two values in proportion, as ``numpy.quantile`` has it. There must be a value."""
        if not self._folded:
            return [float(value) for value in np.quantile(self._recent, shares)]
        if self._recent:
            self._fold()
        places = np.asarray(shares) * (self._folded - 1)
        below = np.floor(places)
        ends = np.cumsum(self._counts)
        low, high = (
            self._values[np.searchsorted(ends, np.minimum(place, self._folded - 1), side="right")]
            for place in (below, below + 1)
        )
        found = low + (high - low) * (places - below)
        return [float(self._longest if share == 1 else value) for share, value in zip(shares, found, strict=True)]


def _rounded(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """To ``_BITS`` significant bits, to the nearest."""
    _, length = np.frexp(values.astype(np.float64))
    shift = np.maximum(length - _BITS, 0)
    half = np.where(shift > 0, 1 << np.maximum(shift - 1, 0), 0)
    rounded: npt.NDArray[np.int64] = (values + half) >> shift << shift
    return rounded
