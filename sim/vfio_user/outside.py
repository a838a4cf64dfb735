"""The far end of the wire, which lives in real time: what the server has to watch for it."""

from collections.abc import Sequence
from typing import Protocol

__all__ = ["Outside"]


class Outside(Protocol):
    """A TAP device, a stack of our own, a capture that is replayed, or nothing."""

    @property
    def descriptors(self) -> Sequence[int]:
        """``run`` has something to do when one of these can be read."""

    def deadline(self) -> float | None:
        """Seconds until ``run`` has something to do by itself; None: never."""

    def run(self) -> None:
        """Take what has come, do what is due."""
