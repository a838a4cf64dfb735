"""Interrupt delay timers: RDTR and RADV, TIDV and TADV (8254x manual 317453, sections 3.2.7.1, 13.4.30, 13.4.31,
13.4.41 and 13.4.44).

Each direction has two timers, and what is to be told is a packet stored, or a descriptor with RS and IDE written back:

* the *packet timer* (RDTR, TIDV) is restarted by each, so it runs out when no more come;
* the *absolute timer* (RADV, TADV) is started by the first and runs on, so nothing waits for longer.

When one runs out the cause (RXT0, TXDW) is set, and the other stops. The same happens at once for what must not wait:
a write of RDTR.FPD, a small packet, a descriptor without IDE.

The prescaler of a timer starts with the event, it does not run free. So a delay is exact: D units after an event in
cycle n is cycle n + 128 x D, not up to a unit earlier. A delay is read when its timer starts; a later write of the
register leaves a running timer alone (the manual: re-initialised to the programmed value by each packet).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.registers import BY_NAME

__all__ = [
    "CYCLES_PER_UNIT",
    "AbsoluteTimer",
    "DelayEvent",
    "DelayTimer",
    "InterruptDelay",
    "InterruptDelayTimers",
    "PacketTimer",
]

CYCLES_PER_UNIT = 128
"""The timers count units of 1.024 us, which is 128 cycles of 125 MHz."""

_DELAY_BITS = BY_NAME["RDTR"]["DELAY"].width

_PRESCALER_BITS = CYCLES_PER_UNIT.bit_length() - 1


def _check_bits(delay_bits: int) -> None:
    if delay_bits < 1:
        raise ValueError(f"delay_bits must be at least 1, not {delay_bits!r}")


@dataclass(frozen=True, kw_only=True)
class PacketTimer:
    """The timer of RDTR or TIDV alone, as a golden function and as gateware: each event restarts it."""

    delay_bits: int = _DELAY_BITS

    def __post_init__(self) -> None:
        _check_bits(self.delay_bits)

    def expiries(self, events: Iterable[int], *, delay: int) -> list[int]:
        """When the timer runs out, for events in these cycles and a ``delay`` in units, which is not 0.

        An event in the very cycle in which the timer runs out does not come before that; it starts the timer anew.
        """
        cycles = sorted(set(events))
        result: list[int] = []
        for cycle, following in zip(cycles, [*cycles[1:], None], strict=True):
            due = cycle + CYCLES_PER_UNIT * delay
            if following is None or due <= following:
                result.append(due)
        return result

    def create(self) -> "DelayTimer":
        """The gateware of this timer."""
        return DelayTimer(restarts=True, delay_bits=self.delay_bits)


@dataclass(frozen=True, kw_only=True)
class AbsoluteTimer:
    """The timer of RADV or TADV alone, as a golden function and as gateware: only the first event starts it."""

    delay_bits: int = _DELAY_BITS

    def __post_init__(self) -> None:
        _check_bits(self.delay_bits)

    def expiries(self, events: Iterable[int], *, delay: int) -> list[int]:
        """When the timer runs out, for events in these cycles and a ``delay`` in units, which is not 0.

        The first event after the timer has run out, or in the very cycle, starts it anew.
        """
        result: list[int] = []
        for cycle in sorted(set(events)):
            if not result or cycle >= result[-1]:
                result.append(cycle + CYCLES_PER_UNIT * delay)
        return result

    def create(self) -> "DelayTimer":
        """The gateware of this timer."""
        return DelayTimer(restarts=False, delay_bits=self.delay_bits)


class DelayTimer(wiring.Component):
    """One timer.

    Parameters
    ----------
    restarts : bool
        Whether an event restarts the timer while it runs.
    delay_bits : int
        Width of ``delay``.

    Members
    -------
    event : ``In(1)``
        Starts the timer, in the cycle of ``stop`` or ``expired`` too.
    stop : ``In(1)``
        The timer is idle from the next cycle, unless there is an event.
    delay : ``In(delay_bits)``
        In units; 0 does not start the timer.
    running : ``Out(1)``
    expired : ``Out(1)``
        High in the one cycle ``delay`` x 128 after that of the event that started it, its last one running.
    """

    def __init__(self, *, restarts: bool, delay_bits: int = _DELAY_BITS) -> None:
        _check_bits(delay_bits)
        if not isinstance(restarts, bool):
            raise ValueError(f"restarts must be True or False, not {restarts!r}")
        self._restarts = restarts
        super().__init__({"event": In(1), "stop": In(1), "delay": In(delay_bits), "running": Out(1), "expired": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        running = self.running
        left = Signal(len(self.delay) + _PRESCALER_BITS)  # cycles, of no meaning unless it is running
        last = Signal()  # ``left`` is 1: told in advance, since much hangs on it
        m.d.comb += self.expired.eq(running & last)
        startable = 1 if self._restarts else ~running | self.stop | self.expired
        m.d.sync += [left.eq(left - 1), last.eq(left == 2)]
        with m.If(self.event & startable):
            m.d.sync += [left.eq(Cat(Const(0, _PRESCALER_BITS), self.delay)), running.eq(self.delay.any()), last.eq(0)]
        with m.Elif(self.stop | self.expired):
            m.d.sync += running.eq(0)
        return m


class DelayEvent(Enum):
    """What can happen to a direction's timers in a cycle. Of several in the same cycle, delays come first, then
    ``EXPIRE``, then ``DONE``."""

    PACKET_DELAY = "RDTR or TIDV has a new value from this cycle"
    ABSOLUTE_DELAY = "RADV or TADV has a new value from this cycle"
    EXPIRE = "the timers run out at once"
    DONE = "a packet has been stored, or a descriptor with RS and IDE written back"


@dataclass(frozen=True, kw_only=True)
class InterruptDelay:
    """The rule of one direction's two timers, as a golden function and as gateware."""

    delay_bits: int = _DELAY_BITS

    def __post_init__(self) -> None:
        _check_bits(self.delay_bits)

    def expiries(
        self, events: Iterable[tuple[int, DelayEvent] | tuple[int, DelayEvent, int]], *, end: int
    ) -> list[int]:
        """The golden model: all cycles before ``end`` in which the cause is set.

        ``events`` holds ``(cycle, event)``, or ``(cycle, event, value)`` for a new delay, in the order of cycles. Both
        delays are 0 until set. A packet delay of 0 means at once, and no absolute delay either; an absolute delay of 0
        that there is none.
        """
        by_cycle: dict[int, dict[DelayEvent, int]] = {}
        for cycle, event, *value in events:
            by_cycle.setdefault(cycle, {})[event] = value[0] if value else 0

        causes: set[int] = set()
        delays = {DelayEvent.PACKET_DELAY: 0, DelayEvent.ABSOLUTE_DELAY: 0}
        due: dict[DelayEvent, int] = {}
        for cycle in sorted(by_cycle):
            happened = by_cycle[cycle]
            delays |= {event: value for event, value in happened.items() if event in delays}
            if due and min(due.values()) <= cycle:
                causes.add(min(due.values()))
                due = {}
            if DelayEvent.EXPIRE in happened:
                causes.add(cycle)
                due = {}
            if DelayEvent.DONE in happened:
                if delays[DelayEvent.PACKET_DELAY] == 0:
                    causes.add(cycle)
                    due = {}
                else:
                    started = {event: cycle + CYCLES_PER_UNIT * delay for event, delay in delays.items() if delay}
                    due = started | {event: at for event, at in due.items() if event is DelayEvent.ABSOLUTE_DELAY}
        causes |= {min(due.values())} if due else set()
        return sorted(cycle for cycle in causes if cycle < end)

    def create(self) -> "InterruptDelayTimers":
        """The gateware of this rule."""
        return InterruptDelayTimers(rule=self)


