"""IPv6 input check by check, extension headers, ICMPv6, and what goes out as scapy reads it."""

import errno
from collections.abc import Callable

import pytest
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    HBHOptUnknown,
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from stack.address import parse_address
from stack.counters import DropReason
from stack.socket import AF_INET, AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY, SOCK_DGRAM, SOCK_STREAM
from tests.stack.network import A6, B6, MS, SECOND, B, Network

HOST = "02:00:00:00:00:01"
PEER = "02:00:00:00:00:02"
GROUP = "33:33:00:00:00:01"
LINK_A = "fe80::ff:fe00:1"
LINK_B = "fe80::ff:fe00:2"


def ipv6_network(**settings: object) -> Network:
    """Both hosts know each other."""
    network = Network(ipv6=True, **settings)  # type: ignore[arg-type]
    assert network.engine.run(network.a.ping(B6))
    network.wire.frames.clear()
    for stack in (network.a, network.b):
        stack.counters.mib.update(dict.fromkeys(stack.counters.mib, 0))
    return network


def deliver(network: Network, packet: Packet | bytes, destination: str = HOST) -> None:
    """A frame from the peer arrives at A."""
    network.devices[0].arrive(bytes(Ether(src=PEER, dst=destination, type=0x86DD) / packet))
    network.engine.run_until(network.engine.now)


def sent(network: Network) -> list[Packet]:
    """What A has sent, judged by scapy."""
    packets = []
    for _, name, frame in network.wire.frames:
        if name == "a" and frame[12:14] == b"\x86\xdd":
            packet = IPv6(frame[14:])
            whole = bytes(packet)[: 40 + packet.plen]
            again = IPv6(whole)
            del again.plen
            if hasattr(again.payload, "cksum"):
                del again.payload.cksum
            assert bytes(again) == whole
            packets.append(IPv6(whole))
    return packets


def echo(**fields: object) -> Packet:
    return IPv6(**{"src": B6, "dst": A6, **fields}) / ICMPv6EchoRequest(id=7, seq=1, data=b"payload")


def changed(packet: Packet, change: Callable[[bytearray], None]) -> bytes:
    raw = bytearray(bytes(packet))
    change(raw)
    return bytes(raw)


@pytest.mark.parametrize(
    ("packet", "counter", "reason"),
    [
        (bytes(echo())[:39], "Ip6.InHdrErrors", DropReason.PKT_TOO_SMALL),
        (bytes(echo(version=4)), "Ip6.InHdrErrors", DropReason.IP_INHDR),
        (bytes(echo(plen=200)), "Ip6.InTruncatedPkts", DropReason.PKT_TOO_SMALL),
        (bytes(echo(dst="2001:db8::3")), "Ip6.InAddrErrors", DropReason.OTHERHOST),
        (bytes(echo(src="ff02::1")), "Ip6.InAddrErrors", DropReason.IP_INADDRERRORS),
        (bytes(echo(src=A6)), "Ip6.InAddrErrors", DropReason.IP_INADDRERRORS),
        (bytes(echo(src="::1")), "Ip6.InAddrErrors", DropReason.IP_INADDRERRORS),
        (bytes(echo(dst="::1")), "Ip6.InAddrErrors", DropReason.IP_INADDRERRORS),
        (bytes(echo(src="::ffff:10.0.0.2")), "Ip6.InAddrErrors", DropReason.IP_INADDRERRORS),
        (bytes(echo(dst="ff02::99")), "Ip6.InMcastPkts", DropReason.OTHERHOST),
        (bytes(IPv6(src=B6, dst=A6, nh=99) / b"x"), "Ip6.InUnknownProtos", DropReason.IP_NOPROTO),
        (bytes(IPv6(src=B6, dst=A6, nh=60) / b"\x3a\x01\x01\x00"), "Ip6.InHdrErrors", DropReason.IPV6_BAD_EXTHDR),
        (bytes(IPv6(src=B6, dst=A6, nh=44) / b"\x3a\x00\x00"), "Ip6.InHdrErrors", DropReason.IPV6_BAD_EXTHDR),
    ],
)
def test_each_check_drops_and_counts(packet: bytes, counter: str, reason: DropReason) -> None:
    network = ipv6_network()
    before = sum(network.a.counters.drops.values())
    deliver(network, packet)
    assert network.a.counters.mib[counter] == 1
    assert network.a.counters.drops[reason] == 1
    assert sum(network.a.counters.drops.values()) == before + 1
    assert network.a.counters.mib["Icmp6.InMsgs"] == 0


def test_echo_reply() -> None:
    network = ipv6_network()
    deliver(network, bytes(echo(tc=0x28, hlim=3)) + bytes(20))
    (reply,) = sent(network)
    assert (reply.src, reply.dst, reply.hlim) == (A6, B6, 64)
    assert (reply[ICMPv6EchoReply].id, reply[ICMPv6EchoReply].seq, reply[ICMPv6EchoReply].data) == (7, 1, b"payload")
    # RFC 4443 section 4.2: an echo request to a group is answered from a unicast address.
    network.wire.frames.clear()
    deliver(network, echo(src=LINK_B, dst="ff02::1"), destination=GROUP)
    network.settle()
    assert (LINK_A, LINK_B) in [(one.src, one.dst) for one in sent(network) if ICMPv6EchoReply in one]


