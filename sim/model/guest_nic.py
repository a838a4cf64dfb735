"""The model of the NIC behind a vfio-user socket: implements ``sim.vfio_user.nic.Nic``.

Its times are of no account here, so a calibration of another NIC will do.
"""

import select
import sys
from collections.abc import Sequence

from hw.io_window import IoWindowModel
from hw.registers import WINDOW_BYTES
from sim.clock import CYCLE_NS, cycle_at
from sim.engine import EventEngine
from sim.model.events import Events
from sim.model.nic import Nic
from sim.model.timing import Calibration
from sim.vfio_user.guest_memory import GuestMemory
from sim.vfio_user.nic import POLLED
from sim.vfio_user.statistics import Statistics
from sim.wire import Link

__all__ = ["ModelNic"]

_IOADDR, _IODATA = 0, 4
_READ_CYCLES = 16
"""From a DMA read request to its first word."""
_NEVER = 1 << 64
_STEPS = 64
"""Steps between two looks at the outside."""


class _View:
    """Guest memory as the model's port sees it."""

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, key: slice) -> bytes:
        return self._memory.read(key.start, key.stop - key.start)

    def __setitem__(self, key: slice, value: bytes) -> None:
        self._memory.write(key.start, value)


class ModelNic:
    """The model at the a end of ``link``."""

    def __init__(self, env: EventEngine, link: Link) -> None:
        self.env = env
        self.memory = GuestMemory()
        self._link = link
        self._timing = Calibration.begin()
        self._read_value = 0
        self._happened = False
        self._rises = 0
        self._power_up()
        link.b_to_a.whole = False
        link.b_to_a.deliver = lambda start, frame: self._nic.arrive(cycle_at(start), frame)

    def _power_up(self) -> None:
        self._events = Events()
        self._events.advance(cycle_at(self.env.now))
        self._io = IoWindowModel(lambda offset: self._read_value, self.write32)
        self._nic = Nic(
            self._events,
            _View(self.memory),
            self._timing,
            read_latency=_READ_CYCLES,
            write_latency=1,
            width=8,
            on_interrupt=self._rose,
            on_frame=self._sent,
        )

    @property
    def interrupt(self) -> bool:
        return self._nic.interrupts.level

    def write32(self, offset: int, value: int) -> None:
        self._nic.accesses.write(cycle_at(self.env.now), offset, value)

    async def read32(self, offset: int) -> int:
        if offset in POLLED:
            await self.flush()
        answers: list[int] = []
        self._nic.accesses.read(cycle_at(self.env.now), offset, lambda value, cycle: answers.append(value))
        while not answers:
            await self._step()
        self._land()
        return answers[0]

    def write_io(self, offset: int, value: int) -> None:
        self._io.write(offset, value)

    async def read_io(self, offset: int) -> int:
        if offset == _IODATA and (register := self._io.read(_IOADDR)) < WINDOW_BYTES:
            self._read_value = await self.read32(register)
        return int(self._io.read(offset))

    async def flush(self) -> None:
        while not await self.work(()):
            pass

    async def reset(self) -> None:
        self._power_up()
        await self.flush()

    def count(self, statistics: Statistics) -> None:
        statistics.bad_reads, statistics.bad_writes = self.memory.bad_reads, self.memory.bad_writes
        statistics.interrupts = self._rises
        statistics.simulated_ns = self.env.now

    async def work(self, descriptors: Sequence[int]) -> bool:
        self._happened = False
        outside = select.poll()
        for descriptor in descriptors:
            outside.register(descriptor, select.POLLIN)
        steps = 0
        while await self._step():
            steps += 1
            if self._happened or (steps % _STEPS == 0 and outside.poll(0)):
                self._land()
                return False
        self._land()
        return True

    async def _step(self) -> bool:
        """Let time pass to what is next; False if nothing is."""
        due, call = self._events.due(), self.env.next_call()
        times = [time for time in (None if due is None else due * CYCLE_NS, call) if time is not None]
        if not times:
            return False
        await self.env.sleep(max(min(times) - self.env.now, 0))
        self._events.advance(self.env.now // CYCLE_NS)
        return True

    def _land(self) -> None:
        """Let the guest see what is on its way to its memory: when it looks, it is there."""
        self._nic.port.land(_NEVER)

    def _rose(self) -> None:
        self._rises += 1
        self._happened = True

    def _sent(self, begin: int, frame: bytes) -> None:
        self._link.a_to_b.carry(begin * CYCLE_NS, frame)
        self._happened = True
