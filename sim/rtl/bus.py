"""The host edge on the Verilated NIC: implements ``driver.bus.Bus``."""

from collections import deque

from sim.clock import cycle_at
from sim.host import HostCpu
from sim.host_bus import HostBus, PendingRead
from sim.memory import HostMemory
from sim.rtl.engine import RtlEngine

__all__ = ["RtlBus"]


class RtlBus(HostBus):
    """Registers, host memory and the interrupt line of the NIC in the bench."""

    env: RtlEngine

    def __init__(self, env: RtlEngine, cpu: HostCpu) -> None:
        super().__init__(env, cpu, HostMemory(env.bench.memory))
        self._state = state = env.bench.state
        costs = cpu.costs
        state.mmio_read_return = cycle_at(costs.mmio_read_latency - self._read_request)
        state.dma_read_latency = cycle_at(costs.dma_read_latency)
        state.dma_write_latency = cycle_at(costs.dma_write_latency)
        state.dma_width = costs.dma_width
        self._reads: deque[PendingRead] = deque()
        self._reads_done = state.reads_done
        self._interrupts = state.interrupts
        env.observers.append(self._observe)

    def interrupt(self) -> bool:
        return bool(self._state.interrupt)

    def dma_read_bytes(self) -> int:
        return self._state.read_bytes

    def _post_write(self, cycle: int, offset: int, value: int) -> None:
        self.env.bench.access(cycle, offset, write=True, data=value)

    def _post_read(self, cycle: int, offset: int, read: PendingRead) -> None:
        self._reads.append(read)
        self.env.bench.access(cycle, offset, write=False)

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
            self._rose()
