"""The e1000 as a network device: probe, open, stop, transmit, the interrupt handler and the watchdog.

The order of register accesses is Linux's, for its cost is part of what is measured.
"""

import errno
from collections import deque

from driver.bus import Bus
from driver.counters import AdapterCounters, ItrChange, PollTotals
from driver.hardware import (
    LINK_CAUSES,
    check_eeprom,
    check_present,
    disable_interrupts,
    enable_interrupts,
    flush,
    link_speed,
    read_mac_address,
    reset,
)
from driver.itr import InterruptThrottleRate, ThrottleMode
from driver.offload import plan_transmit
from driver.parameters import E1000Parameters
from driver.poll import E1000Napi
from driver.receive import ReceiveRing
from driver.statistics import DeviceStatistics
from driver.transmit import TX_WAKE_THRESHOLD, TransmitRing
from hw.registers import BY_NAME
from stack.environment import Cpu, Task, Timer
from stack.net_device import Features, NetDevice, NetdevTx, SoftIrq
from stack.skbuff import SkBuff

__all__ = ["E1000", "E1000Parameters", "probe"]

ITR_LOG_ENTRIES = 65536
"""Writes of ITR that are kept, the latest ones."""

_ICR = BY_NAME["ICR"]
_ICS = BY_NAME["ICS"]
_ITR = BY_NAME["ITR"]
_STATUS = BY_NAME["STATUS"]


async def probe(
    bus: Bus, cpu: Cpu, softirq: SoftIrq, *, name: str = "eth0", parameters: E1000Parameters | None = None
) -> "E1000":
    """Reset the device on ``bus``, read its address, and return it as an interface that is down.

    Raises ``OSError`` if there is no device (ENODEV), or it does not come out of reset, or has no valid address, or a
    wrong checksum in its EEPROM if that is looked at (EIO).
    """
    parameters = parameters or E1000Parameters()
    await check_present(bus, name)
    await reset(bus, parameters, name)
    if parameters.check_eeprom:
        await check_eeprom(bus, name)
    address = await read_mac_address(bus, name)
    return E1000(bus, cpu, softirq, name=name, address=address, parameters=parameters)


