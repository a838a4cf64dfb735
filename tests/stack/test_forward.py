"""A host between two networks: what it forwards, what it refuses, and what it says about that."""

import errno
from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from sim.host import IDEAL, HostCpu
from stack.address import parse_address
from stack.counters import DropReason
from stack.host import NetworkStack
from stack.net_device import Features
from stack.skbuff import IpSummed, SkBuff
from stack.socket import AF_INET, AF_INET6, SHUT_WR, SOCK_DGRAM, SOCK_STREAM
from tests.stack.network import AT_ONCE, MS, SECOND, Network, Wire, WireEnd

NEAR = {4: "10.0.0.1", 6: "2001:db8::1"}
FAR = {4: "10.9.0.2", 6: "2001:db8:9::2"}
versions = pytest.mark.parametrize("version", [4, 6])


class Routed(Network):
    """``a`` on one wire, ``b`` on another, and ``router`` between them."""

    def __init__(self, *, far_mtu: int = 1500, features: Features = Features.NONE) -> None:
        super().__init__(ipv6=True, features=features)
        self.far = Wire(self.engine)
        cpu = HostCpu(self.engine, IDEAL)
        self.router = NetworkStack(self.engine, cpu, ip=replace(AT_ONCE, forwarding=True))
        self.ends = [
            WireEnd(wire, cpu, name=f"r{number}", address=bytes((2, 0, 0, 0, 1, number)), features=features, mtu=mtu)
            for number, (wire, mtu) in enumerate(((self.wire, 1500), (self.far, far_mtu)))
        ]
        for device, addresses in zip(
            self.ends, (("10.0.0.254", "2001:db8::fe"), ("10.9.0.254", "2001:db8:9::fe")), strict=True
        ):
            self.router.add_interface(device, addresses[0], 24)
            self.router.add_interface(device, addresses[1], 64)
        # b moves to the far wire.
        self.b.close()
        self.wire.devices.remove(self.devices[1])
        cpu = HostCpu(self.engine, IDEAL)
        self.b = NetworkStack(self.engine, cpu, ip=AT_ONCE)
        self.device_b = WireEnd(
            self.far, cpu, name="b", address=bytes((2, 0, 0, 0, 0, 2)), features=features, mtu=far_mtu
        )
        self.b.add_interface(self.device_b, FAR[4], 24)
        self.b.add_interface(self.device_b, FAR[6], 64)
        for stack, hops in ((self.a, ("10.0.0.254", "2001:db8::fe")), (self.b, ("10.9.0.254", "2001:db8:9::fe"))):
            stack.add_route("0.0.0.0", 0, hops[0])
            stack.add_route("::", 0, hops[1])

    def deliver(self, packet: Packet) -> None:
        """A frame for the router from host A's link."""
        kind = 0x0800 if IP in packet else 0x86DD
        mac = self.ends[0].address.hex(":")
        self.ends[0].arrive(bytes(Ether(src="02:00:00:00:00:01", dst=mac, type=kind) / packet))
        self.engine.run_until(self.engine.now)

    def errors(self) -> list[Packet]:
        """What the router has said."""
        return [Ether(frame) for _, name, frame in self.wire.frames if name == "r0" and Ether(frame).type != 0x0806]


@versions
def test_ping_through_a_router(version: int) -> None:
    network = Routed()
    assert len(network.engine.run(network.a.ping(FAR[version], count=2))) == 2
    passed = [Ether(frame) for _, name, frame in network.far.frames if name == "r1"]
    layer = IP if version == 4 else IPv6
    packet = next(one for one in passed if layer in one and one[layer].dst == FAR[version])[layer]
    assert (packet.ttl if version == 4 else packet.hlim) == 63
    if version == 4:
        again = packet.copy()
        del again.chksum
        assert IP(bytes(again)).chksum == packet.chksum
    prefix = "Ip" if version == 4 else "Ip6"
    assert network.router.counters.mib[f"{prefix}.OutForwDatagrams"] == 4


