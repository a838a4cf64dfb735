"""What a run is made of: the mode, the offloads, the file, and all that is held constant."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sim.costs import HostCosts

__all__ = ["DEFAULT_MODES", "MODE_NAMES", "Experiment", "main_job", "mode_name"]

DEFAULT_MODES = (0, 1, 3, 4, 8000)
"""InterruptThrottleRate of the main job's runs: off, dynamic, dynamic conservative, simplified, fixed 8000/s."""

MODE_NAMES = {0: "off", 1: "dynamic", 3: "dynamic conservative", 4: "simplified"}


def mode_name(interrupt_throttle_rate: int) -> str:
    """A mode in words."""
    return MODE_NAMES.get(interrupt_throttle_rate, f"fixed {interrupt_throttle_rate}/s")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One run of the main job."""

    file: Path
    interrupt_throttle_rate: int
    """The driver's parameter of that name: 0, 1, 3, 4, or 100..100000 interrupts/s."""
    offloads: bool
    """TSO, transmit and receive checksum offload."""
    seed: int = 1
    round_trips: int = 32
    """One-byte round trips over TCP before the file."""
    simplified_interval: int = 1_000_000
    """Nanoseconds between two recomputations of mode 4. Linux takes 2 s, far longer than a run."""
    link_delay: int = 500
    """Nanoseconds each way, about 100 m of cable."""
    loss: float = 0.0
    """Probability that the link loses a frame, each way."""
    corruption: float = 0.0
    """Probability that the link flips a bit of a frame, each way."""
    time_limit: int = 5_000_000_000
    """Simulated nanoseconds after which the run is given up."""
    waves: bool = False
    costs: HostCosts = field(default_factory=HostCosts)

    @property
    def name(self) -> str:
        """Name of the run, fit for a file name."""
        return f"itr-{self.interrupt_throttle_rate}-offloads-{'on' if self.offloads else 'off'}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"file": str(self.file)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Experiment":
        return cls(**content | {"file": Path(content["file"]), "costs": HostCosts(**content["costs"])})


def main_job(
    file: Path,
    *,
    modes: tuple[int, ...] = DEFAULT_MODES,
    offloads: tuple[bool, ...] = (True, False),
    seed: int = 1,
    waves: bool = False,
) -> list[Experiment]:
    """The runs of the main job: each mode with each setting of the offloads."""
    return [
        Experiment(file=file.resolve(), interrupt_throttle_rate=mode, offloads=on, seed=seed, waves=waves)
        for mode in modes
        for on in offloads
    ]
