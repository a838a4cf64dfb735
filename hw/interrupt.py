"""Interrupt causes, mask and throttle: ICR, ICS, IMS, IMC and ITR (8254x manual 317453, sections 13.4.17 to 13.4.21).

The way of a cause: ICR bit -> (ICR and IMS) -> throttle -> interrupt pin (INTA#, drawn active high here).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.register_file import RegisterSignature
from hw.registers import BY_NAME

__all__ = [
    "CAUSES",
    "CYCLES_PER_UNIT",
    "Event",
    "InterruptController",
    "InterruptThrottle",
    "Semantics",
    "ThrottleGate",
]

CAUSES = 17
"""Bits of ICR; 5 and 8 are reserved, yet work as the others."""

CYCLES_PER_UNIT = 32
"""ITR counts units of 256 ns, which is 32 cycles of 125 MHz."""

_UNIT_BITS = CYCLES_PER_UNIT.bit_length() - 1
_ITR_BITS = BY_NAME["ITR"]["INTERVAL"].width


class Semantics(Enum):
    """What the throttle's interval is counted from. G is the interval, S the time from the pin's rise to software's
    acknowledgement, causes arriving without pause; an isolated cause is one after which nothing happened for G."""

    SINCE_LAST_INTERRUPT = "since_last_interrupt"
    """The manual's: from the pin's last rise. Rate at most 1/max(G, S); an isolated cause is not delayed, any other by
    at most G."""

    HOLD_OFF = "hold_off"
    """From the cause that finds nothing pending. Rate at most 1/(G + S); every such cause is delayed by G."""


class Event(Enum):
    """What can happen to a throttle in a cycle. Several may in the same cycle; their order in a list is then free."""

    CAUSE = "pending is high from this cycle"
    CLEAR = "pending is low from this cycle; a cause in the same cycle is stronger"
    ACKNOWLEDGE = "software reads ICR: pending is low from the next cycle, unless there is a cause in that"
    INTERVAL = "the interval has a new value from this cycle"


@dataclass(frozen=True, kw_only=True)
class InterruptThrottle:
    """The rule of ITR, as a golden function and as gateware.

    All times are in cycles of 125 MHz and are those at which a signal is first seen with its new value. An interrupt is
    a rise of the pin. The interval in force is always the present one: a new value also holds for the gap or hold-off
    that is running, counted from where that started.
    """

    semantics: Semantics = Semantics.SINCE_LAST_INTERRUPT
    interval_bits: int = _ITR_BITS

    def __post_init__(self) -> None:
        if not isinstance(self.semantics, Semantics):
            raise ValueError(f"semantics must be one of {[str(item) for item in Semantics]}, not {self.semantics!r}")
        if self.interval_bits < 1:
            raise ValueError(f"interval_bits must be at least 1, not {self.interval_bits!r}")

    def earliest(self, *, pending_since: int, last_rise: int | None, interval: int) -> int:
        """When the pin rises, if what is pending stays so.

        ``pending_since`` is the cycle from which (ICR and IMS) is not 0, ``last_rise`` the pin's last rise (None if
        there was none), ``interval`` the value of ITR.
        """
        gap = interval * CYCLES_PER_UNIT
        if self.semantics is Semantics.HOLD_OFF:
            return pending_since + 1 + gap
        return pending_since + 1 if last_rise is None else max(pending_since + 1, last_rise + gap)

    def rises(self, events: Iterable[tuple[int, Event] | tuple[int, Event, int]], *, end: int) -> list[int]:
        """The golden model: all rises of the pin before cycle ``end``.

        ``events`` holds ``(cycle, event)``, or ``(cycle, Event.INTERVAL, value)``, in the order of cycles (>= 0).
        The interval is 0 until set, and there was no interrupt before cycle 0.
        """
        by_cycle: dict[int, list[tuple[Event, int]]] = {}
        for cycle, event, *value in events:
            by_cycle.setdefault(cycle, []).append((event, *value) if value else (event, 0))
        cycles = sorted(cycle for cycle in by_cycle if cycle < end)

        rises: list[int] = []
        interval = 0
        pending_since: int | None = None
        pin = False
        for cycle, following in zip(cycles, [*cycles[1:], end], strict=True):
            happened = dict(by_cycle[cycle])
            interval = happened.get(Event.INTERVAL, interval)
            if Event.CAUSE in happened:
                pending_since = cycle if pending_since is None else pending_since
            elif Event.CLEAR in happened:
                pending_since, pin = None, False
            if Event.ACKNOWLEDGE in happened:
                pending_since, pin = None, False
            elif pending_since is not None and not pin:
                last_rise = rises[-1] if rises else None
                rise = self.earliest(pending_since=pending_since, last_rise=last_rise, interval=interval)
                rise = max(rise, cycle + 1)  # the interval may have been shortened to one that is over
                if rise <= following:
                    rises.append(rise)
                    pin = True
        return [rise for rise in rises if rise < end]

    def create(self) -> "ThrottleGate":
        """The gateware of this rule."""
        return ThrottleGate(throttle=self)


class ThrottleGate(wiring.Component):
    """Drives the interrupt pin.

    Parameters
    ----------
    throttle : InterruptThrottle

    Members
    -------
    pending : ``In(1)``
        Some cause is in ICR and in IMS.
    acknowledge : ``In(1)``
        Software reads ICR in this cycle. The pin is low in the next, even if a new cause is pending by then: that one
        is a new interrupt, and subject to the interval.
    interval : ``In(throttle.interval_bits)``
        ITR.
    interrupt : ``Out(1)``
        High one cycle after ``pending`` at the earliest; low one cycle after ``pending`` is, or ``acknowledge`` was.
    """

    def __init__(self, *, throttle: InterruptThrottle) -> None:
        if not isinstance(throttle, InterruptThrottle):
            raise ValueError(f"throttle must be an InterruptThrottle, not {throttle!r}")
        self._throttle = throttle
        super().__init__(
            {"pending": In(1), "acknowledge": In(1), "interval": In(throttle.interval_bits), "interrupt": Out(1)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Cycles since the start of the interval; the top bit says longer than any interval, and stops the counter.
        longer = 1 << (self._throttle.interval_bits + _UNIT_BITS)
        raising = Signal()
        deciding = self.pending & ~self.acknowledge

        if self._throttle.semantics is Semantics.SINCE_LAST_INTERRUPT:
            # 1 in the first cycle of the pin, since what is decided in a cycle is seen in the next.
            elapsed = Signal(range(longer + 1), init=longer)
            restart = raising
            first = 1
        else:
            elapsed = Signal(range(longer + 1))
            restart = ~deciding | self.interrupt
            first = 0
        with m.If(restart):
            m.d.sync += elapsed.eq(first)
        with m.Elif(~elapsed[-1]):
            m.d.sync += elapsed.eq(elapsed + 1)

        over = elapsed[-1] | (elapsed[_UNIT_BITS:-1] >= self.interval)
        m.d.comb += raising.eq(deciding & ~self.interrupt & over)
        m.d.sync += self.interrupt.eq(deciding & (self.interrupt | over))
        return m


class InterruptController(wiring.Component):
    """ICR and IMS, and the pin they drive through the throttle.

    With ``n`` the cycle of a pulse on ``causes``, or of an access (``read`` or ``written`` of a register):

    * a cause, or a bit written to ICS, is in ICR from ``n + 1`` and raises the pin in ``n + 2`` if IMS has it and the
      throttle is open;
    * a read of ICR gives the bits that ICR had in ``n``, whatever IMS is, and clears these: ICR holds from ``n + 1``
      what arrived in ``n``. The pin is low in ``n + 1``, and rises again in ``n + 2`` at the earliest;
    * a bit written to ICR is cleared from ``n + 1``, unless its cause comes in ``n`` too;
    * a bit written to IMS or IMC is set or cleared in IMS from ``n + 1``, and the pin follows in ``n + 2``;
    * a value written to ITR is in force from ``n + 1``, also for the interval that is running.

    Parameters
    ----------
    throttle : InterruptThrottle

    Members
    -------
    causes : ``In(17)``
        A bit that is high in a cycle sets that bit of ICR.
    icr, ics, ims, imc, itr : ``In(RegisterSignature(...))``
        To be connected to the members of the register file with these names.
    interrupt : ``Out(1)``
        The pin: a level, high when asserted.
    """

    def __init__(self, *, throttle: InterruptThrottle) -> None:
        if not isinstance(throttle, InterruptThrottle) or throttle.interval_bits != _ITR_BITS:
            raise ValueError(
                f"throttle must be an InterruptThrottle with the {_ITR_BITS} bits of ITR, not {throttle!r}"
            )
        self._gate = throttle.create()
        registers = {name: In(RegisterSignature(BY_NAME[name.upper()])) for name in ("icr", "ics", "ims", "imc", "itr")}
        super().__init__({"causes": In(CAUSES), "interrupt": Out(1), **registers})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.gate = gate = self._gate
        cause = Signal(CAUSES)
        mask = Signal(CAUSES)

        def bits(member: wiring.PureInterface) -> Value:
            return Mux(member.written, member.write_data[:CAUSES], 0)

        kept = Mux(self.icr.read, 0, cause & ~bits(self.icr))
        m.d.sync += [
            cause.eq(kept | self.causes | bits(self.ics)),
            mask.eq((mask | bits(self.ims)) & ~bits(self.imc)),
        ]
        m.d.comb += [
            Value.cast(self.icr.hardware).eq(cause),
            Value.cast(self.ims.hardware).eq(mask),
            gate.pending.eq((cause & mask).any()),
            gate.acknowledge.eq(self.icr.read),
            gate.interval.eq(self.itr.value.interval),
            self.interrupt.eq(gate.interrupt),
        ]
        return m