@versions
@pytest.mark.parametrize("offloads", [False, True])
def test_tcp_through_a_router_and_a_smaller_link(version: int, offloads: bool) -> None:
    """Path MTU discovery: the router says what passes, TCP cuts anew."""
    features = Features.SG | Features.HW_CSUM | Features.TSO | Features.TSO6 if offloads else Features.NONE
    network = Routed(far_mtu=1300, features=features)
    family = AF_INET if version == 4 else AF_INET6
    data = network.engine.random.randbytes(100_000)

    async def serve() -> bytes:
        listener = network.b.socket(family, SOCK_STREAM)
        await listener.bind(("", 80))
        await listener.listen()
        peer, _ = await listener.accept()
        got = bytearray()
        while piece := await peer.recv(100_000):
            got += piece
        await peer.close()
        return bytes(got)

    async def main() -> bytes:
        server = network.engine.spawn(serve())
        await network.engine.sleep(1)
        socket = network.a.socket(family, SOCK_STREAM)
        await socket.connect((FAR[version], 80))
        await socket.sendall(data)
        await socket.shutdown(SHUT_WR)
        return await server

    assert network.engine.run(main()) == data
    assert max(len(frame) for _, _, frame in network.far.frames) == 1314


@versions
def test_packet_too_big(version: int) -> None:
    network = Routed(far_mtu=1300)
    layer = IP(src=NEAR[4], dst=FAR[4], flags="DF") if version == 4 else IPv6(src=NEAR[6], dst=FAR[6])
    network.deliver(layer / UDP(sport=1, dport=9) / Raw(bytes(1400)))
    network.settle()
    (answer,) = [one for one in network.errors() if ICMP in one or ICMPv6PacketTooBig in one]
    if version == 4:
        assert (answer[ICMP].type, answer[ICMP].code, answer[ICMP].nexthopmtu) == (3, 4, 1300)
    else:
        assert answer[ICMPv6PacketTooBig].mtu == 1300
    assert network.router.counters.drops[DropReason.PKT_TOO_BIG] == 1


def test_udp_learns_the_path_mtu() -> None:
    network = Routed(far_mtu=1300)

    async def main() -> None:
        server = network.b.socket(AF_INET, SOCK_DGRAM)
        await server.bind(("", 9))
        socket = network.a.socket(AF_INET, SOCK_DGRAM)
        await socket.connect((FAR[4], 9))
        await socket.send(bytes(1400))
        await network.engine.sleep(20 * MS)
        with pytest.raises(OSError, match=f"Errno {errno.EMSGSIZE}"):
            await socket.send(bytes(1400))
        await socket.send(bytes(1400))
        assert await server.recv(2000) == bytes(1400)
        assert socket.getsockopt(0, 14) == 1300

    network.engine.run(main())
    # RFC 1191 section 6.3: it is tried again after ten minutes.
    network.engine.run_until(601 * SECOND)
    assert network.a.ip.path_mtu.get(parse_address(FAR[4]), 1500) == 1500


def test_ipv4_fragments_on_the_way() -> None:
    network = Routed(far_mtu=600)
    got: list[bytes] = []

    async def main() -> None:
        server = network.b.socket(AF_INET, SOCK_DGRAM)
        await server.bind(("", 9))
        data = bytes(index % 251 for index in range(1400))
        options = [b"\x07\x07\x04abcd\x94\x04\x00\x00\x00"]
        network.deliver(IP(src=NEAR[4], dst=FAR[4], options=options) / UDP(sport=1, dport=9) / Raw(data))
        got.append(await server.recv(2000))
        assert got == [data]

    network.engine.run(main())
    pieces = [Ether(frame)[IP] for _, name, frame in network.far.frames if name == "r1" and Ether(frame).type == 0x0800]
    assert [(one.frag, one.flags.MF) for one in pieces] == [(0, 1), (71, 1), (142, 0)]
    # Only options with the copied bit are in all (RFC 791 section 3.1): Router Alert is, Record Route is not.
    assert bytes(pieces[0])[20] == 7
    assert bytes(pieces[1])[20:32] == b"\x01" * 7 + b"\x94\x04\x00\x00\x00"


