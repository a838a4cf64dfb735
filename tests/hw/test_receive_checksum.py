"""Receive checksum offload: golden function against scapy, gateware against golden function."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import LLC, SNAP, Dot1Q, Dot3, Ether

from hw.mac.fcs import append_fcs
from hw.receive.checksum import ChecksumResult, ReceiveChecksum, receive_checksum
from tests.hw.frames import make_packet, spoil
from tests.hw.streams import words_of

LONGEST_PROCESSING = 10
"""Cycles after the last word, as the docstring promises."""


def by_scapy(frame: bytes) -> tuple[bool, bool, bool, bool]:
    """(ipcs, ipe, tcpcs, tcpe) of a well-formed frame: scapy computes each checksum anew and they are compared."""
    packet = Ether(frame)
    ip_checked = IP in packet
    layer = TCP if TCP in packet else UDP if UDP in packet else None
    fragment = ip_checked and (packet[IP].flags.MF or packet[IP].frag)
    fresh = packet.copy()
    if ip_checked:
        del fresh[IP].chksum
    if layer and not fragment:
        del fresh[layer].chksum
    fresh = Ether(bytes(fresh))
    ip_wrong = ip_checked and fresh[IP].chksum != packet[IP].chksum
    tcp_checked = layer is not None and not fragment
    return ip_checked, ip_wrong, tcp_checked, tcp_checked and fresh[layer].chksum != packet[layer].chksum


@pytest.mark.parametrize("seed", range(300))
def test_golden_against_scapy(seed: int) -> None:
    rng = random.Random(seed)
    frame = bytearray(bytes(make_packet(rng)))
    packet = Ether(bytes(frame))
    if seed % 3 == 1 and IP in packet:
        frame[14 + rng.choice((8, 10, 11, 13, 19))] ^= 1 << rng.randrange(8)  # leaves the packet's shape alone
    elif seed % 3 == 2 and (TCP in packet or UDP in packet) and IPv6 not in packet:
        frame[14 + 4 * packet[IP].ihl + rng.choice((0, 1, 2, 3))] ^= 1 << rng.randrange(8)
    padded = append_fcs(bytes(frame).ljust(60, b"\xaa"))
    ipcs, ipe, tcpcs, tcpe = by_scapy(bytes(frame))
    result = receive_checksum(padded, pcss=14)
    assert (result.ipcs, result.ipe, result.tcpcs, result.tcpe) == (ipcs, ipe, tcpcs, tcpe)
    assert result.ixsm == (not ipcs and not tcpcs)


def test_golden_by_hand() -> None:
    """The published example of RFC 1071 section 3, and what must not be claimed."""
    example = bytes.fromhex("0001f203f4f5f6f7")
    assert receive_checksum(example).checksum == 0xDDF2
    assert receive_checksum(b"\xff" + example, pcss=1).checksum == 0xDDF2
    assert receive_checksum(example + b"fcs!", strip_crc=True).checksum == 0xDDF2
    datagram = Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / b"hello"
    nothing = ChecksumResult(checksum=0)

    def flags(packet: Any, **options: Any) -> ChecksumResult:
        return replace(receive_checksum(append_fcs(bytes(packet)), **options), checksum=0)

    both = replace(nothing, ipcs=True, tcpcs=True, ixsm=False)
    assert flags(datagram) == both
    assert flags(datagram, ip_offload=False) == replace(both, ipcs=False)
    assert flags(datagram, tcp_offload=False) == replace(both, tcpcs=False)
    assert flags(datagram, ip_offload=False, tcp_offload=False) == nothing
    without = datagram.copy()
    without[UDP].chksum = 0
    assert flags(without) == replace(both, tcpcs=False)
    longer = datagram.copy()
    longer[UDP].len = 12
    assert flags(longer) == replace(both, tcpcs=False)
    assert receive_checksum(append_fcs(bytes(datagram))[:-1]).ixsm  # one byte short


VET = 0x8100
WRAPPINGS = ("", "", "tag", "tag", "snap", "tag snap", "tag tag", "snap tag", "tag snap snap")


def wrap(frame: bytes, wrapping: str) -> bytes:
    """A frame with VLAN tags and SNAP headers between the addresses and the type."""
    addresses, rest = frame[:12], frame[12:]
    for layer in reversed(wrapping.split()):
        if layer == "tag":
            rest = VET.to_bytes(2, "big") + bytes.fromhex("6123") + rest
        else:
            rest = min(len(rest) + 6, 1500).to_bytes(2, "big") + bytes.fromhex("aaaa03000000") + rest
    return addresses + rest


@pytest.mark.parametrize("wrapping", ["tag", "snap", "tag snap"])
@pytest.mark.parametrize("seed", range(20))
def test_wrapped_golden(wrapping: str, seed: int) -> None:
    """What is found in a frame (against scapy, see above) is found behind a tag and SNAP, too, as scapy makes them."""
    packet = make_packet(random.Random(seed))
    plain = bytes(packet)
    inner = packet.payload
    ether = Ether(src=packet.src, dst=packet.dst, type=VET if "tag" in wrapping else None)
    number = int.from_bytes(plain[12:14], "big")
    snap = LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=number) / inner
    if wrapping == "tag":
        wrapped = bytes(ether / Dot1Q(vlan=0x123, prio=3, type=number) / inner)
    elif wrapping == "snap":
        wrapped = bytes(Dot3(src=packet.src, dst=packet.dst) / snap)
    else:
        wrapped = bytes(ether / Dot1Q(vlan=0x123, prio=3, type=len(snap)) / snap)
    assert wrapped == wrap(plain, wrapping)
    expected = replace(receive_checksum(append_fcs(plain)), checksum=0)
    assert replace(receive_checksum(append_fcs(wrapped), vet=VET), checksum=0) == expected


def test_not_looked_behind() -> None:
    """A second tag, a tag of another type, SNAP of another organisation, an Ethernet type in front of LLC."""
    plain = bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=1, dport=2) / b"hello")
    snap = wrap(plain, "snap")
    assert receive_checksum(append_fcs(snap)).tcpcs
    for frame, vet in (
        (wrap(plain, "tag tag"), VET),
        (wrap(plain, "tag"), 0x9100),
        (wrap(plain, "tag"), 0),
        (snap[:19] + b"\x01" + snap[20:], VET),
        (snap[:16] + b"\x07" + snap[17:], VET),
        (snap[:12] + b"\x06\x00" + snap[14:], VET),
    ):
        assert receive_checksum(append_fcs(frame), vet=vet).ixsm
        BENCH.check([(append_fcs(frame), CHECK_ALL | {"vet": vet}, random.Random(1))])


def test_strip_and_packet_checksum() -> None:
    """The packet checksum is of what is stored: PCSS counts behind the tag that was taken out."""
    tagged = append_fcs(wrap(bytes(range(100)), "tag"))
    without = tagged[:12] + tagged[16:]
    for pcss in (0, 11, 12, 13, 14, 40):
        options = {"pcss": pcss, "strip_tag": True, "vet": VET}
        assert receive_checksum(tagged, **options).checksum == receive_checksum(without, pcss=pcss).checksum
        assert receive_checksum(tagged, **options | {"strip_tag": False}).checksum == (
            receive_checksum(tagged, pcss=pcss).checksum
        )
        BENCH.check([(tagged, CHECK_ALL | options, random.Random(1))])


class Bench:
    """Runs frames through one ``ReceiveChecksum``."""

    def __init__(self) -> None:
        self.dut = ReceiveChecksum()
        self.simulator = Simulator(self.dut)
        self.simulator.add_clock(8e-9)
        self.used = False
        self.simulator.add_testbench(self._run)  # resetting the simulator starts it anew
        self.work: list[tuple[bytes, dict[str, Any], random.Random]] = []
        self.results: list[ChecksumResult] = []

    async def _run(self, context: Any) -> None:
        dut = self.dut
        for frame, options, rng in self.work:
            for name, value in options.items():
                context.set(getattr(dut, name), value)
            for data, count, last in words_of(frame):
                await context.tick().repeat(rng.choice((1, 1, 2)))
                context.set(dut.words.payload.data, data)
                context.set(dut.words.payload.count, count)
                context.set(dut.words.payload.last, last)
                context.set(dut.words.valid, 1)
                cycles = 0
                while not context.get(dut.words.ready):
                    await context.tick()
                    cycles += 1
                assert cycles == 3
                await context.tick()
                context.set(dut.words.valid, 0)
            for _ in range(LONGEST_PROCESSING):
                assert not context.get(dut.done)
                await context.tick()
                if context.get(dut.done):
                    break
            assert context.get(dut.done)
            result = context.get(dut.result)
            flags = {name: bool(result[name]) for name in ("ipcs", "ipe", "tcpcs", "tcpe", "ixsm")}
            self.results.append(ChecksumResult(checksum=result.checksum, **flags))

    def check(self, work: list[tuple[bytes, dict[str, Any], random.Random]]) -> None:
        self.work, self.results = work, []
        if self.used:
            self.simulator.reset()
        self.used = True
        self.simulator.run()
        for (frame, options, _), result in zip(work, self.results, strict=True):
            assert result == receive_checksum(frame, **options), (frame.hex(), options)


@st.composite
def work(draw: st.DrawFn) -> tuple[bytes, dict[str, Any], random.Random]:
    rng = random.Random(draw(st.integers(0, 1 << 32)))
    options = {
        "pcss": draw(st.sampled_from((0, 1, 13, 14, 34, 35, 59, 254, 255))),
        "ip_offload": draw(st.integers(0, 7)) > 0,
        "tcp_offload": draw(st.integers(0, 7)) > 0,
        "strip_crc": draw(st.booleans()),
        "strip_tag": draw(st.booleans()),
        "vet": draw(st.sampled_from((VET, VET, 0, 0x0800))),
    }
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(min_size=1, max_size=80)), options, rng
    frame = spoil(rng, wrap(bytes(make_packet(rng)), draw(st.sampled_from(WRAPPINGS))))
    return frame[: draw(st.sampled_from((len(frame), len(frame), rng.randrange(1, 40))))], options, rng


BENCH = Bench()
CHECK_ALL = {"pcss": 0, "ip_offload": True, "tcp_offload": True, "strip_crc": False, "strip_tag": False, "vet": 0}


@settings(max_examples=30)
@given(st.lists(work(), min_size=8, max_size=20))
def test_gateware_against_golden(frames: list[tuple[bytes, dict[str, Any], random.Random]]) -> None:
    BENCH.check(frames)


def frames_of_interest() -> Iterator[bytes]:
    """Every length field from nothing to beyond the frame, for TCP and UDP over both IP versions."""
    for transport in (TCP(), UDP()):
        for network in (IP(src="1.2.3.4", dst="5.6.7.8"), IPv6(src="fd00::1", dst="fd00::2")):
            good = bytes(Ether() / network / transport / b"abcde")
            for value in (*range(70), 255, 256, 65495, 65496, 65535):
                bad = bytearray(good)
                place = 16 if IP in network else 18
                bad[place : place + 2] = value.to_bytes(2, "big")
                yield append_fcs(bytes(bad).ljust(60, b"\0"))


@pytest.mark.slow
def test_every_length_field() -> None:
    BENCH.check([(frame, CHECK_ALL, random.Random(1)) for frame in frames_of_interest()])


@pytest.mark.slow
def test_udp_without_checksum() -> None:
    """Neither 0 (no checksum) nor FFFF (a sum of 0) is taken for the other, over both IP versions."""
    frames = []
    for network in (IP(src="1.2.3.4", dst="5.6.7.8"), IPv6(src="fd00::1", dst="fd00::2")):
        for checksum in (0, 0xFFFF, None):
            good = bytes(Ether() / network / UDP(chksum=checksum) / b"abcde")
            frames.append(append_fcs(good.ljust(60, b"\0")))
    assert [receive_checksum(frame).tcpcs for frame in frames] == [False, True, True] * 2
    BENCH.check([(frame, CHECK_ALL, random.Random(1)) for frame in frames])


def test_many_frames() -> None:
    rng = random.Random(7)
    frames = [spoil(rng, bytes(make_packet(rng))) for _ in range(400)]
    results = [receive_checksum(frame) for frame in frames]
    for name in ("ipcs", "ipe", "tcpcs", "tcpe", "ixsm"):
        assert 10 < sum(getattr(result, name) for result in results) < 390, name
    BENCH.check([(frame, CHECK_ALL | {"pcss": rng.randrange(70)}, rng) for frame in frames])


def test_every_header_length() -> None:
    frames = []
    for ihl in range(16):
        for version in (4, 5, 6):
            header = bytes(IP(src="1.2.3.4", dst="5.6.7.8", proto=17, len=78, chksum=0))
            packet = bytes([version << 4 | ihl]) + header[1:] + random.Random(ihl).randbytes(58)
            frames.append(append_fcs(bytes(Ether(type=0x0800)) + packet))
    BENCH.check([(frame, CHECK_ALL, random.Random(1)) for frame in frames])
