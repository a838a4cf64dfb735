"""Generic segmentation offload: the frames that come out are those of a device with TSO, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from sim.engine import EventEngine
from sim.host import IDEAL, HostCpu
from stack import gso
from stack.checksum import fold, pseudo_header
from stack.net_device import Features
from stack.skbuff import GsoType, IpSummed, SkBuff
from tests.stack.network import OFFLOADS, Network, complete_checksum, segments
from tests.stack.test_tcp_network import exchange

CPU = HostCpu(EventEngine(seed=1), IDEAL)


def large_packet(payload: bytes, mss: int, flags: str, sequence: int, identification: int, options: bool) -> SkBuff:
    """As TCP leaves it: the pseudo-header's sum, with the length of the whole, in the checksum field."""
    source, destination = 0x0A000001, 0x0A000002
    timestamps = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))] if options else []
    tcp = TCP(sport=80, dport=4000, seq=sequence, ack=7, flags=flags, options=timestamps, chksum=0)
    length = len(tcp) + len(payload)
    tcp.chksum = pseudo_header(source, destination, 6, length)
    packet = IP(src="10.0.0.1", dst="10.0.0.2", id=identification, flags="DF", len=20 + length) / tcp
    head = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet)
    skb = SkBuff(payload, head=head)
    skb.ip_summed = IpSummed.PARTIAL
    skb.csum_start, skb.csum_offset = 34, 16
    skb.gso_size, skb.gso_segs, skb.gso_type = mss, -(-len(payload) // mss), GsoType.TCPV4
    return skb


@given(
    payload=st.binary(min_size=2, max_size=3000),
    mss=st.integers(1, 1460),
    flags=st.sampled_from(["A", "PA", "FPA", "EA"]),
    sequence=st.integers(0, 0xFFFFFFFF),
    identification=st.integers(0, 0xFFFF),
    options=st.booleans(),
)
def test_the_frames_are_those_of_tso(
    payload: bytes, mss: int, flags: str, sequence: int, identification: int, options: bool
) -> None:
    mss = max(mss, len(payload) // 40 + 1)
    whole = large_packet(payload, mss, flags, sequence, identification, options)
    expected = segments(whole)
    complete = gso.segment(whole, CPU, checksum=True)
    assert [packet.frame() for packet in complete] == expected
    partial = gso.segment(whole, CPU, checksum=False)
    assert [complete_checksum(packet.frame(), packet) for packet in partial] == expected


def test_cwr_is_said_once() -> None:
    """RFC 3168 section 6.1.2."""
    whole = large_packet(bytes(3000), 1000, "CA", 1, 1, options=False)
    flags = [str(Ether(packet.frame())[TCP].flags) for packet in gso.segment(whole, CPU, checksum=True)]
    assert flags == ["AC", "A", "A"]


@pytest.mark.parametrize("size", [3000, 2501])
def test_ipv6(size: int) -> None:
    tcp = TCP(sport=80, dport=4000, seq=0xFFFFFF00, ack=7, flags="PA", chksum=0)
    payload = bytes(range(256)) * 12
    payload = payload[:size]
    head = bytearray(bytes(Ether() / IPv6(src="fe80::1", dst="fe80::2", nh=6, plen=20 + size) / tcp))
    addresses = sum(int.from_bytes(head[at : at + 2], "big") for at in range(22, 54, 2))
    head[70:72] = fold(addresses + 6 + 20 + size).to_bytes(2, "big")
    skb = SkBuff(payload, head=bytes(head))
    skb.ip_summed = IpSummed.PARTIAL
    skb.csum_start, skb.csum_offset = 54, 16
    skb.gso_size, skb.gso_segs, skb.gso_type = 1000, 3, GsoType.TCPV6
    arrived = b""
    for packet in gso.segment(skb, CPU, checksum=True):
        frame = Ether(packet.frame())
        remade = frame[IPv6].copy()
        del remade.plen
        del remade[TCP].chksum
        assert bytes(remade) == bytes(frame[IPv6])
        arrived += bytes(frame[TCP].payload)
    assert arrived == payload


def test_the_original_is_consumed_with_its_last_segment() -> None:
    consumed: list[SkBuff] = []
    whole = large_packet(bytes(3000), 1000, "A", 1, 1, options=False)
    whole.destructor = consumed.append
    first, second, third = gso.segment(whole, CPU, checksum=True)
    first.consume()
    second.consume()
    assert not consumed
    third.consume()
    assert consumed == [whole]


@pytest.mark.parametrize("loss", [0.0, 0.03])
def test_three_ways_put_the_same_on_the_wire_at_the_same_time(loss: float) -> None:
    """Cut by the device, by the stack, or never put together."""
    wires = []
    for features in (OFFLOADS, Features.GSO, Features.NONE):
        network = Network(seed=11, features=features)
        lost = Network(seed=5).engine.random
        network.wire.drop = lambda sender, frame, lost=lost: lost.random() < loss
        exchange(network, network.engine.random.randbytes(200_000))
        wires.append(network.wire.frames)
    assert wires[0] == wires[1] == wires[2]
