"""Generic receive offload: segments of one connection that follow each other within a poll become one packet on their
way up (Linux's tcp_gro_receive), so that IP and TCP work once for many. Cut again, it would give the same frames."""

from collections.abc import Callable

from stack.checksum import checksum, is_valid
from stack.environment import Cause, Cpu
from stack.skbuff import GsoType, IpSummed, SkBuff

__all__ = ["GenericReceiveOffload"]

_ETHERTYPE_AND_VERSION = b"\x08\x00\x45"
_IP = 14
_TCP = 34
_ADDRESSES = 26
_ADDRESS_BYTES = 8
_PROTOCOL_TCP = 6
_ACK = 0x10
_PSH = 0x08
_LARGEST_PACKET = 0xFFFF
_FLOWS = 8
"""Flows that are put together at once (Linux's MAX_GRO_SKBS); the oldest makes room."""


class _Flow:
    """What has come of one flow, and what must not differ in the next."""

    __slots__ = ("first", "header", "invariant", "mss", "next", "pieces", "pushed", "size")

    def __init__(self, first: SkBuff, header: bytes, invariant: bytes, sequence: int, payload: "memoryview") -> None:
        self.first = first
        self.header = header
        self.invariant = invariant
        self.pieces: list[memoryview] = [payload]
        self.mss = self.size = len(payload)
        self.next = sequence + self.size & 0xFFFFFFFF
        self.pushed = bool(header[_TCP + 13] & _PSH)


class GenericReceiveOffload:
    """One device's. ``receive`` may keep packets until ``flush``, which the end of a poll must call."""

    def __init__(self, deliver: Callable[[SkBuff], None], cpu: Cpu) -> None:
        self._deliver = deliver
        self._cpu = cpu
        self._flows: dict[bytes, _Flow] = {}

    def receive(self, skb: SkBuff) -> None:
        """One frame as the device received it. Only TCP over IPv4 without IP options is put together; all else goes up
        at once, behind what is held of its flow. A checksum that the device has not checked is checked here."""
        data = memoryview(skb.data)
        if len(data) < _TCP + 20 or data[12:15] != _ETHERTYPE_AND_VERSION or data[23] != _PROTOCOL_TCP:
            self._deliver(skb)
            return
        key = bytes(data[26:38])
        start = _TCP + (data[46] >> 4) * 4
        end = _IP + (data[16] << 8 | data[17])
        if (
            data[47] & ~_PSH != _ACK
            or not _TCP + 20 <= start < end <= len(data)
            or not is_valid(data[_IP:_TCP])
            or data[20] & 0x3F
            or data[21]
            or data[52]
            or data[53]
            or not self._checked(skb, data[_ADDRESSES:end])
        ):
            self._finish(key)
            self._deliver(skb)
            return
        header = bytes(data[:start])
        # MAC addresses, DS byte; flags, TTL, protocol; acknowledgment, offset; window; options.
        invariant = header[:16] + header[20:24] + header[42:47] + header[48:50] + header[54:]
        sequence = int.from_bytes(header[38:42], "big")
        payload = data[start:end]
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
                flow.pushed = bool(header[47] & _PSH)
                if flow.pushed or len(payload) < flow.mss:
                    self._finish(key)
                return
            self._finish(key)
        if len(self._flows) >= _FLOWS:
            self._finish(next(iter(self._flows)))
        self._flows[key] = _Flow(skb, header, invariant, sequence, payload)
        if header[47] & _PSH:
            self._finish(key)

    def _checked(self, skb: SkBuff, data: memoryview) -> bool:
        """Whether the checksum of a segment, its IP addresses before it, is good. If not, TCP will count it."""
        if skb.ip_summed is IpSummed.UNNECESSARY:
            return True
        self._cpu.charge(Cause.CHECKSUM, size=len(data))
        if not is_valid(data, _PROTOCOL_TCP + len(data) - _ADDRESS_BYTES):
            return False
        skb.ip_summed = IpSummed.UNNECESSARY
        return True

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
        header = bytearray(flow.header)
        header[16:18] = (len(header) - _IP + flow.size).to_bytes(2, "big")
        header[24:26] = bytes(2)
        header[24:26] = checksum(header[_IP:_TCP]).to_bytes(2, "big")
        if flow.pushed:
            header[47] |= _PSH
        merged = SkBuff(b"".join((header, *flow.pieces)))
        merged.dev = flow.first.dev
        merged.ip_summed = IpSummed.UNNECESSARY
        merged.gso_size, merged.gso_segs, merged.gso_type = flow.mss, len(flow.pieces), GsoType.TCPV4
        self._deliver(merged)