def test_ping_times_and_loopback() -> None:
    network = Network(delay=3 * MS, ipv6=True)
    assert network.engine.run(network.a.ping(B6, count=3, size=1000)) == [12 * MS, 6 * MS, 6 * MS]
    assert network.engine.run(network.a.ping(f"{LINK_B}%2")) == [12 * MS]
    frames = len(network.wire.frames)
    assert len(network.engine.run(network.a.ping("::1"))) == 1
    assert len(network.engine.run(network.a.ping(A6))) == 1
    assert len(network.engine.run(network.a.ping("127.0.0.1"))) == 1
    assert len(network.wire.frames) == frames


@pytest.mark.parametrize(
    "headers",
    [
        IPv6ExtHdrHopByHop(options=[RouterAlert()]),
        IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0\0")]),
        IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(type=0, segleft=0, addresses=[]),
        IPv6ExtHdrFragment(offset=0, m=0, id=5),
        IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment(offset=0, m=0, id=5) / IPv6ExtHdrDestOpt(),
    ],
)
def test_harmless_extension_headers(headers: Packet) -> None:
    network = ipv6_network()
    deliver(network, IPv6(src=B6, dst=A6) / headers / ICMPv6EchoRequest(id=1, seq=2, data=b"x"))
    (reply,) = sent(network)
    assert reply[ICMPv6EchoReply].seq == 2


@pytest.mark.parametrize(
    ("packet", "code", "pointer"),
    [
        # Unknown options: the two highest bits say what to do (RFC 8200 section 4.2).
        (IPv6(src=B6, dst=A6) / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x8A)]) / UDP(), 2, 42),
        (IPv6(src=B6, dst=A6) / IPv6ExtHdrHopByHop(options=[HBHOptUnknown(otype=0xCA)]) / UDP(), 2, 42),
        (IPv6(src=B6, dst=A6) / IPv6ExtHdrRouting(type=0, segleft=1, addresses=["::9"]) / UDP(), 0, 42),
        (IPv6(src=B6, dst=A6) / IPv6ExtHdrFragment(offset=0, m=1, id=5) / Raw(b"12345"), 0, 4),
        (IPv6(src=B6, dst=A6) / IPv6ExtHdrFragment(offset=8190, m=0, id=5) / Raw(bytes(100)), 0, 42),
        (IPv6(src=B6, dst=A6, nh=99) / Raw(b"x"), 1, 6),
        (IPv6(src=B6, dst=A6) / IPv6ExtHdrDestOpt(nh=99) / Raw(b"x"), 1, 40),
    ],
)
def test_parameter_problems(packet: Packet, code: int, pointer: int) -> None:
    network = ipv6_network()
    deliver(network, packet)
    (answer,) = sent(network)
    assert (answer[ICMPv6ParamProblem].code, answer[ICMPv6ParamProblem].ptr) == (code, pointer)
    assert bytes(answer[ICMPv6ParamProblem].payload) == bytes(packet)


def test_silent_drops() -> None:
    network = ipv6_network()
    for packet, destination in (
        (IPv6(src=B6, dst=A6) / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x4A)]) / UDP(), HOST),
        # Action 11: not for a group.
        (IPv6(src=B6, dst="ff02::1") / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0xCA)]) / UDP(), GROUP),
        (IPv6(src=B6, dst="ff02::1") / UDP(dport=9), GROUP),
        (IPv6(src="::", dst=A6) / UDP(dport=9), HOST),
        (IPv6(src=B6, dst=A6) / ICMPv6DestUnreach() / Raw(b"short"), HOST),
        (IPv6(src=B6, dst=A6, nh=59) / Raw(b"anything"), HOST),
        (IPv6(src=B6, dst=A6) / UDP(dport=9, chksum=0) / b"no checksum", HOST),
        (IPv6(src=B6, dst=A6) / ICMPv6EchoRequest(cksum=1), HOST),
    ):
        deliver(network, packet, destination)
    assert sent(network) == []
    assert network.a.counters.mib["Udp.InCsumErrors"] == 1
    assert network.a.counters.mib["Icmp6.InCsumErrors"] == 1
    # Action 10 goes back even from a group.
    grouped = IPv6(src=B6, dst="ff02::1") / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x8A)]) / UDP()
    deliver(network, grouped, GROUP)
    assert len(sent(network)) == 1


def test_port_unreachable_and_its_limits() -> None:
    network = ipv6_network()
    datagram = IPv6(src=B6, dst=A6) / UDP(sport=5, dport=6) / Raw(bytes(1400))
    deliver(network, datagram)
    (answer,) = sent(network)
    assert (answer[ICMPv6DestUnreach].code, len(answer)) == (4, 1280)
    assert answer.original[48:] == bytes(datagram)[:1232]
    for _ in range(20):
        deliver(network, datagram)
    # Six in a row to one destination, then one a second.
    assert len(sent(network)) == 6
    assert network.a.counters.mib["Icmp6.OutRateLimitHost"] == 15
    network.engine.run_until(network.engine.now + SECOND)
    deliver(network, datagram)
    deliver(network, datagram)
    assert len(sent(network)) == 7


