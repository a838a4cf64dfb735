"""Interrupt causes, mask and throttle (``hw.interrupt``), and the delay timers before them (``hw.moderation``)."""

from collections.abc import Callable
from typing import Final

from hw.interrupt import CAUSES, CYCLES_PER_UNIT, InterruptThrottle, Semantics
from hw.moderation import CYCLES_PER_UNIT as CYCLES_PER_DELAY
from hw.registers import BY_NAME
from sim.model.events import Events

__all__ = ["CAUSE", "DelayTimers", "Interrupts"]

CAUSE: Final = {field.name: field.mask for field in BY_NAME["ICR"].fields}
"""Bits of ICR by name."""

_PER_DELAY: Final[int] = CYCLES_PER_DELAY
_ALL: Final = (1 << CAUSES) - 1
_UNIT: Final[int] = CYCLES_PER_UNIT
"""Cycles of ITR's unit."""

_NEVER: Final = 1 << 61
"""Later than any cycle."""
_SEEN: Final = 1
"""Cycles from a change of the pin to the edge of the clock at which the host sees it."""


class Interrupts:
    """ICR, IMS and ITR, and the pin.

    ``on_rise`` is called in the cycle in which the pin is seen to rise.
    """

    def __init__(self, events: Events, throttle: InterruptThrottle, on_rise: Callable[[], None]) -> None:
        self._events = events
        self._throttle = throttle
        self._holds_off = throttle.semantics is Semantics.HOLD_OFF
        self._on_rise = on_rise
        self.last_rise: int | None = None
        self._rise_at: int | None = None
        self._fall = -1
        self._pin = False
        self._announced = False
        """The host has seen the pin's last rise."""
        self.reset()

    def reset(self) -> None:
        self.causes = 0
        self.mask = 0
        self.interval = 0
        self.last_rise = None
        self._pending_since: int | None = None
        self._rise_at = None
        self.pin = False

    @property
    def pin(self) -> bool:
        """The pin, from the cycle in which it changes."""
        return self._pin

    @pin.setter
    def pin(self, high: bool) -> None:
        if self._pin and not high:
            self._fall = self._events.now + 1
        self._pin = high

    @property
    def level(self) -> bool:
        """What the host sees of the pin."""
        since = self._events.now - _SEEN
        if self._pin:
            return self.last_rise is not None and self.last_rise <= since
        return self._fall > since

    def set(self, causes: int) -> None:
        """Causes come: they are in ICR from the present cycle on."""
        before = self.causes
        self.causes = before | causes
        if causes & ~before & self.mask:
            self._follow()

    def read_causes(self) -> int:
        """Software reads ICR."""
        causes, self.causes = self.causes, 0
        self.pin = False
        self._pending_since = self._rise_at = None
        return causes

    def clear_causes(self, bits: int) -> None:
        """Software writes ICR."""
        self.causes &= ~bits
        self._follow()

    def change_mask(self, *, set: int = 0, clear: int = 0) -> None:
        """Software writes IMS or IMC."""
        self.mask = (self.mask | set) & ~clear & _ALL
        self._follow()

    def change_interval(self, interval: int) -> None:
        """Software writes ITR."""
        self.interval = interval
        self._follow()

    def opens(self) -> int | None:
        """The cycle before which no cause that comes can make the host see a rise, or None if software has to act
        first."""
        if self._pin:
            return None if self._announced else self._events.now
        if not self.mask:
            return None
        if self._holds_off or self.last_rise is None:
            return 0
        return self.last_rise + self.interval * _UNIT

    def _follow(self) -> None:
        if not self.causes & self.mask:
            self.pin = False
            self._pending_since = self._rise_at = None
            return
        now = self._events.now
        if self._pending_since is None:
            self._pending_since = now
        if self.pin:
            return
        rise = self._throttle.earliest(
            pending_since=self._pending_since, last_rise=self.last_rise, interval=self.interval
        )
        rise = max(rise, now + 1)
        if rise != self._rise_at:
            self._rise_at = rise
            self._events.at(rise, self._rise, rise)

    def _rise(self, rise: int) -> None:
        if rise != self._rise_at:
            return
        self._rise_at = None
        self.pin = True
        self._announced = False
        self.last_rise = rise
        self._events.at(rise + _SEEN, self._seen, rise)

    def _seen(self, rise: int) -> None:
        if self.pin and rise == self.last_rise:
            self._announced = True
            self._on_rise()


class DelayTimers:
    """The packet and the absolute timer of one direction. ``on_expired`` is called when the cause is due."""

    def __init__(self, events: Events, on_expired: Callable[[], None]) -> None:
        self._events = events
        self._on_expired = on_expired
        self.packet_delay = 0
        self.absolute_delay = 0
        self.reset()

    def reset(self) -> None:
        self.packet_delay = self.absolute_delay = 0
        self._packet_due = _NEVER
        self._packet_look = _NEVER
        """When it is looked at whether the packet timer has run out: at its time, or before if it was set anew."""
        self._absolute_due = _NEVER

    @property
    def running(self) -> bool:
        return self._packet_due != _NEVER or self._absolute_due != _NEVER

    @property
    def shortest(self) -> int:
        """Cycles that a packet's event is from a cause at least; 0 if it is one."""
        return _PER_DELAY if self.packet_delay else 0

    @property
    def idle_look(self) -> int:
        """When the packet timer is looked at in vain, if it is not set anew before; -1 if it is not."""
        return self._packet_look if self._packet_look < self._packet_due < _NEVER else -1

    def event(self) -> None:
        """A packet has been stored, or a descriptor with RS and IDE written back."""
        if not self.packet_delay:
            self.expire()
            return
        now = self._events.now
        due = self._packet_due = now + _PER_DELAY * self.packet_delay
        if due < self._packet_look:
            self._packet_look = due
            self._events.at(due, self._packet_over, due)
        if self.absolute_delay and self._absolute_due == _NEVER:
            self._absolute_due = now + _PER_DELAY * self.absolute_delay
            self._events.at(self._absolute_due, self._absolute_over, self._absolute_due)

    def expire(self) -> None:
        """The cause is due at once."""
        self._packet_due = self._absolute_due = _NEVER
        self._on_expired()

    def _packet_over(self, look: int) -> None:
        if look != self._packet_look:
            return
        due = self._packet_look = self._packet_due
        if due == _NEVER:
            return
        if due > look:
            self._events.at(due, self._packet_over, due)
        else:
            self._packet_look = _NEVER
            self.expire()

    def _absolute_over(self, due: int) -> None:
        if due == self._absolute_due:
            self.expire()
