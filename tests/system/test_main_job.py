"""The main job at small size: a file through every layer and the Verilated NIC, and what the capture shows of it."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import RawPcapNgReader

from sim.errors import RunFailedError
from sim.experiment import Experiment
from sim.results import RunResult
from sim.runner import run_all

pytestmark = pytest.mark.rtl

MTU = 1500
CONTENT = bytes((7 * index + index // 251) % 256 for index in range(40_001))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


def _run(folder: Path, **settings: object) -> RunResult:
    settings = {"interrupt_throttle_rate": 3, "offloads": True, **settings}
    return run_all([Experiment(**settings)], folder=folder)[0]  # type: ignore[arg-type]


def _frames(capture: Path) -> list[Ether]:
    return [Ether(data) for data, _ in RawPcapNgReader(str(capture))]


def _assert_checksums_good(frame: Ether) -> None:
    """What scapy computes for the packet's checksums is what stands in it."""
    packet = frame[IP]
    claimed = (packet.chksum, packet[TCP].chksum)
    length = packet.len
    del packet.chksum, packet[TCP].chksum
    again = IP(bytes(packet)[:length])
    assert claimed == (again.chksum, again[TCP].chksum)


@pytest.mark.parametrize(("mode", "offloads"), [(3, True), (0, False), (8000, True)])
def test_a_file_crosses_both_ways_and_the_wire_is_clean(tmp_path: Path, file: Path, mode: int, offloads: bool) -> None:
    row = _run(tmp_path, file=file, interrupt_throttle_rate=mode, offloads=offloads)
    assert row.file_bytes == len(CONTENT)
    assert 300e6 < row.send_goodput < 1e9
    assert row.retransmissions == 0
    assert (row.tso_segments > 0) == offloads
    for shares in (row.send_cpu, row.receive_cpu):
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) >= 0
        assert (shares["checksum"] > 0) == (not offloads)
    frames = _frames(tmp_path / row.name / "capture.pcapng")
    assert len(frames) == row.frames_sent + row.frames_received
    assert all(60 <= len(frame) <= 14 + MTU for frame in frames)
    segments = [frame for frame in frames if TCP in frame]
    assert len(segments) == sum(ARP not in frame for frame in frames)
    for frame in segments:
        _assert_checksums_good(frame)
    for source in ("192.0.2.1", "192.0.2.2"):
        carried = sum(frame[IP].len - 20 - 4 * frame[TCP].dataofs for frame in segments if frame[IP].src == source)
        assert carried == 32 + 8 + len(CONTENT)


def test_tshark_finds_no_fault_in_the_capture(tmp_path: Path, file: Path) -> None:
    """An expert that is not ours: no bad checksum, no retransmission, nothing malformed."""
    row = _run(tmp_path, file=file)
    preferences = [f"-o{name}.check_checksum:TRUE" for name in ("ip", "tcp")]
    faults = (
        "ip.checksum.status == Bad || tcp.checksum.status == Bad || eth.fcs.status == Bad || _ws.malformed "
        "|| tcp.analysis.retransmission || tcp.analysis.lost_segment || frame.len > 1514"
    )
    capture = str(tmp_path / row.name / "capture.pcapng")
    command = ["tshark", "-r", capture, *preferences]
    found = subprocess.run([*command, "-Y", faults], capture_output=True, text=True, check=True)
    assert found.stdout == ""
    everything = subprocess.run([*command, "-Y", "tcp"], capture_output=True, text=True, check=True)
    assert len(everything.stdout.splitlines()) > 2 * len(CONTENT) // 1460


def test_the_same_seed_gives_the_same_run(tmp_path: Path, file: Path) -> None:
    rows, captures = [], []
    for name in ("first", "second"):
        row = _run(tmp_path / name, file=file, interrupt_throttle_rate=1, loss=0.02, corruption=0.02)
        content = asdict(row)
        for measured in ("wall_time", "cycles_per_second"):
            del content[measured]
        rows.append(content)
        captures.append((tmp_path / name / row.name / "capture.pcapng").read_bytes())
    assert rows[0] == rows[1]
    assert captures[0] == captures[1]
    assert rows[0]["retransmissions"] > 0


def test_an_empty_file_is_a_transfer_of_no_bytes(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    row = _run(tmp_path, file=empty, interrupt_throttle_rate=0)
    assert row.file_bytes == 0
    assert row.sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_run_that_cannot_end_in_time_fails_with_one_line(tmp_path: Path, file: Path) -> None:
    with pytest.raises(RunFailedError, match=r"itr-3-offloads-on: no end after 0\.001 s of simulated time") as failure:
        _run(tmp_path, file=file, time_limit=1_000_000)
    assert "\n" not in str(failure.value)
    assert not (tmp_path / "itr-3-offloads-on" / "result.json").exists()


def test_the_row_is_what_the_folder_holds(tmp_path: Path, file: Path) -> None:
    row = _run(tmp_path, file=file)
    stored = json.loads((tmp_path / row.name / "result.json").read_text())
    assert stored["sha256"] == row.sha256
    assert int((tmp_path / row.name / "progress").read_text()) == 2 * len(CONTENT)
