"""Address resolution for IPv4 (RFC 826, RFC 1122 section 2.3.2)."""

import struct
from collections import deque
from typing import Final

from stack.address import INADDR_ANY, MAPPED
from stack.counters import DropReason
from stack.environment import Cause
from stack.ethernet import BROADCAST, ETH_P_ARP, ETH_P_IP, link_header
from stack.ip.family import IPV4
from stack.ip.neighbour import NeighbourTable
from stack.skbuff import SkBuff

__all__ = ["Arp"]

_PACKET: Final = struct.Struct("!HHBBH6sI6sI")
_ETHERNET: Final = 1
_REQUEST: Final = 1
_REPLY: Final = 2
_UNKNOWN: Final = b"\0" * 6
_SOURCE: Final = 12
"""Offset of the sender's address in an IPv4 header."""


class Arp(NeighbourTable):
    """IPv4 neighbours of one interface."""

    family = IPV4

    def solicit(self, address: int, hardware: bytes, waiting: "deque[SkBuff]") -> None:
        interface = self.interface
        source = MAPPED | int.from_bytes(waiting[0].head[_SOURCE : _SOURCE + 4], "big") if waiting else 0
        if source not in interface.addresses:
            source = interface.source_for(address)
        self._send(_REQUEST, hardware or BROADCAST, source, _UNKNOWN, address)

    def input(self, skb: SkBuff) -> None:
        """One ARP packet, by the algorithm of RFC 826."""
        counters = self.interface.counters
        if len(skb.data) < _PACKET.size:
            counters.drop(DropReason.PKT_TOO_SMALL)
            return
        hardware_type, protocol, hlen, plen, operation, sha, spa, _, tpa = _PACKET.unpack_from(skb.data)
        if hardware_type != _ETHERNET or protocol != ETH_P_IP or hlen != 6 or plen != 4:
            counters.drop(DropReason.HDR_TRUNC)
            return
        sender, target = MAPPED | spa, MAPPED | tpa
        ours = self.interface.addresses
        if sha[0] & 1 or sender in ours:
            # A station cannot have a group address, nor ours.
            counters.drop(DropReason.OTHERHOST)
            return
        known = self.find(sender) if spa else None
        if known is not None:
            known.confirm(sha, solicited=operation == _REPLY)
        if operation == _REQUEST and target in ours:
            if spa and known is None and self.interface.on_link(sender):
                created = self.neighbour(sender)
                if created is not None:
                    created.confirm(sha, solicited=False)
            self._send(_REPLY, sha, target, sha, sender)

    def _send(self, operation: int, destination: bytes, source: int, target_hardware: bytes, target: int) -> None:
        device = self.device
        device.cpu.charge(Cause.PROTOCOL_TX)
        packet = _PACKET.pack(
            _ETHERNET,
            ETH_P_IP,
            6,
            4,
            operation,
            device.address,
            (source or INADDR_ANY) & 0xFFFFFFFF,
            target_hardware,
            target & 0xFFFFFFFF,
        )
        header = link_header(destination, device.address, ETH_P_ARP)
        device.queue_xmit(SkBuff(packet, head=header, protocol=ETH_P_ARP))
