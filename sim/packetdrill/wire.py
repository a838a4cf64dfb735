"""The script's end of the wire: a device that keeps what the stack sends, and makes frames of what the script says."""

import ipaddress
import struct
from collections import deque
from dataclasses import dataclass, replace

from sim.packetdrill.script import IcmpPacket, TcpOption, TcpPacket, UnsupportedError
from stack.address import parse_address, strip_scope
from stack.checksum import checksum, pseudo_header
from stack.environment import Cpu, Environment
from stack.net_device import Features, NetDevice, NetdevTx
from stack.skbuff import SkBuff

__all__ = ["GATEWAY_MAC", "IPV4", "IPV6", "Addresses", "ScriptDevice", "SentPacket", "encode_icmp", "encode_tcp"]

_LOCAL_MAC = bytes((2, 0, 0, 0, 0, 1))
GATEWAY_MAC = bytes((2, 0, 0, 0, 0, 2))
_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_TCP = struct.Struct("!HHIIHHHH")
_IPV6 = struct.Struct("!IHBB16s16s")
_ETH_P_IP, _ETH_P_ARP, _ETH_P_IPV6 = 0x0800, 0x0806, 0x86DD
_PROTOCOL_ICMP, _PROTOCOL_TCP, _PROTOCOL_ICMPV6 = 1, 6, 58
_TTL = 64
_FLAG_BITS = {"F": 1, "S": 2, "R": 4, "P": 8, ".": 16, "U": 32, "E": 64, "W": 128}
_ECN = {None: 0, "noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}
_ECN_NAMES = ("noecn", "ect1", "ect0", "ce")
_OPTION_KINDS = {"mss": 2, "wscale": 3, "sackOK": 4, "sack": 5, "TS": 8, "md5": 19, "FO": 34}
_OPTION_NAMES = {kind: name for name, kind in _OPTION_KINDS.items()}
_EXPERIMENTAL, _FOEXP_MAGIC = 254, 0xF989
_ICMP_CODES = {
    ("unreachable", ""): (3, 0),
    ("unreachable", "net_unreachable"): (3, 0),
    ("unreachable", "host_unreachable"): (3, 1),
    ("unreachable", "protocol_unreachable"): (3, 2),
    ("unreachable", "port_unreachable"): (3, 3),
    ("unreachable", "frag_needed"): (3, 4),
    ("unreachable", "source_route_failed"): (3, 5),
    ("source_quench", ""): (4, 0),
    ("time_exceeded", "exceeded_in_transit"): (11, 0),
}
_ICMPV6_CODES = {
    ("unreachable", "no_route"): (1, 0),
    ("unreachable", "admin_prohibited"): (1, 1),
    ("unreachable", "address_unreachable"): (1, 3),
    ("unreachable", "port_unreachable"): (1, 4),
    ("packet_too_big", ""): (2, 0),
    ("time_exceeded", "exceeded_in_transit"): (3, 0),
}


def _address(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


@dataclass(frozen=True)
class Addresses:
    """Who speaks with whom, by ``--local_ip``, ``--remote_ip``, ``--gateway_ip``."""

    local: str
    remote: str
    gateway: str

    @property
    def ipv6(self) -> bool:
        return ":" in self.local


IPV4 = Addresses("192.168.0.1", "192.0.2.1", "192.168.0.254")
IPV6 = Addresses("fd3d:a0b:17d6::1", "fd3d:fa7b:d17d::1", "fd3d:a0b:17d6:8888::1")
"""As packetdrill and its suites have them. Networks have half of an address's bits, or 48."""


@dataclass(frozen=True)
class SentPacket:
    """A TCP segment that the stack sent, numbers as on the wire, and when."""

    time: int
    packet: TcpPacket


class ScriptDevice(NetDevice):
    """Answers ARP, and keeps the TCP segments that the stack sends in ``sent``. Without offloads, so that a script may
    put together as many as it likes."""

    def __init__(self, env: Environment, cpu: Cpu, addresses: Addresses) -> None:
        super().__init__(env, cpu, name="tun0", address=_LOCAL_MAC)
        self.addresses = addresses
        self.features = Features.NONE
        self.sent: deque[SentPacket] = deque()
        self.arrived = env.event()

    async def open(self) -> None:
        self.wake_queue()

    async def stop(self) -> None:
        self.purge_queue()

    def start_xmit(self, skb: SkBuff) -> NetdevTx:
        frame = skb.frame()
        skb.consume()
        protocol = _ETHERNET.unpack_from(frame)[2]
        if protocol == _ETH_P_ARP:
            self._answer(frame)
        elif (protocol == _ETH_P_IP and frame[23] == _PROTOCOL_TCP) or (
            protocol == _ETH_P_IPV6 and frame[20] == _PROTOCOL_TCP
        ):
            self.sent.append(SentPacket(self.env.now, _decode(frame[_ETHERNET.size :])))
            self.arrived.set()
        return NetdevTx.OK

    def _answer(self, frame: bytes) -> None:
        kind, protocol, hlen, plen, operation, sha, spa, _, tpa = _ARP.unpack_from(frame, _ETHERNET.size)
        if operation == 1 and tpa == _address(self.addresses.gateway):
            reply = _ETHERNET.pack(sha, GATEWAY_MAC, _ETH_P_ARP)
            reply += _ARP.pack(kind, protocol, hlen, plen, 2, GATEWAY_MAC, tpa, sha, spa)
            self.env.call_at(self.env.now, lambda: self.netif_receive_skb(SkBuff(reply)))

    def inject(self, packet: bytes) -> None:
        """An IP packet arrives from the gateway."""
        ethertype = _ETH_P_IPV6 if self.addresses.ipv6 else _ETH_P_IP
        self.netif_receive_skb(SkBuff(_ETHERNET.pack(_LOCAL_MAC, GATEWAY_MAC, ethertype) + packet))


def _encode_options(options: tuple[TcpOption, ...]) -> bytes:
    data = b""
    for option in options:
        match option.name:
            case "nop":
                data += b"\x01"
            case "eol":
                data += b"\x00"
            case "mss":
                data += struct.pack("!BBH", 2, 4, option.values[0])
            case "wscale":
                data += struct.pack("!BBB", 3, 3, option.values[0])
            case "sackOK":
                data += b"\x04\x02"
            case "TS":
                data += struct.pack("!BBII", 8, 10, *option.values)
            case "sack":
                edges = [edge & 0xFFFFFFFF for edge in option.values]
                data += struct.pack(f"!BB{len(edges)}I", 5, 2 + 4 * len(edges), *edges)
            case "FO":
                data += struct.pack("!BB", 34, 2 + len(option.data)) + option.data
            case "FOEXP":
                data += struct.pack("!BBH", 254, 4 + len(option.data), _FOEXP_MAGIC) + option.data
            case _:
                raise UnsupportedError(f"TCP option {option.name}")
    return data + bytes(-len(data) % 4)


def _decode_options(data: bytes) -> tuple[TcpOption, ...]:
    options = []
    position = 0
    while position < len(data):
        kind = data[position]
        if kind < 2:
            options.append(TcpOption("nop" if kind else "eol"))
            position += 1
            continue
        length = data[position + 1]
        value = data[position + 2 : position + length]
        name = _OPTION_NAMES.get(kind, str(kind))
        if kind == _EXPERIMENTAL and value[:2] == _FOEXP_MAGIC.to_bytes(2, "big"):
            name, value = "FOEXP", value[2:]
        match name:
            case "mss" | "wscale":
                options.append(TcpOption(name, (int.from_bytes(value, "big"),)))
            case "TS" | "sack":
                options.append(TcpOption(name, struct.unpack(f"!{len(value) // 4}I", value)))
            case "sackOK":
                options.append(TcpOption(name))
            case _:
                options.append(TcpOption(name, (), value))
        position += length
    return tuple(options)


def _packet(addresses: Addresses, payload: bytes, protocol: int, *, dsfield: int = 0, ttl: int = _TTL) -> bytes:
    """From the remote side."""
    source, destination = _address(addresses.remote), _address(addresses.local)
    if addresses.ipv6:
        return _IPV6.pack(6 << 28 | dsfield << 20, len(payload), protocol, ttl, source, destination) + payload
    fields = [0x45, dsfield, 20 + len(payload), 0, 0x4000, ttl, protocol, 0, source, destination]
    fields[7] = checksum(_IPV4.pack(*fields))
    return _IPV4.pack(*fields) + payload


def _pseudo_header(addresses: Addresses, protocol: int, length: int) -> int:
    remote, local = (strip_scope(parse_address(text)) for text in (addresses.remote, addresses.local))
    return pseudo_header(remote, local, protocol, length)


def encode_tcp(addresses: Addresses, packet: TcpPacket, source_port: int, destination_port: int) -> bytes:
    """A packet from the remote side; numbers are those of the wire. The payload is zeros."""
    options = _encode_options(packet.options or ())
    bits = (20 + len(options)) << 10 | sum(_FLAG_BITS[flag] for flag in packet.flags)
    header = [
        source_port,
        destination_port,
        packet.sequence & 0xFFFFFFFF,
        (packet.acknowledgment or 0) & 0xFFFFFFFF,
        bits,
        packet.window or 0,
        0,
        packet.urgent or 0,
    ]
    segment = _TCP.pack(*header) + options + bytes(packet.length)
    header[6] = checksum(segment, _pseudo_header(addresses, _PROTOCOL_TCP, len(segment)))
    dsfield = packet.tos if packet.tos is not None else _ECN[packet.ecn]
    segment = _TCP.pack(*header) + segment[20:]
    return _packet(addresses, segment, _PROTOCOL_TCP, dsfield=dsfield, ttl=packet.ttl or _TTL)


def encode_icmp(addresses: Addresses, packet: IcmpPacket, sequence: int, local_port: int, remote_port: int) -> bytes:
    """A packet that complains about a segment of the stack with the wire's number ``sequence``."""
    known = (_ICMPV6_CODES if addresses.ipv6 else _ICMP_CODES).get((packet.kind, packet.code))
    if known is None:
        raise UnsupportedError(str(packet))
    length, ends = 20 + packet.quoted[1], (_address(addresses.local), _address(addresses.remote))
    if addresses.ipv6:
        quoted = _IPV6.pack(6 << 28, length, _PROTOCOL_TCP, _TTL, *ends)
    else:
        quoted = _IPV4.pack(0x45, 0, 20 + length, 0, 0x4000, _TTL, _PROTOCOL_TCP, 0, *ends)
    quoted += struct.pack("!HHI", local_port, remote_port, sequence & 0xFFFFFFFF)
    # The MTU has the whole second word in ICMPv6, its end in ICMP.
    message = struct.pack("!BBHI", *known, 0, packet.mtu) + quoted
    pseudo = _pseudo_header(addresses, _PROTOCOL_ICMPV6, len(message)) if addresses.ipv6 else 0
    message = message[:2] + checksum(message, pseudo).to_bytes(2, "big") + message[4:]
    return _packet(addresses, message, _PROTOCOL_ICMPV6 if addresses.ipv6 else _PROTOCOL_ICMP)


def _decode(packet: bytes) -> TcpPacket:
    """What the stack has sent, a packet with TCP."""
    if packet[0] >> 4 == 6:
        word, length, _, ttl, _, _ = _IPV6.unpack_from(packet)
        dsfield = word >> 20 & 0xFF
        segment = packet[_IPV6.size : _IPV6.size + length]
    else:
        _, dsfield, length, _, _, ttl, _, _, _, _ = _IPV4.unpack_from(packet)
        segment = packet[_IPV4.size : length]
    source, destination, sequence, acknowledgment, bits, window, _, urgent = _TCP.unpack_from(segment)
    offset = (bits >> 12) * 4
    flags = frozenset(flag for flag, bit in _FLAG_BITS.items() if bits & bit)
    return TcpPacket(
        _ECN_NAMES[dsfield & 3],
        dsfield,
        ttl,
        source,
        destination,
        flags,
        sequence,
        len(segment) - offset,
        acknowledgment if "." in flags else None,
        window,
        urgent if "U" in flags else None,
        _decode_options(segment[20:offset]),
    )


def joined(first: TcpPacket, second: TcpPacket) -> TcpPacket | None:
    """Two segments that follow each other as one; None if they do not belong together."""
    if first.sequence + first.length & 0xFFFFFFFF != second.sequence or first.flags & {"F", "S", "R"}:
        return None
    flags = second.flags | (first.flags & {"W"})
    return replace(second, sequence=first.sequence, length=first.length + second.length, flags=flags)
