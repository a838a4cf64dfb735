"""net_device: the edge between a driver and the stack (Linux ``include/linux/netdevice.h``)."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import TYPE_CHECKING, Final

from mypy_extensions import mypyc_attr

from stack import gso
from stack.environment import Cause, Cpu, Environment, Timer
from stack.gro import GenericReceiveOffload
from stack.qdisc import Pfifo, Qdisc
from stack.skbuff import GsoType, SkBuff, TransmitStage

if TYPE_CHECKING:
    from stack.napi import Backlog

__all__ = ["Features", "NetDevice", "NetDeviceStats", "NetdevTx"]

_TX_QUEUE_LEN: Final = 1000
"""Packets that the first qdisc, a pfifo, holds (txqueuelen)."""


class Features(Flag):
    """What a device does by itself (Linux's NETIF_F_*)."""

    NONE = 0
    SG = auto()
    """Takes packets in pieces."""
    HW_CSUM = auto()
    """Completes any transport checksum (``IpSummed.PARTIAL``)."""
    RXCSUM = auto()
    """Checks transport checksums of what it receives."""
    TSO = auto()
    """Cuts TCP over IPv4 packets of up to 64 KiB into segments."""
    TSO6 = auto()
    """The same for TCP over IPv6."""
    GSO = auto()
    """The stack cuts such packets for the device (``stack.gso``)."""
    HW_VLAN_CTAG_TX = auto()
    """Puts VLAN tags on (``SkBuff.vlan_tci``)."""
    HW_VLAN_CTAG_RX = auto()
    """Takes VLAN tags off."""
    HW_VLAN_CTAG_FILTER = auto()
    """Lets in the VLANs that it is told of, and no others."""


class NetdevTx(Enum):
    """Answer of ``start_xmit``."""

    OK = "ok"
    BUSY = "busy"
    """Not taken: the queue should have been stopped."""


@dataclass(slots=True)
class NetDeviceStats:
    """Linux's ``rtnl_link_stats64``, the part in use. Packets and bytes are those of the stack's side."""

    rx_packets: int = 0
    tx_packets: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    rx_errors: int = 0
    tx_errors: int = 0
    rx_dropped: int = 0
    tx_dropped: int = 0
    rx_crc_errors: int = 0
    rx_length_errors: int = 0
    rx_missed_errors: int = 0


@mypyc_attr(allow_interpreted_subclasses=True)
class NetDevice(ABC):
    """A network interface. A driver subclasses it and implements ``open``, ``stop`` and ``start_xmit``.

    ``receive`` is where the stack hooks in: the device hands every received packet, an ``SkBuff`` whose ``data``
    starts with the Ethernet header (FCS removed), to ``netif_receive_skb``.
    """

    def __init__(self, env: Environment, cpu: Cpu, *, name: str, address: bytes, mtu: int = 1500) -> None:
        if len(address) != 6:
            raise ValueError(f"{name}: a MAC address has 6 bytes, not {len(address)}")
        self.env = env
        self.cpu = cpu
        self.name = name
        self.address = address
        self.mtu = mtu
        self.features = Features.NONE
        self.qdisc: Qdisc = Pfifo(_TX_QUEUE_LEN)
        """``set_qdisc`` changes it."""
        self.stats = NetDeviceStats()
        self.taps: list[Callable[[SkBuff], None]] = []
        """Called with every received packet before the stack sees it (Linux's ptype_all)."""
        self.transmit_taps: list[Callable[[NetDevice, SkBuff], None]] = []
        """Called with every packet that the stack sends, before it is cut or its checksum made (dev_queue_xmit_nit)."""
        self.receive: Callable[[SkBuff], None] | None = None
        self.vlans: dict[int, NetDevice] = {}
        """The VLAN devices on top of this one, by identifier."""
        self.promiscuity = False
        """Receive everything (IFF_PROMISC); ``set_rx_mode`` after a change."""
        self.all_multicast = False
        """Receive every multicast frame (IFF_ALLMULTI)."""
        self.unicast_list: list[bytes] = []
        """Further unicast addresses."""
        self.multicast_list: list[bytes] = []
        """Multicast addresses that somebody listens to."""
        self._listeners: dict[bytes, int] = {}
        """How many, by address."""
        self._gro: GenericReceiveOffload | None = None
        self._qdisc_watchdog: Timer | None = None
        """Until the qdisc lets the next packet go."""
        self._segments: deque[SkBuff] = deque()
        """Cut from a packet that has left the qdisc, and not taken by the device yet."""
        self._judged_features = Features.NONE
        self._cuts_ipv4 = self._cuts_ipv6 = True
        """Whether large packets must be cut before this device, going by those features."""
        self._queue_stopped = True
        self._qdisc_running = False

    @abstractmethod
    async def open(self) -> None:
        """Bring the interface up (ndo_open)."""

    @abstractmethod
    async def stop(self) -> None:
        """Bring it down and give back all it held (ndo_stop)."""

    @abstractmethod
    def start_xmit(self, skb: SkBuff) -> NetdevTx:
        """Give one packet to the device (ndo_start_xmit). The device consumes it when it has been sent."""

    def set_rx_mode(self) -> None:  # noqa: B027
        """What is to be received has changed (ndo_set_rx_mode). A device that receives everything has nothing to do."""

    def vlan_rx_add_vid(self, identifier: int) -> None:  # noqa: B027
        """Let a VLAN in (ndo_vlan_rx_add_vid)."""

    def vlan_rx_kill_vid(self, identifier: int) -> None:  # noqa: B027
        """Let a VLAN in no more (ndo_vlan_rx_kill_vid)."""

    def dev_mc_add(self, address: bytes) -> None:
        """Listen to a multicast address, once more. Raises ``ValueError`` if it is none."""
        if len(address) != 6 or not address[0] & 1:
            raise ValueError(f"{self.name}: {address.hex(':')} is no multicast address")
        self._listeners[address] = self._listeners.get(address, 0) + 1
        if address not in self.multicast_list:
            self.multicast_list.append(address)
            self.set_rx_mode()

    def dev_mc_del(self, address: bytes) -> None:
        """One listener less. Raises ``ValueError`` if there is none."""
        if address not in self.multicast_list:
            raise ValueError(f"{self.name}: {address.hex(':')} is not listened to")
        self._listeners[address] -= 1
        if not self._listeners[address]:
            self.multicast_list.remove(address)
            self.set_rx_mode()

    def dev_uc_add(self, address: bytes) -> None:
        """Receive what is sent to a further unicast address. Raises ``ValueError`` if it is none."""
        if len(address) != 6 or address[0] & 1:
            raise ValueError(f"{self.name}: {address.hex(':')} is no unicast address")
        if address not in self.unicast_list:
            self.unicast_list.append(address)
            self.set_rx_mode()

    def dev_set_promiscuity(self, on: bool) -> None:
        """Receive everything, or not."""
        self.promiscuity = on
        self.set_rx_mode()

    def dev_set_allmulti(self, on: bool) -> None:
        """Receive every multicast frame, or not."""
        self.all_multicast = on
        self.set_rx_mode()

    def set_qdisc(self, qdisc: Qdisc) -> None:
        """Another queueing discipline (``tc qdisc replace``). What waits is dropped."""
        self._discard(self.qdisc.reset())
        self.qdisc = qdisc

    def queue_xmit(self, skb: SkBuff) -> bool:
        """Send through the queueing discipline (dev_queue_xmit).

        Returns False if the queue was full and the packet dropped: local congestion.
        """
        if self.transmit_taps:
            for tap in self.transmit_taps:
                tap(self, skb)
        if skb.tstamp_tx is not None:
            skb.tstamp_tx(TransmitStage.SCHEDULED, self.cpu.now)
        qdisc = self.qdisc
        stopped = self._queue_stopped or self._segments
        if not (stopped or qdisc or not qdisc.bypass or (skb.gso_size and self._must_cut(skb))) and self._give(skb):
            # Nothing waits, so that it need not be queued (TCQ_F_CAN_BYPASS).
            return True
        if not qdisc.enqueue(skb, self.cpu.now):
            self._discard([skb])
            return False
        if not stopped:
            self._run()
        return True

    def _give(self, skb: SkBuff) -> bool:
        """Give one packet to the device; False if it was not taken."""
        told = skb.tstamp_tx
        if self.start_xmit(skb) is NetdevTx.BUSY:
            return False
        if told is not None:
            told(TransmitStage.SENT, self.cpu.now)
        return True

    def _discard(self, skbs: Iterable[SkBuff]) -> None:
        for skb in skbs:
            self.stats.tx_dropped += 1
            skb.consume()

    def _must_cut(self, skb: SkBuff) -> bool:
        """Whether the device cannot cut a large packet by itself (netif_needs_gso)."""
        features = self.features
        if features is not self._judged_features:
            # Sets of flags are slow to cut, for something that each packet asks.
            self._judged_features = features
            self._cuts_ipv4 = (Features.TSO | Features.HW_CSUM) not in features
            self._cuts_ipv6 = (Features.TSO6 | Features.HW_CSUM) not in features
        return self._cuts_ipv6 if skb.gso_type is GsoType.TCPV6 else self._cuts_ipv4

    def _run(self) -> None:
        """Give the device what waits, until it is full (qdisc_run). What is queued meanwhile leaves in its turn."""
        if self._qdisc_running:
            return
        self._qdisc_running = True
        try:
            self._send_queued()
        finally:
            self._qdisc_running = False

    def _send_queued(self) -> None:
        segments, qdisc = self._segments, self.qdisc
        while not self._queue_stopped:
            if segments:
                if not self._give(segments[0]):
                    return
                segments.popleft()
                continue
            skb = qdisc.peek(self.cpu.now)
            if skb is None:
                self._qdisc_watch(qdisc.next_at())
                return
            if skb.gso_size and self._must_cut(skb):
                whole = qdisc.dequeue()
                segments.extend(gso.segment(whole, self.cpu, checksum=not self.features & Features.HW_CSUM))
            elif not self._give(skb):
                return
            else:
                qdisc.dequeue()

    def _qdisc_watch(self, deadline: int | None) -> None:
        """Look again when the qdisc lets something go (qdisc_watchdog_schedule)."""
        if self._qdisc_watchdog is not None:
            self._qdisc_watchdog.cancel()
        self._qdisc_watchdog = None if deadline is None else self.env.call_at(deadline, self._run)

    def queue_stopped(self) -> bool:
        """True while the device takes no packets (netif_queue_stopped)."""
        return self._queue_stopped

    def stop_queue(self) -> None:
        """The device is full (netif_stop_queue)."""
        self._queue_stopped = True

    def wake_queue(self) -> None:
        """The device has room again: send what waits (netif_wake_queue)."""
        self._queue_stopped = False
        self._run()

    def purge_queue(self) -> None:
        """Stop the queue and drop what waits (dev_deactivate)."""
        self._queue_stopped = True
        self._qdisc_watch(None)
        self._discard([*self._segments, *self.qdisc.reset()])
        self._segments.clear()

    def netif_receive_skb(self, skb: SkBuff) -> None:
        """Hand a received packet to the stack."""
        skb.dev = self
        self.stats.rx_packets += 1
        self.stats.rx_bytes += len(skb)
        for tap in self.taps:
            tap(skb)
        if (self.vlans or skb.vlan_tci is not None) and self._vlan_receive(skb):
            return
        if self._gro is not None:
            self.cpu.charge(Cause.GRO)
            self._gro.receive(skb)
        elif self.receive is not None:
            self.receive(skb)

    def _vlan_receive(self, skb: SkBuff) -> bool:
        """Give a tagged packet to its VLAN's device, or drop it if there is none. False if it has no tag, or one that
        tells a priority alone (vlan_do_receive)."""
        if skb.vlan_tci is None:
            data = memoryview(skb.data)
            if len(data) < 18 or data[12] << 8 | data[13] != 0x8100:
                return False
            skb.vlan_tci = data[14] << 8 | data[15]
            skb.data = b"".join((data[:12], data[16:]))
        identifier = skb.vlan_tci & 0xFFF
        if not identifier:
            return False
        device = self.vlans.get(identifier)
        if device is None:
            self.stats.rx_dropped += 1
            skb.consume()
        else:
            skb.vlan_tci = None
            device.netif_receive_skb(skb)
        return True

    def netif_rx(self, skb: SkBuff, backlog: "Backlog") -> None:
        """Queue a received packet for the stack, from an interrupt handler; the queue may be full."""
        skb.dev = self
        backlog.enqueue(skb)

    def set_gro(self, on: bool) -> None:
        """Put received segments together, or not (``ethtool -K ... gro``). Off at first: each poll must end with
        ``gro_flush``."""
        self.gro_flush()
        self._gro = GenericReceiveOffload(self._deliver, self.cpu) if on else None

    def gro_flush(self) -> None:
        """A poll is over (napi_gro_flush)."""
        if self._gro is not None:
            self._gro.flush()
        for device in self.vlans.values():
            device.gro_flush()

    @property
    def gro(self) -> bool:
        """Whether received segments are put together."""
        return self._gro is not None

    def requeue(self, skbs: list[SkBuff]) -> None:
        """Put packets that the device gives back in front of the queue, in their order."""
        self._segments.extendleft(reversed(skbs))

    def _deliver(self, skb: SkBuff) -> None:
        if self.receive is not None:
            self.receive(skb)
