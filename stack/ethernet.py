"""Ethernet II framing (IEEE 802.3 clause 3, RFC 894). The FCS is the device's business."""

import struct

__all__ = ["BROADCAST", "ETH_HLEN", "ETH_P_ARP", "ETH_P_IP", "HEADER"]

ETH_P_IP = 0x0800
ETH_P_ARP = 0x0806
ETH_HLEN = 14
BROADCAST = b"\xff" * 6
HEADER = struct.Struct("!6s6sH")
"""Destination, source, EtherType."""
