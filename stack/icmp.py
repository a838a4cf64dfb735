"""ICMP (RFC 792, RFC 1122 section 3.2.2): echo, and destination unreachable both ways."""

import struct
from collections.abc import Callable

from stack.checksum import checksum, is_valid, store
from stack.counters import Counters, DropReason
from stack.environment import Cause, Cpu
from stack.ipv4 import HEADER_BYTES, Ipv4
from stack.skbuff import IpSummed, SkBuff

__all__ = [
    "FRAGMENTATION_NEEDED",
    "HOST_UNREACHABLE",
    "IPPROTO_ICMP",
    "NET_UNREACHABLE",
    "PORT_UNREACHABLE",
    "PROTOCOL_UNREACHABLE",
    "Icmp",
    "UnreachableHandler",
]

IPPROTO_ICMP = 1
NET_UNREACHABLE = 0
HOST_UNREACHABLE = 1
PROTOCOL_UNREACHABLE = 2
PORT_UNREACHABLE = 3
FRAGMENTATION_NEEDED = 4

_HEADER = struct.Struct("!BBHHH")
_ECHO_REPLY = 0
_DESTINATION_UNREACHABLE = 3
_ECHO = 8
_QUOTED_BYTES = 8
"""Of the datagram's data that an error message must carry (RFC 792)."""

UnreachableHandler = Callable[[int, int, int, memoryview], None]
"""Called with (code, local address, remote address, first bytes of the transport header that was sent)."""


class Icmp:
    """One host's ICMP.

    ``unreachable`` maps a protocol number to who hears of its undeliverable packets, ``echo_replies`` an identifier to
    who waits for replies: called with (sequence number, data).
    """

    def __init__(self, ipv4: Ipv4, cpu: Cpu, counters: Counters) -> None:
        self.ipv4 = ipv4
        self.cpu = cpu
        self.counters = counters
        self.unreachable: dict[int, UnreachableHandler] = {}
        self.echo_replies: dict[int, Callable[[int, bytes], None]] = {}
        ipv4.handlers[IPPROTO_ICMP] = self.input
        ipv4.protocol_unreachable = self._protocol_unreachable

    def input(self, skb: SkBuff, source: int, destination: int) -> None:
        """One ICMP message."""
        mib = self.counters.mib
        mib["Icmp.InMsgs"] += 1
        data = skb.data
        if len(data) < _HEADER.size:
            mib["Icmp.InErrors"] += 1
            self.counters.drop(DropReason.PKT_TOO_SMALL)
            return
        if skb.ip_summed is not IpSummed.UNNECESSARY:
            self.cpu.charge(Cause.CHECKSUM, size=len(data))
            if not is_valid(data):
                mib["Icmp.InErrors"] += 1
                mib["Icmp.InCsumErrors"] += 1
                self.counters.drop(DropReason.ICMP_CSUM)
                return
        kind, code, _, identifier, sequence = _HEADER.unpack_from(data)
        body = memoryview(data)[_HEADER.size :]
        if kind == _ECHO:
            mib["Icmp.InEchos"] += 1
            # RFC 1122 section 3.2.2.6: an echo request to a broadcast address may be discarded.
            if not self.ipv4.is_broadcast(destination):
                mib["Icmp.OutEchoReps"] += 1
                self._send(source, destination, _ECHO_REPLY, 0, identifier, sequence, bytes(body))
        elif kind == _ECHO_REPLY:
            mib["Icmp.InEchoReps"] += 1
            waiting = self.echo_replies.get(identifier)
            if waiting is not None:
                waiting(sequence, bytes(body))
        elif kind == _DESTINATION_UNREACHABLE:
            mib["Icmp.InDestUnreachs"] += 1
            self._input_unreachable(code, body)

    def _input_unreachable(self, code: int, quoted: memoryview) -> None:
        header_bytes = (quoted[0] & 0xF) * 4 if quoted else 0
        if not HEADER_BYTES <= header_bytes <= len(quoted) - _QUOTED_BYTES:
            self.counters.mib["Icmp.InErrors"] += 1
            self.counters.drop(DropReason.HDR_TRUNC)
            return
        handler = self.unreachable.get(quoted[9])
        if handler is not None:
            local = int.from_bytes(quoted[12:16], "big")
            remote = int.from_bytes(quoted[16:20], "big")
            handler(code, local, remote, quoted[header_bytes:])

    def host_unreachable(self, skb: SkBuff) -> None:
        """A packet of this host's own (IP header first) found no neighbour: tell its sender as a router would."""
        self._input_unreachable(HOST_UNREACHABLE, memoryview(skb.frame()))

    def send_unreachable(self, skb: SkBuff, source: int, destination: int, code: int) -> None:
        """Answer a packet that cannot be delivered. Never to one that was meant for many (RFC 1122 section 3.2.2)."""
        if self.ipv4.is_broadcast(destination) or skb.mac_header[0] & 1:
            return
        self.counters.mib["Icmp.OutDestUnreachs"] += 1
        quoted = b"".join((skb.network_header, skb.data[:_QUOTED_BYTES]))
        self._send(source, destination, _DESTINATION_UNREACHABLE, code, 0, 0, quoted)

    def _protocol_unreachable(self, skb: SkBuff, source: int, destination: int) -> None:
        self.send_unreachable(skb, source, destination, PROTOCOL_UNREACHABLE)

    def send_echo(self, destination: int, identifier: int, sequence: int, data: bytes) -> bool:
        """Send an echo request; False if there is no route."""
        self.counters.mib["Icmp.OutEchos"] += 1
        return self._send(destination, 0, _ECHO, 0, identifier, sequence, data)

    def _send(
        self, destination: int, source: int, kind: int, code: int, identifier: int, sequence: int, data: bytes
    ) -> bool:
        path = self.ipv4.path(destination, IPPROTO_ICMP, source)
        if path is None:
            return False
        self.counters.mib["Icmp.OutMsgs"] += 1
        message = _HEADER.pack(kind, code, 0, identifier, sequence) + data
        self.cpu.charge(Cause.CHECKSUM, size=len(message))
        path.send(SkBuff(store(message, 2, checksum(message))), self.ipv4.next_identification())
        return True
