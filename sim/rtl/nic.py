"""The Verilated NIC behind a vfio-user socket: implements ``sim.vfio_user.nic.Nic``."""

from collections.abc import Sequence

from hw.registers import BY_NAME
from sim.clock import CYCLE_NS
from sim.rtl.engine import RtlEngine
from sim.vfio_user.guest_memory import GuestMemory, Region
from sim.vfio_user.nic import POLLED
from sim.vfio_user.statistics import Statistics

__all__ = ["RtlNic"]


class _Window:
    """Keeps bench.cpp's table of memory."""

    def __init__(self, env: RtlEngine) -> None:
        self._bench = env.bench

    def map(self, region: Region) -> None:
        assert region.array is not None
        self._bench.map(region.address, region.array, writable=region.writable)

    def unmap(self, region: Region) -> None:
        self._bench.unmap(region.address)


class RtlNic:
    """The NIC in the bench, whose own host memory it no longer sees."""

    def __init__(self, env: RtlEngine) -> None:
        self.env = env
        self.memory = GuestMemory(_Window(env))
        self._bench = env.bench
        self._state = env.bench.state
        self._bench.unmap(0)
        self._reads_done = 0
        self._woken = env.event()
        self._descriptors: tuple[int, ...] = ()
        env.observers.append(self._woken.set)

    @property
    def interrupt(self) -> bool:
        return bool(self._state.interrupt)

    def write32(self, offset: int, value: int) -> None:
        self._bench.access(0, offset, write=True, data=value)

    async def read32(self, offset: int) -> int:
        if offset in POLLED:
            while not await self.work(()):
                pass
        return await self._read(offset, io=False)

    def write_io(self, offset: int, value: int) -> None:
        self._bench.access(0, offset, write=True, data=value, io=True)

    async def read_io(self, offset: int) -> int:
        return await self._read(offset, io=True)

    async def _read(self, offset: int, *, io: bool) -> int:
        self._bench.access(0, offset, write=False, io=io)
        self._reads_done += 1
        while self._state.reads_done != self._reads_done:
            await self._next_wake()
        return self._bench.read_value()

    async def flush(self) -> None:
        await self.read32(BY_NAME["STATUS"].offset)

    async def reset(self) -> None:
        self._state.reset = 1
        self._state.rest = 0
        while not await self.work(()):
            pass

    async def work(self, descriptors: Sequence[int]) -> bool:
        if self._at_rest():
            return True
        if tuple(descriptors) != self._descriptors:
            self._descriptors = tuple(descriptors)
            self._bench.watch(self._descriptors)
        self._state.watching = 1
        await self._next_wake()
        self._state.watching = 0
        return self._at_rest()

    def count(self, statistics: Statistics) -> None:
        statistics.bad_reads, statistics.bad_writes = self._state.bad_reads, self._state.bad_writes
        statistics.interrupts = self._state.interrupts
        statistics.simulated_ns = self._state.cycle * CYCLE_NS

    def _at_rest(self) -> bool:
        return bool(self._state.rest) and self.env.next_call() is None

    async def _next_wake(self) -> None:
        self._woken.clear()
        await self._woken.wait()
