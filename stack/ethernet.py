"""Ethernet II framing (IEEE 802.3 clause 3, RFC 894, RFC 2464) and the tag of IEEE 802.1Q. The FCS is the device's
business."""

import struct
from typing import Final

__all__ = [
    "BROADCAST",
    "ETH_HLEN",
    "ETH_P_8021Q",
    "ETH_P_ALL",
    "ETH_P_ARP",
    "ETH_P_IP",
    "ETH_P_IPV6",
    "HEADER",
    "VLAN_HLEN",
    "link_header",
    "multicast_mac",
]

ETH_P_ALL: Final = 0x0003
"""Of a packet socket: every frame (``linux/if_ether.h``)."""
ETH_P_IP: Final = 0x0800
ETH_P_ARP: Final = 0x0806
ETH_P_8021Q: Final = 0x8100
ETH_P_IPV6: Final = 0x86DD
ETH_HLEN: Final = 14
VLAN_HLEN: Final = 4
"""Bytes of a tag."""
BROADCAST: Final = b"\xff" * 6
HEADER: Final = struct.Struct("!6s6sH")
"""Destination, source, EtherType."""


def link_header(destination: bytes, source: bytes, protocol: int) -> bytes:
    """The whole header in front of a packet."""
    return HEADER.pack(destination, source, protocol)


def multicast_mac(group: int) -> bytes:
    """The group address that frames to a multicast address have (RFC 1112 section 6.4, RFC 2464 section 7)."""
    if group >> 32 == 0xFFFF:
        return b"\x01\x00\x5e" + (group & 0x7FFFFF).to_bytes(3, "big")
    return b"\x33\x33" + (group & 0xFFFFFFFF).to_bytes(4, "big")
