"""IPv4 input checks one by one, routes, and headers as scapy reads them; ICMP with them."""

from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from stack.address import format_address, parse_ipv4
from stack.counters import DropReason
from stack.ip.icmp import IPPROTO_ICMP
from stack.ip.neighbour import Neighbour
from stack.ip.path import Path
from stack.net_device import Features
from stack.skbuff import IpSummed, SkBuff
from tests.stack.network import MS, SECOND, A, B, Network

HOST = "02:00:00:00:00:01"
PEER = "02:00:00:00:00:02"


def deliver(network: Network, packet: Packet | bytes, destination: str = HOST) -> None:
    """A frame from the peer arrives at A."""
    network.devices[0].arrive(bytes(Ether(src=PEER, dst=destination, type=0x0800) / packet))
    network.engine.run_until(network.engine.now)


def changed(packet: Packet, change: Callable[[bytearray], None]) -> bytes:
    raw = bytearray(bytes(packet))
    change(raw)
    return bytes(raw)


def echo(**fields: object) -> Packet:
    return IP(**{"src": B, "dst": A, **fields}) / ICMP(type=8, id=7, seq=1) / Raw(b"payload")


@pytest.mark.parametrize(
    ("packet", "counter", "reason"),
    [
        (bytes(echo())[:19], "Ip.InHdrErrors", DropReason.PKT_TOO_SMALL),
        (bytes(echo(version=6)), "Ip.InHdrErrors", DropReason.IP_INHDR),
        (bytes(echo(ihl=4)), "Ip.InHdrErrors", DropReason.IP_INHDR),
        (bytes(echo(ihl=15)), "Ip.InHdrErrors", DropReason.IP_INHDR),
        (bytes(echo(chksum=0x1234)), "Ip.InHdrErrors", DropReason.IP_CSUM),
        (bytes(echo(len=19)), "Ip.InHdrErrors", DropReason.IP_INHDR),
        (bytes(echo(len=200)), "Ip.InTruncatedPkts", DropReason.PKT_TOO_SMALL),
        (bytes(echo(dst="10.0.0.3")), "Ip.InAddrErrors", DropReason.OTHERHOST),
        (bytes(echo(src="255.255.255.255")), "Ip.InAddrErrors", DropReason.IP_INADDRERRORS),
        (bytes(echo(src="10.0.0.255")), "Ip.InAddrErrors", DropReason.IP_INADDRERRORS),
        (bytes(echo(src="224.0.0.1")), "Ip.InAddrErrors", DropReason.IP_INADDRERRORS),
        (bytes(echo(src=A)), "Ip.InAddrErrors", DropReason.IP_INADDRERRORS),
        (bytes(echo(flags="MF")), "Ip.ReasmFails", DropReason.IP_INHDR),
        (bytes(echo(src="127.0.0.1")), "Ip.InAddrErrors", DropReason.IP_INADDRERRORS),
        (bytes(echo(dst="127.0.0.1")), "Ip.InAddrErrors", DropReason.IP_LOCALNET),
        (bytes(echo(dst="224.0.0.5")), "Ip.InMcastPkts", DropReason.OTHERHOST),
        (bytes(echo(options=[b"\x07\x01\x04\x00"])), "Ip.InHdrErrors", DropReason.IP_INHDR),
        (bytes(echo(options=[b"\x83\x07\x04abcd\x00"])), "Ip.InHdrErrors", DropReason.IP_INHDR),
        (bytes(IP(src=B, dst=A, proto=99) / b"x"), "Ip.InUnknownProtos", DropReason.IP_NOPROTO),
    ],
)
def test_each_check_drops_and_counts(packet: bytes, counter: str, reason: DropReason) -> None:
    network = Network()
    deliver(network, packet)
    assert network.a.counters.mib[counter] == 1
    assert network.a.counters.drops[reason] == 1
    assert sum(network.a.counters.drops.values()) == 1
    assert network.a.counters.mib["Icmp.InMsgs"] == 0


def test_frame_checks() -> None:
    network = Network()
    deliver(network, echo(), destination="02:00:00:00:00:33")
    assert network.a.counters.drops[DropReason.OTHERHOST] == 1
    network.devices[0].arrive(b"short")
    assert network.a.counters.drops[DropReason.PKT_TOO_SMALL] == 1
    network.devices[0].arrive(bytes(Ether(src=PEER, dst=HOST, type=0x88CC) / b"x"))
    assert network.a.counters.drops[DropReason.UNHANDLED_PROTO] == 1
    assert network.a.counters.mib["Ip.InReceives"] == 0


def replies(network: Network) -> list[Packet]:
    return [IP(frame[14:]) for _, name, frame in network.wire.frames if name == "a" and frame[12:14] == b"\x08\x00"]


def test_echo_reply_with_options_and_padding() -> None:
    network = Network()
    network.engine.run(network.a.ping(B))
    network.wire.frames.clear()
    with_options = IP(src=B, dst=A, options=[b"\x01\x01\x01\x00"]) / ICMP(type=8, id=7, seq=9) / Raw(b"odd")
    deliver(network, bytes(with_options) + bytes(18))
    (reply,) = replies(network)
    assert reply[ICMP].type == 0
    assert (reply[ICMP].id, reply[ICMP].seq) == (7, 9)
    assert reply.len == 20 + 8 + 3
    assert (reply.src, reply.dst, reply.ttl) == (A, B, 64)
    whole = bytes(reply)[: reply.len]
    again = IP(whole)
    again.chksum = again[ICMP].chksum = None
    assert bytes(again) == whole


