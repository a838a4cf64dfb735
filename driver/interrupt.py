"""The interrupt handler: find the cause, and do the work or leave it to the poll."""

from typing import TYPE_CHECKING, Final

from driver.hardware import LINK_CAUSES, disable_interrupts
from hw.registers import BY_NAME

if TYPE_CHECKING:
    from driver.e1000 import E1000

__all__ = ["MAXIMUM_PASSES", "InterruptHandler"]

MAXIMUM_PASSES: Final = 10
"""How often the handler without a poll looks at the rings again, while it finds work (Linux's E1000_MAX_INTR)."""

_ICR: Final = BY_NAME["ICR"].offset


class InterruptHandler:
    """One device's. With NAPI it masks all causes and schedules the poll; without, it works on the rings until there is
    nothing left, and gives packets to ``netif_rx`` (Linux up to 2.6, without CONFIG_E1000_NAPI)."""

    def __init__(self, device: "E1000") -> None:
        self._device = device
        self._idle = device.env.event()
        self._idle.set()

    async def __call__(self) -> None:
        device = self._device
        self._idle.clear()
        try:
            causes = await device.bus.read32(_ICR)
            if causes == 0:
                device.counters.interrupts_not_mine += 1
                return
            device.counters.interrupts += 1
            if not device.active:
                # On the way down; the read has made the line fall.
                return
            if causes & LINK_CAUSES:
                device.watchdog.link_event()
            if device.parameters.napi:
                await self._schedule_poll()
            else:
                await self._work()
        finally:
            self._idle.set()

    async def synchronize(self) -> None:
        """Wait for the end of a handler that is under way (synchronize_irq)."""
        await self._idle.wait()

    async def _schedule_poll(self) -> None:
        device = self._device
        await disable_interrupts(device.bus)
        if device.napi.schedule_prep():
            device.totals.clear()
            device.napi.schedule()
        else:
            device.napi.missed = True

    async def _work(self) -> None:
        device = self._device
        device.totals.clear()
        for _ in range(MAXIMUM_PASSES):
            sent, all_clean = await device.clean_transmit()
            received = await device.rx_ring.clean(None, device.queue_received)
            device.counters.packets_per_poll[received] += 1
            if not received and not sent and all_clean:
                break
        if device.itr.dynamic:
            device.update_throttle()
