"""The golden functions of segmentation and checksum insertion, against frames that scapy builds."""

import socket
import struct
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet as ScapyPacket

from hw.transmit.buffer import TransmitBuffer
from hw.transmit.checksum import insert_checksums
from hw.transmit.gather import Context, PacketOptions
from hw.transmit.request import TransmitRequester
from hw.transmit.segment import segment

TSO = PacketOptions(tse=1, ixsm=1, txsm=1)


@st.composite
def headers(draw: st.DrawFn) -> ScapyPacket:
    """Ethernet, perhaps a VLAN tag, IPv4 (perhaps with options) or IPv6, TCP (perhaps with options) or UDP."""
    packet = Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02")
    if draw(st.booleans()):
        packet /= Dot1Q(vlan=draw(st.integers(0, 4095)))
    address = st.integers(1, (1 << 32) - 1).map(lambda number: socket.inet_ntoa(struct.pack(">I", number)))
    address6 = st.binary(min_size=16, max_size=16).map(lambda raw: socket.inet_ntop(socket.AF_INET6, raw))
    if draw(st.booleans()):
        options = draw(st.sampled_from([b"", b"\x01\x01\x01\x00", b"\x94\x04\x00\x00"]))
        packet /= IP(src=draw(address), dst=draw(address), id=draw(st.integers(0, 0xFFFF)), options=options)
    else:
        packet /= IPv6(src=draw(address6), dst=draw(address6))
    ports = {"sport": draw(st.integers(0, 0xFFFF)), "dport": draw(st.integers(0, 0xFFFF))}
    if draw(st.booleans()):
        options = draw(st.sampled_from([[], [("Timestamp", (1, 2))], [("NOP", None), ("NOP", None), ("SAckOK", b"")]]))
        sequence = draw(st.one_of(st.integers(0xFFFFFF00, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF)))
        packet /= TCP(**ports, seq=sequence, ack=7, flags=draw(st.integers(0, 0x1FF)), options=options)
    else:
        packet /= UDP(**ports)
    return packet


def layout(header: ScapyPacket) -> Context:
    """The context that a driver makes for packets with this header."""
    ip = header[IP] if IP in header else header[IPv6]
    transport = header[TCP] if TCP in header else header[UDP]
    ipcss = len(header) - len(ip)
    tucss = len(header) - len(transport)
    return Context(
        ipcss=ipcss,
        ipcso=ipcss + 10,
        ipcse=tucss - 1,
        tucss=tucss,
        tucso=tucss + (16 if TCP in header else 6),
        hdrlen=len(header),
        tcp=int(TCP in header),
        ip=int(IP in header),
    )


def pseudo_header_sum(header: ScapyPacket, length: int) -> int:
    """RFC 9293 section 3.1, RFC 768, RFC 8200 section 8.1: what a driver leaves in the checksum field."""
    protocol = 6 if TCP in header else 17
    if IP in header:
        addresses = socket.inet_aton(header[IP].src) + socket.inet_aton(header[IP].dst)
    else:
        addresses = b"".join(socket.inet_pton(socket.AF_INET6, text) for text in (header[IPv6].src, header[IPv6].dst))
    total = sum(word for (word,) in struct.iter_unpack(">H", addresses)) + protocol + length
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def store(frame: bytes, offset: int, value: int) -> bytes:
    return frame[:offset] + value.to_bytes(2, "big") + frame[offset + 2 :]


def as_driver_gives_it(header: ScapyPacket, payload: bytes) -> tuple[Context, bytes]:
    """A packet to segment: lengths and checksums 0, but for the pseudo-header sum with a length of 0."""
    context = layout(header)
    raw = store(bytes(header / payload), context.tucso, pseudo_header_sum(header, 0))
    raw = store(store(raw, context.ipcss + 2, 0), context.ipcso, 0) if context.ip else store(raw, context.ipcss + 4, 0)
    if not context.tcp:
        raw = store(raw, context.tucss + 4, 0)
    return context, raw


@given(headers(), st.binary(max_size=700), st.integers(1, 300))
def test_segments_are_those_of_scapy(header: ScapyPacket, payload: bytes, mss: int) -> None:
    context, raw = as_driver_gives_it(header, payload)
    context = replace(context, mss=mss, paylen=len(payload))
    options = replace(TSO, ixsm=context.ip)
    pieces = [payload[start : start + mss] for start in range(0, len(payload), mss)] or [b""]
    wanted = []
    for n, piece in enumerate(pieces):
        frame = header.copy()
        if IP in frame:
            frame[IP].id = (frame[IP].id + n) % 0x10000
        if TCP in frame:
            frame[TCP].seq = (frame[TCP].seq + n * mss) % (1 << 32)
            if n < len(pieces) - 1:
                frame[TCP].flags &= ~0x09
        wanted.append(bytes(frame / piece))
    assert segment(context, options, raw) == wanted