def test_bad_icmp_is_counted() -> None:
    network = Network()
    deliver(network, IP(src=B, dst=A) / ICMP(type=8, chksum=1) / Raw(b"x"))
    assert network.a.counters.mib["Icmp.InCsumErrors"] == 1
    deliver(network, IP(src=B, dst=A, proto=1) / Raw(b"1234567"))
    assert network.a.counters.mib["Icmp.InErrors"] == 2
    deliver(network, IP(src=B, dst=A) / ICMP(type=3, code=3) / Raw(bytes(27)))
    assert network.a.counters.drops[DropReason.HDR_TRUNC] == 1
    assert replies(network) == []


def test_broadcast_echo_is_not_answered() -> None:
    network = Network()
    deliver(network, echo(dst="10.0.0.255"), destination="ff:ff:ff:ff:ff:ff")
    deliver(network, echo(dst="255.255.255.255"), destination="ff:ff:ff:ff:ff:ff")
    assert network.a.counters.mib["Icmp.InEchos"] == 2
    network.settle()
    assert network.wire.frames == []


def test_unreachable_answers_unicast_only() -> None:
    network = Network()
    network.engine.run(network.a.ping(B))
    network.wire.frames.clear()
    datagram = IP(src=B, dst=A, id=77) / UDP(sport=5, dport=6) / Raw(b"quoted?")
    deliver(network, datagram)
    (reply,) = replies(network)
    assert (reply[ICMP].type, reply[ICMP].code) == (3, 3)
    # RFC 792: the header and eight bytes of what was sent.
    quoted = bytes(reply[ICMP].payload)[:28]
    assert quoted == bytes(datagram)[:28]
    deliver(network, IP(src=B, dst=A, proto=99) / b"x")
    assert [(one[ICMP].type, one[ICMP].code) for one in replies(network)[1:]] == [(3, 2)]
    network.wire.frames.clear()
    for packet in (
        IP(src=B, dst="10.0.0.255") / UDP(sport=5, dport=6) / b"x",
        IP(src=B, dst="224.0.0.1") / UDP(sport=5, dport=6) / b"x",
        IP(src=B, dst="10.0.0.255") / TCP(dport=6, flags="S"),
    ):
        deliver(network, packet, destination="ff:ff:ff:ff:ff:ff")
    # A unicast address in a frame for all is no better (RFC 1122 section 3.2.2).
    deliver(network, IP(src=B, dst=A) / UDP(sport=5, dport=6) / b"x", destination="ff:ff:ff:ff:ff:ff")
    deliver(network, IP(src=B, dst=A) / TCP(dport=6, flags="S"), destination="ff:ff:ff:ff:ff:ff")
    assert network.wire.frames == []


def test_ping() -> None:
    network = Network(delay=3 * MS)
    # The first waits for ARP as well.
    assert network.engine.run(network.a.ping(B, count=3, size=1000)) == [12 * MS, 6 * MS, 6 * MS]
    network.wire.drop = lambda sender, frame: True
    begun = network.engine.now
    assert network.engine.run(network.a.ping(B, count=2, timeout=SECOND)) == []
    assert network.engine.now == begun + 2 * SECOND


def test_longest_prefix_wins() -> None:
    network = Network()
    network.a.add_route("0.0.0.0", 0, "10.0.0.254")
    network.a.add_route("192.168.0.0", 16, "10.0.0.16")
    network.a.add_route("192.168.7.0", 24, "10.0.0.24")
    network.a.add_route("192.168.7.7", 32, "10.0.0.32")

    def hop(destination: str) -> str:
        path = network.a.ip.path(parse_ipv4(destination), IPPROTO_ICMP)
        assert isinstance(path, Path)
        assert isinstance(path.next_hop, Neighbour)
        return format_address(path.next_hop.address)

    assert hop("192.168.7.7") == "10.0.0.32"
    assert hop("192.168.7.8") == "10.0.0.24"
    assert hop("192.168.8.8") == "10.0.0.16"
    assert hop("8.8.8.8") == "10.0.0.254"
    assert hop("10.0.0.9") == "10.0.0.9"


def test_no_route() -> None:
    network = Network()
    assert network.a.ip.path(parse_ipv4("8.8.8.8"), 6) is None
    assert network.a.counters.mib["Ip.OutNoRoutes"] == 1


@pytest.mark.parametrize(
    ("network", "prefix", "gateway"),
    [("10.1.0.0", 16, "99.0.0.1"), ("10.1.2.3", 16, "10.0.0.2"), ("10.1.0.0", 33, "10.0.0.2")],
)
def test_bad_routes_are_refused(network: str, prefix: int, gateway: str) -> None:
    with pytest.raises(ValueError, match=r"gateway|prefix"):
        Network().a.add_route(network, prefix, gateway)


def test_checked_by_the_device_is_not_checked_again() -> None:
    network = Network()
    network.devices[0].features |= Features.RXCSUM
    wrong = Ether(src=PEER, dst=HOST) / IP(src=B, dst=A) / UDP(sport=5, dport=6, chksum=1) / b"x"
    network.devices[0].netif_receive_skb(SkBuff(bytes(wrong), ip_summed=IpSummed.UNNECESSARY))
    assert network.a.counters.mib["Udp.NoPorts"] == 1
    network.devices[0].netif_receive_skb(SkBuff(bytes(wrong)))
    assert network.a.counters.mib["Udp.InCsumErrors"] == 1
    assert network.a.counters.mib["Udp.NoPorts"] == 1
