"""The main job at small size: a file through every layer and the Verilated NIC, and what the capture shows of it."""

import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import RawPcapNgReader

from sim.errors import RunFailedError
from sim.outputs import Outputs
from sim.results import Row
from sim.rtl.launch import simulate
from sim.run import Run

pytestmark = pytest.mark.rtl

MTU = 1500
CONTENT = bytes((7 * index + index // 251) % 256 for index in range(40_001))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


@dataclass
class _Result:
    """The rows by phase."""

    send: Row
    receive: Row
    trips: Row


def _run(folder: Path, *, file: Path, mode: int = 3, offloads: bool = True, **settings: Any) -> _Result:
    folder.mkdir(exist_ok=True)
    run = Run.model_validate(
        {
            "workload": {"kind": "file", "file": file},
            "driver": {"interrupt_throttle_rate": mode, "offloads": offloads},
            **settings,
        }
    )
    rows = {row.phase: row for row in simulate(run, folder, Outputs(capture=True))}
    return _Result(rows["send"], rows["receive"], rows["round trip"])


def _frames(capture: Path) -> list[Ether]:
    return [Ether(data) for data, _ in RawPcapNgReader(str(capture))]


def _checksums_are_good(frame: Ether) -> bool:
    """Whether what scapy computes for the packet's checksums is what stands in it."""
    packet = frame[IP]
    claimed = (packet.chksum, packet[TCP].chksum)
    length = packet.len
    del packet.chksum, packet[TCP].chksum
    again = IP(bytes(packet)[:length])
    return claimed == (again.chksum, again[TCP].chksum)


@pytest.mark.parametrize(("mode", "offloads"), [(3, True), (0, False), (8000, True)])
def test_a_file_crosses_both_ways_and_the_wire_is_clean(tmp_path: Path, file: Path, mode: int, offloads: bool) -> None:
    result = _run(tmp_path, file=file, mode=mode, offloads=offloads)
    send, receive = result.send, result.receive
    assert send.sent_bytes == receive.received_bytes == len(CONTENT)
    assert 300e6 < send.send_goodput < 1e9
    assert send.retransmissions + receive.retransmissions == 0
    assert (send.tso_segments > 0) == offloads
    for shares in (send.cpu, receive.cpu):
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) >= 0
        assert (shares["checksum"] > 0) == (not offloads)
    frames = _frames(tmp_path / "capture.pcapng")
    counted = sum(row.frames_sent + row.frames_received for row in vars(result).values())
    assert len(CONTENT) // 1460 * 2 < counted <= len(frames)
    assert all(60 <= len(frame) <= 14 + MTU for frame in frames)
    segments = [frame for frame in frames if TCP in frame]
    assert len(segments) == sum(ARP not in frame for frame in frames)
    assert all(_checksums_are_good(frame) for frame in segments)
    for source in ("192.0.2.1", "192.0.2.2"):
        carried = sum(frame[IP].len - 20 - 4 * frame[TCP].dataofs for frame in segments if frame[IP].src == source)
        assert carried == 32 + 8 + len(CONTENT)


def _faults_by_tshark(capture: Path) -> str:
    """What tshark calls a bad checksum, malformed, sent again or lost, or is longer than the MTU allows."""
    faults = (
        "ip.checksum.status == Bad || tcp.checksum.status == Bad || _ws.malformed || tcp.analysis.retransmission "
        f"|| tcp.analysis.lost_segment || frame.len > {14 + MTU}"
    )
    checked = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]
    command = ["tshark", "-r", str(capture), *checked, "-Y", faults]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _faults_by_scapy(capture: Path) -> str:
    """The same for checksums and lengths."""
    faults = []
    for number, frame in enumerate(_frames(capture), start=1):
        if len(frame) > 14 + MTU:
            faults.append(f"{number}: {len(frame)} bytes")
        if TCP in frame and not _checksums_are_good(frame):
            faults.append(f"{number}: checksum")
    return "\n".join(faults)


def test_an_expert_finds_no_fault_in_the_capture(tmp_path: Path, file: Path) -> None:
    """tshark, or scapy where that is missing; a damaged copy shows that it looks."""
    _run(tmp_path, file=file)
    capture = tmp_path / "capture.pcapng"
    faults = _faults_by_tshark if shutil.which("tshark") else _faults_by_scapy
    assert faults(capture) == ""
    content = bytearray(capture.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged = tmp_path / "damaged.pcapng"
    damaged.write_bytes(content)
    assert faults(damaged) != ""


def test_the_same_seed_gives_the_same_run(tmp_path: Path, file: Path) -> None:
    results, captures = [], []
    for name in ("first", "second"):
        result = _run(tmp_path / name, file=file, mode=1, link={"loss": 0.02, "corruption": 0.02})
        content = {phase: asdict(row) for phase, row in vars(result).items()}
        for row in content.values():
            for measured in ("wall_time", "cycles_per_second"):
                del row[measured]
        results.append(content)
        captures.append((tmp_path / name / "capture.pcapng").read_bytes())
    assert results[0] == results[1]
    assert captures[0] == captures[1]
    assert sum(row["retransmissions"] for row in results[0].values()) > 0


def test_an_empty_file_is_a_transfer_of_no_bytes(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    result = _run(tmp_path, file=empty, mode=0)
    assert result.receive.received_bytes == 0
    assert result.receive.sha256 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_run_that_cannot_end_in_time_fails_with_one_line(tmp_path: Path, file: Path) -> None:
    with pytest.raises(
        RunFailedError, match=r"itr-3-offloads-on-seed-1: no end after 0\.001 s of simulated"
    ) as failure:
        _run(tmp_path, file=file, time_limit=1_000_000)
    assert "\n" not in str(failure.value)
    assert not (tmp_path / "rows.json").exists()
