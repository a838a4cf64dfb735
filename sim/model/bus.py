"""The host and the wire edge on the model of the NIC: ``driver.bus.Bus`` and a port, as ``sim/rtl`` has them."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from hw.interrupt import Semantics
from sim.clock import CYCLE_NS, cycle_at
from sim.engine import Scheduler
from sim.host import HostCpu
from sim.host_bus import HostBus, PendingRead
from sim.memory import HostMemory
from sim.model.events import Events
from sim.model.nic import Nic
from sim.model.timing import Calibration, Timing
from sim.wire import PREAMBLE_BYTES, Direction
from stack.environment import Timer

__all__ = ["MEMORY_BYTES", "ModelBus", "ModelPort"]

_NEVER: Final = 1 << 63
_STRETCH: Final = 100_000
"""Cycles that the NIC goes on by itself before it is asked again whether anything of it can be seen."""
_FRAME: Final = 96
"""Cycles that a step of ``sim.model.transmit_batch`` takes, and more: where nothing is to be seen any more, nothing is
begun that cannot be ended."""
MEMORY_BYTES: Final = 16 << 20
"""Size of host memory, as in ``sim/rtl/bench.cpp``."""


class _Memory(HostMemory):
    """Host memory that brings the NIC up to the present before anyone looks at it, or changes it."""

    def __init__(self, array: npt.NDArray[np.uint8], bus: "ModelBus") -> None:
        super().__init__(array)
        self._bus = bus
        self._words = self._view.cast("Q")
        """Little-endian, as the processors are that this runs on."""

    def read(self, address: int, size: int) -> bytes:
        bus = self._bus
        if bus.env.now >= bus.stale_at:
            bus.synchronise()
        return bytes(self._view[address : address + size])

    def read64(self, address: int) -> int:
        bus = self._bus
        now = bus.env.now
        if now >= bus.stale_at and not bus.nic.shows(address, cycle_at(now)):
            bus.synchronise()
        word: int = self._words[address >> 3]
        return word

    def write(self, address: int, data: bytes) -> None:
        bus = self._bus
        if bus.env.now >= bus.stale_at:
            bus.synchronise()
        self._view[address : address + len(data)] = data
        # What the NIC takes from memory in the present cycle it has taken.
        bus.nic.transmit.written(cycle_at(bus.env.now) + 1, address, address + len(data))

    def write128(self, address: int, lower: int, upper: int) -> None:
        bus = self._bus
        if bus.env.now >= bus.stale_at:
            bus.synchronise()
        place = address >> 3
        self._words[place] = lower
        self._words[place + 1] = upper
        bus.nic.transmit.written(cycle_at(bus.env.now) + 1, address, address + 16)


class ModelBus(HostBus):
    """Registers, host memory and the interrupt line of the NIC's model.

    The model's own events are made when they are due, by one timer of the scheduler. ``timing`` replaces what is
    calibrated. Raises ``UserError`` if the calibration is of another NIC.
    """

    def __init__(
        self,
        env: Scheduler,
        cpu: HostCpu,
        *,
        timing: Timing | None = None,
        memory_bytes: int = MEMORY_BYTES,
        semantics: Semantics = Semantics.SINCE_LAST_INTERRUPT,
    ) -> None:
        array = np.zeros(memory_bytes, np.uint8)
        self.stale_at = 0
        """The time from which on the NIC may have changed something."""
        super().__init__(env, cpu, _Memory(array, self))
        costs = cpu.costs
        self._return = cycle_at(costs.mmio_read_latency - self._read_request)
        self.events = Events()
        self.outgoing: Direction | None = None
        """The wire that frames go to, if there is one."""
        self._timer: Timer | None = None
        self._on_due: Callable[[], None] = self._wake
        """Bound once."""
        self._timer_due = 0
        self._goes_on = False
        """The NIC goes on by itself, ahead of the scheduler's time."""
        self.nic = Nic(
            self.events,
            memoryview(array.data).cast("B"),
            timing or Calibration.load().timing,
            read_latency=cycle_at(costs.dma_read_latency),
            write_latency=cycle_at(costs.dma_write_latency),
            width=costs.dma_width,
            on_interrupt=self._rise,
            on_frame=self._sent,
            semantics=semantics,
            notice=min(self._read_request, self._write_latency) // CYCLE_NS - 1,
        )
        self.nic.transmit.looks_ahead = True
        self._arm()

    def interrupt(self) -> bool:
        self._advance()  # the pin may have fallen in the last cycle in which anything happened
        return self.nic.interrupts.level

    def dma_read_bytes(self) -> int:
        self._advance()  # a descriptor may be fetched before memory shows anything of what has come
        return self.nic.port.read_bytes_until(cycle_at(self.env.now))

    def _post_write(self, cycle: int, offset: int, value: int) -> None:
        if self.nic.accesses.write(cycle, offset, value):
            self._arm()

    def _post_read(self, cycle: int, offset: int, read: PendingRead) -> None:
        def answer(value: int, cycle: int) -> None:
            self._reach()
            read.value = value
            due = max(cycle + self._return, self.nic.port.flushed(cycle))
            self.env.call_at(due * CYCLE_NS, read.done.set)
            self._bound()

        self.nic.accesses.read(cycle, offset, answer)
        self._arm()

    def arrive(self, begin: int, frame: bytes) -> None:
        """A frame comes whose preamble begins in a cycle."""
        waiting = self.nic.receive.arrivals
        first = not waiting
        self.nic.arrive(begin, frame)
        if first:
            # Behind another frame it changes nothing about what is next.
            self._arm()

    def synchronise(self) -> None:
        """Bring the NIC and memory up to the present. Its clock stands still until someone looks, or until something
        may happen that can be seen from outside."""
        if self.env.now >= self.stale_at:
            self._advance()

    def _advance(self) -> None:
        cycle = -(-self.env.now // CYCLE_NS)
        self.events.advance(cycle)
        self.nic.port.land(cycle)
        self._renew()

    def _renew(self) -> None:
        """Say from when on the NIC may have changed something."""
        nic = self.nic
        due, landing = self.events.due(), nic.port.next_landing()
        arrivals = nic.receive.arrivals
        if arrivals and arrivals[0][0] == due:
            due += nic.receive_lag
        if due is None or (landing is not None and landing < due):
            due = landing
        self.stale_at = _NEVER if due is None else (due - 1) * CYCLE_NS + 1

    def _rise(self) -> None:
        self._reach()
        self.env.call_at(self.events.now * CYCLE_NS, self._rose)
        self._bound()

    def _sent(self, begin: int, frame: bytes) -> None:
        self._reach()
        if self.outgoing is not None:
            self.outgoing.carry(begin * CYCLE_NS, frame)
        self._bound()

    def _reach(self) -> None:
        """Before something reaches the outside: if the NIC goes on by itself, time comes with it."""
        if self._goes_on:
            self.env.jump(self.events.now * CYCLE_NS)

    def _bound(self) -> None:
        """Behind that: something outside may be due sooner than before."""
        if self._goes_on:
            self.events.lower(self.env.free_until() // CYCLE_NS)

    def _arm(self) -> None:
        """Have the scheduler wake the NIC for what is next of what can be seen from outside."""
        self._renew()
        due = self.nic.visible()
        if due is None or (self._timer is not None and self._timer_due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self.env.call_at(due * CYCLE_NS, self._on_due)

    def _wake(self) -> None:
        """The NIC is due, and goes on by itself as long as nothing else is due."""
        self._timer = None
        self._advance()
        env, events, nic = self.env, self.events, self.nic
        while self._timer is None:
            due, until = nic.visible(), env.free_until() // CYCLE_NS
            if due is None or due > until:
                break
            self._goes_on = True
            try:
                events.go_on(max(due, min(until, due + _STRETCH) - _FRAME), until)
            finally:
                self._goes_on = False
            env.jump(events.now * CYCLE_NS)
            nic.port.land(events.now)
        self._arm()


class ModelPort:
    """The NIC's end of a link.

    ``arrivals`` are called with ``(time of the last bit, frame)`` for each frame that reaches the NIC.
    """

    def __init__(self, bus: ModelBus, *, outgoing: Direction, incoming: Direction) -> None:
        self.bus = bus
        self.arrivals: list[Callable[[int, bytes], None]] = []
        self._byte_time = incoming.byte_time
        incoming.ahead = True
        incoming.deliver = self._deliver
        bus.outgoing = outgoing

    def _deliver(self, start: int, frame: bytes) -> None:
        self.bus.arrive(cycle_at(start), frame)
        end = start + (PREAMBLE_BYTES + len(frame)) * self._byte_time
        for observer in self.arrivals:
            observer(end, frame)
