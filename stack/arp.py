"""Address resolution (RFC 826, RFC 1122 section 2.3.2) with the neighbour states of RFC 4861 that matter here."""

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from stack.address import format_ipv4
from stack.counters import Counters, DropReason
from stack.environment import Cause, Timer
from stack.ethernet import BROADCAST, ETH_P_ARP, ETH_P_IP, HEADER
from stack.net_device import NetDevice
from stack.skbuff import SkBuff

__all__ = ["ArpParameters", "ArpTable", "Neighbour", "NudState"]

_PACKET = struct.Struct("!HHBBH6sI6sI")
_ETHERNET = 1
_REQUEST = 1
_REPLY = 2
_UNKNOWN = b"\0" * 6


@dataclass(frozen=True, kw_only=True)
class ArpParameters:
    """Times in nanoseconds. Defaults are Linux's ``net.ipv4.neigh.default``."""

    retransmission_time: int = 1_000_000_000
    """Between requests: RFC 1122 asks for at most one per second and destination."""
    solicitations: int = 3
    """Requests before a neighbour counts as failed."""
    reachable_time: int = 30_000_000_000
    """After this long an address is asked for again when it is next used."""
    queue_length: int = 101
    """Packets that wait for one neighbour; the oldest gives way."""
    table_size: int = 1024


class NudState(Enum):
    """Neighbour unreachability detection (RFC 4861 section 7.3.2)."""

    INCOMPLETE = "incomplete"
    """Asked for, not known yet: packets wait."""
    REACHABLE = "reachable"
    PROBE = "probe"
    """Known, but old: in use while it is asked for again."""
    FAILED = "failed"


