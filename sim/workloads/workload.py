"""What every workload has: parameters with units, an offered load, and a coroutine that runs it on the hosts."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from sim.hosts import Hosts
from sim.quantity import Duration

__all__ = ["Load", "TimedWorkload", "Workload"]

Load = tuple[float, str]
"""A quantity and its unit."""


class Workload(BaseModel, ABC):
    """The parameters of a workload. Subclasses add theirs, and ``kind``, by which experiments name it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_of: ClassVar[str] = "receive"
    """What its latencies measure, see ``sim.results.Row.latency_of``."""

    @property
    @abstractmethod
    def load(self) -> Load:
        """What it offers: the axis of figures."""

    @property
    def input_file(self) -> Path | None:
        """The file that it sends, on whose content a run's rows depend."""
        return None

    @property
    def peers(self) -> int:
        """Hosts on the other side; more than one hang on a switch."""
        return 1

    @abstractmethod
    async def run(self, hosts: Hosts) -> None:
        """Run to the end, between ``hosts.begin`` and ``hosts.end`` for each phase. Raises ``RunFailedError``."""


class TimedWorkload(Workload):
    """One that goes on for as long as it is told to, and is measured after a while."""

    duration: Duration = 10_000_000
    """Of the phase that is measured."""
    warm_up: Duration = 1_000_000
    """Before it."""
    stall: Duration = 0
    """Once, in the middle of the phase, A's processor is away for so long (a system management interrupt)."""

    async def run(self, hosts: Hosts) -> None:
        await self.start(hosts)
        await hosts.env.sleep(self.warm_up)
        await hosts.begin("steady")
        if self.stall:
            hosts.env.call_at(hosts.env.now + self.duration // 2, lambda: hosts.stall(self.stall))
        await hosts.env.sleep(self.duration)
        await hosts.end()

    @abstractmethod
    async def start(self, hosts: Hosts) -> None:
        """Connect, and spawn (by ``hosts.spawn``) the programs that go on until the run ends."""
