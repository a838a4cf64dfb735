"""The e1000 as a network device: probe, open, stop, transmit, reset, and what can be changed while it is up.

The order of register accesses is Linux's, for its cost is part of what is measured.
"""

import errno
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from driver.bus import Bus
from driver.counters import AdapterCounters, ItrChange, PollTotals
from driver.filters import Filters
from driver.flow_control import FlowControl, offer_flow_control, write_flow_control
from driver.hardware import (
    check_eeprom,
    check_present,
    disable_interrupts,
    enable_interrupts,
    flush,
    read_mac_address,
    reset,
)
from driver.interrupt import InterruptHandler
from driver.itr import InterruptThrottleRate
from driver.offload import plan_transmit
from driver.parameters import E1000Parameters, check_mtu
from driver.poll import E1000Napi
from driver.receive import ReceiveRing
from driver.statistics import DeviceStatistics
from driver.transmit import TX_WAKE_THRESHOLD, TransmitRing
from driver.wake import WakeOn
from driver.watchdog import Watchdog
from hw.registers import BY_NAME
from stack.environment import Cpu
from stack.napi import SoftIrq
from stack.net_device import Features, NetDevice, NetdevTx
from stack.skbuff import SkBuff

__all__ = ["E1000", "E1000Parameters", "probe"]

ITR_LOG_ENTRIES: Final = 65536
"""Writes of ITR that are kept, the latest ones."""

_HEADER_AND_FCS: Final = 18
_PACKET_BUFFER: Final = 48
_PACKET_BUFFER_JUMBO: Final = 40
"""KiB of the packet buffer for receiving; frames beyond 8 KiB leave more to transmit (Linux's e1000_reset)."""

_ICS: Final = BY_NAME["ICS"]
_ITR: Final = BY_NAME["ITR"]
_STATUS: Final = BY_NAME["STATUS"]


async def probe(
    bus: Bus, cpu: Cpu, softirq: SoftIrq, *, name: str = "eth0", parameters: E1000Parameters | None = None
) -> "E1000":
    """Reset the device on ``bus``, read its address, and return it as an interface that is down.

    Raises ``OSError`` if there is no device (ENODEV), or it does not come out of reset, or has no valid address, or a
    wrong checksum in its EEPROM if that is looked at (EIO).
    """
    parameters = parameters or E1000Parameters()
    await check_present(bus, name)
    ctrl = await reset(bus, parameters, name)
    if parameters.check_eeprom:
        await check_eeprom(bus, name)
    address = await read_mac_address(bus, name)
    return E1000(bus, cpu, softirq, name=name, address=address, parameters=parameters, ctrl=ctrl)


