"""What the model remembers or makes anew of received frames is what the golden functions of the gateware say."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether

from hw.mac.fcs import append_fcs
from hw.receive.checksum import receive_checksum
from hw.receive.filter import FilterSettings
from sim.model.receive_checksum import checksums
from sim.model.receive_filter import ReceiveFilter
from tests.hw.frames import make_packet

_STATION = bytes.fromhex("020000000001")
_FLAGS = ("bam", "mpe", "upe", "lpe", "sbp", "vfe", "cfien", "cfi", "dpf", "pmcf")


_PLACES = (12, 13, 14, 16, 17, 18, 19, 20, 21, 23, 40, 41)
"""Bytes that decide: type, version and length of the header, total or payload length, fragment, protocol, checksum."""


@st.composite
def _frames(draw: st.DrawFn) -> bytes:
    """Of IP, changed in a few bytes and cut anywhere, or of any bytes."""
    if draw(st.integers(0, 3)) == 0:
        return append_fcs(draw(st.binary(min_size=0, max_size=80)))
    frame = bytearray(bytes(make_packet(random.Random(draw(st.integers(0, 10_000))))))
    if draw(st.booleans()):
        frame[40:42] = bytes(2)
    octets = st.one_of(st.integers(0, 255), st.sampled_from((0, 0x41, 0x44, 0x46, 0x60, 6, 17)))
    for place, octet in draw(st.lists(st.tuples(st.sampled_from(_PLACES), octets), max_size=2)):
        if place < len(frame):
            frame[place] = octet
    cut = draw(st.one_of(st.just(len(frame)), st.integers(0, len(frame))))
    return append_fcs(bytes(frame[:cut]).ljust(draw(st.sampled_from((0, 60))), b"\xaa"))


@settings(max_examples=600)
@given(
    frame=_frames(),
    pcss=st.sampled_from((0, 14, 33, 200)),
    ip_offload=st.booleans(),
    tcp_offload=st.booleans(),
    strip_crc=st.booleans(),
    strip_tag=st.booleans(),
    vet=st.sampled_from((0, 0x8100, 0x0800)),
)
def test_checksums(
    frame: bytes, pcss: int, ip_offload: bool, tcp_offload: bool, strip_crc: bool, strip_tag: bool, vet: int
) -> None:
    options = {
        "pcss": pcss,
        "ip_offload": ip_offload,
        "tcp_offload": tcp_offload,
        "strip_crc": strip_crc,
        "strip_tag": strip_tag,
        "vet": vet,
    }
    golden = receive_checksum(frame, **options)
    assert checksums(frame, **options) == (golden.checksum, golden.ipcs, golden.ipe, golden.tcpcs, golden.tcpe)


def test_checksums_of_good_packets() -> None:
    """Such as any random one would hardly be."""
    for layers in (IP() / TCP(), IP() / UDP() / b"abc", IPv6() / TCP() / b"abc", IPv6() / UDP() / b"ab"):
        for packet in (Ether(dst="02:00:00:00:00:01") / layers, Ether() / Dot1Q(vlan=5) / layers):
            frame = append_fcs(bytes(packet).ljust(60, b"\0"))
            *_, ipcs, ipe, tcpcs, tcpe = checksums(
                frame, pcss=0, ip_offload=True, tcp_offload=True, strip_crc=False, strip_tag=False, vet=0x8100
            )
            assert (ipcs, ipe, tcpcs, tcpe) == (IP in packet, False, True, False)


def test_any_version_and_length_of_the_header() -> None:
    """Of those with too short a header nothing is claimed."""
    options = {"ip_offload": True, "tcp_offload": True, "strip_crc": False, "strip_tag": False, "vet": 0}
    for octet in range(256):
        frame = bytearray(bytes(Ether() / IP() / TCP() / bytes(60)))
        frame[14] = octet
        golden = receive_checksum(append_fcs(bytes(frame)), pcss=0, **options)
        made = checksums(append_fcs(bytes(frame)), pcss=0, **options)
        assert made == (golden.checksum, golden.ipcs, golden.ipe, golden.tcpcs, golden.tcpe)


@settings(max_examples=300)
@given(
    frames=st.lists(
        st.tuples(
            st.sampled_from((_STATION, bytes.fromhex("0180c2000001"), b"\xff" * 6)),
            st.sampled_from((b"\x88\x08", b"\x81\x00", b"\x08\x00")),
            st.sampled_from((b"\x00\x01\x00\x00", b"\x00\x01\x00\x09", b"\x00\x05\x80\x00", b"\x10\x05\x00\x00")),
            st.sampled_from((60, 60, 1519)),
        ),
        min_size=2,
        max_size=12,
    ),
    flags=st.lists(st.booleans(), min_size=len(_FLAGS), max_size=len(_FLAGS)),
    vet=st.sampled_from((0, 0x8100)),
    fct=st.sampled_from((0, 0x8808)),
)
def test_filter_remembers_what_it_said(
    frames: list[tuple[bytes, bytes, bytes, int]], flags: list[bool], vet: int, fct: int
) -> None:
    settings = FilterSettings(
        rctl={"mo": 0, "en": 1} | dict(zip(_FLAGS, map(int, flags), strict=True)),
        table=[(_STATION, 0, True)],
        vlan=(1 << 5, *(0,) * 127),
        vet=vet,
        rfce=True,
        fct=fct,
        fca=bytes.fromhex("0180c2000001"),
    )
    remembering = ReceiveFilter(settings)
    for destination, kind, rest, length in frames:
        frame = append_fcs((destination + bytes.fromhex("020000000002") + kind + rest).ljust(length, b"\0"))
        assert remembering.judge(frame, crc_error=False) == ReceiveFilter(settings).judge(frame, crc_error=False)
