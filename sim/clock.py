"""The NIC's clock in the nanoseconds of a run."""

from typing import Final

__all__ = ["CYCLE_NS", "cycle_at"]

CYCLE_NS: Final = 8
"""One cycle of the 125 MHz clock."""


def cycle_at(time: int) -> int:
    """The first clock cycle at or after a time in nanoseconds."""
    return -(-time // CYCLE_NS)
