"""A scenario: one host with the driver on a NIC, traffic to it or from it, for some hundred microseconds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from driver.e1000 import E1000Parameters
from sim.costs import HostCosts
from sim.errors import UserError

__all__ = ["Direction", "Scenario"]


class Direction(StrEnum):
    RECEIVE = "receive"
    TRANSMIT = "transmit"
    BOTH = "both"
    """At the same time, independent of one another."""


_RANGES = {
    "size": (64, 16384),
    "frames": (1, 100_000),
    "burst": (1, 100_000),
    "pause": (0, 1_000_000_000),
    "segments": (1, 64),
    "receive_thresholds": (0, 0xFFFF_FFFF),
    "transmit_thresholds": (0, 0xFFFF_FFFF),
    "seed": (0, 2**63),
}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """``frames`` frames of ``size`` bytes (FCS included) each way, ``burst`` back to back, then ``pause`` ns of rest.

    Raises ``UserError`` for what is out of range.
    """

    name: str
    direction: Direction = Direction.RECEIVE
    size: int = 64
    frames: int = 60
    burst: int = 1
    pause: int = 5_000
    jitter: bool = False
    """The rest varies from nothing to twice as much, by the seed."""
    segments: int = 1
    """More than one: packets for TSO, of so many frames each."""
    checksums: bool = False
    """Frames are of UDP over IPv4, and the NIC checks and makes their checksums."""
    driver: Mapping[str, int] = field(default_factory=dict)
    """Fields of ``E1000Parameters``."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Fields of ``HostCosts``."""
    receive_thresholds: int = 0
    """RXDCTL, if it is not what the driver leaves there."""
    transmit_thresholds: int = 0
    """TXDCTL, likewise."""
    held_out: bool = False
    """Not looked at while the model was made or calibrated."""
    seed: int = 1

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise UserError(f"{self.name}: {name} is {least}..{most}, not {getattr(self, name)!r}")
        try:
            self.parameters()
            width = self.host_costs().dma_width
        except (TypeError, ValueError) as error:
            raise UserError(f"{self.name}: {error}") from None
        if not 1 <= width <= 8:
            raise UserError(f"{self.name}: dma_width is 1..8 bytes per cycle, not {width}")

    def parameters(self) -> E1000Parameters:
        """The driver's, with waits cut short in which nothing happens."""
        short: dict[str, Any] = {"dma_drain": 5_000, "reset_recovery": 2_000}
        return E1000Parameters(**short | dict(self.driver))

    def host_costs(self) -> HostCosts:
        costs: dict[str, Any] = dict(self.costs)
        return HostCosts(**costs)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Scenario":
        """Raises ``UserError`` if it is none."""
        known = {item.name for item in fields(cls)}
        if unknown := set(content) - known:
            raise UserError(f"a scenario has no {sorted(unknown)[0]}; it has {', '.join(sorted(known))}")
        try:
            return cls(**content | {"direction": Direction(content.get("direction", "receive"))})
        except ValueError as error:
            raise UserError(f"direction: {error}; receive, transmit or both is allowed") from None
