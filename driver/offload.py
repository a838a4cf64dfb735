"""Offloads on transmit: what a packet's descriptors must say so that the device completes it (manual 3.3.6 and 3.5)."""

import struct
from dataclasses import dataclass, replace
from typing import Final

from mypy_extensions import mypyc_attr

from driver.ring import upper_half
from hw.descriptors import TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY
from stack.skbuff import GsoType, IpSummed, SkBuff

__all__ = ["MAXIMUM_FRAME", "TransmitPlan", "plan_transmit"]

MAXIMUM_FRAME: Final = 16288
"""Bytes of the longest frame the device sends, and so of the longest that is not segmented (manual 3.3.3)."""

_MINIMUM_FRAME: Final = 60
"""Bytes without FCS (802.3 clause 3.2.8). The device can pad; Linux pads by itself, since some of the family err."""

_ETHERNET_HEADER: Final = 14
_ETHERTYPE: Final = 12
_ETHERTYPE_IPV4: Final = b"\x08\x00"
_IPV4_TOTAL_LENGTH: Final = _ETHERNET_HEADER + 2
_IPV4_PROTOCOL: Final = _ETHERNET_HEADER + 9
_IPV4_CHECKSUM: Final = _ETHERNET_HEADER + 10
_IPV4_MINIMUM_HEADER: Final = 20
_IPV4_MAXIMUM_LENGTH: Final = 65535
_PROTOCOL_TCP: Final = 6
_TCP_DATA_OFFSET: Final = 12
_TCP_CHECKSUM: Final = 16
_TCP_MINIMUM_HEADER: Final = 20
_IPV4_ADDRESSES: Final = struct.Struct(">4H")
_IPV4_ADDRESSES_AT: Final = _ETHERNET_HEADER + 12

# IFCS stands in every descriptor: the device looks at it in the last one of a packet, but in the first of a TSO packet.
_TAG: Final = upper_half(TRANSMIT_LEGACY, vle=1)
_TAG_BYTES: Final = 4
_SPECIAL: Final = TRANSMIT_LEGACY.fields["special"][0] - 64
_LEGACY: Final = upper_half(TRANSMIT_LEGACY, ifcs=1)
_CHECKSUM: Final = upper_half(TRANSMIT_DATA, dtyp=1, dext=1, ifcs=1, txsm=1)
_TSO: Final = upper_half(TRANSMIT_DATA, dtyp=1, dext=1, ifcs=1, tse=1, ixsm=1, txsm=1)


