"""One function per parser: any bytes in, no exception out, and nothing kept beyond its bounds.

``python -m tests.atheris_fuzz`` drives them by coverage; ``test_fuzz_targets.py`` over seeds and their mutations.
"""

import contextlib
import struct
from collections.abc import Callable

from scapy.layers.igmp import IGMPv3_MQ
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLQuery2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP
from scapy.packet import Raw

from sim.engine import EventEngine
from sim.host import IDEAL, HostCpu
from stack.gro import GenericReceiveOffload
from stack.host import NetworkStack
from stack.ip.ipv4_options import check_options as check_ipv4_options
from stack.ip.ipv6_headers import check_options, upper_layer
from stack.ip.ndisc import options as discovery_options
from stack.ip.parameters import IpParameters, NeighbourParameters
from stack.skbuff import IpSummed, SkBuff
from stack.socket import AF_INET6, SOCK_DGRAM, SOCK_STREAM
from stack.socket.control import parse_control
from stack.tcp.options import parse_options
from stack.tcp.segment import parse
from stack.tcp.sysctl import TcpSysctl
from tests.stack.network import A6, B6, SECOND, A, B, Network

HOST = bytes.fromhex("020000000001")
PEER = bytes.fromhex("020000000002")
MEMORY = 64 * 1024


