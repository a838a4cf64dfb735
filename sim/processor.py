"""One processor: whose work it does at each moment, and what that work was for.

Flows of control (``Flow``) bring work in nanoseconds by cause. Interrupts go before software interrupts, and these
before processes; the one that goes before cuts into the other's work, except into a register read, during which a
processor stands still, and into work that ends with register writes, which drivers do with interrupts off. Processes
share what is left as under Linux's completely fair scheduler (kernel/sched/fair.c, 2.6.23 to 6.5): the one with the
least time runs, for a slice.

Python code takes no simulated time. It runs when its flow has the processor; what it charges is worked off then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sim.engine import Scheduler, Steppable
from stack.environment import Cause, Context, Timer

__all__ = ["Flow", "Processor", "SchedulerParameters"]


@dataclass(frozen=True, kw_only=True)
class SchedulerParameters:
    """Nanoseconds; the defaults are Linux's for one processor."""

    latency: int = 6_000_000
    """In which every process that is ready has its turn (sysctl_sched_latency)."""
    minimum_granularity: int = 750_000
    """Shortest slice, however many processes there are (sysctl_sched_min_granularity)."""
    wakeup_granularity: int = 1_000_000
    """Lead in time had that lets a process that wakes cut into the one that runs (sysctl_sched_wakeup_granularity)."""


class Flow:
    """A flow of control on one processor: a handler, a software interrupt, a process."""

    __slots__ = (
        "causes",
        "context",
        "durations",
        "masked",
        "pending",
        "processor",
        "ready",
        "runtime",
        "slept",
        "waiter",
    )

    def __init__(self, context: Context, processor: "Processor") -> None:
        self.context = context
        self.processor = processor
        self.causes: list[int] = []
        """Of the work to be done, in order, by number."""
        self.durations: list[int] = []
        """Nanoseconds of each."""
        self.pending = 0
        """Nanoseconds of it."""
        self.waiter: Steppable | None = None
        """Who goes on when it is done."""
        self.ready = False
        """It waits for its turn."""
        self.masked = False
        """Nothing cuts into the work that it has: interrupts are off."""
        self.runtime = 0
        """Nanoseconds that a process has had, as its scheduler counts them (vruntime)."""
        self.slept = True
        """A process that was not ready since it last ran."""


