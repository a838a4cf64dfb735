"""The watchdog: follows the link, the counters and the transmitter every few seconds, and when the link changes."""

from typing import TYPE_CHECKING, Final

from driver.adaptive import AdaptiveSpacing
from driver.flow_control import configure_flow_control
from driver.hardware import link_speed
from driver.itr import ThrottleMode
from hw.registers import BY_NAME
from stack.environment import Task, Timer

if TYPE_CHECKING:
    from driver.e1000 import E1000

__all__ = ["Watchdog"]

_ICS: Final = BY_NAME["ICS"]
_STATUS: Final = BY_NAME["STATUS"]
_AIT: Final = BY_NAME["AIT"].offset


class Watchdog:
    """One device's, as a kernel thread (Linux's e1000_watchdog and, for a hung transmitter, its reset task)."""

    def __init__(self, device: "E1000") -> None:
        self._device = device
        self._wanted = device.env.event()
        self._link_event = False
        self._reset_wanted = False
        self._reset_timer: Timer | None = None
        self._timer: Timer | None = None
        self._task: Task[None] | None = None
        self._octets = (0, 0)
        self._adaptive = AdaptiveSpacing()

    def start(self) -> None:
        """The interface is up."""
        device = self._device
        self._link_event = True
        self._reset_wanted = False
        self._octets = (device.counters.tx_octets, device.counters.rx_octets)
        self._wanted.clear()
        self._task = device.env.spawn(self._run(), name=f"{device.name} watchdog")

    async def end(self) -> None:
        """Let the watchdog see that the interface is down, and wait for its end."""
        if self._reset_timer is not None:
            self._reset_timer.cancel()
            self._reset_timer = None
        if self._task is not None:
            self._wanted.set()
            await self._task
            self._task = None

    def link_event(self) -> None:
        """The link may have changed: look at once."""
        self._link_event = True
        self._wanted.set()

    def transmitter_hangs(self) -> None:
        """The device has had a packet too long: after a while, reset it (Linux's dev_watchdog)."""
        device = self._device
        if self._reset_timer is not None:
            return
        device.counters.tx_hangs += 1
        device.stop_queue()

        def reset() -> None:
            self._reset_timer = None
            self._reset_wanted = True
            self._wanted.set()

        self._reset_timer = device.env.call_at(device.env.now + device.parameters.tx_timeout, reset)

    async def _run(self) -> None:
        device = self._device
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if self._timer is not None:
                self._timer.cancel()
            if device.up and self._reset_wanted:
                self._reset_wanted = False
                await device.reinit()
            if device.up:
                await self._look()
            if not device.up:
                return
            self._timer = device.env.call_at(device.env.now + device.parameters.watchdog_interval, self._wanted.set)

    async def _look(self) -> None:
        """Follow the link, read the counters, follow the octets in mode 4, and let a poll come now and then."""
        device = self._device
        if self._link_event or not device.carrier:
            self._link_event = False
            speed = link_speed(await device.bus.read32(_STATUS.offset))
            if not device.active:
                return
            if speed and not device.carrier and device.flow_control.autonegotiate:
                await configure_flow_control(device)
            device.follow_link(speed)
        if device.parameters.read_statistics:
            await self._read_statistics()
        if device.itr.mode is ThrottleMode.SIMPLIFIED:
            tx_before, rx_before = self._octets
            tx_octets, rx_octets = self._octets = (device.counters.tx_octets, device.counters.rx_octets)
            device.write_itr(
                device.itr.set_simplified(tx_octets=tx_octets - tx_before, rx_octets=rx_octets - rx_before)
            )
        device.tx_ring.detect_hang = device.carrier
        device.bus.write32(_ICS.offset, _ICS.mask("RXDMT0"))
        await device.cpu.settle()

    async def _read_statistics(self) -> None:
        device = self._device
        totals = device.statistics.totals
        before = (totals["GPTC"], totals["COLC"])
        await device.statistics.update_stats()
        spacing = self._adaptive.update(transmitted=totals["GPTC"] - before[0], collisions=totals["COLC"] - before[1])
        if spacing is not None:
            device.bus.write32(_AIT, spacing)
