"""The host model: what a processor's work costs, and a processor that takes the time for it.

Without it no interrupt mode could win or lose. The model is one processor that does one thing after the other, in the
order in which work is charged: a hardware interrupt waits for the piece of work at hand (a few microseconds at most)
instead of cutting into it. Costs are those of a machine of the 82540's time, see ``HostCosts``.
"""

from collections.abc import Awaitable, Generator
from dataclasses import dataclass
from typing import Any

from sim.engine import Scheduler
from stack.environment import Cause

__all__ = ["IDEAL", "HostCosts", "HostCpu"]


@dataclass(frozen=True, kw_only=True)
class HostCosts:
    """Prices in nanoseconds, or nanoseconds per byte.

    The defaults describe a server of about 3 GHz. Orders of magnitude follow from published measurements: Linux
    spends roughly 1 to 2 us per received TCP packet altogether (Genode's and HP's e1000 figures imply 1.5 us and
    more at 20 to 80 % of a processor), about 1 us for an interrupt, and memory copies and checksums run at 4 to
    8 GB/s and 2 to 4 GB/s. They are parameters of an experiment, and every report states them.
    """

    interrupt: int = 1000
    """ns per hardware interrupt: entry, acknowledgement, exit."""
    softirq: int = 300
    """ns per run of NET_RX_SOFTIRQ."""
    driver_rx: int = 250
    """ns per received packet in the driver."""
    driver_tx: int = 150
    """ns per transmit descriptor written or packet cleaned."""
    protocol_rx: int = 600
    """ns per packet through Ethernet, IP and TCP or UDP input."""
    protocol_tx: int = 500
    """ns per packet (of whatever size) through TCP or UDP, IP and Ethernet output."""
    system_call: int = 300
    """ns per socket call."""
    copy_per_byte: float = 0.20
    """ns per byte between program and stack (5 GB/s)."""
    checksum_per_byte: float = 0.40
    """ns per byte of a checksum in software (2.5 GB/s)."""
    mmio_write: int = 100
    """ns of the processor per posted register write."""
    mmio_read_latency: int = 900
    """ns from a register read to its value: the PCI round trip, bridge included."""
    mmio_write_latency: int = 300
    """ns until a posted write reaches the device."""
    dma_read_latency: int = 800
    """ns from a device's read request to the first word."""
    dma_write_latency: int = 300
    """ns until a device's posted write is visible."""
    dma_width: int = 8
    """Bytes per 8 ns cycle that the bus moves each way: 8 is 1 GB/s."""

    def price(self, cause: Cause, count: int, size: int) -> int:
        """Nanoseconds for ``count`` operations on ``size`` bytes."""
        match cause:
            case Cause.COPY:
                return round(self.copy_per_byte * size)
            case Cause.CHECKSUM:
                return round(self.checksum_per_byte * size)
            case Cause.MMIO:
                return self.mmio_write * count
            case _:
                per_operation: int = getattr(self, cause.value)
                return per_operation * count


IDEAL = HostCosts(
    interrupt=0,
    softirq=0,
    driver_rx=0,
    driver_tx=0,
    protocol_rx=0,
    protocol_tx=0,
    system_call=0,
    copy_per_byte=0.0,
    checksum_per_byte=0.0,
    mmio_write=0,
)
"""A processor that takes no time: for peers that must not be the bottleneck."""


class _Settled:
    """Awaitable: that has come already."""

    def __await__(self) -> Generator[Any, Any, None]:
        return _NOTHING


def _nothing() -> Generator[Any, Any, None]:
    return
    yield


_NOTHING = _nothing()
_SETTLED = _Settled()


class HostCpu:
    """Implements ``stack.environment.Cpu``: work is done in the order in which it is charged.

    What is left of a run's time beside ``spent`` was idle.
    """

    def __init__(self, env: Scheduler, costs: HostCosts) -> None:
        self.env = env
        self.costs = costs
        self.busy: dict[Cause, int] = dict.fromkeys(Cause, 0)
        self._busy_until = 0
        self._each = {cause: costs.price(cause, 1, 0) for cause in Cause}
        """The price of one operation of each cause without bytes."""

    @property
    def now(self) -> int:
        now, until = self.env.now, self._busy_until
        return until if until > now else now

    def charge(self, cause: Cause, *, count: int = 1, size: int = 0) -> None:
        self.stall(cause, self.costs.price(cause, count, size) if size else self._each[cause] * count)

    def stall(self, cause: Cause, duration: int) -> None:
        if duration:
            self.busy[cause] += duration
            now = self.env.now
            until = self._busy_until
            self._busy_until = (until if until > now else now) + duration

    def stall_until(self, cause: Cause, time: int) -> None:
        """Spend what is left until ``time``, if anything."""
        if time > self._busy_until:
            self.busy[cause] += time - self._busy_until
            self._busy_until = time

    def settle(self) -> Awaitable[None]:
        now = self.now
        return _SETTLED if self.env.jump(now) else self.env.sleep(now - self.env.now)

    def spent(self) -> dict[Cause, int]:
        """Nanoseconds by cause up to now; the difference of two such answers is what a span of time was spent on."""
        return dict(self.busy)
