"""A packet generator on the wire, as Linux's pktgen is one: UDP datagrams with a number in each, and a sink for them.

It builds frames itself, for a socket at the other end of the link could not keep up with minimum frames.
"""

import ipaddress
import struct
from collections.abc import Iterator

from sim.wire import Direction, fcs
from stack.environment import Environment

__all__ = ["MAXIMUM_FRAME", "MINIMUM_FRAME", "PORT", "UdpFrames", "send_at", "sequence_number"]

PORT = 9
"""The discard service (RFC 863)."""

MINIMUM_FRAME, MAXIMUM_FRAME = 64, 1518
"""Bytes, FCS included (802.3 clause 3.2.7)."""

_HEADERS = 14 + 20 + 8
_FCS = 4
_NUMBER = struct.Struct("!Q")


def _sum(data: bytes) -> int:
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def _folded(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class UdpFrames:
    """Frames from one UDP port to another, each with the next number of a sequence."""

    def __init__(self, *, source: bytes, destination: bytes, from_address: str, to_address: str) -> None:
        """``source`` and ``destination`` are MAC addresses, the others IPv4 addresses."""
        self._ethernet = destination + source + b"\x08\x00"
        self._addresses = b"".join(ipaddress.IPv4Address(text).packed for text in (from_address, to_address))
        self._templates: dict[int, tuple[bytes, bytes, int]] = {}
        self.count = 0

    def next(self, size: int) -> bytes:
        """A frame of ``size`` bytes, FCS included."""
        template = self._templates.get(size)
        if template is None:
            template = self._templates[size] = self._template(size)
        head, tail, partial = template
        number = _NUMBER.pack(self.count)
        self.count += 1
        checksum = 0xFFFF - _folded(partial + _sum(number)) or 0xFFFF
        frame = b"".join((head, checksum.to_bytes(2, "big"), number, tail))
        return frame + fcs(frame)

    def _template(self, size: int) -> tuple[bytes, bytes, int]:
        """All before the UDP checksum, all after the number, and the checksum's sum without the number."""
        if not MINIMUM_FRAME <= size <= MAXIMUM_FRAME:
            raise ValueError(f"a frame has {MINIMUM_FRAME}..{MAXIMUM_FRAME} bytes, not {size}")
        payload = size - _FCS - _HEADERS
        ip = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 28 + payload, 0, 0x4000, 64, 17, 0) + self._addresses)
        ip[10:12] = (0xFFFF - _folded(_sum(bytes(ip)))).to_bytes(2, "big")
        udp = struct.pack("!HHH", PORT, PORT, 8 + payload)
        pseudo = _sum(self._addresses) + 17 + 8 + payload + _sum(udp)
        return self._ethernet + bytes(ip) + udp, bytes(payload - _NUMBER.size), pseudo


def sequence_number(payload: bytes) -> int:
    """The number in a datagram's payload."""
    number: int = _NUMBER.unpack_from(payload)[0]
    return number


async def send_at(env: Environment, direction: Direction, frames: Iterator[tuple[float, bytes]]) -> None:
    """Put each frame on the wire at its time (ns from now), or as soon as those before it have left."""
    start = env.now
    for time, frame in frames:
        wait = start + round(time) - env.now
        if wait > 0:
            await env.sleep(wait)
        direction.send(frame)
