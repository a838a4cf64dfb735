"""Captures, read back by scapy."""

from pathlib import Path

from scapy.utils import RawPcapNgReader

from sim.capture import Capture
from sim.engine import EventEngine
from sim.pcapng import PcapngWriter
from sim.wire import Link


def _read(path: Path) -> list[tuple[int, bytes]]:
    packets = []
    for data, meta in RawPcapNgReader(str(path)):
        assert meta.tsresol == 1_000_000_000
        packets.append((meta.tshigh << 32 | meta.tslow, data))
    return packets


def test_times_to_the_nanosecond_and_frames_of_any_length(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcapng"
    frames = [(time, bytes(range(length))) for time, length in ((0, 60), (1, 61), (2**32 + 5, 63), (10**18, 62))]
    with PcapngWriter(path, interface="wire") as writer:
        for time, frame in frames:
            writer.write(time, frame, comment="a comment" if time == 1 else "")
    assert _read(path) == frames


def test_a_capture_is_in_the_order_of_starts_and_has_no_fcs(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcapng"
    env = EventEngine(seed=1)
    link = Link(env)
    capture = Capture(path, interface="wire")
    for start, letter in ((5000, b"b"), (1000, b"a"), (3_000_000, b"d"), (2_500_000, b"c")):
        capture(link.a_to_b, start, letter * 60 + b"fcs!")
    capture.close()
    assert _read(path) == [(1000, b"a" * 60), (5000, b"b" * 60), (2_500_000, b"c" * 60), (3_000_000, b"d" * 60)]
