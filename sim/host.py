"""The host model: processors that take time for what is charged to them, and the interrupt line into them.

Without it no interrupt mode could win or lose. ``HostCpu`` finds out on whose behalf a charge is made (the running
task's), and on which processor: interrupts and software interrupts have the one that ``irq_affinity`` names, a process
the one that it was pinned to. Processes do not move by themselves.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, TypeVar, cast

from mypy_extensions import mypyc_attr

from sim.costs import IDEAL, HostCosts
from sim.engine import Scheduler, Steppable, Task
from sim.processor import CAUSES, Flow, Processor, SchedulerParameters
from stack.environment import Cause, Context, Cpu, Event

__all__ = ["IDEAL", "HostCosts", "HostCpu", "InterruptLine"]

T = TypeVar("T")


@mypyc_attr(free_list_len=1)  # as a rule there is one at a time
class _Settle:
    """Awaitable: the flow has its processor, and its work is done."""

    __slots__ = ("flow",)

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    def __await__(self) -> Generator["_Settle", None, None]:
        yield self

    def arm(self, task: Steppable) -> Callable[[], None]:
        return self.flow.processor.wait(self.flow, task)


class _Settled:
    """Awaitable: all work is done."""

    def __await__(self) -> Generator[None, None, None]:
        return _NOTHING


_NOTHING: Final = cast(Generator[None, None, None], iter(()))
_SETTLED: Final = _Settled()


class _Stall:
    """Awaitable: the flow's processor stands still until an event."""

    __slots__ = ("_forget", "cause", "event", "processor", "task")

    def __init__(self, processor: Processor, cause: Cause, event: Any) -> None:
        self.processor = processor
        self.cause = cause
        self.event = event
        self.task: Steppable | None = None

    def __await__(self) -> Generator["_Stall", None, None]:
        if not self.event.is_set():
            yield self

    def arm(self, task: Steppable) -> Callable[[], None]:
        self.task = task
        self.processor.stall(self.cause)
        self._forget: Callable[[], None] = self.event.arm(self)

        def disarm() -> None:
            self._forget()
            self.processor.abandon()

        return disarm

    def wake(self) -> None:
        env = self.processor.env
        self._forget = env.call_at(env.now, self.step).cancel

    def step(self) -> None:
        assert self.task is not None
        self.processor.resume(self.task)


class _Price:
    """What a cause costs: nanoseconds per operation, and per byte."""

    __slots__ = ("byte", "number", "operation")

    def __init__(self, number: int, operation: int, byte: float) -> None:
        self.number = number
        """Of the cause."""
        self.operation = operation
        self.byte = byte


