"""The scheduler with the wall clock: calls are made when their time has come, and files are watched meanwhile.

An asyncio event loop does the waiting. Programs of asyncio can run in the same loop; ``future`` runs a coroutine of the
scheduler for them.
"""

import asyncio
import selectors
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from sim.engine import Scheduler
from stack.environment import CancelledError, Cause, Context, Cpu, Event

__all__ = ["RealTimeCpu", "RealTimeEngine"]

T = TypeVar("T")


class RealTimeEngine(Scheduler):
    """``now`` is the monotonic clock, as last looked at: when the process wakes, and whenever ``refresh`` is called.

    Nothing may block. Programs of asyncio reach the scheduler through ``future`` alone. Use ``run`` once.
    """

    def __init__(self, *, seed: int) -> None:
        super().__init__(seed=seed)
        # epoll counts in milliseconds, which is too coarse for TCP's timers; select in microseconds.
        self.loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
        self._origin = time.monotonic_ns()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        self._main: asyncio.Future[Any] | None = None
        self._error: BaseException | None = None
        """What has ended the run."""

    def refresh(self) -> None:
        """Look at the clock."""
        self.now = max(self.now, time.monotonic_ns() - self._origin)

    def add_reader(self, file: int, function: Callable[[], None]) -> None:
        """Call ``function`` whenever ``file`` can be read, with ``now`` up to date."""
        self.loop.add_reader(file, self._wake, function)

    def remove_reader(self, file: int) -> None:
        self.loop.remove_reader(file)

    def future(self, coroutine: Coroutine[Any, Any, T]) -> "asyncio.Future[T]":
        """Run a coroutine of the scheduler for a program of asyncio, which may cancel it."""
        future: asyncio.Future[T] = self.loop.create_future()

        async def run() -> None:
            try:
                result = await coroutine
            except CancelledError:
                if not future.done():
                    future.cancel()
            except Exception as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        task = self.spawn(run())

        def finished(done: "asyncio.Future[T]") -> None:
            if done.cancelled():
                task.cancel()
                self._wake(_nothing)

        future.add_done_callback(finished)
        self._wake(_nothing)
        return future

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the scheduler to its end and return its result."""

        async def wait() -> T:
            return await self.future(main)

        return self.run_asyncio(wait())

    def run_asyncio(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of asyncio to its end and return its result. An error in any task of the scheduler cancels
        it, and is raised here when it has ended."""
        task = self.loop.create_task(main)
        self._main = task
        try:
            return self.loop.run_until_complete(task)
        except asyncio.CancelledError:
            if self._error is None:
                raise
            raise self._error from None
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()

    def _wake(self, function: Callable[[], None]) -> None:
        """Something outside has happened: do what there is to do, and sleep until the next call."""
        self.refresh()
        try:
            function()
            # What a call causes to happen at once happens now; what falls due meanwhile, after a look at the files.
            self.run_until(self.now)
        except BaseException as error:
            self._failure, self._error = None, self._error or error
            if self._main is not None:
                self._main.cancel()
        when = self.next_call()
        if when is None or (self._timer is not None and self._timer_at <= when):
            # A call that was cancelled leaves its wake-up, which then does nothing.
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = when
        self._timer = self.loop.call_at((when + self._origin) / 1e9, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._wake(_nothing)


def _nothing() -> None:
    """There is nothing to do but what is due."""


class _Settled:
    """Awaitable that never waits."""

    __slots__ = ()

    def __await__(self) -> Any:
        return iter(())


_SETTLED = _Settled()


class RealTimeCpu(Cpu):
    """The processor that the program runs on: its work takes the time that it takes, nothing is charged."""

    __slots__ = ("env",)

    def __init__(self, env: RealTimeEngine) -> None:
        self.env = env

    @property
    def now(self) -> int:
        return self.env.now

    def charge(self, cause: Cause, *, count: int = 1, size: int = 0) -> None:
        """No price."""

    def spend(self, cause: Cause, duration: int) -> None:
        """The program takes as long as it takes."""

    def settle(self) -> Awaitable[None]:
        return _SETTLED

    def stall(self, cause: Cause, until: Event) -> Awaitable[None]:
        return until.wait()

    def enter(self, context: Context) -> None:
        """Nothing cuts into anything: whoever runs does so until it waits."""