class Neighbour:
    """One next hop of one interface."""

    __slots__ = ("address", "header", "queue", "solicitations", "state", "table", "timer", "valid_until")

    def __init__(self, table: "ArpTable", address: int) -> None:
        self.table = table
        self.address = address
        self.state = NudState.FAILED
        self.header = b""
        """The whole Ethernet header towards this neighbour."""
        self.queue: deque[SkBuff] = deque()
        self.solicitations = 0
        self.timer: Timer | None = None
        self.valid_until = -1
        """While it is earlier than this, ``header`` may be used without a question."""

    def output(self, skb: SkBuff) -> bool:
        """Send an IPv4 packet to this neighbour, or keep it until its address is known. False if the device's queue
        was full."""
        device = self.table.device
        if device.cpu.now < self.valid_until or self._confirm():
            skb.head = self.header + skb.head
            return device.queue_xmit(skb)
        if len(self.queue) >= self.table.parameters.queue_length:
            self.table.counters.drop(DropReason.NEIGH_QUEUEFULL)
            self.queue.popleft().consume()
        self.queue.append(skb)
        return True

    def _confirm(self) -> bool:
        """Start or go on resolving; True if the old address may be used meanwhile."""
        if self.state is NudState.REACHABLE:
            self.state = NudState.PROBE
            self.solicitations = 0
            self._solicit()
        elif self.state is NudState.FAILED:
            self.state = NudState.INCOMPLETE
            self.solicitations = 0
            self._solicit()
        return self.state is NudState.PROBE

    def _solicit(self) -> None:
        table = self.table
        self.timer = None
        if self.solicitations >= table.parameters.solicitations:
            self._fail()
            return
        self.solicitations += 1
        hardware = self.header[:6] if self.state is NudState.PROBE else BROADCAST
        table.send(_REQUEST, hardware, _UNKNOWN, self.address)
        device = table.device
        self.timer = device.env.call_at(device.cpu.now + table.parameters.retransmission_time, self._solicit)

    def _fail(self) -> None:
        self.state = NudState.FAILED
        self.valid_until = -1
        queue, self.queue = self.queue, deque()
        for skb in queue:
            self.table.counters.drop(DropReason.NEIGH_FAILED)
            self.table.unreachable(skb)
            skb.consume()

    def confirm(self, hardware: bytes) -> None:
        """The neighbour has said where it is: send what waits."""
        device = self.table.device
        self.stop_timer()
        self.state = NudState.REACHABLE
        self.header = HEADER.pack(hardware, device.address, ETH_P_IP)
        self.valid_until = device.cpu.now + self.table.parameters.reachable_time
        queue, self.queue = self.queue, deque()
        for skb in queue:
            skb.head = self.header + skb.head
            device.queue_xmit(skb)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class ArpTable:
    """The neighbours of one interface.

    ``unreachable(skb)`` is called with each IPv4 packet (headers in ``head``) that could not be delivered.
    """

    def __init__(
        self,
        device: NetDevice,
        address: int,
        counters: Counters,
        *,
        parameters: ArpParameters,
        unreachable: Callable[[SkBuff], None],
    ) -> None:
        self.device = device
        self.address = address
        self.counters = counters
        self.parameters = parameters
        self.unreachable = unreachable
        self._neighbours: dict[int, Neighbour] = {}

    def output(self, address: int, skb: SkBuff) -> bool:
        """Send an IPv4 packet (headers in ``head``) to the next hop ``address``. False if it was dropped."""
        neighbour = self._neighbours.get(address) or self._create(address)
        if neighbour is None:
            self.counters.drop(DropReason.NEIGH_CREATEFAIL)
            skb.consume()
            return False
        return neighbour.output(skb)

    def _create(self, address: int) -> Neighbour | None:
        """A new entry, or None if the table is full of entries in use."""
        if len(self._neighbours) >= self.parameters.table_size and not self._collect():
            return None
        neighbour = self._neighbours[address] = Neighbour(self, address)
        return neighbour

    def _collect(self) -> bool:
        """Make room: forget one neighbour that has failed, or the one whose address is the oldest."""
        idle = [one for one in self._neighbours.values() if one.timer is None]
        if not idle:
            return False
        del self._neighbours[min(idle, key=lambda one: one.valid_until).address]
        return True

    def entries(self) -> dict[str, tuple[str, NudState]]:
        """Address to (hardware address, state), as ``ip neighbour`` shows it."""
        return {format_ipv4(one.address): (one.header[:6].hex(":"), one.state) for one in self._neighbours.values()}

    def input(self, skb: SkBuff) -> None:
        """One ARP packet, by the algorithm of RFC 826."""
        if len(skb.data) < _PACKET.size:
            self.counters.drop(DropReason.PKT_TOO_SMALL)
            return
        hardware_type, protocol, hlen, plen, operation, sha, spa, _, tpa = _PACKET.unpack_from(skb.data)
        if hardware_type != _ETHERNET or protocol != ETH_P_IP or hlen != 6 or plen != 4:
            self.counters.drop(DropReason.HDR_TRUNC)
            return
        if sha[0] & 1 or spa == self.address:
            # A station cannot have a group address, nor ours.
            self.counters.drop(DropReason.OTHERHOST)
            return
        known = self._neighbours.get(spa) if spa else None
        if known is not None:
            known.confirm(sha)
        if operation == _REQUEST and tpa == self.address:
            if spa and known is None:
                created = self._create(spa)
                if created is not None:
                    created.confirm(sha)
            self.send(_REPLY, sha, sha, spa)

    def send(self, operation: int, destination: bytes, target_hardware: bytes, target: int) -> None:
        """Send one ARP packet from this interface."""
        device = self.device
        device.cpu.charge(Cause.PROTOCOL_TX)
        packet = _PACKET.pack(
            _ETHERNET, ETH_P_IP, 6, 4, operation, device.address, self.address, target_hardware, target
        )
        skb = SkBuff(packet, head=HEADER.pack(destination, device.address, ETH_P_ARP), protocol=ETH_P_ARP)
        device.queue_xmit(skb)

    def close(self) -> None:
        """Forget all; packets that wait are dropped."""
        for neighbour in self._neighbours.values():
            neighbour.stop_timer()
            while neighbour.queue:
                neighbour.queue.popleft().consume()
        self._neighbours.clear()
