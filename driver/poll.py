"""The poll that stands in for interrupts while there is work (Linux's ``e1000_clean``)."""

from typing import TYPE_CHECKING

from driver.hardware import enable_interrupts
from stack.napi import Napi, SoftIrq

if TYPE_CHECKING:
    from driver.e1000 import E1000

__all__ = ["E1000Napi"]


class E1000Napi(Napi):
    """Takes back what was sent, delivers what was received.

    No wake-up is lost at the end of a poll: a cause that comes up after the last look at a descriptor stays in ICR,
    and interrupts as soon as IMS lets it.
    """

    def __init__(self, device: "E1000", softirq: SoftIrq) -> None:
        super().__init__(softirq)
        self.device = device
        self.missed = False
        """An interrupt has come although a poll is under way. It has read, and so cleared, causes that the poll may
        not have seen: the poll looks once more (Linux's NAPIF_STATE_MISSED)."""
        self._idle = device.env.event()
        self._idle.set()

    def schedule_prep(self) -> bool:
        prepared = super().schedule_prep()
        if prepared:
            self._idle.clear()
        return prepared

    def complete(self) -> None:
        super().complete()
        self._idle.set()

    async def disable(self) -> None:
        """Schedule no more, and wait for the end of a poll that is under way (napi_disable)."""
        self.enabled = False
        await self._idle.wait()

    async def poll(self, budget: int) -> int:
        device = self.device
        device.counters.polls += 1
        self.missed = False
        _, all_clean = await device.clean_transmit()
        work = await device.rx_ring.clean(budget, device.netif_receive_skb)
        device.gro_flush()
        device.counters.packets_per_poll[work] += 1
        if not self.enabled:
            self.complete()
            return 0
        if not all_clean or work >= budget or self.missed:
            return budget
        # Nothing may wait from here until the interrupts are on: the handler could not schedule, or would do so too
        # early.
        self.complete()
        if device.itr.dynamic:
            device.update_throttle()
        await enable_interrupts(device.bus)
        return work