class HostCpu(Cpu):
    """Implements ``stack.environment.Cpu`` for a host of ``processors`` processors.

    Raises ``ValueError`` if ``irq_affinity`` is none of them.
    """

    def __init__(
        self,
        env: Scheduler,
        costs: HostCosts,
        *,
        processors: int = 1,
        irq_affinity: int = 0,
        scheduler: SchedulerParameters | None = None,
    ) -> None:
        if not 0 <= irq_affinity < processors:
            raise ValueError(f"irq_affinity is one of {processors} processors, not {irq_affinity!r}")
        self.env = env
        self.costs = costs
        operations, bytes_ = costs.per_operation(), costs.per_byte()
        self._prices = {
            cause: _Price(CAUSES[cause], operations.get(cause, 0), bytes_.get(cause, 0.0))
            for cause in (*operations, *bytes_)
        }
        self.processors = [
            Processor(env, switch_cost=costs.scheduler, scheduler=scheduler or SchedulerParameters())
            for _ in range(processors)
        ]
        self._irq_processor = self.processors[irq_affinity]
        self._posted: list[int] = []
        """When the last write to a register leaves the processor, by number of the register."""
        self._timers = Flow(Context.SOFTIRQ, self._irq_processor)
        self._flows: dict[Task[Any] | None, Flow] = {None: self._timers}
        self._last_task: Task[Any] | None = None
        """The task that was asked for last, since it is asked for again and again, and its flow."""
        self._last_flow = self._timers

    def _flow(self) -> Flow:
        """The flow of control that the running task is."""
        task = self.env.current
        if task is not self._last_task:
            flow = self._flows.get(task)
            self._last_flow = flow if flow is not None else self._add(task, 0)
            self._last_task = task
        return self._last_flow

    def _add(self, task: Task[Any] | None, processor: int) -> Flow:
        for ended in [known for known in self._flows if known is not None and known.done()]:
            del self._flows[ended]
        flow = self._flows[task] = Flow(Context.PROCESS, self.processors[processor])
        return flow

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str = "", *, processor: int = 0) -> Task[T]:
        """Run a program, pinned to a processor (as ``taskset`` does). Raises ``ValueError`` if there is no such one."""
        if not 0 <= processor < len(self.processors):
            raise ValueError(f"processor is below {len(self.processors)}, not {processor!r}")
        task = self.env.spawn(coroutine, name)
        self._add(task, processor)
        return task

    def enter(self, context: Context) -> None:
        flow = self._flow()
        if context is not Context.PROCESS and flow.processor is not self._irq_processor:
            if flow.pending:
                raise RuntimeError("work that was charged on another processor stays there")
            flow.processor = self._irq_processor
        flow.processor.move(flow, context)

    @property
    def now(self) -> int:
        flow = self._flow()
        return flow.processor.done_at(flow)

    def post(self, register: int) -> int:
        """When a posted write that the running task makes to a register leaves the processor: behind the work that is
        charged so far, into which nothing cuts any more, and behind earlier writes to the same register."""
        flow = self._flow()
        flow.processor.mask(flow)
        posted, number = self._posted, register >> 2
        if number >= len(posted):
            posted.extend([0] * (number + 1 - len(posted)))
        time = posted[number] = max(flow.processor.done_at(flow), posted[number])
        return time

    def charge(self, cause: Cause, *, count: int = 1, size: int = 0) -> None:
        price = self._prices[cause]
        duration = price.operation * count
        if size:
            duration += round(price.byte * size)
        self._spend(price.number, duration)

    def spend(self, cause: Cause, duration: int) -> None:
        self._spend(CAUSES[cause], duration)

    def _spend(self, cause: int, duration: int) -> None:
        if duration:
            flow = self._flow()
            flow.processor.charge(flow, cause, duration)

    def settle(self) -> Awaitable[None]:
        flow = self._flow()
        processor = flow.processor
        return _SETTLED if processor.holds(flow) or processor.finish(flow) else _Settle(flow)

    def stall(self, cause: Cause, until: Event) -> Awaitable[None]:
        return _Stall(self._flow().processor, cause, until)

    def spent(self) -> dict[Cause, int]:
        """Nanoseconds by cause up to now, of all processors together; the difference of two such answers is what a span
        of time was spent on, and what is missing to the span (times the processors) was idle."""
        for processor in self.processors:
            processor.account()
        return {cause: sum(processor.busy[number] for processor in self.processors) for cause, number in CAUSES.items()}


class InterruptLine:
    """A level-triggered line into a host: calls the handler while it is asserted. ``asserted`` tells its level, and
    whoever changes it calls ``changed``."""

    def __init__(self, env: Scheduler, cpu: HostCpu, asserted: Callable[[], bool]) -> None:
        self._env = env
        self._cpu = cpu
        self._asserted = asserted
        self._handler: Callable[[], Awaitable[None]] | None = None
        self._changed = env.event()
        env.spawn(self._serve(), name="interrupt line")

    def request(self, handler: Callable[[], Awaitable[None]]) -> None:
        """Raises ``ValueError`` if the line is taken."""
        if self._handler is not None:
            raise ValueError("the interrupt line has a handler already")
        self._handler = handler
        self.changed()

    def free(self) -> None:
        """Call the handler no more."""
        self._handler = None

    def changed(self) -> None:
        """The level may be another."""
        if self._handler is not None and self._asserted():
            self._changed.set()

    async def _serve(self) -> None:
        cpu = self._cpu
        cpu.enter(Context.INTERRUPT)
        while True:
            await self._changed.wait()
            self._changed.clear()
            if cpu.costs.interrupt_latency:
                await self._env.sleep(cpu.costs.interrupt_latency)
            while self._handler is not None and self._asserted():
                cpu.charge(Cause.INTERRUPT)
                await cpu.settle()
                await self._handler()
