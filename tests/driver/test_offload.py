"""What the driver tells the device about a packet; scapy says what must come out on the wire."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from driver.offload import MAXIMUM_FRAME, plan_transmit
from hw.descriptors import TRANSMIT_CONTEXT
from stack.skbuff import GsoType, IpSummed, SkBuff
from tests.driver.behavioural_e1000 import ones_complement_sum, segment
from tests.driver.rig import Rig, frame, gso, partial, tcp_packet, udp_packet

TIMESTAMP = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]


def context_of(skb: SkBuff) -> dict[str, int]:
    context = plan_transmit(skb).context
    assert context is not None
    return TRANSMIT_CONTEXT.unpack(context)


def segments_by_scapy(packet: Packet, mss: int) -> list[bytes]:
    """The same stream of bytes, cut by hand and summed by scapy."""
    payload = bytes(packet[TCP].payload)
    pieces = [payload[i : i + mss] for i in range(0, len(payload), mss)]
    frames = []
    for number, piece in enumerate(pieces):
        cut = packet.copy()
        cut[TCP].remove_payload()
        cut[IP].id = (packet[IP].id + number) & 0xFFFF
        cut[TCP].seq = (packet[TCP].seq + number * mss) & 0xFFFFFFFF
        if number + 1 < len(pieces):
            cut[TCP].flags = int(packet[TCP].flags) & ~0x09
        del cut[IP].len, cut[IP].chksum, cut[TCP].chksum
        frames.append(bytes(cut / Raw(piece)))
    return frames


def test_no_offload() -> None:
    plan = plan_transmit(SkBuff(frame(100)))
    assert (plan.frame, plan.context, plan.mss, plan.segments) == (frame(100), None, 0, 1)
    assert (plan.wire_bytes, plan.octets) == (100, 104)


@pytest.mark.parametrize("size", [14, 20, 59, 60, 61])
def test_padding(size: int) -> None:
    data = frame(100)[:size]
    plan = plan_transmit(SkBuff(data))
    assert plan.frame == data + bytes(max(60 - size, 0))
    assert plan.octets == max(size, 60) + 4


def test_headers_and_payload_are_joined() -> None:
    skb = SkBuff(memoryview(frame(200))[14:], head=frame(200)[:14])
    assert plan_transmit(skb).frame == frame(200)


@pytest.mark.parametrize(
    ("packet", "start", "offset", "tcp"), [(tcp_packet(b"x"), 34, 50, 1), (udp_packet(b"x"), 34, 40, 0)]
)
def test_checksum_context(packet: Packet, start: int, offset: int, tcp: int) -> None:
    data, fields = partial(packet)
    context = context_of(SkBuff(data, **fields))
    expected = dict.fromkeys(context, 0) | {"tucss": start, "tucso": offset, "tcp": tcp, "dext": 1}
    assert context == expected


@pytest.mark.parametrize("options", [[], TIMESTAMP])
@pytest.mark.parametrize(
    ("size", "mss"), [(1, 1460), (1460, 1460), (1461, 1460), (2921, 1447), (64000, 1448), (65400, 536), (7, 3)]
)
def test_tso_context(size: int, mss: int, options: list[tuple[str, Any]]) -> None:
    data, fields = gso(tcp_packet(bytes(size), options=options), mss)
    skb = SkBuff(data, **fields)
    header = 54 + 12 * bool(options)
    assert context_of(skb) == {
        "ipcss": 14,
        "ipcso": 24,
        "ipcse": 33,
        "tucss": 34,
        "tucso": 50,
        "tucse": 0,
        "paylen": size,
        "dtyp": 0,
        "tcp": 1,
        "ip": 1,
        "tse": 1,
        "rs": 0,
        "dext": 1,
        "snap": 0,
        "ide": 0,
        "dd": 0,
        "hdrlen": header,
        "mss": mss,
    }
    plan = plan_transmit(skb)
    segments = -(-size // mss)
    assert plan.segments == segments
    assert plan.wire_bytes == size + segments * header
    assert plan.frame[16:18] == plan.frame[24:26] == bytes(2)
    # Of the pseudo-header, the length alone is left out.
    assert int.from_bytes(plan.frame[50:52], "big") == ones_complement_sum(data[26:34] + bytes([0, 6]))
    assert skb.frame() == data, "the packet itself is untouched: it may be sent again"


def test_tso_with_ip_options() -> None:
    packet = tcp_packet(bytes(3000))
    packet[IP].options = [b"\x01" * 8]
    data, fields = gso(packet, 1000)
    context = context_of(SkBuff(data, **fields))
    assert (context["ipcse"], context["tucss"], context["tucso"], context["hdrlen"]) == (41, 42, 58, 62)


@given(
    payload=st.binary(min_size=1, max_size=6000),
    mss=st.integers(min_value=3, max_value=9000),
    flags=st.integers(min_value=0, max_value=255),
    sequence=st.integers(min_value=0, max_value=2**32 - 1),
    timestamp=st.booleans(),
)
def test_tso_on_the_wire(payload: bytes, mss: int, flags: int, sequence: int, timestamp: bool) -> None:
    packet = tcp_packet(payload, seq=sequence, options=TIMESTAMP if timestamp else [])
    packet[TCP].flags = flags
    packet = Ether(bytes(packet))
    data, fields = gso(packet, mss)
    plan = plan_transmit(SkBuff(data, **fields))
    assert plan.context is not None
    frames = segment(TRANSMIT_CONTEXT.unpack(plan.context), plan.frame)
    assert frames == segments_by_scapy(packet, mss)
    assert plan.segments == len(frames)
    assert plan.wire_bytes == sum(len(item) for item in frames)
    assert plan.octets == sum(max(len(item), 60) + 4 for item in frames)


@pytest.mark.parametrize("packet", [tcp_packet(b"hello"), tcp_packet(bytes(1001)), udp_packet(b""), udp_packet(b"odd")])
def test_checksum_on_the_wire(packet: Packet) -> None:
    async def main() -> None:
        nic = await rig.up()
        data, fields = partial(packet)
        nic.queue_xmit(rig.skb(data, **fields))
        await rig.settled()
        expected = bytes(packet)
        assert rig.device.sent == [expected + bytes(max(60 - len(expected), 0))]

    rig = Rig()
    rig.run(main())


def _bad(**changes: Any) -> SkBuff:
    data, fields = gso(tcp_packet(bytes(3000)), 1460)
    return SkBuff(changes.pop("data", data), **(fields | changes))


def _with(offset: int, value: int) -> bytes:
    data = bytearray(_bad().frame())
    data[offset] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("skb", "message"),
    [
        (SkBuff(b""), "has a header of 14 bytes, this one 0"),
        (SkBuff(bytes(13)), "this one 13 bytes"),
        (SkBuff(bytes(MAXIMUM_FRAME + 1)), "at most 16288 bytes, not 16289"),
        (SkBuff(bytes(60), ip_summed=IpSummed.PARTIAL, csum_start=50, csum_offset=9), "50 . 9 lies outside of 60"),
        (SkBuff(bytes(600), ip_summed=IpSummed.PARTIAL, csum_start=250, csum_offset=16), "tucso takes 0..255, not 266"),
        (_bad(gso_type=GsoType.TCPV6), "only TCP over IPv4"),
        (_bad(gso_type=GsoType.NONE), "only TCP over IPv4"),
        (_bad(ip_summed=IpSummed.NONE), "only TCP over IPv4"),
        (_bad(data=_with(12, 0x86)), "only TCP over IPv4"),
        (_bad(data=_with(23, 17)), "only TCP over IPv4"),
        (_bad(data=_with(14, 0x44)), "does not follow an IPv4 header of 16"),
        (_bad(csum_start=38), "transport header at 38 does not follow"),
        (_bad(csum_offset=6), "no TCP header"),
        (_bad(data=_bad().frame()[:53]), "no TCP header at 34 of 53 bytes"),
        (_bad(data=_with(46, 0x40)), "a header of 50 bytes leaves no payload"),
        (_bad(data=_bad().frame()[:54]), "a header of 54 bytes leaves no payload in 54"),
        (_bad(data=_bad().frame() + bytes(62600)), "an IPv4 packet has at most 65535"),
        (_bad(gso_size=16235), "at most 16288 bytes, not 54 . 16235"),
    ],
)
def test_refused(skb: SkBuff, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan_transmit(skb)


def test_a_packet_that_cannot_be_sent_is_counted() -> None:
    async def main() -> None:
        nic = await rig.up()
        nic.queue_xmit(rig.skb(b""))
        nic.queue_xmit(rig.skb(frame(100)))
        await rig.settled()
        assert (nic.stats.tx_errors, nic.stats.tx_dropped, nic.stats.tx_packets) == (1, 1, 1)
        assert len(rig.consumed) == 2
        assert not nic.queue_stopped()

    rig = Rig()
    rig.run(main())


def test_udp_is_known_by_scapy() -> None:
    """The oracle itself: scapy's checksum of what the device sends is what the device sent."""
    data = bytes(udp_packet(b"abc"))
    again = Ether(data)
    del again[UDP].chksum
    assert bytes(again) == data