@mypyc_attr(free_list_len=1)  # there is one at a time
@dataclass(init=False, slots=True)
class TransmitPlan:
    """A packet as its descriptors describe it."""

    frame: bytes
    """What lies in memory: padded; for TSO with the fields cleared that the device fills in."""
    context: bytes | None
    """The context descriptor, if the packet needs one."""
    upper: int
    """Bits 127:64 of each descriptor with data, without its length and what marks the last one."""
    header_length: int
    """TSO: bytes repeated in front of each segment, else 0."""
    mss: int
    """TSO: payload bytes per segment, else 0."""
    tag_bytes: int
    """Bytes of the VLAN tag that the device puts into each frame."""

    # By hand, as in ``SkBuff``.
    def __init__(
        self, frame: bytes, context: bytes | None, upper: int, header_length: int, mss: int, tag_bytes: int = 0
    ) -> None:
        self.frame = frame
        self.context = context
        self.upper = upper
        self.header_length = header_length
        self.mss = mss
        self.tag_bytes = tag_bytes

    @property
    def segments(self) -> int:
        """Frames on the wire."""
        return -(-(len(self.frame) - self.header_length) // self.mss) if self.mss else 1

    @property
    def wire_bytes(self) -> int:
        """Bytes of all frames on the wire, FCS and padding of segments not counted."""
        return len(self.frame) + (self.segments - 1) * self.header_length

    @property
    def octets(self) -> int:
        """Bytes of all frames on the wire, from destination address to FCS."""
        if not self.mss:
            return len(self.frame) + self.tag_bytes + 4
        tag_bytes = self.segments * self.tag_bytes
        full = self.segments - 1
        last = len(self.frame) - full * self.mss
        return (
            tag_bytes + full * (max(self.header_length + self.mss, _MINIMUM_FRAME) + 4) + max(last, _MINIMUM_FRAME) + 4
        )


def plan_transmit(skb: SkBuff) -> TransmitPlan:
    """Decide how a packet is given to the device. Raises ``ValueError`` for one that it cannot send."""
    frame = skb.frame()
    if len(frame) < _ETHERNET_HEADER:
        raise ValueError(f"a frame has a header of {_ETHERNET_HEADER} bytes, this one {len(frame)} bytes")
    plan = _plan_tso(skb, frame) if skb.gso_size else _plan_frame(skb, frame)
    if skb.vlan_tci is None:
        return plan
    return replace(plan, upper=plan.upper | _TAG | skb.vlan_tci << _SPECIAL, tag_bytes=_TAG_BYTES)


def _plan_frame(skb: SkBuff, frame: bytes) -> TransmitPlan:
    if len(frame) > MAXIMUM_FRAME:
        raise ValueError(f"a frame has at most {MAXIMUM_FRAME} bytes, not {len(frame)}")
    context = None
    upper = _LEGACY
    if skb.ip_summed is IpSummed.PARTIAL:
        if skb.csum_start + skb.csum_offset + 2 > len(frame):
            raise ValueError(f"the checksum at {skb.csum_start} + {skb.csum_offset} lies outside of {len(frame)} bytes")
        # TUCSE 0: sum to the end. Padding is zero, so it does not change the sum.
        context = TRANSMIT_CONTEXT.pack(
            tucss=skb.csum_start, tucso=skb.csum_start + skb.csum_offset, tcp=int(_is_tcp(frame)), dext=1
        )
        upper = _CHECKSUM
    if len(frame) < _MINIMUM_FRAME:
        frame += bytes(_MINIMUM_FRAME - len(frame))
    return TransmitPlan(frame=frame, context=context, upper=upper, header_length=0, mss=0)


def _is_tcp(frame: bytes) -> bool:
    return (
        frame[_ETHERTYPE:_ETHERNET_HEADER] == _ETHERTYPE_IPV4 and frame[_IPV4_PROTOCOL : _IPV4_PROTOCOL + 1] == b"\x06"
    )


def _plan_tso(skb: SkBuff, frame: bytes) -> TransmitPlan:
    transport = skb.csum_start
    if skb.gso_type is not GsoType.TCPV4 or skb.ip_summed is not IpSummed.PARTIAL or not _is_tcp(frame):
        raise ValueError(f"only TCP over IPv4 is segmented, not {skb.gso_type} with checksum {skb.ip_summed}")
    ip_header = (frame[_ETHERNET_HEADER] & 0xF) * 4
    if ip_header < _IPV4_MINIMUM_HEADER or transport != _ETHERNET_HEADER + ip_header:
        raise ValueError(f"a transport header at {transport} does not follow an IPv4 header of {ip_header} bytes")
    if skb.csum_offset != _TCP_CHECKSUM or len(frame) < transport + _TCP_MINIMUM_HEADER:
        raise ValueError(f"no TCP header at {transport} of {len(frame)} bytes with its checksum at {skb.csum_offset}")
    header_length = transport + (frame[transport + _TCP_DATA_OFFSET] >> 4) * 4
    if not transport + _TCP_MINIMUM_HEADER <= header_length < len(frame):
        raise ValueError(f"a header of {header_length} bytes leaves no payload in {len(frame)} bytes")
    if len(frame) > _ETHERNET_HEADER + _IPV4_MAXIMUM_LENGTH:
        raise ValueError(f"an IPv4 packet has at most {_IPV4_MAXIMUM_LENGTH} bytes, this frame {len(frame)}")
    if header_length + skb.gso_size > MAXIMUM_FRAME:
        raise ValueError(f"a frame has at most {MAXIMUM_FRAME} bytes, not {header_length} + {skb.gso_size}")

    # The device writes each segment's total length and header checksum (the fields start as 0), and adds each
    # segment's length to the pseudo-header sum. The stack's sum holds the length of the whole: it is made anew.
    # The edits go to a copy, for the packet may be sent again.
    edited = bytearray(frame)
    edited[_IPV4_TOTAL_LENGTH : _IPV4_TOTAL_LENGTH + 2] = bytes(2)
    edited[_IPV4_CHECKSUM : _IPV4_CHECKSUM + 2] = bytes(2)
    seed = (sum(_IPV4_ADDRESSES.unpack_from(frame, _IPV4_ADDRESSES_AT)) + _PROTOCOL_TCP) % 0xFFFF
    edited[transport + _TCP_CHECKSUM : transport + _TCP_CHECKSUM + 2] = seed.to_bytes(2, "big")
    context = TRANSMIT_CONTEXT.pack(
        ipcss=_ETHERNET_HEADER,
        ipcso=_IPV4_CHECKSUM,
        ipcse=transport - 1,
        tucss=transport,
        tucso=transport + _TCP_CHECKSUM,
        paylen=len(frame) - header_length,
        tcp=1,
        ip=1,
        tse=1,
        dext=1,
        hdrlen=header_length,
        mss=skb.gso_size,
    )
    return TransmitPlan(frame=bytes(edited), context=context, upper=_TSO, header_length=header_length, mss=skb.gso_size)
