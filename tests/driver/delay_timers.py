"""Test peer: a direction's interrupt delay timers (manual 3.2.7.1, 13.4.41, 13.4.44), in plain Python."""

from collections.abc import Callable

from sim.engine import Scheduler
from stack.environment import Timer

__all__ = ["DelayTimers"]

UNIT = 1024
"""ns."""


class DelayTimers:
    """Calls ``fire`` a while after the last event, or the first."""

    def __init__(self, env: Scheduler, fire: Callable[[], None]) -> None:
        self._env = env
        self._fire = fire
        self._packet: Timer | None = None
        self._absolute: Timer | None = None

    def event(self, *, packet: int, absolute: int) -> None:
        """Something happened; the delays are those of the registers now."""
        if packet == 0:
            self.expire()
            return
        if self._packet is not None:
            self._packet.cancel()
        self._packet = self._env.call_at(self._env.now + packet * UNIT, self.expire)
        if absolute and self._absolute is None:
            self._absolute = self._env.call_at(self._env.now + absolute * UNIT, self.expire)

    def expire(self) -> None:
        """Fire at once; nothing waits afterwards."""
        self.stop()
        self._fire()

    def stop(self) -> None:
        """Forget what waits."""
        for timer in (self._packet, self._absolute):
            if timer is not None:
                timer.cancel()
        self._packet = self._absolute = None