class InterruptDelayTimers(wiring.Component):
    """The two timers of one direction.

    Parameters
    ----------
    rule : InterruptDelay

    Members
    -------
    event : ``In(1)``
        A packet has been stored (and is not a small one), or a descriptor with RS and IDE written back.
    expire : ``In(1)``
        The cause is to be set at once: RDTR.FPD, a small packet, a descriptor with RS and without IDE.
    packet_delay, absolute_delay : ``In(rule.delay_bits)``
        RDTR and RADV, or TIDV and TADV, in units.
    expired : ``Out(1)``
        Sets the cause. In the cycle of ``expire``, and of ``event`` if the packet delay is 0 (the manual forbids that
        for TIDV; here it means the same as for RDTR).
    running : ``Out(1)``
        ``expired`` is going to come.
    """

    def __init__(self, *, rule: InterruptDelay) -> None:
        if not isinstance(rule, InterruptDelay):
            raise ValueError(f"rule must be an InterruptDelay, not {rule!r}")
        self._packet = PacketTimer(delay_bits=rule.delay_bits)
        self._absolute = AbsoluteTimer(delay_bits=rule.delay_bits)
        super().__init__(
            {
                "event": In(1),
                "expire": In(1),
                "packet_delay": In(rule.delay_bits),
                "absolute_delay": In(rule.delay_bits),
                "expired": Out(1),
                "running": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.packet = packet = self._packet.create()
        m.submodules.absolute = absolute = self._absolute.create()
        delayed = Signal()
        m.d.comb += [
            delayed.eq(self.packet_delay.any()),
            self.expired.eq(packet.expired | absolute.expired | self.expire | (self.event & ~delayed)),
            packet.event.eq(self.event & delayed),
            packet.delay.eq(self.packet_delay),
            absolute.event.eq(self.event & delayed),
            absolute.delay.eq(self.absolute_delay),
            self.running.eq(packet.running | absolute.running),
        ]
        m.d.comb += [timer.stop.eq(self.expired) for timer in (packet, absolute)]
        return m
