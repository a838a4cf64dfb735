"""What becomes of a packet once its route is known: the action, and the prepared link-layer header.

A route's next hop decides for both ways in. For a packet that has arrived, IP input looks at ``action``; a packet of
this host's own, or one that is forwarded, goes through ``output``.
"""

from enum import Enum
from typing import TYPE_CHECKING

from stack.counters import Counters, DropReason
from stack.ethernet import BROADCAST, link_header, multicast_mac
from stack.ip.family import family_of
from stack.skbuff import SkBuff

if TYPE_CHECKING:
    from stack.ip.interface import Interface

__all__ = ["Action", "GroupHop", "LocalHop", "NextHop", "UnreachableHop"]


class Action(Enum):
    """What a next hop does with a packet."""

    UNICAST = "unicast"
    """Send it to a neighbour whose address is known, or forward it there."""
    HOLD = "hold"
    """Keep it until the neighbour answers."""
    RESOLVE = "resolve"
    """Find the neighbour on this link first: its own next hop takes the packet."""
    LOCAL = "local"
    """It is for this host."""
    BROADCAST = "broadcast"
    """For all hosts of the link, this one too."""
    MULTICAST = "multicast"
    """For the members of a group."""
    UNREACHABLE = "unreachable"
    """Drop it, and tell its sender."""
    BLACKHOLE = "blackhole"
    """Drop it silently."""


class NextHop:
    """Base of all. ``interface`` is where packets leave, None if none do."""

    __slots__ = ("action", "confirmed_at", "interface")

    def __init__(self, action: Action, interface: "Interface | None") -> None:
        self.action = action
        self.interface = interface
        self.confirmed_at = -1
        """When a transport protocol last saw progress through this hop (RFC 4861 section 7.3.1)."""

    def output(self, skb: SkBuff) -> bool:
        """Send an IP packet, all headers from IP's on in ``head``. False if it was dropped at once."""
        raise NotImplementedError

    def resolve(self, destination: int) -> "NextHop | None":
        """The next hop that takes packets to ``destination``; None if there is no room for another neighbour."""
        return self


class LocalHop(NextHop):
    """An address of this host: what is sent there comes back through the loopback device."""

    __slots__ = ("_header",)

    def __init__(self, loopback: "Interface") -> None:
        super().__init__(Action.LOCAL, loopback)
        self._header = loopback.device.address * 2

    def output(self, skb: SkBuff) -> bool:
        assert self.interface is not None
        skb.head = self._header + skb.protocol.to_bytes(2, "big") + skb.head
        return self.interface.device.queue_xmit(skb)


class GroupHop(NextHop):
    """All hosts of a link, or the members of a group there. What this host is to hear too is looped back."""

    __slots__ = ("_header", "_loops")

    def __init__(self, interface: "Interface", group: int, action: Action, *, loop: bool) -> None:
        super().__init__(action, interface)
        mac = multicast_mac(group) if action is Action.MULTICAST else BROADCAST
        self._header = link_header(mac, interface.device.address, family_of(group).ethertype)
        self._loops = loop and (action is Action.BROADCAST or group in interface.groups)

    def output(self, skb: SkBuff) -> bool:
        interface = self.interface
        assert interface is not None
        if self._loops:
            interface.loop_back(skb)
        skb.head = self._header + skb.head
        return interface.device.queue_xmit(skb)


class UnreachableHop(NextHop):
    """No way there."""

    __slots__ = ("_counters",)

    def __init__(self, action: Action, counters: Counters) -> None:
        super().__init__(action, None)
        self._counters = counters

    def output(self, skb: SkBuff) -> bool:
        self._counters.drop(DropReason.IP_OUTNOROUTES)
        skb.consume()
        return False