class E1000(NetDevice):
    """One 82540EM. Made by ``probe``."""

    def __init__(
        self, bus: Bus, cpu: Cpu, softirq: SoftIrq, *, name: str, address: bytes, parameters: E1000Parameters
    ) -> None:
        super().__init__(bus.env, cpu, name=name, address=address)
        self.bus = bus
        self.parameters = parameters
        self.counters = AdapterCounters()
        self.statistics = DeviceStatistics(bus)
        self.itr = InterruptThrottleRate(
            parameters.interrupt_throttle_rate, literal_figure=parameters.itr_literal_figure
        )
        self.itr_log: deque[ItrChange] = deque(maxlen=ITR_LOG_ENTRIES)
        self.carrier = False
        """Whether the link is up (netif_carrier_ok)."""
        self.link_speed = 0
        """Mb/s, 0 if the link is down."""
        self.up = False
        """From ``open`` to ``stop``."""
        if parameters.tx_checksum:
            self.features |= Features.SG | Features.HW_CSUM
        if parameters.tso:
            self.features |= Features.TSO
        if parameters.rx_checksum:
            self.features |= Features.RXCSUM

        self.totals = PollTotals()
        self.tx_ring = TransmitRing(
            bus,
            cpu,
            count=parameters.tx_descriptors,
            int_delay=parameters.tx_int_delay,
            abs_int_delay=parameters.tx_abs_int_delay,
            stats=self.stats,
            counters=self.counters,
            totals=self.totals,
        )
        self.rx_ring = ReceiveRing(
            bus,
            cpu,
            count=parameters.rx_descriptors,
            int_delay=parameters.rx_int_delay,
            abs_int_delay=parameters.rx_abs_int_delay,
            buffer_size=parameters.rx_buffer_size,
            checksum=parameters.rx_checksum,
            stats=self.stats,
            counters=self.counters,
            totals=self.totals,
        )
        self.napi = E1000Napi(self, softirq)
        self._link_event = False
        self._watchdog_wanted = bus.env.event()
        self._watchdog_timer: Timer | None = None
        self._watchdog_task: Task[None] | None = None
        self._watchdog_octets = (0, 0)

    async def open(self) -> None:
        """Bring the interface up; packets flow when the link does.

        Raises ``OSError`` (EBUSY) if it is up, ``MemoryError`` if there is no room for rings and buffers, and
        ``ValueError`` if the interrupt line is taken; what was reserved is given back.
        """
        if self.up:
            raise OSError(errno.EBUSY, f"{self.name} is up")
        self.tx_ring.allocate()
        try:
            self.rx_ring.allocate()
        except MemoryError:
            self.tx_ring.free()
            raise
        self.tx_ring.configure()
        await self.rx_ring.configure(self._configure_itr)
        try:
            self.bus.request_irq(self._interrupt)
        except ValueError:
            await reset(self.bus, self.parameters, self.name)
            self._free_rings()
            raise

        self.up = True
        self._link_event = True
        self._watchdog_octets = (self.counters.tx_octets, self.counters.rx_octets)
        self._watchdog_wanted.clear()
        self._watchdog_task = self.env.spawn(self._run_watchdog(), name=f"{self.name} watchdog")
        # The poll must be able to run before the first interrupt can ask for it.
        self.napi.enabled = True
        await enable_interrupts(self.bus)
        # A link that is up already changes no more: this interrupt starts the watchdog that looks for it.
        self.bus.write32(_ICS.offset, _ICS.mask("LSC"))

    async def stop(self) -> None:
        """Bring the interface down and give back all memory. No effect if it is down."""
        if not self.up:
            return
        self.up = False
        self.carrier = False
        self.link_speed = 0
        self.rx_ring.disable()
        self.purge_queue()
        self.tx_ring.enable(False)
        await flush(self.bus)
        await self.env.sleep(self.parameters.dma_drain)
        await self.napi.disable()
        await disable_interrupts(self.bus)
        await self._end_watchdog()
        await reset(self.bus, self.parameters, self.name)
        self.bus.free_irq()
        self._free_rings()

    def start_xmit(self, skb: SkBuff) -> NetdevTx:
        """Give one packet to the device. What it cannot send is dropped, and counted in ``tx_errors``."""
        if not self.up:
            return self._drop(skb)
        try:
            plan = plan_transmit(skb)
        except ValueError:
            self.stats.tx_errors += 1
            return self._drop(skb)
        try:
            taken = self.tx_ring.enqueue(skb, plan)
        except MemoryError:
            return self._drop(skb)
        if not taken:
            self._stop_full_queue()
            return NetdevTx.BUSY
        if not self.tx_ring.has_room():
            self._stop_full_queue()
        return NetdevTx.OK

    def tx_cleaned(self) -> None:
        """Packets have been taken back from the device: there may be room to go on (called by the poll)."""
        if self.carrier and self.queue_stopped() and self.tx_ring.ring.unused() >= TX_WAKE_THRESHOLD:
            self.counters.tx_queue_wakes += 1
            self.wake_queue()

    def update_throttle(self) -> None:
        """Let the throttle follow the traffic (called at the end of a poll, in the dynamic modes)."""
        totals = self.totals
        self._write_itr(
            self.itr.set_itr(
                link_speed=self.link_speed,
                tx_packets=totals.tx_packets,
                tx_bytes=totals.tx_bytes,
                rx_packets=totals.rx_packets,
                rx_bytes=totals.rx_bytes,
            )
        )

    async def _interrupt(self) -> None:
        """The interrupt handler: find the cause, mask all, and leave the work to the poll."""
        causes = await self.bus.read32(_ICR.offset)
        if causes == 0:
            self.counters.interrupts_not_mine += 1
            return
        self.counters.interrupts += 1
        if not self.up:
            # On the way down; the read has made the line fall.
            return
        if causes & LINK_CAUSES:
            self._link_event = True
            self._watchdog_wanted.set()
        await disable_interrupts(self.bus)
        if self.napi.schedule_prep():
            totals = self.totals
            totals.tx_packets = totals.tx_bytes = totals.rx_packets = totals.rx_bytes = 0
            self.napi.schedule()
        else:
            self.napi.missed = True

    async def _run_watchdog(self) -> None:
        while True:
            await self._watchdog_wanted.wait()
            self._watchdog_wanted.clear()
            if self._watchdog_timer is not None:
                self._watchdog_timer.cancel()
            if self.up:
                await self._watchdog()
            if not self.up:
                return
            self._watchdog_timer = self.env.call_at(
                self.env.now + self.parameters.watchdog_interval, self._watchdog_wanted.set
            )

    async def _end_watchdog(self) -> None:
        """Let the watchdog see that the interface is down, and wait for its end."""
        if self._watchdog_task is not None:
            self._watchdog_wanted.set()
            await self._watchdog_task
            self._watchdog_task = None

    async def _watchdog(self) -> None:
        """Follow the link, read the counters, follow the octets in mode 4, and let a poll come now and then."""
        if self._link_event or not self.carrier:
            self._link_event = False
            speed = link_speed(await self.bus.read32(_STATUS.offset))
            if not self.up:
                return
            self._follow_link(speed)
        if self.parameters.read_statistics:
            await self.statistics.update_stats()
        if self.itr.mode is ThrottleMode.SIMPLIFIED:
            tx_before, rx_before = self._watchdog_octets
            tx_octets, rx_octets = self._watchdog_octets = (self.counters.tx_octets, self.counters.rx_octets)
            self._write_itr(self.itr.set_simplified(tx_octets=tx_octets - tx_before, rx_octets=rx_octets - rx_before))
        self.bus.write32(_ICS.offset, _ICS.mask("RXDMT0"))
        await self.cpu.settle()

    def _follow_link(self, speed: int) -> None:
        self.link_speed = speed
        if speed and not self.carrier:
            self.carrier = True
            self.tx_ring.enable(True)
            self.wake_queue()
        elif not speed and self.carrier:
            self.carrier = False
            self.stop_queue()

    def _configure_itr(self) -> None:
        self._write_itr(self.itr.configure())

    def _write_itr(self, register: int | None) -> None:
        if register is None:
            return
        self.bus.write32(_ITR.offset, register)
        self.itr_log.append(
            ItrChange(time=self.cpu.now, register=register, rx_class=self.itr.rx_class, tx_class=self.itr.tx_class)
        )

    def _stop_full_queue(self) -> None:
        self.counters.tx_queue_stops += 1
        self.stop_queue()

    def _drop(self, skb: SkBuff) -> NetdevTx:
        self.stats.tx_dropped += 1
        skb.consume()
        return NetdevTx.OK

    def _free_rings(self) -> None:
        self.tx_ring.free()
        self.rx_ring.free()
