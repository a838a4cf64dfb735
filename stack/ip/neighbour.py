"""Neighbours: whose link-layer address is known, is being asked for, or is in doubt (RFC 4861 section 7.3).

A neighbour is a next hop, and once created a host route leads to it. The states and timers are those of neighbour
unreachability detection for both families, as in Linux; how one asks is ``stack.ip.arp`` and ``stack.ip.ndisc``.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

from stack.address import format_address
from stack.counters import DropReason
from stack.environment import Timer
from stack.ethernet import link_header
from stack.ip.family import Family
from stack.ip.next_hop import Action, NextHop
from stack.ip.parameters import NeighbourParameters
from stack.ip.route import Route, RouteKind
from stack.skbuff import SkBuff

if TYPE_CHECKING:
    from stack.ip.interface import Interface

__all__ = ["Neighbour", "NeighbourTable", "NudState", "ResolveHop"]

_FOREVER: Final = 1 << 63


class NudState(Enum):
    """RFC 4861 section 7.3.2, and Linux's additions."""

    NONE = "none"
    """Nobody has needed it yet."""
    INCOMPLETE = "incomplete"
    """Asked for, not known yet: packets wait."""
    REACHABLE = "reachable"
    STALE = "stale"
    """Known, in doubt, and not used since."""
    DELAY = "delay"
    """In doubt and in use: traffic has a while to confirm it."""
    PROBE = "probe"
    """In use while its owner is asked."""
    FAILED = "failed"
    PERMANENT = "permanent"
    """Set by hand: never asked for."""


_USABLE: Final = (NudState.REACHABLE, NudState.STALE, NudState.DELAY, NudState.PROBE, NudState.PERMANENT)


class Neighbour(NextHop):
    """One host on one link, as a next hop."""

    __slots__ = (
        "address",
        "header",
        "is_router",
        "queue",
        "references",
        "route",
        "solicitations",
        "state",
        "table",
        "timer",
        "valid_until",
    )  # fmt: skip

    def __init__(self, table: "NeighbourTable", address: int) -> None:
        super().__init__(Action.HOLD, table.interface)
        self.table = table
        self.address = address
        self.state = NudState.NONE
        self.header = b""
        """The whole link-layer header towards this neighbour."""
        self.queue: deque[SkBuff] = deque()
        self.solicitations = 0
        self.timer: Timer | None = None
        self.valid_until = -1
        """While it is earlier than this, ``header`` may be used without a question."""
        self.references = 0
        """Routes through it as a gateway."""
        self.is_router = False
        self.route = Route(address, 128, self, RouteKind.NEIGHBOUR)

    @property
    def hardware(self) -> bytes:
        """Its link-layer address, b"" if that is not known."""
        return self.header[:6]

    def output(self, skb: SkBuff) -> bool:
        """Send a packet to this neighbour, or keep it until its address is known."""
        table = self.table
        if table.device.cpu.now < self.valid_until or self._use():
            skb.head = self.header + skb.head
            return table.device.queue_xmit(skb)
        if len(self.queue) >= table.parameters.queue_length:
            table.interface.counters.drop(DropReason.NEIGH_QUEUEFULL)
            self.queue.popleft().consume()
        self.queue.append(skb)
        return True

    def _use(self) -> bool:
        """A packet is to go and the address is not certain: start what is due. True if the address may be used."""
        now = self.table.device.cpu.now
        if self.state is NudState.REACHABLE:
            if self.confirmed_at + self.table.reachable_time > now:
                self.valid_until = self.confirmed_at + self.table.reachable_time
                return True
            self.state = NudState.STALE
        if self.state is NudState.STALE:
            self.state = NudState.DELAY
            self.valid_until = _FOREVER
            self._arm(self.table.parameters.delay_first_probe, self._delay_over)
        elif self.state in (NudState.NONE, NudState.FAILED):
            self.state = NudState.INCOMPLETE
            self.solicitations = 0
            self._solicit()
        return self.state is not NudState.INCOMPLETE and self.state is not NudState.FAILED

    def _delay_over(self) -> None:
        """Either what went there came back in the meantime (RFC 4861 section 7.3.1), or it is asked."""
        self.timer = None
        if self.confirmed_at + self.table.reachable_time > self.table.device.cpu.now:
            self.state = NudState.REACHABLE
            self.valid_until = self.confirmed_at + self.table.reachable_time
            return
        self.state = NudState.PROBE
        self.solicitations = 0
        self._solicit()

    def _solicit(self) -> None:
        table = self.table
        self.timer = None
        if self.solicitations >= table.parameters.solicitations:
            self._fail()
            return
        self.solicitations += 1
        self._arm(table.parameters.retransmission_time, self._solicit)
        table.solicit(self.address, self.hardware if self.state is NudState.PROBE else b"", self.queue)

    def _arm(self, duration: int, function: Callable[[], None]) -> None:
        device = self.table.device
        self.timer = device.env.call_at(device.cpu.now + duration, function)

    def _fail(self) -> None:
        self.state = NudState.FAILED
        self.action = Action.HOLD
        self.valid_until = -1
        queue, self.queue = self.queue, deque()
        for skb in queue:
            self.table.interface.counters.drop(DropReason.NEIGH_FAILED)
            self.table.interface.unreachable(skb)
            skb.consume()

    def confirm(self, hardware: bytes, *, solicited: bool = True) -> None:
        """The neighbour has said where it is. What was not asked for (``solicited``) is believed, but checked before
        long (STALE)."""
        table = self.table
        if self.state is NudState.PERMANENT:
            return
        known = self.hardware == hardware and self.state in _USABLE
        if not solicited and known:
            return
        self.stop_timer()
        if solicited:
            self.confirmed_at = table.device.cpu.now
            self.state = NudState.REACHABLE
            self.valid_until = self.confirmed_at + table.reachable_time
        else:
            self.state = NudState.STALE
            self.valid_until = -1
        self.action = Action.UNICAST
        if not known:
            self._set(hardware)
        queue, self.queue = self.queue, deque()
        for skb in queue:
            self.output(skb)

    def doubt(self) -> None:
        """Somebody says otherwise, without authority: what is known is used, but checked before long."""
        if self.state is NudState.REACHABLE:
            self.state = NudState.STALE
            self.valid_until = -1

    def set_permanent(self, hardware: bytes) -> None:
        """An entry made by hand."""
        self.confirm(hardware)
        self.state = NudState.PERMANENT
        self.valid_until = _FOREVER

    def _set(self, hardware: bytes) -> None:
        interface = self.table.interface
        self.header = link_header(hardware, interface.device.address, self.table.family.ethertype)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def close(self) -> None:
        """Forget it; packets that wait are dropped."""
        self.stop_timer()
        self.state = NudState.NONE
        self.valid_until = -1
        while self.queue:
            self.queue.popleft().consume()