def host() -> Network:
    """A host that listens, forwards, autoconfigures and has little memory for fragments."""
    parameters = IpParameters(duplicate_address_probes=0, reassembly_memory=MEMORY, forwarding=True)
    network = Network(ipv6=True, ip=parameters, neighbours=NeighbourParameters(table_size=16))
    network.a.ip.interfaces[2].autoconfigure()

    async def main() -> None:
        datagrams = network.a.socket(AF_INET6, SOCK_DGRAM)
        await datagrams.bind(("", 9))
        listener = network.a.socket(AF_INET6, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen(4)

    network.engine.run(main())
    return network


def bounded(stack: NetworkStack) -> None:
    """What one may send us does not fill the memory."""
    interface = stack.ip.interfaces[2]
    assert stack.ip.reassembly.memory <= MEMORY
    assert len(interface.arp.entries()) <= 16
    assert len(interface.ndisc.entries()) <= 16
    assert len(interface.addresses) <= 20
    assert len(stack.tcp.connections) <= 16


def frames(kind: int, data: bytes) -> None:
    """Frames of one EtherType; the first byte says how many, and how the checksum counts."""
    network = host()
    pieces = [data[1:]]
    if data[:1] and data[0] & 1:
        half = len(data) // 2
        pieces = [data[1:half], data[half:]]
    header = HOST + PEER + kind.to_bytes(2, "big")
    for piece in pieces:
        for summed in (IpSummed.UNNECESSARY, IpSummed.NONE):
            network.devices[0].netif_receive_skb(SkBuff(header + piece, ip_summed=summed))
    network.engine.run_until(network.engine.now + SECOND)
    bounded(network.a)


def ethernet(data: bytes) -> None:
    network = host()
    network.devices[0].arrive(data)
    network.devices[0].arrive(HOST + PEER + data)
    network.engine.run_until(network.engine.now + SECOND)
    bounded(network.a)


def discovery(data: bytes) -> None:
    """ICMPv6 with a good hop limit, from a neighbour."""
    header = bytes(IPv6(src="fe80::2", dst=A6, nh=58, hlim=255, plen=len(data)))
    network = host()
    skb = SkBuff(HOST + PEER + b"\x86\xdd" + header + data, ip_summed=IpSummed.UNNECESSARY)
    network.devices[0].netif_receive_skb(skb)
    network.engine.run_until(network.engine.now + 10 * SECOND)
    bounded(network.a)
    if discovery_options(data) is not None:
        list(discovery_options(data) or ())


def tcp_segment(data: bytes) -> None:
    """A segment for a listening port, of either family."""
    for header, kind in (
        (bytes(IP(src=B, dst=A, proto=6, len=20 + len(data))), 0x0800),
        (bytes(IPv6(src=B6, dst=A6, nh=6, plen=len(data))), 0x86DD),
    ):
        frames(kind, b"\0" + header + data)
    segment = parse(data)
    if segment is not None:
        parse_options(segment.options)


def tcp_options(data: bytes) -> None:
    parse_options(memoryview(data))


def headers(data: bytes) -> None:
    """The small parsers by themselves."""
    check_ipv4_options(bytes(20) + data)
    if len(data) >= 8:
        check_options(memoryview(data))
    upper_layer(memoryview(data))
    upper_layer(memoryview(bytes(IPv6(src=B6, dst=A6, nh=60)) + data))


def receive_offload(data: bytes) -> None:
    """Frames cut from ``data``, as a device would hand them over: nothing may get lost."""
    up: list[SkBuff] = []
    gro = GenericReceiveOffload(up.append, HostCpu(EventEngine(seed=1), IDEAL))
    count = 0
    while data:
        size = int.from_bytes(data[:2], "big") % 1600
        gro.receive(SkBuff(data[2 : 2 + size], ip_summed=IpSummed.UNNECESSARY))
        data = data[2 + size :]
        count += 1
    gro.flush()
    assert sum(max(skb.gso_segs, 1) for skb in up) == count


def control_messages(data: bytes) -> None:
    """Messages for ``sendmsg``: ``OSError`` is all that may come of them."""
    stack = host().a
    messages = []
    while len(data) >= 5:
        level, kind, size = struct.unpack_from("<HHB", data)
        messages.append((level, kind, data[5 : 5 + size]))
        data = data[5 + size :]
    with contextlib.suppress(OSError):
        parse_control(stack, messages)


def sysctl(data: bytes) -> None:
    """Names and values of settings: ``OSError`` is all that may come of them."""
    settings = TcpSysctl(host().a.tcp)
    name, _, value = data.decode(errors="replace").partition("=")
    for one in (name, *settings.names()[:: max(len(data), 1)]):
        try:
            settings.write(one, value)
        except OSError:
            continue


TARGETS: dict[str, Callable[[bytes], None]] = {
    "ethernet": ethernet,
    "arp": lambda data: frames(0x0806, data),
    "ipv4": lambda data: frames(0x0800, data),
    "ipv6": lambda data: frames(0x86DD, data),
    "discovery": discovery,
    "tcp_segment": tcp_segment,
    "tcp_options": tcp_options,
    "headers": headers,
    "receive_offload": receive_offload,
    "control_messages": control_messages,
    "sysctl": sysctl,
}


def _train() -> bytes:
    made = b""
    for number in range(3):
        segment = TCP(sport=5, dport=80, flags="A", seq=1000 + 100 * number) / Raw(bytes(100))
        frame = HOST + PEER + b"\x08\x00" + bytes(IP(src=B, dst=A) / segment)
        made += len(frame).to_bytes(2, "big") + frame
    return made


_SYN = bytes(TCP(sport=4000, dport=80, flags="S", options=[("MSS", 1460), ("WScale", 7), ("SAckOK", b"")]))
SEEDS: dict[str, list[bytes]] = {
    "ethernet": [b"\x81\x00\x00\x05\x08\x00" + bytes(40)],
    "arp": [b"\0" + bytes(ARP(op=op, psrc=B, pdst=A, hwsrc="02:00:00:00:00:02")) for op in (1, 2)],
    "ipv4": [
        b"\0" + bytes(packet)
        for packet in (
            IP(src=B, dst=A) / ICMP(type=8) / b"echo",
            IP(src=B, dst=A) / ICMP(type=3, code=4) / IP(src=A, dst=B) / TCP(),
            IP(src=B, dst=A, flags="MF") / UDP(dport=9) / bytes(8),
            IP(src=B, dst=A, options=[b"\x07\x07\x04abcd\x00"]) / UDP(dport=9) / b"x",
            IP(src=B, dst="192.0.2.1", ttl=1) / UDP(dport=9) / b"x",
            IP(src=B, dst="224.0.0.1", ttl=1) / IGMPv3_MQ(mrcode=10),
        )
    ],
    "ipv6": [
        b"\0" + bytes(packet)
        for packet in (
            IPv6(src=B6, dst=A6) / ICMPv6EchoRequest(),
            IPv6(src=B6, dst=A6) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting() / UDP(dport=9),
            IPv6(src=B6, dst=A6) / IPv6ExtHdrFragment(m=1, id=7) / Raw(bytes(16)),
            IPv6(src="fe80::2", dst="ff02::1", hlim=1) / ICMPv6MLQuery2(mrd=100),
            IPv6(src=B6, dst=A6) / ICMPv6PacketTooBig(mtu=1300) / IPv6(src=A6, dst=B6) / TCP(),
        )
    ],
    "discovery": [
        bytes(packet)
        for packet in (
            ICMPv6ND_NS(tgt=A6) / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:02"),
            ICMPv6ND_NA(tgt=B6),
            ICMPv6ND_RA(routerlifetime=1800) / ICMPv6NDOptPrefixInfo(prefix="2001:db8:5::", prefixlen=64),
        )
    ],
    "tcp_segment": [_SYN],
    "tcp_options": [_SYN[20:]],
    "headers": [b"\x3a\x00\x01\x04" + bytes(4)],
    "receive_offload": [_train()],
    "control_messages": [b"\x00\x00\x08\x00\x0c" + bytes(12), b"\x29\x00\x32\x00\x14" + bytes(20)],
    "sysctl": [b"net.ipv4.tcp_sack=1", b"net/ipv4/tcp_rmem=4096 131072 6291456"],
}
