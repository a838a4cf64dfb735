"""The host edge on the Verilated NIC: implements ``driver.bus.Bus``."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hw.registers import WINDOW_BYTES
from sim.host import HostCpu, InterruptLine
from sim.memory import HostMemory
from sim.rtl.engine import RtlEngine, cycle_at
from stack.environment import Cause, Event

__all__ = ["RtlBus"]


@dataclass(slots=True)
class _Read:
    """A register read on its way."""

    done: Event
    value: int = 0


class RtlBus:
    """Registers, host memory and the interrupt line of the NIC in the bench.

    Latencies come from the host's costs, rounded up to clock cycles.
    """

    def __init__(self, env: RtlEngine, cpu: HostCpu) -> None:
        self.env = env
        self.cpu = cpu
        self.memory = HostMemory(env.bench.memory)
        self._state = state = env.bench.state
        costs = cpu.costs
        self._read_request = costs.mmio_read_latency // 2
        self._write_latency = costs.mmio_write_latency
        state.mmio_read_return = cycle_at(costs.mmio_read_latency - self._read_request)
        state.dma_read_latency = cycle_at(costs.dma_read_latency)
        state.dma_write_latency = cycle_at(costs.dma_write_latency)
        if not 1 <= costs.dma_width <= 8:
            raise ValueError(f"dma_width is 1..8 bytes per cycle, not {costs.dma_width}")
        state.dma_width = costs.dma_width
        self._reads: deque[_Read] = deque()
        self._reads_done = 0
        self._interrupts = 0
        self._line = InterruptLine(env, cpu, lambda: bool(state.interrupt))
        env.observers.append(self._observe)

    def write32(self, offset: int, value: int) -> None:
        self._check(offset)
        self.cpu.charge(Cause.MMIO)
        arrival = cycle_at(self.cpu.post(offset) + self._write_latency)
        self.env.bench.access(arrival, offset, write=True, data=value)

    async def read32(self, offset: int) -> int:
        self._check(offset)
        await self.cpu.settle()
        read = _Read(self.env.event())
        self._reads.append(read)
        self.env.bench.access(cycle_at(self.env.now + self._read_request), offset, write=False)
        await self.cpu.stall(Cause.MMIO, read.done)
        return read.value

    def request_irq(self, handler: Callable[[], Awaitable[None]]) -> None:
        self._line.request(handler)

    def free_irq(self) -> None:
        self._line.free()

    def _check(self, offset: int) -> None:
        if offset % 4 or not 0 <= offset < WINDOW_BYTES:
            raise ValueError(f"register offset {offset:#x}: aligned to 4 bytes and below {WINDOW_BYTES:#x} is allowed")

    def _observe(self) -> None:
        """Something in the bench has changed."""
        state = self._state
        while state.reads_done != self._reads_done:
            self._reads_done += 1
            read = self._reads.popleft()
            read.value = self.env.bench.read_value()
            read.done.set()
        if state.interrupts != self._interrupts:
            self._interrupts = state.interrupts
            self._line.changed()
