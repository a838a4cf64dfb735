"""What the host edges of simulated NICs have in common: ``driver.bus.Bus`` but for the way to the NIC itself."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final

from mypy_extensions import mypyc_attr

from hw.registers import WINDOW_BYTES
from sim.clock import cycle_at
from sim.engine import Scheduler
from sim.host import HostCpu, InterruptLine
from sim.memory import HostMemory
from stack.environment import Cause, Event

__all__ = ["HostBus", "PendingRead"]

_WINDOW: Final[int] = WINDOW_BYTES
"""Compiled code finds a constant of another module by its name, each time."""


class PendingRead:
    """A register read on its way."""

    __slots__ = ("done", "value")

    def __init__(self, done: Event) -> None:
        self.done = done
        self.value = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class HostBus(ABC):
    """Registers, host memory and the interrupt line of a NIC.

    Latencies come from the host's costs, rounded up to clock cycles.
    """

    def __init__(self, env: Scheduler, cpu: HostCpu, memory: HostMemory) -> None:
        self.env = env
        self.cpu = cpu
        self.memory = memory
        costs = cpu.costs
        if not 1 <= costs.dma_width <= 8:
            raise ValueError(f"dma_width is 1..8 bytes per cycle, not {costs.dma_width}")
        self._read_request = costs.mmio_read_latency // 2
        self._write_latency = costs.mmio_write_latency
        self.accesses: list[Callable[[int, int, bool, int], None]] = []
        """Called with time, offset, whether it writes, and value of each access of the processor, when it is done."""
        self.dma: list[Callable[[str, int, int, int], None]] = []
        """Called with "read" or "write", start and duration in ns, and bytes, of each burst that the NIC tells."""
        self.rises: list[Callable[[int], None]] = []
        """Called with the time of each rise of the interrupt line."""
        self._line = InterruptLine(env, cpu, self.interrupt)

    @abstractmethod
    def _post_write(self, cycle: int, offset: int, value: int) -> None:
        """A write that reaches the NIC in a cycle, behind all accesses before."""

    @abstractmethod
    def _post_read(self, cycle: int, offset: int, read: PendingRead) -> None:
        """A read that does; ``read.done`` is set when its value is there."""

    @abstractmethod
    def interrupt(self) -> bool:
        """The level of the interrupt line."""

    def _rose(self) -> None:
        """The interrupt line has risen, now."""
        self._line.changed()
        for observer in self.rises:
            observer(self.env.now)

    @abstractmethod
    def dma_read_bytes(self) -> int:
        """Bytes that the NIC has asked memory for so far."""

    def write32(self, offset: int, value: int) -> None:
        self._check(offset)
        self.cpu.charge(Cause.MMIO)
        left = self.cpu.post(offset)
        self._post_write(cycle_at(left + self._write_latency), offset, value)
        for observer in self.accesses:
            observer(left, offset, True, value)

    async def read32(self, offset: int) -> int:
        self._check(offset)
        await self.cpu.settle()
        read = PendingRead(self.env.event())
        self._post_read(cycle_at(self.env.now + self._read_request), offset, read)
        await self.cpu.stall(Cause.MMIO, read.done)
        for observer in self.accesses:
            observer(self.env.now, offset, False, read.value)
        return read.value

    async def inspect32(self, offset: int) -> int:
        """Read a register as an instrument on the bus does: no processor takes part."""
        self._check(offset)
        read = PendingRead(self.env.event())
        self._post_read(cycle_at(self.env.now + self._read_request), offset, read)
        await read.done.wait()
        return read.value

    def request_irq(self, handler: Callable[[], Awaitable[None]]) -> None:
        self._line.request(handler)

    def free_irq(self) -> None:
        self._line.free()

    def _check(self, offset: int) -> None:
        if offset % 4 or not 0 <= offset < _WINDOW:
            raise ValueError(f"register offset {offset:#x}: aligned to 4 bytes and below {WINDOW_BYTES:#x} is allowed")
