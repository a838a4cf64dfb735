"""Of the receiver's settings, those that count before it is decided on a frame (``hw.receive``).

All others are those of the decision.
"""

from collections import deque
from typing import Final, NamedTuple

__all__ = ["Early", "EarlySettings"]

_SUMS: Final = 17
"""Cycles from the begin of the preamble to where the checksum begins."""
_WORD: Final = 12
"""From the last byte of a word, counted from the begin of the frame, to the word at the filter: preamble, and the FIFO
between the clocks."""
_SECOND: Final = 16
"""Bytes of a frame with which the filter begins."""
_SEARCH: Final = 1
"""Cycles from there to the first entry of the address table; each of the others takes one more."""
_REMEMBERED: Final = 16
"""Changes that may come while a frame does: more than software gets through with."""


class Early(NamedTuple):
    """RAL and RAH as ``FilterSettings`` has them, VET, CTRL.VME and RXCSUM.PCSS."""

    table: list[tuple[bytes, int, bool]]
    vet: int
    strip_tag: bool
    pcss: int


class EarlySettings:
    """What they are, and were."""

    def __init__(self, settings: Early) -> None:
        self.now = settings
        self._before: deque[tuple[int, Early]] = deque(maxlen=_REMEMBERED)
        """Up to a cycle."""
        self.steady_from = 0
        """For a frame that begins from this cycle on they are what they are now."""

    def set(self, cycle: int, settings: Early) -> None:
        """They are to be this from a cycle on."""
        if settings != self.now:
            self._before.append((cycle, self.now))
            self.now = settings
            self.steady_from = cycle - _SUMS

    def of(self, begin: int, length: int) -> Early:
        """What counts for a frame of a length with FCS whose preamble began in a cycle."""
        looked = begin + _WORD + min(length, _SECOND)
        filtered = self._at(looked)
        table = [self._at(looked + _SEARCH + number).table[number] for number in range(len(filtered.table))]
        return Early(table, filtered.vet, filtered.strip_tag, self._at(begin + _SUMS).pcss)

    def _at(self, cycle: int) -> Early:
        return next((settings for until, settings in self._before if until > cycle), self.now)