class E1000(NetDevice):
    """One 82540EM. Made by ``probe``."""

    def __init__(
        self,
        bus: Bus,
        cpu: Cpu,
        softirq: SoftIrq,
        *,
        name: str,
        address: bytes,
        parameters: E1000Parameters,
        ctrl: int,
    ) -> None:
        super().__init__(bus.env, cpu, name=name, address=address, mtu=parameters.mtu)
        self.bus = bus
        self.softirq = softirq
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
        self.active = False
        """The device works: it is up, and not being reset."""
        self.wake_on = WakeOn.NONE
        """What wakes the host when it is suspended (``ethtool -s ... wol``)."""
        self.resumes_up = False
        """Whether the interface was up when the host was suspended."""
        self.flow_control = parameters.flow_control
        self.pause = (False, False)
        """Whether pause frames are heeded and sent, as forced or negotiated."""
        for wanted, features in (
            (parameters.tx_checksum, Features.SG | Features.HW_CSUM),
            (parameters.tso, Features.TSO),
            (parameters.rx_checksum, Features.RXCSUM),
            (parameters.vlan_offload, Features.HW_VLAN_CTAG_TX | Features.HW_VLAN_CTAG_RX),
            (parameters.vlan_filter, Features.HW_VLAN_CTAG_FILTER),
        ):
            if wanted:
                self.features |= features
        # Packets from netif_rx do not come from a poll of this device, which would have to end with a flush.
        self.set_gro(parameters.gro and parameters.napi)

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
        self.watchdog = Watchdog(self)
        self._interrupt = InterruptHandler(self)
        self.filters = Filters(self)
        self.ctrl = ctrl
        """CTRL as the last reset left it."""
        self._busy = bus.env.event()
        self._busy.set()

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
        await self._configure()
        try:
            self.bus.request_irq(self._interrupt)
        except ValueError:
            await self.reset()
            self._free_rings()
            raise
        self.up = True
        self.watchdog.start()
        await self._start()

    async def stop(self) -> None:
        """Bring the interface down and give back all memory. No effect if it is down."""
        while not self._busy.is_set():
            await self._busy.wait()
        if not self.up:
            return
        self.up = False
        self.purge_queue()
        await self._quiesce()
        await self.watchdog.end()
        await self.reset()
        self.bus.free_irq()
        self._free_rings()

    async def reinit(self, change: Callable[[], None] = lambda: None) -> None:
        """Reset the device and go on, with nothing lost but time: what it has received is delivered, and what it has
        not sent is given to it again (e1000_reinit_locked). What it had begun to send may be sent twice.

        ``change`` is made in between, while the device does nothing; at once if the interface is down.
        """
        while not self._busy.is_set():
            await self._busy.wait()
        if not self.up:
            change()
            return
        with self._exclusive():
            self.counters.resets += 1
            self.stop_queue()
            if self.carrier:
                await self.tx_ring.drain(self.link_speed)
            await self._quiesce()
            await self.rx_ring.clean(None, self.netif_receive_skb)
            self.gro_flush()
            await self.tx_ring.clean()
            change()
            await self.reset()
            self.rx_ring.restart()
            self.requeue(self.tx_ring.restart())
            await self._configure()
            await self._start()

    async def change_mtu(self, mtu: int) -> None:
        """Set the MTU, with a reset if the interface is up. Raises ``ValueError`` for one that the device does not
        have."""
        check_mtu(mtu)

        def change() -> None:
            self.mtu = mtu

        if mtu != self.mtu:
            await self.reinit(change)

    async def set_flow_control(self, flow_control: FlowControl) -> None:
        """Offer or force pause frames (``ethtool -A``). An offer renegotiates the link."""
        self.flow_control = flow_control
        write_flow_control(self)
        await offer_flow_control(self)

    def set_rx_mode(self) -> None:
        self.filters.rx_mode_changed()

    def vlan_rx_add_vid(self, identifier: int) -> None:
        self.filters.vlans.add(identifier)
        self.filters.vlans_changed()

    def vlan_rx_kill_vid(self, identifier: int) -> None:
        self.filters.vlans.discard(identifier)
        self.filters.vlans_changed()

    def start_xmit(self, skb: SkBuff) -> NetdevTx:
        """Give one packet to the device. What it cannot send is dropped, and counted in ``tx_errors``."""
        if not self.active:
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

    async def clean_transmit(self) -> tuple[int, bool]:
        """Take back what has been sent, and go on if there is room again (called by the poll and the handler).

        Returns the number of packets, and whether that was the end of them.
        """
        ring = self.tx_ring
        packets, all_clean = await ring.clean()
        if packets and self.carrier and self.queue_stopped() and ring.ring.unused() >= TX_WAKE_THRESHOLD:
            self.counters.tx_queue_wakes += 1
            self.wake_queue()
        if ring.detect_hang:
            ring.detect_hang = False
            await self._look_for_hang()
        return packets, all_clean

    def queue_received(self, skb: SkBuff) -> None:
        """Give a received packet to ``netif_rx``."""
        self.netif_rx(skb, self.softirq.backlog)

    def update_throttle(self) -> None:
        """Let the throttle follow the traffic (called at the end of a poll, in the dynamic modes)."""
        totals = self.totals
        self.write_itr(
            self.itr.set_itr(
                link_speed=self.link_speed,
                tx_packets=totals.tx_packets,
                tx_bytes=totals.tx_bytes,
                rx_packets=totals.rx_packets,
                rx_bytes=totals.rx_bytes,
            )
        )

    def write_itr(self, register: int | None) -> None:
        """Write ITR, unless it stays."""
        if register is None:
            return
        self.bus.write32(_ITR.offset, register)
        self.itr_log.append(
            ItrChange(time=self.cpu.now, register=register, rx_class=self.itr.rx_class, tx_class=self.itr.tx_class)
        )

    def follow_link(self, speed: int) -> None:
        """The link has this speed in Mb/s, or 0 (called by the watchdog)."""
        self.link_speed = speed
        if speed and not self.carrier:
            self.carrier = True
            self.tx_ring.enable(True)
            self.wake_queue()
        elif not speed and self.carrier:
            self.carrier = False
            self.stop_queue()

    def set_pause(self, *, rx: bool, tx: bool) -> None:
        """Heed pause frames, and send them, or not."""
        self.pause = (rx, tx)
        self.filters.write_ctrl()

    @property
    def maximum_frame(self) -> int:
        """Bytes of the longest frame, header and FCS included."""
        return self.mtu + _HEADER_AND_FCS

    @property
    def packet_buffer(self) -> int:
        """KiB of the packet buffer that are for receiving."""
        return _PACKET_BUFFER_JUMBO if self.maximum_frame > 8192 else _PACKET_BUFFER

    async def _look_for_hang(self) -> None:
        """Whether the oldest packet should have left long ago, and no pause frame holds it (Linux's
        e1000_clean_tx_irq)."""
        if not self.tx_ring.hangs(self.env.now, self.parameters.tx_hang):
            return
        if await self.bus.read32(_STATUS.offset) & _STATUS.mask("TXOFF") or not self.active:
            return
        self.watchdog.transmitter_hangs()

    async def reset(self) -> None:
        """Reset the device; it forgets all but what ``_configure`` writes again."""
        jumbo = self.packet_buffer if self.packet_buffer != _PACKET_BUFFER else None
        self.ctrl = await reset(self.bus, self.parameters, self.name, packet_buffer=jumbo)

    async def _configure(self) -> None:
        """Write all that a reset has forgotten (e1000_configure)."""
        self.filters.configure()
        if self.flow_control != FlowControl():
            write_flow_control(self)
            await offer_flow_control(self)
        self.tx_ring.configure()
        await self.rx_ring.configure(self._configure_itr)

    async def _start(self) -> None:
        """Let interrupts come (e1000_up)."""
        self.active = True
        # The poll must be able to run before the first interrupt can ask for it.
        self.napi.enabled = True
        await enable_interrupts(self.bus)
        # A link that is up already changes no more: this interrupt starts the watchdog that looks for it.
        self.bus.write32(_ICS.offset, _ICS.mask("LSC"))

    async def _quiesce(self) -> None:
        """Let everything come to rest (e1000_down)."""
        self.active = False
        self.carrier = False
        self.link_speed = 0
        self.rx_ring.disable()
        self.tx_ring.enable(False)
        await flush(self.bus)
        await self.env.sleep(self.parameters.dma_drain)
        await self.napi.disable()
        await disable_interrupts(self.bus)
        await self._interrupt.synchronize()
        # The reset that follows clears the device's counters.
        await self.statistics.update_stats()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        self._busy.clear()
        try:
            yield
        finally:
            self._busy.set()

    def _configure_itr(self) -> None:
        self.write_itr(self.itr.configure())

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
