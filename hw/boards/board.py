"""What a board has to supply. Everything else is in ``hw.boards.top`` and, for each family of devices, as
``hw.boards.ecp5``.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from amaranth.lib import io

from hw.boards.ecp5 import RgmiiPorts

__all__ = ["Board", "BoardPorts", "LedPorts"]


@dataclass(frozen=True, kw_only=True)
class LedPorts:
    """One pin for each, as ports of ``amaranth.lib.io`` whose inversion makes 1 light them."""

    link: io.PortLike
    activity: io.PortLike
    interrupt: io.PortLike
    connected: io.PortLike
    error: io.PortLike


@dataclass(frozen=True, kw_only=True)
class BoardPorts:
    """A board's pins, requested from its platform."""

    clock: io.PortLike
    button: io.PortLike
    """Resets all; its inversion makes 1 mean pressed."""
    uart_rx: io.PortLike
    uart_tx: io.PortLike
    rgmii: RgmiiPorts
    mdc: io.PortLike
    mdio: io.PortLike
    phy_reset: io.PortLike
    """Its inversion makes 1 mean reset."""
    leds: LedPorts


class Board(ABC):
    """A board. A new one is a subclass that sets these, and ``ports``; then it is named in ``hw.boards.all``."""

    name: ClassVar[str]
    """As the command line has it."""
    title: ClassVar[str]
    platform: ClassVar[type[Any]]
    """From ``amaranth_boards``: device, package, speed grade, pins and their electrical attributes."""
    clock_hz: ClassVar[float]
    phy_address: ClassVar[int]
    """On MDIO."""
    memory_kib: ClassVar[int]
    """Host memory, a power of two; with the NIC's own block RAM it has to fit the device."""
    loader: ClassVar[tuple[str, ...]]
    """Arguments by which openFPGALoader finds the board."""

    @abstractmethod
    def ports(self, platform: Any) -> BoardPorts:
        """Request the pins."""