class ResolveHop(NextHop):
    """The next hop of a connected network: each destination there is a neighbour of its own."""

    __slots__ = ("table",)

    def __init__(self, table: "NeighbourTable") -> None:
        super().__init__(Action.RESOLVE, table.interface)
        self.table = table

    def resolve(self, destination: int) -> Neighbour | None:
        return self.table.neighbour(destination)


class NeighbourTable(ABC):
    """The neighbours of one family on one interface: they are found in the table of routes, and counted here."""

    family: Family

    def __init__(self, interface: "Interface", parameters: NeighbourParameters) -> None:
        self.interface = interface
        self.device = interface.device
        self.parameters = parameters
        # RFC 4861 section 6.3.2: so that hosts do not ask in step.
        mean = parameters.reachable_time
        self.reachable_time = mean // 2 + int(self.device.env.random.random() * mean)
        self._members: dict[Neighbour, None] = {}
        """All of them, oldest first."""

    @abstractmethod
    def solicit(self, address: int, hardware: bytes, waiting: "deque[SkBuff]") -> None:
        """Ask for ``address``: its owner alone at ``hardware``, or all if that is b"". ``waiting`` are the packets
        that will go there."""

    def find(self, address: int) -> Neighbour | None:
        """The neighbour with this address, if there is one."""
        for route in self.interface.routes.find(address, 128, RouteKind.NEIGHBOUR):
            if route.next_hop.interface is self.interface and isinstance(route.next_hop, Neighbour):
                return route.next_hop
        return None

    def neighbour(self, address: int) -> Neighbour | None:
        """The neighbour with this address, a new one if need be; None if the table is full of entries in use."""
        found = self.find(address)
        if found is not None:
            return found
        if len(self._members) >= self.parameters.table_size and not self._evict():
            self.interface.counters.drop(DropReason.NEIGH_CREATEFAIL)
            return None
        created = Neighbour(self, address)
        self._members[created] = None
        self.interface.routes.add(created.route)
        return created

    def _evict(self) -> bool:
        """Forget the oldest that is not being asked for and that no route goes through."""
        for one in self._members:
            if one.timer is None and not one.references and one.state is not NudState.PERMANENT:
                self.remove(one)
                return True
        return False

    def remove(self, neighbour: Neighbour) -> None:
        """Forget a neighbour."""
        neighbour.close()
        del self._members[neighbour]
        self.interface.routes.remove(neighbour.route)

    def entries(self) -> dict[str, tuple[str, NudState]]:
        """Address to (hardware address, state), as ``ip neighbour`` shows it."""
        return {format_address(one.address): (one.hardware.hex(":"), one.state) for one in self._members}

    def routers(self) -> list[Neighbour]:
        """Those that say they are routers."""
        return [one for one in self._members if one.is_router]

    def close(self) -> None:
        """Forget all."""
        for neighbour in list(self._members):
            self.remove(neighbour)
