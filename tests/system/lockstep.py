"""Plays one program on the RTL and on the model, in the same process, and compares what software and the wire see.

A program is what a processor and a far end do: they access registers, write to memory, send frames, and wait until
the NIC is at rest. Each begins with the NIC as after power-up.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from driver.bus import Bus
from hw.eeprom import image
from hw.registers import BY_NAME, REGISTERS
from sim.clock import CYCLE_NS
from sim.costs import IDEAL
from sim.engine import EventEngine, Scheduler
from sim.host import HostCpu
from sim.model.bus import ModelBus, ModelPort
from sim.model.nic import MAC_ADDRESS
from sim.rtl.bus import RtlBus
from sim.rtl.engine import RtlEngine
from sim.rtl.port import GmiiPort
from sim.wire import Direction, Link
from tests.system.lockstep_tally import Tally
from tests.system.program_steps import REST, Arrive, Program, Read, Rest, Step, Store, Wait, Write, eeprom_write

__all__ = ["MEMORY_BYTES", "Rtl"]

MEMORY_BYTES = 1 << 20
"""Host memory, from bus address 0 on."""

_FULL_WIDTH = 8
"""Bytes per cycle."""

_ALIGNMENT = 1024
_LOOK = 2_000
_CALM = 8_000
_LONGEST = 5_000_000
"""Nanoseconds: at multiples of which programs begin; between two looks whether the NIC is at rest; for how long it has
to be; and after which it is stuck."""


@dataclass
class _Outcome:
    reads: list[tuple[str, int]] = field(default_factory=list)
    causes: list[int] = field(default_factory=list)
    """What the handler has read from ICR from the end of one rest to that of the next, together: how often it runs is a
    matter of cycles, and so is how far it has come when software begins to wait for a rest."""
    sent: list[bytes] = field(default_factory=list)
    malformed: int = 0
    stuck: bool = False
    """The NIC did not come to rest."""
    bad_reads: int = 0
    bad_writes: int = 0
    dma_bytes: tuple[int, int] = (0, 0)


class _Machine:
    """One back end with a processor and a far end around it.

    ``busy`` has for each rest the nanoseconds before which the NIC is not taken to be at rest, whatever ``at_rest``
    says.
    """

    def __init__(
        self, env: Scheduler, bus: Bus, link: Link, at_rest: Callable[[], bool], *, busy: Iterable[int] = ()
    ) -> None:
        self._env = env
        self._bus = bus
        self._link = link
        self._at_rest = at_rest
        self._busy = iter(busy)
        self.worked: list[int] = []
        """For how many nanoseconds the NIC went on, for each rest that it came to."""
        self._wire_free = env.now
        self.outcome = _Outcome(causes=[0])
        link.taps.append(self._tap)

    def _tap(self, direction: Direction, start: int, frame: bytes) -> None:
        if direction is self._link.a_to_b:
            self.outcome.sent.append(frame)

    async def play(self, program: Program) -> None:
        if program.handler:
            self._bus.request_irq(self._handle)
        await self.perform([REST, *program.steps, REST])
        self._bus.free_irq()
        await self.perform([Read(offset) for offset in _SNAPSHOT])

    async def perform(self, steps: Iterable[Step]) -> None:
        bus, outcome = self._bus, self.outcome
        for step in steps:
            if outcome.stuck:
                return
            match step:
                case Write(offset, value):
                    bus.write32(offset, value)
                case Read(offset):
                    outcome.reads.append((_name(offset), await bus.read32(offset)))
                case Store(address, data):
                    bus.memory.write(address, data)
                case Arrive(frame):
                    self._wire_free = self._link.b_to_a.send(frame)
                case Rest():
                    await self._rest()
                case Wait(time):
                    await self._env.sleep(time)

    async def _rest(self) -> None:
        env = self._env
        begun = env.now
        await env.sleep(max(self._wire_free + self._link.b_to_a.delay - env.now, 0) + _LOOK)
        end = env.now + _LONGEST
        calm = max(env.now, begun + next(self._busy, 0))
        while env.now - calm < _CALM:
            if env.now > end:
                self.outcome.stuck = True
                return
            await env.sleep(_LOOK)
            if not self._at_rest():
                calm = max(env.now, calm)
        self.worked.append(calm - begun)
        self.outcome.causes.append(0)

    async def _handle(self) -> None:
        causes = await self._bus.read32(BY_NAME["ICR"].offset)
        self.outcome.causes[-1] |= causes


def _name(offset: int) -> str:
    return _NAMES.get(offset, f"{offset:#07x}")


_NAMES = {
    offset: register.name if register.count == 1 else f"{register.name}[{number}]"
    for register in REGISTERS
    for number, offset in enumerate(register.offsets())
}
_SNAPSHOT = [register.offset for register in REGISTERS if register.count == 1]


@dataclass
class _Seen:
    """What comes of a program."""

    outcome: _Outcome
    memory: npt.NDArray[np.uint8]
    worked: list[int]
    """As in ``_Machine``."""
    words: list[int] = field(default_factory=list)
    """What the EEPROM of the model holds at its end."""


def _modelled(program: Program) -> _Seen:
    env = EventEngine(seed=1)
    cpu = HostCpu(env, _costs(program))
    link = Link(env)
    bus = ModelBus(env, cpu, memory_bytes=MEMORY_BYTES)
    ModelPort(bus, outgoing=link.a_to_b, incoming=link.b_to_a)

    def at_rest() -> bool:
        bus.synchronise()
        return bus.events.due() is None and bus.nic.port.next_landing() is None

    machine = _Machine(env, bus, link, at_rest)
    env.run(machine.play(program))
    port, outcome = bus.nic.port, machine.outcome
    outcome.malformed = bus.nic.mac.cut
    outcome.bad_reads, outcome.bad_writes = port.bad_reads, port.bad_writes
    outcome.dma_bytes = port.read_bytes, port.write_bytes
    return _Seen(outcome, bus.memory.array, machine.worked, bus.nic.management.words)


def _costs(program: Program) -> Any:
    return replace(
        IDEAL,
        mmio_read_latency=160,
        mmio_write_latency=80,
        dma_read_latency=program.read_latency,
        dma_write_latency=program.write_latency,
        dma_width=program.width,
    )


_SHIFTS = tuple(sign * cycles for cycles in range(1, 7) for sign in (1, -1))
"""Cycles."""


def _shifted(program: Program, cycles: int) -> Program:
    """Begun some cycles later, and with waits that are longer, or shorter, by so many."""
    steps = [
        replace(step, time=step.time + cycles * CYCLE_NS) if isinstance(step, Wait) else step for step in program.steps
    ]
    return replace(program, steps=[Wait(abs(cycles) * CYCLE_NS), *steps])


def _equal(program: Program, model: _Seen, rtl: _Seen) -> bool:
    try:
        _compare(program, model, rtl)
    except AssertionError:
        return False
    return True


def _compare(program: Program, model: _Seen, rtl: _Seen) -> None:
    modelled, shown = model.outcome, rtl.outcome
    assert modelled.stuck == shown.stuck
    if shown.stuck:
        return  # an XOFF frame that is sent again and again
    assert modelled.reads == shown.reads, _differences(modelled.reads, shown.reads)
    assert modelled.causes == shown.causes
    assert modelled.sent == shown.sent
    assert np.array_equal(model.memory, rtl.memory), _places(model.memory, rtl.memory)
    # In how many bursts descriptors are fetched is a matter of cycles.
    assert bool(modelled.bad_reads) == bool(shown.bad_reads)
    # So is what had been asked for of a burst that a reset voids.
    amid = any(isinstance(step, Wait) for step in program.steps)
    reset = any(isinstance(step, Write) and step.offset == _CTRL.offset and step.value & _RST for step in program.steps)
    for name in ("malformed",) if amid and reset else ("malformed", "bad_writes", "dma_bytes"):
        ours, theirs = getattr(modelled, name), getattr(shown, name)
        assert ours == theirs, f"{name}: model {ours}, RTL {theirs}"


class Rtl:
    """The Verilated NIC, for one program after another. ``before``: what has played programs in this simulator."""

    def __init__(self, env: RtlEngine, before: "Rtl | None" = None) -> None:
        self.tally = Tally()
        self._env = env
        self._bench = env.bench
        env.run_until(env.bench.state.cycle * CYCLE_NS)  # the simulator may have run before
        self._words = before._words if before else image(MAC_ADDRESS)
        """What the EEPROM holds."""
        self._written: set[int] = before._written if before else set()
        """Elements of arrays that software has written: they outlive every reset."""

    async def check(self, program: Program) -> None:
        """Raises ``AssertionError`` if the model does not do what the RTL does, unless it is a race on both: each does
        what the other one does if software waits some cycles more or less.
        """
        model = _modelled(program)
        self.tally.programs += 1
        shown = await self._shown(program, model)
        try:
            _compare(program, model, shown)
        except AssertionError:
            race = await self._race(program, model, shown)
            if race is None:
                raise
            self.tally.races.append(race)

    async def check_exactly(self, program: Program) -> None:
        """Raises ``AssertionError`` if the model does not do what the RTL does."""
        model = _modelled(program)
        _compare(program, model, await self._shown(program, model))

    async def _race(self, program: Program, model: _Seen, shown: _Seen) -> int | None:
        """By how many cycles at most software has to wait more or less for each to do what the other one does; None if
        that makes no difference."""
        found: list[int] = []
        for cycles in _SHIFTS:
            if _equal(program, _modelled(_shifted(program, cycles)), shown):
                found.append(abs(cycles))
                break
        else:
            return None
        for cycles in _SHIFTS:
            if _equal(program, model, await self._shown(_shifted(program, cycles), model)):
                return max(*found, abs(cycles))
        return None

    async def _shown(self, program: Program, model: _Seen) -> _Seen:
        """What comes of a program on the RTL."""
        shown = await self._env.run(self._outcome(program, model.worked))
        # What the EEPROM holds is what the model has written there, if the two have done the same.
        known = not model.outcome.stuck and _equal(program, model, shown)
        self._words = model.words if known else [_UNKNOWN] * len(model.words)
        return shown

    async def _outcome(self, program: Program, busy: list[int]) -> _Seen:
        state = self._bench.state
        memory = np.zeros(MEMORY_BYTES, np.uint8)
        self._bench.unmap(0)
        self._bench.map(0, memory, writable=True)
        self._bench.memory = memory
        # A narrow bus takes words in turns that it counts from when it became so narrow, as the model does from 0.
        machine, port = self._machine(replace(program, width=_FULL_WIDTH))
        await self._restart(machine)
        await self._env.sleep(-self._env.now % _ALIGNMENT)
        machine, port = self._machine(program, busy)
        state.bad_reads = state.bad_writes = state.read_bytes = state.write_bytes = 0
        for step in program.steps:
            if isinstance(step, Write):
                self._written |= _lasting(step.offset)
        await machine.play(program)
        outcome = machine.outcome
        outcome.malformed = port.malformed
        outcome.bad_reads, outcome.bad_writes = state.bad_reads, state.bad_writes
        outcome.dma_bytes = state.read_bytes, state.write_bytes
        return _Seen(outcome, memory, machine.worked)

    def _machine(self, program: Program, busy: Iterable[int] = ()) -> tuple[_Machine, GmiiPort]:
        env, state = self._env, self._bench.state
        env.observers.clear()
        link = Link(env)
        bus = RtlBus(env, HostCpu(env, _costs(program)))
        port = GmiiPort(env, outgoing=link.a_to_b, incoming=link.b_to_a)
        return _Machine(env, bus, link, lambda: bool(state.rest), busy=busy), port

    async def _restart(self, machine: _Machine) -> None:
        """As after power-up."""
        state = self._bench.state
        state.reset, state.rest = 1, 0
        await machine.perform([REST])
        steps: list[Step] = [Write(offset, 0) for offset in sorted(self._written - _KEPT)]
        if self._written & _PHY:
            steps += [Write(_CTRL.offset, _CTRL.value(PHY_RST=1)), Write(_CTRL.offset, 0), REST]
        if self._written & _EEPROM:
            for number, (word, now) in enumerate(zip(image(MAC_ADDRESS), self._words, strict=True)):
                if word != now:
                    steps += eeprom_write(number, word)
        if steps:
            await machine.perform([*steps, REST])
            state.reset, state.rest = 1, 0
            await machine.perform([REST])
        self._written.clear()


_CTRL = BY_NAME["CTRL"]
_EEPROM, _PHY = {BY_NAME["EECD"].offset}, {BY_NAME["MDIC"].offset}
_KEPT = _EEPROM | _PHY
_UNKNOWN = -1
_RST = _CTRL.mask("RST")


def _lasting(offset: int) -> set[int]:
    """What outlives a reset of what a write of a register may change."""
    if offset == BY_NAME["WUC"].offset:
        return {*BY_NAME["WUPM"].offsets()}
    array = any(offset in register.offsets() for register in REGISTERS if register.count > 1)
    return {offset} if array or offset in _KEPT else set()


def _differences(ours: list[tuple[str, int]], theirs: list[tuple[str, int]]) -> str:
    return "; ".join(
        f"read {place} of {name}: model {mine:08x}, RTL {other:08x}"
        for place, ((name, mine), (_, other)) in enumerate(zip(ours, theirs, strict=True))
        if mine != other
    )


def _places(ours: npt.NDArray[np.uint8], theirs: npt.NDArray[np.uint8]) -> str:
    """Where memory differs, by the first few runs of bytes."""
    places = np.flatnonzero(ours != theirs)
    first = int(places[0]) & ~15
    return (
        f"{len(places)} bytes of memory differ, from {int(places[0]):#x} to {int(places[-1]):#x}; at {first:#x} "
        f"the model has {bytes(ours[first : first + 64]).hex()}, the RTL {bytes(theirs[first : first + 64]).hex()}"
    )