def test_no_error_about_an_error() -> None:
    network = ipv6_network()
    inner = IPv6(src=A6, dst=B6) / UDP(sport=1, dport=2)
    bad = IPv6(src=B6, dst=A6) / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x8A)]) / ICMPv6DestUnreach() / inner
    deliver(network, bad)
    assert sent(network) == []


def test_udp_of_both_families_on_one_socket() -> None:
    network = Network(ipv6=True)
    got: list[tuple[bytes, object]] = []

    async def main() -> None:
        server = network.b.socket(AF_INET6, SOCK_DGRAM)
        await server.bind(("", 9))
        only = network.b.socket(AF_INET6, SOCK_DGRAM)
        only.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
        await only.bind(("", 10))
        six = network.a.socket(AF_INET6, SOCK_DGRAM)
        four = network.a.socket(AF_INET, SOCK_DGRAM)
        await six.sendto(b"six", (B6, 9))
        await four.sendto(b"four", (B, 9))
        for _ in range(2):
            got.append(await server.recvfrom(100))
            await server.sendto(b"back", got[-1][1])
        assert await six.recv(10) == b"back"
        assert await four.recv(10) == b"back"
        await six.sendto(b"mapped", ("::ffff:" + B, 9))
        got.append(await server.recvfrom(100))
        await four.connect((B, 10))
        await four.send(b"nobody")
        with pytest.raises(ConnectionRefusedError):
            await four.recv(10)
        other = network.b.socket(AF_INET, SOCK_DGRAM)
        with pytest.raises(OSError, match=f"Errno {errno.EADDRINUSE}"):
            await other.bind(("", 9))
        await other.bind(("", 10))

    network.engine.run(main())
    assert sorted(data for data, _ in got) == [b"four", b"mapped", b"six"]
    names = dict(got)
    assert names[b"six"][0] == A6  # type: ignore[index]
    assert names[b"four"][0] == names[b"mapped"][0] == "::ffff:10.0.0.1"  # type: ignore[index]


def test_tcp_on_a_dual_socket() -> None:
    network = Network(ipv6=True)

    async def main() -> None:
        listener = network.b.socket(AF_INET6, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()
        for family, target, name in ((AF_INET6, B6, A6), (AF_INET, B, "::ffff:10.0.0.1")):
            socket = network.a.socket(family, SOCK_STREAM)
            await socket.connect((target, 80))
            peer, address = await listener.accept()
            assert address[0] == name
            await socket.sendall(b"hello")
            assert await peer.recv(10) == b"hello"
        local = network.a.socket(AF_INET6, SOCK_STREAM)
        with pytest.raises(ConnectionRefusedError):
            await local.connect(("::1", 80))
        with pytest.raises(OSError, match=f"Errno {errno.EINVAL}"):
            await network.a.socket(AF_INET6, SOCK_STREAM).connect(("fe80::1", 80))
        link = network.a.socket(AF_INET6, SOCK_STREAM)
        await link.connect((LINK_B, 80, 0, 2))
        assert link.getpeername() == (LINK_B, 80, 0, 2)

    network.engine.run(main())


def test_packet_too_big_shrinks_segments() -> None:
    """RFC 8201: what a router says about a packet of ours counts, nothing else does."""
    network = ipv6_network()

    async def main() -> int:
        listener = network.b.socket(AF_INET6, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()
        socket = network.a.socket(AF_INET6, SOCK_STREAM)
        await socket.connect((B6, 80))
        peer, _ = await listener.accept()
        network.wire.drop = lambda sender, frame: sender == "a" and len(frame) > 1314
        sending = network.engine.spawn(socket.sendall(bytes(20_000)))
        await network.engine.sleep(1)
        frame = next(frame for _, name, frame in network.wire.frames if name == "a" and len(frame) > 1314)
        deliver(network, IPv6(src="2001:db8::99", dst=A6) / ICMPv6PacketTooBig(mtu=1300) / Raw(frame[14:1200]))
        got = 0
        while got < 20_000:
            got += len(await peer.recv(20_000))
        await sending
        assert socket.tcp_info().pmtu == 1300
        assert network.a.counters.mib["TcpExt.TCPTimeouts"] == 0
        return max(len(frame) for _, name, frame in network.wire.frames[-5:] if name == "a")

    assert network.engine.run(main()) <= 1314
    # Below the least that every link carries it is not believed.
    quoted = Raw(bytes(IPv6(src=A6, dst=B6) / TCP()))
    deliver(network, IPv6(src="2001:db8::99", dst=A6) / ICMPv6PacketTooBig(mtu=600) / quoted)
    path = network.a.ip.path(parse_address(B6), 6)
    assert path is not None
    assert path.mtu == 1280
