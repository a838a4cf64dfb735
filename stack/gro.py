"""Generic receive offload: segments of one connection that follow each other within a poll become one packet on their
way up (Linux's tcp_gro_receive), so that IP and TCP work once for many. Cut again, it would give the same frames."""

from collections.abc import Callable
from typing import Final, NamedTuple

from stack.checksum import checksum, is_valid
from stack.environment import Cause, Cpu
from stack.ethernet import ETH_P_IP, ETH_P_IPV6
from stack.skbuff import GsoType, IpSummed, SkBuff

__all__ = ["GenericReceiveOffload"]

_IP: Final = 14
_WITHOUT_OPTIONS: Final = 0x45
"""IPv4's version and header length."""
_PROTOCOL_TCP: Final = 6
_TCP_HEADER_BYTES: Final = 20
_SHORTEST: Final = 54
"""Ethernet, IPv4, TCP."""
_ACK: Final = 0x10
_PSH: Final = 0x08
_LARGEST_PACKET: Final = 0xFFFF
_FLOWS: Final = 8
"""Flows that are put together at once (Linux's MAX_GRO_SKBS); the oldest makes room."""


class _Layout(NamedTuple):
    """Where things stand in a frame of one family, without options or extension headers."""

    gso_type: GsoType
    protocol: int
    tcp: int
    addresses: int
    """Where addresses begin; ports follow."""
    length: int
    """Where the length field stands."""
    counted_from: int
    """What the length field counts from."""


_IPV4: Final = _Layout(GsoType.TCPV4, 23, 34, 26, 16, 14)
_IPV6: Final = _Layout(GsoType.TCPV6, 20, 54, 22, 18, 54)


class _Flow:
    """What has come of one flow, and what must not differ in the next."""

    __slots__ = ("first", "header", "invariant", "layout", "mss", "next", "pieces", "pushed", "size")

    def __init__(
        self, layout: _Layout, first: SkBuff, header: bytes, invariant: bytes, sequence: int, payload: "memoryview"
    ) -> None:
        self.layout = layout
        self.first = first
        self.header = header
        self.invariant = invariant
        self.pieces: list[memoryview] = [payload]
        self.mss = self.size = len(payload)
        self.next = sequence + self.size & 0xFFFFFFFF
        self.pushed = bool(header[layout.tcp + 13] & _PSH)


class GenericReceiveOffload:
    """One device's. ``receive`` may keep packets until ``flush``, which the end of a poll must call."""

    def __init__(self, deliver: Callable[[SkBuff], None], cpu: Cpu) -> None:
        self._deliver = deliver
        self._cpu = cpu
        self._flows: dict[bytes, _Flow] = {}

    def receive(self, skb: SkBuff) -> None:
        """One frame as the device received it. Only TCP over IPv4 without IP options and over IPv6 without extension
        headers is put together; all else goes up at once, behind what is held of its flow. A checksum that the device
        has not checked is checked here. What has been put together already stays as it is."""
        data = skb.frame()
        if len(data) < _SHORTEST:
            self._deliver(skb)
            return
        kind = data[12] << 8 | data[13]
        if kind == ETH_P_IP and data[14] == _WITHOUT_OPTIONS:
            layout = _IPV4
        elif kind == ETH_P_IPV6:
            layout = _IPV6
        else:
            self._deliver(skb)
            return
        tcp = layout.tcp
        if len(data) < tcp + _TCP_HEADER_BYTES or data[layout.protocol] != _PROTOCOL_TCP:
            self._deliver(skb)
            return
        start = tcp + (data[tcp + 12] >> 4) * 4
        end = layout.counted_from + (data[layout.length] << 8 | data[layout.length + 1])
        if (
            skb.gso_size
            or data[tcp + 13] & ~_PSH != _ACK
            or not tcp + _TCP_HEADER_BYTES <= start < end <= len(data)
            or data[tcp + 18]
            or data[tcp + 19]
            or (layout is _IPV4 and not self._whole_ipv4(data))
            or not self._checked(skb, data[layout.addresses : end], tcp - layout.addresses)
        ):
            # ACKs most of all, which find nothing held while only their side's data comes.
            if self._flows:
                self._finish(data[layout.addresses : tcp + 4])
            self._deliver(skb)
            return
        key = data[layout.addresses : tcp + 4]
        header = data[:start]
        # MAC addresses, DS byte or flow label; acknowledgment, offset; window; options.
        invariant = (
            (header[:16] + header[20:24] if layout is _IPV4 else header[:18] + header[20:22])
            + header[tcp + 8 : tcp + 13]
            + header[tcp + 14 : tcp + 16]
            + header[tcp + 20 :]
        )
        sequence = int.from_bytes(header[tcp + 4 : tcp + 8], "big")
        payload = memoryview(data)[start:end]
        pushed = bool(header[tcp + 13] & _PSH)
        flow = self._flows.get(key)
        if flow is not None:
            if (
                flow.next == sequence
                and flow.invariant == invariant
                and len(payload) <= flow.mss
                and flow.size + end - _IP <= _LARGEST_PACKET
            ):
                flow.pieces.append(payload)
                flow.size += len(payload)
                flow.next = sequence + len(payload) & 0xFFFFFFFF
                flow.pushed = pushed
                if pushed or len(payload) < flow.mss:
                    self._finish(key)
                return
            self._finish(key)
        if len(self._flows) >= _FLOWS:
            self._finish(next(iter(self._flows)))
        self._flows[key] = _Flow(layout, skb, header, invariant, sequence, payload)
        if pushed:
            self._finish(key)

    def _checked(self, skb: SkBuff, data: bytes, address_bytes: int) -> bool:
        """Whether the checksum of a segment, its IP addresses before it, is good. If not, TCP will count it."""
        if skb.ip_summed is IpSummed.UNNECESSARY:
            return True
        self._cpu.charge(Cause.CHECKSUM, size=len(data))
        if not is_valid(data, _PROTOCOL_TCP + len(data) - address_bytes):
            return False
        skb.ip_summed = IpSummed.UNNECESSARY
        return True

    @staticmethod
    def _whole_ipv4(data: bytes) -> bool:
        """The header's checksum is good, and the packet no fragment."""
        return is_valid(data[_IP : _IPV4.tcp]) and not data[20] & 0x3F and not data[21]

    def flush(self) -> None:
        """The poll is over: nothing waits."""
        for key in list(self._flows):
            self._finish(key)

    def _finish(self, key: bytes) -> None:
        flow = self._flows.pop(key, None)
        if flow is None:
            return
        if len(flow.pieces) == 1:
            self._deliver(flow.first)
            return
        layout = flow.layout
        header = bytearray(flow.header)
        length = len(header) - layout.counted_from + flow.size
        header[layout.length : layout.length + 2] = length.to_bytes(2, "big")
        if layout is _IPV4:
            header[24:26] = bytes(2)
            header[24:26] = checksum(header[_IP : layout.tcp]).to_bytes(2, "big")
        if flow.pushed:
            header[layout.tcp + 13] |= _PSH
        merged = SkBuff(b"".join((header, *flow.pieces)))
        merged.dev = flow.first.dev
        merged.ip_summed = IpSummed.UNNECESSARY
        merged.gso_size, merged.gso_segs, merged.gso_type = flow.mss, len(flow.pieces), layout.gso_type
        self._deliver(merged)
