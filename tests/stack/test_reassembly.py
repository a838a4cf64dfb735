"""Fragments both ways, of both families: every order, overlaps, limits and timers."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, UDP, fragment
from scapy.layers.inet6 import ICMPv6TimeExceeded, IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from stack.counters import DropReason
from stack.ip.parameters import IpParameters
from stack.socket import AF_INET, AF_INET6, MSG_DONTWAIT, SOCK_DGRAM
from tests.stack.network import A6, B6, SECOND, A, B, Network

HOST = "02:00:00:00:00:01"
PEER = "02:00:00:00:00:02"
DATA = bytes(range(256)) * 13


class Bench:
    """A host with a UDP socket on port 9, and a peer that sends it fragments."""

    def __init__(self, version: int, **settings: int) -> None:
        self.version = version
        parameters = IpParameters(duplicate_address_probes=0, group_robustness=0, **settings)  # type: ignore[arg-type]
        self.network = Network(ipv6=True, ip=parameters)
        family, self.host, self.peer = (AF_INET, A, B) if version == 4 else (AF_INET6, A6, B6)
        self.network.engine.run(self.network.a.ping(self.peer))
        self.network.wire.frames.clear()
        self.socket = self.network.a.socket(family, SOCK_DGRAM)  # type: ignore[call-overload]
        self.network.engine.run(self.socket.bind(("", 9)))
        self.mib = self.network.a.counters.mib
        self.prefix = "Ip" if version == 4 else "Ip6"

    def fragments(self, data: bytes = DATA, *, size: int = 1400, number: int = 77) -> list[bytes]:
        """A datagram cut by scapy."""
        if self.version == 4:
            whole = IP(src=B, dst=A, id=number) / UDP(sport=5, dport=9) / Raw(data)
            return [bytes(one) for one in fragment(whole, size)]
        packet = IPv6(src=B6, dst=A6) / IPv6ExtHdrFragment(id=number) / UDP(sport=5, dport=9) / Raw(data)
        return [bytes(one) for one in fragment6(packet, size + 48)]

    def deliver(self, *packets: bytes) -> None:
        kind = 0x0800 if self.version == 4 else 0x86DD
        for packet in packets:
            self.network.devices[0].arrive(bytes(Ether(src=PEER, dst=HOST, type=kind) / packet))

    def received(self) -> list[bytes]:
        async def drain() -> list[bytes]:
            got = []
            try:
                while True:
                    got.append(await self.socket.recv(70_000, MSG_DONTWAIT))
            except BlockingIOError:
                return got

        return self.network.engine.run(drain())

    def sent(self) -> Iterator[Packet]:
        for _, name, frame in self.network.wire.frames:
            if name == "a":
                yield Ether(frame)

    def count(self, name: str) -> int:
        return self.mib[f"{self.prefix}.{name}"]


versions = pytest.mark.parametrize("version", [4, 6])


@versions
def test_any_order(version: int) -> None:
    bench = Bench(version)
    pieces = bench.fragments()
    assert len(pieces) == 3
    for number, order in enumerate(itertools.permutations(range(3))):
        cut = bench.fragments(number=number)
        bench.deliver(*(cut[index] for index in order))
    assert bench.received() == [DATA] * 6
    assert bench.count("ReasmOKs") == 6
    assert bench.count("ReasmReqds") == 18
    assert bench.network.a.ip.reassembly.memory == 0
    assert not any(bench.network.a.counters.drops.values())


@versions
def test_duplicates_do_no_harm_and_overlaps_condemn(version: int) -> None:
    bench = Bench(version)
    first, middle, last = bench.fragments()
    bench.deliver(first, middle, middle, first)
    assert bench.network.a.counters.drops[DropReason.DUP_FRAG] == 2
    bench.deliver(last)
    assert bench.received() == [DATA]
    # The same name again, cut elsewhere: overlap.
    other = bench.fragments(size=800)
    bench.deliver(first, other[1], *bench.fragments())
    assert bench.received() == []
    assert bench.count("ReasmOverlaps") == 1
    assert bench.count("ReasmFails") == 1
    bench.network.settle()
    assert bench.network.a.ip.reassembly.memory == 0


@versions
def test_time_is_limited_and_the_sender_told(version: int) -> None:
    bench = Bench(version)
    first, middle, _ = bench.fragments()
    bench.deliver(first)
    begun = bench.network.engine.now
    bench.network.engine.run_until(begun + (30 if version == 4 else 60) * SECOND - 1)
    assert bench.count("ReasmTimeout") == 0
    bench.network.engine.run_until(bench.network.engine.now + 10)
    assert bench.count("ReasmTimeout") == 1
    (answer,) = [one for one in bench.sent() if ICMP in one or ICMPv6TimeExceeded in one]
    error = answer[ICMP] if version == 4 else answer[ICMPv6TimeExceeded]
    assert (error.type, error.code) == ((11, 1) if version == 4 else (3, 1))
    # Without the first fragment nobody is told (RFC 792, RFC 8200 section 4.5).
    bench.network.wire.frames.clear()
    bench.deliver(middle)
    bench.network.settle()
    assert [one for one in bench.sent() if ICMP in one or ICMPv6TimeExceeded in one] == []
    assert bench.network.a.ip.reassembly.memory == 0


@versions
def test_memory_is_limited(version: int) -> None:
    bench = Bench(version, reassembly_memory=20_000)
    for number in range(40):
        bench.deliver(bench.fragments(number=number)[0])
    assert bench.network.a.ip.reassembly.memory <= 20_000
    assert bench.network.a.counters.drops[DropReason.NOMEM] > 20
    bench.network.engine.run_until(100 * SECOND)
    bench.deliver(*bench.fragments())
    assert bench.received() == [DATA]


@versions
def test_beyond_the_largest_packet(version: int) -> None:
    bench = Bench(version)
    if version == 4:
        end = IP(src=B, dst=A, id=1, frag=8189, proto=17) / Raw(bytes(100))
    else:
        end = IPv6(src=B6, dst=A6) / IPv6ExtHdrFragment(id=1, offset=8189, m=0, nh=17) / Raw(bytes(100))
    bench.deliver(bytes(end))
    bench.network.settle()
    assert bench.received() == []
    assert bench.network.a.ip.reassembly.memory == 0
    assert sum(bench.network.a.counters.drops.values()) == 1


@versions
def test_ends_that_contradict_each_other(version: int) -> None:
    bench = Bench(version)
    pieces = bench.fragments()
    shorter = bench.fragments(DATA[:3000])
    bench.deliver(pieces[0], shorter[-1], pieces[-1])
    bench.network.settle()
    assert bench.received() == []
    assert bench.network.a.ip.reassembly.memory == 0


@pytest.mark.parametrize(("codepoints", "result"), [((2, 2, 2), 2), ((2, 3, 2), 3), ((0, 0, 0), 0), ((0, 3, 0), None)])
def test_congestion_marks_survive(codepoints: tuple[int, ...], result: int | None) -> None:
    """RFC 3168 section 5.3."""
    bench = Bench(4)
    bench.socket.setsockopt(0, 13, 1)
    pieces = []
    for piece, mark in zip(bench.fragments(), codepoints, strict=True):
        packet = IP(piece)
        packet.tos = mark
        del packet.chksum
        pieces.append(bytes(packet))
    bench.deliver(*pieces)
    if result is None:
        assert bench.received() == []
    else:
        _, control, _, _ = bench.network.engine.run(bench.socket.recvmsg(10_000, 100))
        assert control == [(0, 1, bytes((result,)))]


@settings(max_examples=40)
@given(
    st.sampled_from([4, 6]),
    st.integers(1, 6000),
    st.integers(64, 1400).map(lambda size: size & ~7),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_everything_or_nothing(version: int, length: int, size: int, random: object, lose: bool) -> None:
    """Whatever the order, the repetitions and the losses: the datagram as it was sent, or none."""
    bench = Bench(version)
    data = bytes(index % 251 for index in range(length))
    pieces = bench.fragments(data, size=max(size, 72))
    random.shuffle(pieces)  # type: ignore[attr-defined]
    lost = lose and len(pieces) > 1
    bench.deliver(*(pieces[1:] if lost else pieces + pieces[:1]))
    assert bench.received() == ([] if lost else [data] if len(pieces) > 1 else [data, data])
    bench.network.settle()
    assert bench.network.a.ip.reassembly.memory == 0


@versions
@pytest.mark.parametrize("size", [1400, 1472, 1473, 3000, 65_507])
def test_what_we_cut_scapy_and_we_put_together(version: int, size: int) -> None:
    network = Network(ipv6=True)
    family, target = (AF_INET, B) if version == 4 else (AF_INET6, B6)
    data = bytes(index % 253 for index in range(size))

    async def main() -> bytes:
        receiver = network.b.socket(family, SOCK_DGRAM)  # type: ignore[call-overload]
        await receiver.bind(("", 9))
        sender = network.a.socket(family, SOCK_DGRAM)  # type: ignore[call-overload]
        await sender.sendto(data, (target, 9))
        return await receiver.recv(70_000)

    assert network.engine.run(main()) == data
    frames = [Ether(frame) for _, name, frame in network.wire.frames if name == "a"]
    layer = IP if version == 4 else IPv6
    packets = [
        one[layer]
        for one in frames
        if layer in one and (one[layer].proto if version == 4 else one[layer].nh) in (17, 44)
    ]
    room = 1472 if version == 4 else 1452
    assert (len(packets) > 1) == (size > room)
    assert all(len(bytes(one)) <= 1514 for one in frames)
    if version == 4:
        assert all((size <= room) == one.flags.DF for one in packets)
    assert network.engine.run(network.a.ping(target, size=min(size, 65_000))) != []