class Processor:
    """One processor of a host. ``switch_cost`` in ns per switch to another process."""

    def __init__(self, env: Scheduler, *, switch_cost: int, scheduler: SchedulerParameters) -> None:
        self.env = env
        self.busy = [0] * len(Cause)
        """Nanoseconds by number of the cause, up to the last change."""
        self.observers: list[Callable[[int, int, int], None]] = []
        """Called with number of the cause, start and duration of work that is done, in ns."""
        self.switches = 0
        """Processes that took the processor from another one, or after sleep."""
        self._switch_cost = switch_cost
        self._scheduler = scheduler
        self._ready: list[list[Flow]] = [[] for _ in Context]
        """By context; whose turn is next is the last of them."""
        self._running: Flow | None = None
        self._in_code = False
        """The running flow's Python code runs; what comes next is decided when it waits."""
        self._stalled: Cause | None = None
        self._started = 0
        """Since when the running flow's work is done, and is not in ``busy`` yet."""
        self._timer: Timer | None = None
        self._on_worked: Callable[[], None] = self._worked
        """Bound once."""
        self._last_process: Flow | None = None
        self._minimum_runtime = 0
        self._slice_used = 0

    def charge(self, flow: Flow, cause: int, duration: int) -> None:
        """Work for a flow, behind what it has. The cause is told by its number."""
        causes = flow.causes
        if causes and causes[-1] == cause:
            flow.durations[-1] += duration
        else:
            causes.append(cause)
            flow.durations.append(duration)
        flow.pending += duration
        if flow is not self._running and not flow.ready:
            self._enqueue(flow)

    def done_at(self, flow: Flow) -> int:
        """When the flow's work is done, if nothing cuts in and it is next."""
        running = self._running
        now = self.env.now
        if running is None or running is flow or flow.context < running.context:
            return (self._started if running is flow and self._timer is not None else now) + flow.pending
        ahead = self._started + running.pending if self._timer is not None else now
        return max(ahead, now) + flow.pending

    def holds(self, flow: Flow) -> bool:
        """Whether the flow's code runs on the processor, all its work done."""
        return self._running is flow and self._in_code and not flow.pending

    def finish(self, flow: Flow) -> bool:
        """Do the work of the flow, whose code runs, at once, if nothing comes in between. Returns whether it is
        done."""
        first, second, third, fourth = self._ready
        if self._running is not flow or not self._in_code or first or second or third or fourth:
            return False
        start = self.env.now
        if not self.env.jump(start + flow.pending, held=1):
            return False
        self._started = start
        self._consume(flow, flow.pending)
        flow.masked = False
        return True

    def mask(self, flow: Flow) -> None:
        """Let nothing cut into the work that the flow has charged, if its code runs on the processor."""
        if self._running is flow and self._in_code:
            flow.masked = bool(flow.pending)

    def wait(self, flow: Flow, waiter: Steppable) -> Callable[[], None]:
        """Let ``waiter`` go on when the flow has the processor and its work is done. Returns what calls that off."""
        flow.waiter = waiter
        if flow is not self._running and not flow.ready:
            self._enqueue(flow)

        def disarm() -> None:
            flow.waiter = None

        return disarm

    def stall(self, cause: Cause) -> None:
        """The running flow, whose code runs, waits for the bus."""
        if not self._in_code:
            raise RuntimeError("only who has the processor can let it stand still")
        self._stalled = cause
        self._started = self.env.now

    def resume(self, waiter: Steppable) -> None:
        """The bus has answered: the running flow goes on."""
        self.account()
        self._stalled = None
        self._step(waiter)

    def abandon(self) -> None:
        """The running flow waits for the bus no more."""
        self.account()
        self._stalled = None
        self._next()

    def move(self, flow: Flow, context: Context) -> None:
        """The flow, whose code runs, works in another context from now on."""
        if flow.context not in _FAIR:
            flow.slept = True
            self._place(flow)
        flow.context = context

    def account(self) -> None:
        """Bring ``busy`` up to now."""
        now = self.env.now
        if self._running is None:
            return
        if self._stalled is not None:
            self._done(CAUSES[self._stalled], self._started, now - self._started)
            self._had(self._running, now - self._started)
        elif self._timer is not None:
            self._consume(self._running, now - self._started)
        self._started = now

    def _done(self, cause: int, start: int, duration: int) -> None:
        self.busy[cause] += duration
        for observer in self.observers:
            observer(cause, start, duration)

    def _had(self, flow: Flow, duration: int) -> None:
        if flow.context in _FAIR:
            flow.runtime += duration
            self._slice_used += duration

    def _consume(self, flow: Flow, duration: int) -> None:
        flow.pending -= duration
        self._had(flow, duration)
        causes, durations = flow.causes, flow.durations
        if not flow.pending and not self.observers:
            # Almost always: all of it, and nobody asks when.
            busy = self.busy
            for place in range(len(causes)):
                cause = causes[place]
                busy[cause] = busy[cause] + durations[place]  # with +=, compiled, it takes three times as long
            causes.clear()
            durations.clear()
            return
        start, done = self._started, 0
        while duration:
            cause, length = causes[done], durations[done]
            if length > duration:
                durations[done] -= duration
                self._done(cause, start, duration)
                break
            self._done(cause, start, length)
            start += length
            duration -= length
            done += 1
        del causes[:done], durations[:done]

    def _place(self, flow: Flow) -> None:
        """Sleep earns a process half a period at most (place_entity)."""
        flow.runtime = max(flow.runtime, self._minimum_runtime - self._scheduler.latency // 2)

    def _enqueue(self, flow: Flow) -> None:
        """A flow has become ready."""
        self._place(flow)
        flow.ready = True
        self._ready[flow.context].insert(0, flow)
        running = self._running
        if running is None:
            self._dispatch()
        elif self._timer is not None and (
            self._goes_before(flow, running)
            or (flow.context is running.context is Context.PROCESS and not running.masked)
        ):
            # A process that goes on does so up to the end of its slice.
            self._halt()
            self._dispatch()

    def _goes_before(self, flow: Flow, running: Flow) -> bool:
        """Whether a flow that becomes ready cuts into the one that runs."""
        if running.masked:
            return False
        if flow.context is running.context is Context.PROCESS:
            return flow.runtime + self._scheduler.wakeup_granularity < running.runtime
        return flow.context < running.context

    def _goes_on(self, flow: Flow) -> bool:
        """Whether a flow that is put first is the next one, too. Processes may have to share."""
        interrupts, softirqs, _, _ = self._ready
        context = flow.context
        return context is Context.INTERRUPT or (
            not interrupts and (context is Context.SOFTIRQ or (context is Context.KSOFTIRQD and not softirqs))
        )

    def _halt(self) -> None:
        """Stop the work at hand; its flow is the next of its kind."""
        flow = self._running
        assert flow is not None
        assert self._timer is not None
        self._consume(flow, self.env.now - self._started)
        self._timer.cancel()
        self._timer = None
        self._running = None
        self._put_first(flow)

    def _put_first(self, flow: Flow) -> None:
        flow.ready = True
        self._ready[flow.context].append(flow)

    def _slice_left(self) -> int:
        """Nanoseconds that the process of the last turn may still run while others are ready; not above 0: no more."""
        ready = len(self._ready[Context.PROCESS]) + (self._running is self._last_process)
        return max(self._scheduler.latency // ready, self._scheduler.minimum_granularity) - self._slice_used

    def _pick_process(self) -> Flow:
        """The process that runs on while its slice lasts, else the one that has had the least."""
        ready = self._ready[Context.PROCESS]
        last = self._last_process
        least = ready[-1] if len(ready) == 1 else min(reversed(ready), key=lambda flow: flow.runtime)
        chosen = least
        if last is not None and last.ready and not last.slept and not self._goes_before(least, last):
            if self._slice_left() > 0:
                chosen = last
            elif least is last:
                self._slice_used = 0
        ready.remove(chosen)
        self._minimum_runtime = max(self._minimum_runtime, least.runtime)
        if chosen is not last or chosen.slept:
            self._switch(chosen)
        return chosen

    def _switch(self, process: Flow) -> None:
        self.switches += 1
        self._slice_used = 0
        self._last_process = process
        process.slept = False
        if self._switch_cost:
            process.causes.insert(0, CAUSES[Cause.SCHEDULER])
            process.durations.insert(0, self._switch_cost)
            process.pending += self._switch_cost

    def _dispatch(self) -> None:
        """Nothing runs: start what goes first."""
        interrupts, softirqs, ksoftirqd, processes = self._ready
        if interrupts:
            flow = interrupts.pop()
        elif softirqs:
            flow = softirqs.pop()
        elif ksoftirqd:
            flow = ksoftirqd.pop()
        elif processes:
            flow = self._pick_process()
        else:
            return
        flow.ready = False
        self._start(flow)

    def _start(self, flow: Flow) -> None:
        """Nothing runs: the flow does, until its work is done or its slice is over."""
        self._running = flow
        self._started = now = self.env.now
        duration = flow.pending
        if flow.context is Context.PROCESS and self._ready[Context.PROCESS] and not flow.masked:
            duration = min(duration, self._slice_left())
        self._timer = self.env.call_at(now + duration, self._on_worked)

    def _worked(self) -> None:
        """The work at hand is done, or a slice is over."""
        flow = self._running
        assert flow is not None
        self._timer = None
        self._consume(flow, self.env.now - self._started)
        if not flow.pending:
            flow.masked = False
            if flow.waiter is not None:
                waiter, flow.waiter = flow.waiter, None
                self._step(waiter)
                return
        self._next()

    def _step(self, waiter: Steppable) -> None:
        """Run the running flow's code up to where it waits."""
        self._in_code = True
        self.env.held += 1
        waiter.step()
        self.env.held -= 1
        self._in_code = False
        if self._stalled is None:
            self._next()

    def _next(self) -> None:
        """The running flow's code waits, or its work is done: it or another goes on."""
        flow = self._running
        assert flow is not None
        self._running = None
        if flow.pending or flow.waiter is not None:
            if self._goes_on(flow):
                self._start(flow)
                return
            self._put_first(flow)
        elif flow.context in _FAIR:
            flow.slept = True
        self._dispatch()


_FAIR: Final = (Context.KSOFTIRQD, Context.PROCESS)
"""Contexts of processes, whose time is counted."""

CAUSES: Final = {cause: number for number, cause in enumerate(Cause)}
"""The number of each cause."""