@versions
def test_hop_limit(version: int) -> None:
    network = Routed()
    layer = IP(src=NEAR[4], dst=FAR[4], ttl=1) if version == 4 else IPv6(src=NEAR[6], dst=FAR[6], hlim=1)
    network.deliver(layer / UDP(sport=1, dport=9) / b"x")
    network.settle()
    (answer,) = [one for one in network.errors() if ICMP in one or ICMPv6TimeExceeded in one]
    if version == 4:
        assert (answer[IP].src, answer[ICMP].type, answer[ICMP].code) == ("10.0.0.254", 11, 0)
    else:
        assert (answer[IPv6].src, answer[ICMPv6TimeExceeded].code) == ("2001:db8::fe", 0)
    assert [frame for _, name, frame in network.far.frames if name == "r1" and UDP in Ether(frame)] == []


@versions
def test_no_route_and_no_neighbour(version: int) -> None:
    network = Routed()
    beyond = "192.0.2.1" if version == 4 else "2001:db8:77::1"
    missing = "10.9.0.77" if version == 4 else "2001:db8:9::77"
    for target in (beyond, missing):
        layer = IP(src=NEAR[4], dst=target) if version == 4 else IPv6(src=NEAR[6], dst=target)
        network.deliver(layer / UDP(sport=1, dport=9) / b"x")
    network.settle()
    if version == 4:
        codes = [(one[ICMP].type, one[ICMP].code) for one in network.errors() if ICMP in one]
        assert codes == [(3, 0), (3, 1)]
    else:
        codes = [one[ICMPv6DestUnreach].code for one in network.errors() if ICMPv6DestUnreach in one]
        assert codes == [0, 3]


def test_what_is_never_forwarded() -> None:
    network = Routed()
    router = network.router.counters
    before = router.mib["Ip.OutForwDatagrams"] + router.mib["Ip6.OutForwDatagrams"]
    for packet in (
        IP(src="127.0.0.1", dst=FAR[4]) / UDP(),
        IP(src="255.255.255.255", dst=FAR[4]) / UDP(),
        IP(src="0.0.0.0", dst=FAR[4]) / UDP(),
        IPv6(src="fe80::1", dst=FAR[6]) / UDP(),
        IPv6(src="::", dst=FAR[6]) / UDP(),
        IPv6(src="ff02::1", dst=FAR[6]) / UDP(),
    ):
        network.deliver(packet)
    network.settle()
    assert router.mib["Ip.OutForwDatagrams"] + router.mib["Ip6.OutForwDatagrams"] == before
    assert network.errors() == []
    broadcast = Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff") / IP(src=NEAR[4], dst=FAR[4]) / UDP()
    network.ends[0].arrive(bytes(broadcast))
    assert router.drops[DropReason.UNICAST_IN_L2_MULTICAST] == 1


def test_a_host_does_not_forward() -> None:
    network = Network()
    packet = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / IP(src="10.0.0.2", dst="192.0.2.1") / UDP()
    network.devices[0].arrive(bytes(packet))
    assert network.a.counters.drops[DropReason.OTHERHOST] == 1


@versions
def test_received_offload_is_cut_again(version: int) -> None:
    """Segments that GRO has put together leave as they came."""
    network = Routed()
    for version_now in (version,):
        network.engine.run(network.a.ping(FAR[version_now]))
    device = network.ends[0]
    device.set_gro(True)
    network.far.frames.clear()
    frames = []
    for number in range(3):
        layer = (
            IP(src=NEAR[4], dst=FAR[4], flags="DF", id=100 + number) if version == 4 else IPv6(src=NEAR[6], dst=FAR[6])
        )
        segment = TCP(sport=5, dport=6, flags="A", seq=1000 + 1000 * number, ack=1)
        frames.append(
            bytes(
                Ether(src="02:00:00:00:00:01", dst=device.address.hex(":"))
                / layer
                / segment
                / Raw(bytes([number]) * 1000)
            )
        )
        device.netif_receive_skb(SkBuff(frames[-1], ip_summed=IpSummed.UNNECESSARY))
    device.gro_flush()
    passed = [frame for _, name, frame in network.far.frames if name == "r1"]
    assert len(passed) == 3
    for before, after in zip(frames, passed, strict=True):
        was, now = (Ether(one)[IP if version == 4 else IPv6] for one in (before, after))
        assert bytes(was[TCP]) == bytes(now[TCP])
        assert (now.ttl if version == 4 else now.hlim) == 63
        if version == 4:
            assert now.id == was.id
