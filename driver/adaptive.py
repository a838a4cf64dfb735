"""Adaptive inter-frame spacing (register AIT): a station that collides a lot waits longer between two frames.

Linux's e1000_update_adaptive. Collisions are of half duplex alone; with full duplex it never finds any.
"""

from typing import Final

__all__ = ["AdaptiveSpacing"]

MINIMUM_TRANSMITTED: Final = 1000
"""Frames since the last look, below which nothing is changed upwards."""
RATIO: Final = 4
"""Collisions are too many if there are more than one for so many frames."""
FIRST: Final = 40
STEP: Final = 10
LARGEST: Final = 80
"""Spacing in units of the register: at first, more each time, and at most."""


class AdaptiveSpacing:
    """The spacing in force."""

    def __init__(self) -> None:
        self.value = 0

    def update(self, *, transmitted: int, collisions: int) -> int | None:
        """From the frames sent and the collisions since the last look: what to write to AIT, or None if it stays."""
        if collisions * RATIO > transmitted:
            if transmitted <= MINIMUM_TRANSMITTED or self.value >= LARGEST:
                return None
            self.value = min(self.value + STEP, LARGEST) if self.value else FIRST
            return self.value
        if self.value and transmitted <= MINIMUM_TRANSMITTED:
            self.value = 0
            return 0
        return None