@given(headers(), st.binary(min_size=1, max_size=500), st.integers(1, 200), st.integers(1, 500))
def test_packet_that_ends_early_gives_only_whole_frames(
    header: ScapyPacket, payload: bytes, mss: int, missing: int
) -> None:
    context, raw = as_driver_gives_it(header, payload)
    context = replace(context, mss=mss, paylen=len(payload))
    whole = segment(context, TSO, raw)
    missing = min(missing, len(payload))
    complete = (len(payload) - missing) // mss
    assert segment(context, TSO, raw[:-missing]) == whole[:complete]


@given(headers(), st.binary(max_size=500), st.integers(1, 200), st.binary(min_size=1, max_size=300))
def test_bytes_beyond_paylen_are_dropped(header: ScapyPacket, payload: bytes, mss: int, more: bytes) -> None:
    context, raw = as_driver_gives_it(header, payload)
    context = replace(context, mss=mss, paylen=len(payload))
    assert segment(context, TSO, raw + more) == segment(context, TSO, raw)


@given(headers(), st.binary(max_size=100), st.sampled_from([{"mss": 0}, {"hdrlen": 0}, {"hdrlen": 241}]))
def test_bad_contexts_send_nothing(header: ScapyPacket, payload: bytes, bad: dict[str, int]) -> None:
    context, raw = as_driver_gives_it(header, payload + bytes(300))
    context = replace(context, mss=100, paylen=len(payload) + 300)
    assert segment(context, TSO, raw)
    assert segment(replace(context, **bad), TSO, raw) == []


@given(headers(), st.binary(max_size=300))
def test_single_packets_are_those_of_scapy(header: ScapyPacket, payload: bytes) -> None:
    """Without segmentation: the driver leaves the pseudo-header sum with its length in the field."""
    context = layout(header)
    wanted = bytes(header / payload)
    seed = pseudo_header_sum(header, len(wanted) - context.tucss)
    raw = store(wanted, context.tucso, seed)
    if context.ip:
        raw = store(raw, context.ipcso, 0)
    assert segment(context, PacketOptions(ixsm=context.ip, txsm=1), raw) == [wanted]
    # The legacy descriptor does the same for TCP and UDP alike, but knows not which it is: 0 becomes FFFF.
    assume(wanted[context.tucso : context.tucso + 2] != b"\0\0")
    raw = store(wanted, context.tucso, seed)
    assert segment(Context(), PacketOptions(legacy=1, ic=1, css=context.tucss, cso=context.tucso), raw) == [wanted]


@pytest.mark.parametrize("tcp", [False, True])
def test_checksum_of_zero(tcp: bool) -> None:
    """RFC 768: UDP sends a computed 0 as FFFF; TCP sends 0."""
    header = Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / (TCP() if tcp else UDP())
    context = layout(header)
    place = slice(context.tucso, context.tucso + 2)
    completion = bytes(header / b"\0\0")[place]
    wanted = bytes(header / completion)
    assert wanted[place] == (b"\0\0" if tcp else b"\xff\xff")
    raw = store(wanted, context.tucso, pseudo_header_sum(header, len(wanted) - context.tucss))
    assert segment(context, PacketOptions(txsm=1), raw) == [wanted]


@pytest.mark.parametrize(
    ("css", "cso", "inserted"), [(0, 58, True), (0, 59, False), (59, 0, True), (60, 0, False), (0, 60, False)]
)
def test_range_of_legacy_insertion(css: int, cso: int, inserted: bool) -> None:
    """Manual 3.3.3.2: ignored if CSS >= length or CSO >= length - 1."""
    frame = bytes(range(1, 61))
    result = insert_checksums(Context(), PacketOptions(legacy=1, ic=1, css=css, cso=cso), frame)
    assert (result != frame) == inserted


def test_packets_out_of_range_send_nothing() -> None:
    assert segment(Context(), PacketOptions(), b"") == []
    assert len(segment(Context(), PacketOptions(), bytes(16288))) == 1
    assert segment(Context(), PacketOptions(), bytes(16289)) == []


@pytest.mark.parametrize(
    ("component", "name", "value"),
    [
        (TransmitRequester, "data_words", 127),
        (TransmitRequester, "items", 1),
        (TransmitBuffer, "words", 100),
        (TransmitBuffer, "words", 4),
        (TransmitBuffer, "packets", 1),
    ],
)
def test_bad_arguments_are_quoted(component: type, name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name}.* not {value}"):
        component(**{name: value})
