"""Captures that are read: what was written comes back, whoever wrote it, and damage is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter, PcapWriter

from sim.capture_file import read_capture
from sim.errors import UserError
from sim.pcapng import PcapngWriter

FRAMES = [bytes([number]) * (60 + number) for number in range(5)]


@pytest.mark.parametrize("nano", [True, False])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_pcap_of_either_byte_order_and_resolution(tmp_path: Path, nano: bool, endianness: str) -> None:
    path = tmp_path / "capture.pcap"
    with PcapWriter(str(path), linktype=1, nano=nano, endianness=endianness) as writer:
        for number, frame in enumerate(FRAMES):
            packet = Ether(frame)
            packet.time = 1000 + number / 1000
            writer.write(packet)
    packets = read_capture(path)
    assert [packet.data for packet in packets] == FRAMES
    assert [packet.time - packets[0].time for packet in packets] == [number * 1_000_000 for number in range(5)]


def test_pcapng_of_another_writer(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcapng"
    with PcapNgWriter(str(path)) as writer:
        for frame in FRAMES:
            packet = Ether(frame)
            packet.time = 12.5
            writer.write(packet)
    packets = read_capture(path)
    assert [packet.data for packet in packets] == FRAMES
    assert {packet.time for packet in packets} == {12_500_000_000}


@given(st.lists(st.tuples(st.integers(0, 2**62), st.binary(max_size=100)), max_size=8))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, frames: list[tuple[int, bytes]]) -> None:
    path = tmp_path_factory.mktemp("capture") / "capture.pcapng"
    with PcapngWriter(path, interface="eth0") as writer:
        for time, frame in frames:
            writer.write(time, frame, "a comment")
    packets = read_capture(path)
    assert [packet.data for packet in packets] == [frame for _, frame in frames]
    assert all(abs(packet.time - time) <= time * 1e-9 for packet, (time, _) in zip(packets, frames, strict=True))


@given(st.data())
def test_damage_is_one_line_or_other_frames(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("damage") / "capture.pcapng"
    with PcapngWriter(path, interface="eth0") as writer:
        for frame in FRAMES:
            writer.write(7, frame)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    told = str(path)
    try:
        read_capture(path)
    except UserError as error:
        told = str(error)
    assert told.startswith(str(path))
    assert "\n" not in told


def test_a_cut_file_says_where(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcapng"
    with PcapngWriter(path, interface="eth0") as writer:
        writer.write(0, FRAMES[0])
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(UserError, match=r"is damaged at byte \d+: a block of \d+ bytes does not fit into the file"):
        read_capture(path)


def test_other_link_types_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap"
    with PcapWriter(str(path), linktype=101) as writer:
        writer.write(Ether(FRAMES[0]))
    with pytest.raises(UserError, match=r"link type 101; Ethernet \(1\)"):
        read_capture(path)
