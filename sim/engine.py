"""The scheduler: timed calls in their order, and coroutines that wait on them.

There is one scheduler and several clocks. ``EventEngine`` jumps from call to call, for models and tests. Under cocotb
(``sim/rtl/engine.py``) the simulator's clock decides how far time has come, and in real time the wall clock does; the
order of calls is the same in all, so the same seed gives the same run.
"""

import random
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final, Generic, Protocol, TypeVar

from mypy_extensions import mypyc_attr

from sim.errors import DeadlockError
from stack.environment import CancelledError

__all__ = ["EventEngine", "Scheduler", "Steppable", "Task"]

T = TypeVar("T")

_END: Final = 1 << 62
"""Nanoseconds: later than anything."""


class Steppable(Protocol):
    """What goes on when a wait is over: a task, or what stands in for it meanwhile."""

    def step(self) -> None:
        """Go on."""

    def wake(self) -> None:
        """Go on now, in a call of its own: what was waited for has happened."""


@mypyc_attr(free_list_len=1)
class _Call:
    """A call that is to be made; cancelled by taking its function away."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[[], None]) -> None:
        self.function: Callable[[], None] | None = function

    def cancel(self) -> None:
        self.function = None


class _Sleep:
    """Awaitable: resume at a time."""

    __slots__ = ("scheduler", "when")

    def __init__(self, scheduler: "Scheduler", when: int) -> None:
        self.scheduler = scheduler
        self.when = when

    def __await__(self) -> Generator["_Sleep", None, None]:
        if not self.scheduler.jump(self.when):
            yield self

    def arm(self, task: "Steppable") -> Callable[[], None]:
        return self.scheduler.call_at(self.when, task.step).cancel


class _Event:
    """A flag; waiters resume in the order in which they came, at the time of ``set``."""

    __slots__ = ("_set", "_waiters", "scheduler")

    def __init__(self, scheduler: "Scheduler") -> None:
        self.scheduler = scheduler
        self._set = False
        self._waiters: list[Steppable] = []  # few, in many events: an empty deque takes ten times as much

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        while self._waiters:
            self._waiters.pop(0).wake()

    def clear(self) -> None:
        self._set = False

    def wait(self) -> "_Wait":
        return _Wait(self)

    def arm(self, task: "Steppable") -> Callable[[], None]:
        self._waiters.append(task)

        def disarm() -> None:
            if task in self._waiters:
                self._waiters.remove(task)

        return disarm


class _Wait:
    __slots__ = ("event",)

    def __init__(self, event: _Event) -> None:
        self.event = event

    def __await__(self) -> Generator[_Event, None, None]:
        if not self.event.is_set():
            yield self.event


class Task(Generic[T]):
    """A coroutine that runs by itself; see ``stack.environment.Task``."""

    __slots__ = (
        "_cancelled",
        "_coroutine",
        "_disarm",
        "_done",
        "_exception",
        "_finished",
        "_result",
        "_scheduler",
        "name",
    )

    def __init__(self, scheduler: "Scheduler", coroutine: Coroutine[Any, Any, T], name: str) -> None:
        self.name = name or getattr(coroutine, "__qualname__", "task")
        self._scheduler = scheduler
        self._coroutine = coroutine
        self._disarm: Callable[[], None] | None = scheduler.call_at(scheduler.now, self.step).cancel
        self._cancelled = False
        self._done = False
        self._result: T | None = None
        self._exception: BaseException | None = None
        self._finished = _Event(scheduler)

    def step(self) -> None:
        """Run to the next point of waiting."""
        self._disarm = None
        scheduler = self._scheduler
        scheduler.current = self
        try:
            if self._cancelled:
                self._cancelled = False
                trap = self._coroutine.throw(CancelledError())
            else:
                trap = self._coroutine.send(None)
        except StopIteration as stop:
            self._result = stop.value
        except CancelledError as error:
            self._exception = error
        except BaseException as failure:  # not ``error``, to which mypyc gives one type
            self._exception = failure
            if not self._finished._waiters:
                scheduler.fail(failure)
        else:
            self._disarm = trap.arm(self)
            scheduler.current = None
            return
        scheduler.current = None
        self._done = True
        self._finished.set()

    def wake(self) -> None:
        """Run on now: what was waited for has happened."""
        self._disarm = self._scheduler.call_at(self._scheduler.now, self.step).cancel

    def cancel(self) -> None:
        if self._done or self._cancelled:
            return
        self._cancelled = True
        if self._disarm is not None:
            self._disarm()
        self._disarm = self._scheduler.call_at(self._scheduler.now, self.step).cancel

    def done(self) -> bool:
        return self._done

    def result(self) -> T:
        """What the coroutine returned; raises what it raised."""
        if not self._done:
            raise RuntimeError(f"{self.name} has not finished")
        if self._exception is not None:
            raise self._exception
        return self._result  # type: ignore[return-value]

    def __await__(self) -> Generator[_Event, None, T]:
        if not self._done:
            yield self._finished
        return self.result()


@mypyc_attr(allow_interpreted_subclasses=True)
class Scheduler:
    """Timed calls and tasks. A subclass or owner decides when ``run_until`` may go on (see the module's text).

    ``seed`` seeds the one generator of the run.
    """

    def __init__(self, *, seed: int) -> None:
        self.now = 0
        self.random = random.Random(seed)
        self.current: Task[Any] | None = None
        """The task that runs at this moment; None in a timed call."""
        # Sorted lists rather than a heap: as a rule about ten calls are due at a time, and for so few they take a third
        # of the time. A thousand more double it.
        self._times: list[int] = []
        """When calls are due, the last first; of those at the same time, the first one armed is behind."""
        self._calls: list[_Call] = []
        """The calls, in the same order."""
        self._failure: BaseException | None = None
        self.held = 0
        """How many processors run code at this moment: it is they who decide what time it takes."""
        self._horizon: int | None = None
        """Beyond which time does not come by itself."""

    def call_at(self, when: int, function: Callable[[], None]) -> _Call:
        call = _Call(function)
        if when < self.now:
            when = self.now
        times = self._times
        low, high = 0, len(times)
        while low < high:
            middle = low + high >> 1
            if times[middle] > when:
                low = middle + 1
            else:
                high = middle
        times.insert(low, when)
        self._calls.insert(low, call)
        return call

    def jump(self, when: int, *, held: int = 0) -> bool:
        """Let time pass until ``when`` for the task that runs, if its clock can do so and nothing else is due by then.
        Returns whether it has. ``held`` is how many processors run code of which this is the wish."""
        return False

    def free_until(self) -> int:
        """The latest time to which ``jump`` goes from here."""
        return self.now

    def sleep(self, duration: int) -> _Sleep:
        return _Sleep(self, self.now + duration)

    def event(self) -> _Event:
        return _Event(self)

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str = "") -> Task[T]:
        return Task(self, coroutine, name)

    def fail(self, error: BaseException) -> None:
        """End the run with this error."""
        self._failure = self._failure or error

    def next_call(self) -> int | None:
        """Time of the earliest call, or None if there is none."""
        times, calls = self._times, self._calls
        while calls and calls[-1].function is None:
            times.pop()
            calls.pop()
        return times[-1] if times else None

    def run_until(self, time: int) -> None:
        """Make every call that is due at or before ``time``, then stand at ``time``."""
        self._horizon = time
        self._advance(time)

    def _advance(self, time: int) -> None:
        times, calls = self._times, self._calls
        while times and times[-1] <= time:
            when, function = times.pop(), calls.pop().function
            if function is None:
                continue
            if when > self.now:
                self.now = when
            function()
            if self._failure is not None:
                raise self._failure
        self.now = max(self.now, time)


class EventEngine(Scheduler):
    """The scheduler with a clock that jumps from one call to the next."""

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        self._main: Task[Any] | None = None
        """With whose end the run ends."""

    def jump(self, when: int, *, held: int = 0) -> bool:
        times = self._times
        if self.held != held or (times and times[-1] <= when) or self._failure is not None:
            return False
        if self._horizon is not None:
            if when > self._horizon:
                return False
        elif self._main is None or self._main.done():
            # The run is over; who goes on for ever shall not do so.
            return False
        self.now = when
        return True

    def free_until(self) -> int:
        if self.held or self._failure is not None:
            return self.now
        times = self._times
        until = times[-1] - 1 if times else _END
        if self._horizon is not None:
            return min(until, self._horizon)
        return self.now if self._main is None or self._main.done() else max(until, self.now)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run ``main`` to its end and return its result. Raises ``DeadlockError`` if nothing is left to wake it."""
        task = self.spawn(main, name="main")
        self._main = task
        while not task.done():
            when = self.next_call()
            if when is None:
                raise DeadlockError("nothing is left to happen, and the main coroutine still waits")
            self._horizon = None
            self._advance(when)
        return task.result()
