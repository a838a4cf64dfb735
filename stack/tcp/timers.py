"""A connection's timer: a deadline that moves often and expires seldom."""

from collections.abc import Callable

from stack.environment import Environment, Timer

__all__ = ["DeadlineTimer"]


class DeadlineTimer:
    """Calls ``function`` once the deadline has passed.

    A deadline that moves back leaves the pending call where it is: when that comes, it is put off once. So an ACK that
    restarts the retransmission timer costs one assignment.
    """

    __slots__ = ("_armed_for", "_env", "_function", "_timer", "deadline")

    def __init__(self, env: Environment, function: Callable[[], None]) -> None:
        self._env = env
        self._function = function
        self._timer: Timer | None = None
        self._armed_for = 0
        self.deadline: int | None = None

    def start(self, deadline: int) -> None:
        """Set or move the deadline."""
        self.deadline = deadline
        if self._timer is None:
            self._arm(deadline)
        elif deadline < self._armed_for:
            self._timer.cancel()
            self._arm(deadline)

    def stop(self) -> None:
        """No deadline. The pending call, if any, will find that out by itself."""
        self.deadline = None

    def close(self) -> None:
        """No deadline, and nothing left behind."""
        self.deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: int) -> None:
        self._armed_for = when
        self._timer = self._env.call_at(when, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self.deadline is None:
            return
        if self._env.now < self.deadline:
            self._arm(self.deadline)
            return
        self.deadline = None
        self._function()
