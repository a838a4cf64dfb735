"""net_device and NAPI: the edge between a driver and the stack (Linux ``include/linux/netdevice.h``)."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, Flag, auto

from stack import gso
from stack.environment import Cause, Context, Cpu, Environment, Event, Timer
from stack.gro import GenericReceiveOffload
from stack.qdisc import Pfifo, Qdisc
from stack.skbuff import GsoType, SkBuff

__all__ = ["NAPI_WEIGHT", "Backlog", "Features", "Napi", "NetDevice", "NetDeviceStats", "NetdevTx", "SoftIrq"]

NAPI_WEIGHT = 64
"""Packets that one poll may deliver (Linux's NAPI_POLL_WEIGHT)."""
NETDEV_BUDGET = 300
"""Packets that one run of the software interrupt may deliver (net.core.netdev_budget)."""
NETDEV_BUDGET_TIME = 2_000_000
"""ns that one run may take (net.core.netdev_budget_usecs)."""
NETDEV_MAX_BACKLOG = 1000
"""Packets that ``netif_rx`` queues (net.core.netdev_max_backlog)."""
MAX_SOFTIRQ_RESTART = 10
"""Runs in a row before what is left goes to ksoftirqd."""
MAX_SOFTIRQ_TIME = 2_000_000
"""ns of runs in a row before the same."""
_TX_QUEUE_LEN = 1000
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
        self._gro: GenericReceiveOffload | None = None
        self._qdisc_watchdog: Timer | None = None
        """Until the qdisc lets the next packet go."""
        self._segments: deque[SkBuff] = deque()
        """Cut from a packet that has left the qdisc, and not taken by the device yet."""
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
        """Listen to a multicast address. Raises ``ValueError`` if it is none."""
        if len(address) != 6 or not address[0] & 1:
            raise ValueError(f"{self.name}: {address.hex(':')} is no multicast address")
        if address not in self.multicast_list:
            self.multicast_list.append(address)
            self.set_rx_mode()

    def dev_mc_del(self, address: bytes) -> None:
        """Listen to it no more. Raises ``ValueError`` if it is not listened to."""
        if address not in self.multicast_list:
            raise ValueError(f"{self.name}: {address.hex(':')} is not listened to")
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
        qdisc = self.qdisc
        stopped = self._queue_stopped or self._segments
        if (
            not (stopped or qdisc or qdisc.paces or (skb.gso_size and self._must_cut(skb)))
            and self.start_xmit(skb) is NetdevTx.OK
        ):
            # Nothing waits, so that it need not be queued (TCQ_F_CAN_BYPASS).
            return True
        if not qdisc.enqueue(skb, self.cpu.now):
            self._discard([skb])
            return False
        if not stopped:
            self._run()
        return True

    def _discard(self, skbs: Iterable[SkBuff]) -> None:
        for skb in skbs:
            self.stats.tx_dropped += 1
            skb.consume()

    def _must_cut(self, skb: SkBuff) -> bool:
        """Whether the device cannot cut a large packet by itself (netif_needs_gso)."""
        wanted = Features.TSO6 if skb.gso_type is GsoType.TCPV6 else Features.TSO
        return not self.features & wanted or not self.features & Features.HW_CSUM

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
                if self.start_xmit(segments[0]) is NetdevTx.BUSY:
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
            elif self.start_xmit(skb) is NetdevTx.BUSY:
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
