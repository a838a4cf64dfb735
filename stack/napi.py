"""NAPI and the software interrupt that polls: how received packets come up from a driver (Linux's net/core/dev.c)."""

from abc import ABC, abstractmethod
from collections import deque
from typing import Final

from mypy_extensions import mypyc_attr

from stack.environment import Cause, Context, Cpu, Environment, Event
from stack.skbuff import SkBuff

__all__ = ["NAPI_WEIGHT", "Backlog", "Napi", "SoftIrq"]

NAPI_WEIGHT: Final = 64
"""Packets that one poll may deliver (Linux's NAPI_POLL_WEIGHT)."""
NETDEV_BUDGET: Final = 300
"""Packets that one run of the software interrupt may deliver (net.core.netdev_budget)."""
NETDEV_BUDGET_TIME: Final = 2_000_000
"""ns that one run may take (net.core.netdev_budget_usecs)."""
NETDEV_MAX_BACKLOG: Final = 1000
"""Packets that ``netif_rx`` queues (net.core.netdev_max_backlog)."""
MAX_SOFTIRQ_RESTART: Final = 10
"""Runs in a row before what is left goes to ksoftirqd."""
MAX_SOFTIRQ_TIME: Final = 2_000_000
"""ns of runs in a row before the same."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Napi(ABC):
    """A poll that replaces interrupts while there is work (Linux's struct napi_struct)."""

    def __init__(self, softirq: "SoftIrq", *, weight: int = NAPI_WEIGHT) -> None:
        self.softirq = softirq
        self.weight = weight
        self.enabled = False
        self._scheduled = False

    @abstractmethod
    async def poll(self, budget: int) -> int:
        """Deliver at most ``budget`` packets and return how many. Fewer than ``budget`` means all work is done, and
        the poll has called ``complete`` and switched interrupts on again."""

    def schedule_prep(self) -> bool:
        """True, once, if the poll may be scheduled: it is enabled and not scheduled yet (napi_schedule_prep)."""
        if not self.enabled or self._scheduled:
            return False
        self._scheduled = True
        return True

    def schedule(self) -> None:
        """Queue the poll after ``schedule_prep`` returned True (__napi_schedule)."""
        self.softirq.raise_net_rx(self)

    def complete(self) -> None:
        """No work left (napi_complete)."""
        self._scheduled = False


class Backlog(Napi):
    """What ``netif_rx`` has queued on one processor: the way up for drivers without a poll (softnet_data's backlog)."""

    def __init__(self, softirq: "SoftIrq", *, limit: int) -> None:
        super().__init__(softirq)
        self.enabled = True
        self.limit = limit
        self.processed = 0
        """Packets handed to the stack."""
        self.dropped = 0
        """Packets that found the queue full (second column of /proc/net/softnet_stat)."""
        self._queue: deque[SkBuff] = deque()

    def enqueue(self, skb: SkBuff) -> bool:
        """Queue one packet of ``skb.dev`` (netif_rx). False if it was dropped, and counted in ``rx_dropped`` too."""
        self.softirq.cpu.charge(Cause.BACKLOG)
        if len(self._queue) > self.limit:
            self.dropped += 1
            if skb.dev is not None:
                skb.dev.stats.rx_dropped += 1
            skb.consume()
            return False
        self._queue.append(skb)
        if self.schedule_prep():
            self.schedule()
        return True

    async def poll(self, budget: int) -> int:
        """process_backlog."""
        work = 0
        while self._queue and work < budget:
            skb = self._queue.popleft()
            work += 1
            self.processed += 1
            if skb.dev is not None:
                skb.dev.netif_receive_skb(skb)
            await self.softirq.cpu.settle()
        if work < budget:
            self.complete()
        return work


class SoftIrq:
    """NET_RX_SOFTIRQ of the processor that interrupts go to, and its ksoftirqd.

    As in Linux (kernel/softirq.c and net_rx_action): a run polls each NAPI that is scheduled once, within
    ``budget`` packets and ``budget_time`` ns. What is left then is run again, up to ``restarts`` times and for
    ``time_limit`` ns. Beyond that it is left to ksoftirqd, a process that has to share the processor with programs.
    """

    def __init__(
        self,
        env: Environment,
        cpu: Cpu,
        *,
        budget: int = NETDEV_BUDGET,
        budget_time: int = NETDEV_BUDGET_TIME,
        restarts: int = MAX_SOFTIRQ_RESTART,
        time_limit: int = MAX_SOFTIRQ_TIME,
        max_backlog: int = NETDEV_MAX_BACKLOG,
    ) -> None:
        self.cpu = cpu
        self.budget = budget
        self.budget_time = budget_time
        self.restarts = restarts
        self.time_limit = time_limit
        self.backlog = Backlog(self, limit=max_backlog)
        self.polls = 0
        self.time_squeeze = 0
        """Runs that ended with work left (third column of /proc/net/softnet_stat)."""
        self.ksoftirqd_runs = 0
        """How often ksoftirqd was woken."""
        self._poll_list: deque[Napi] = deque()
        self._raised: Event = env.event()
        self._task = env.spawn(self._run(), name="softirq")

    def raise_net_rx(self, napi: Napi) -> None:
        self._poll_list.append(napi)
        self._raised.set()

    async def _run(self) -> None:
        cpu = self.cpu
        cpu.enter(Context.SOFTIRQ)
        while True:
            await self._raised.wait()
            self._raised.clear()
            end = cpu.now + self.time_limit
            restarts = self.restarts
            while self._poll_list:
                cpu.charge(Cause.SOFTIRQ)
                await cpu.settle()
                await self._net_rx_action()
                restarts -= 1
                if self._poll_list and (not restarts or cpu.now >= end):
                    await self._ksoftirqd()

    async def _ksoftirqd(self) -> None:
        cpu = self.cpu
        self.ksoftirqd_runs += 1
        while self._poll_list:
            # Between two runs other processes may have their turn (cond_resched).
            cpu.enter(Context.PROCESS)
            cpu.charge(Cause.SOFTIRQ)
            await cpu.settle()
            cpu.enter(Context.KSOFTIRQD)
            await self._net_rx_action()
        cpu.enter(Context.SOFTIRQ)

    async def _net_rx_action(self) -> None:
        cpu = self.cpu
        budget = self.budget
        end = cpu.now + self.budget_time
        for _ in range(len(self._poll_list)):
            napi = self._poll_list.popleft()
            self.polls += 1
            work = await napi.poll(napi.weight)
            if work >= napi.weight:
                self._poll_list.append(napi)
            budget -= work
            if budget <= 0 or cpu.now >= end:
                break
        if self._poll_list:
            self.time_squeeze += 1
