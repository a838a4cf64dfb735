"""What the world gives to a coroutine: time, events, tasks, and a processor to pay.

A coroutine of the driver or the stack awaits only what comes from here, so the same code runs under the event engine,
under cocotb and in real time. Protocol cores are synchronous: they are given ``now`` and arm timers with ``call_at``.
Time is an ``int`` of nanoseconds since the start of the run.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from enum import Enum, IntEnum
from typing import Any, Generic, Protocol, TypeVar

from mypy_extensions import mypyc_attr

__all__ = ["CancelledError", "Cause", "Context", "Cpu", "Environment", "Event", "Random", "Task", "Timer"]

T = TypeVar("T", covariant=True)


class CancelledError(BaseException):
    """Raised in a coroutine at the point where it waits, when its task is cancelled."""


class Event(Protocol):
    """A flag that coroutines can wait for."""

    def is_set(self) -> bool: ...

    def set(self) -> None:
        """Raise the flag and wake all who wait, in the order in which they came."""

    def clear(self) -> None: ...

    def wait(self) -> Awaitable[None]:
        """Return at once if the flag is up, else when it is raised."""


class Timer(Protocol):
    """A call that has been put off."""

    def cancel(self) -> None:
        """Do not make the call. No effect if it was made already."""


class Task(Protocol, Generic[T]):
    """A coroutine that runs by itself. Awaiting it gives its result or raises what it raised."""

    def cancel(self) -> None:
        """Raise ``CancelledError`` at the point where the coroutine waits."""

    def done(self) -> bool: ...

    def __await__(self) -> Any: ...


class Random(Protocol):
    """The part of ``random.Random`` in use; one seeded generator per experiment."""

    def random(self) -> float: ...

    def randrange(self, start: int, stop: int | None = None) -> int: ...

    def getrandbits(self, k: int, /) -> int: ...


class Cause(Enum):
    """What a processor spends its time on. The host model puts a price on each."""

    __hash__ = object.__hash__  # that of ``Enum`` hashes the name, at the price of a call in Python

    INTERRUPT = "interrupt"
    """Entry to and exit from a hardware interrupt handler."""
    MMIO = "mmio"
    """Register accesses; a read stalls for the round trip on the bus."""
    SOFTIRQ = "softirq"
    """Scheduling and entering a NAPI poll."""
    SCHEDULER = "scheduler"
    """Switching to another process, or back to one that slept."""
    DRIVER_RX = "driver_rx"
    """Per received packet in the driver: descriptor, buffer refill."""
    SKB_ALLOC = "skb_alloc"
    """Per sk_buff of a received packet, allocated and freed."""
    DRIVER_TX = "driver_tx"
    """Per descriptor given to the device, and per packet cleaned."""
    BACKLOG = "backlog"
    """Per packet through netif_rx's queue."""
    GRO = "gro"
    """Per packet that generic receive offload looks at."""
    PROTOCOL_RX = "protocol_rx"
    """Per packet in Ethernet, IP, TCP or UDP input."""
    PROTOCOL_TX = "protocol_tx"
    """Per packet in TCP or UDP, IP and Ethernet output."""
    CHECKSUM = "checksum"
    """Per byte of a checksum made in software."""
    COPY = "copy"
    """Per byte copied between a program and the stack."""
    SYSTEM_CALL = "system_call"
    """Per socket call."""
    PROGRAM = "program"
    """A program's own work."""


class Context(IntEnum):
    """On whose behalf a processor works; a lower one goes before a higher one, and cuts into it."""

    INTERRUPT = 0
    """A hardware interrupt's handler."""
    SOFTIRQ = 1
    """A software interrupt, timers included."""
    KSOFTIRQD = 2
    """A process that does a software interrupt's work: no other process cuts in, but it has its turn as they have."""
    PROCESS = 3
    """A program or a kernel thread; processes share what is left fairly."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Cpu(ABC):
    """The processors of one host. Work is charged first and takes place then: ``settle`` lets the time pass.

    Each task is a process of its own, unless it has said what else it is (``enter``). What is charged outside of any
    task, in a timed call, is a software interrupt's.
    """

    @property
    @abstractmethod
    def now(self) -> int:
        """The time at which what is charged so far is done, never before the environment's ``now``."""

    @abstractmethod
    def charge(self, cause: Cause, *, count: int = 1, size: int = 0) -> None:
        """Spend the price of ``count`` operations on ``size`` bytes altogether."""

    @abstractmethod
    def spend(self, cause: Cause, duration: int) -> None:
        """Spend ``duration`` nanoseconds."""

    @abstractmethod
    def settle(self) -> Awaitable[None]:
        """Wait until the running task has a processor, and all that it has charged is done. A task that was woken has
        none before that."""

    @abstractmethod
    def stall(self, cause: Cause, until: Event) -> Awaitable[None]:
        """Stand still until an event (the answer of a bus, say), which nothing can cut into. For a task that has a
        processor and nothing left to do, that is, right after ``settle``."""

    @abstractmethod
    def enter(self, context: Context) -> None:
        """The running task works in this context from now on."""


class Environment(Protocol):
    """One run's time, tasks and randomness."""

    @property
    def now(self) -> int:
        """Simulated (or real) nanoseconds since the start."""

    @property
    def random(self) -> Random: ...

    def sleep(self, duration: int) -> Awaitable[None]:
        """Wait for ``duration`` nanoseconds."""

    def event(self) -> Event: ...

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str = "") -> Task[T]:
        """Run a coroutine by itself. An exception that nobody awaits ends the run."""

    def call_at(self, when: int, function: Callable[[], None]) -> Timer:
        """Call ``function`` at time ``when`` (now, if that has passed)."""
