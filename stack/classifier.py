"""The first step of input: whose frame is it (Linux's eth_type_trans and ptype_base).

One look-up per frame, from EtherType to interface and family. Nothing is in the table but what interfaces and
packet sockets have put there; what finds no entry is dropped.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from stack.counters import Counters, DropReason
from stack.environment import Cause
from stack.ethernet import ETH_HLEN, ETH_P_8021Q, VLAN_HLEN
from stack.net_device import NetDevice
from stack.skbuff import SkBuff

if TYPE_CHECKING:
    from stack.ip.interface import Interface

__all__ = ["Classifier"]

_VLAN_ID: Final = 0xFFF

_Input = Callable[[SkBuff, "Interface"], None]


class Classifier:
    """One device's. Hooks itself in as the device's ``receive``."""

    def __init__(self, device: NetDevice, counters: Counters) -> None:
        self.device = device
        self.counters = counters
        self._handlers: dict[int, tuple[_Input, Interface]] = {}
        """By EtherType."""
        device.receive = self.receive

    def attach(self, interface: "Interface", protocol: int, function: _Input) -> None:
        """Frames of one protocol go to ``function(skb, interface)``."""
        self._handlers[protocol] = (function, interface)

    def receive(self, skb: SkBuff) -> None:
        """One frame from the device."""
        self.device.cpu.charge(Cause.PROTOCOL_RX)
        if len(skb.data) < ETH_HLEN:
            self.counters.drop(DropReason.PKT_TOO_SMALL)
            return
        header = skb.pull(ETH_HLEN)
        if header[:6] != self.device.address and not header[0] & 1:
            # A device in promiscuous mode delivers what is not ours.
            self.counters.drop(DropReason.OTHERHOST)
            return
        key = header[12] << 8 | header[13]
        if key == ETH_P_8021Q:
            if len(skb.data) < VLAN_HLEN:
                self.counters.drop(DropReason.PKT_TOO_SMALL)
                return
            tag = skb.pull(VLAN_HLEN)
            if (tag[0] << 8 | tag[1]) & _VLAN_ID == 0:
                # VLAN 0 says only a priority (IEEE 802.1Q 9.6); others are ``stack.vlan``'s.
                key = tag[2] << 8 | tag[3]
        skb.mac_header = header
        skb.protocol = key
        found = self._handlers.get(key)
        if found is None:
            self.counters.drop(DropReason.UNHANDLED_PROTO)
            return
        found[0](skb, found[1])

    def close(self) -> None:
        """Hear nothing any more."""
        self._handlers.clear()
        self.device.receive = None
