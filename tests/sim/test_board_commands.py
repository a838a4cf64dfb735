"""``niclab board`` on pseudo-terminals: the driver over the line, and what a user is told when something is wrong."""

import fcntl
import os
import pty
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Ether

from hw.boards.parameters import BoardParameters
from sim import cli
from sim.board import bitstream, session
from sim.board.elaborate import build_id
from sim.realtime.engine import RealTimeEngine
from tests.sim.board_model import BoardModel

OWN = build_id("ecpix5", BoardParameters())
PEER, PEER_MAC = "192.168.1.1", "02:00:00:00:00:99"


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """``niclab board`` with these arguments: exit status, output, errors."""
    monkeypatch.setattr(sys, "argv", ["niclab", "board", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    output, errors = capsys.readouterr()
    assert "Traceback" not in errors
    return int(end.value.code or 0), output, errors


def answer(frame: bytes) -> bytes | None:
    """What the host at the far end of the wire says to a frame."""
    packet = Ether(frame)
    if ARP in packet and packet[ARP].pdst == PEER:
        asked = packet[ARP]
        reply = ARP(op=2, hwsrc=PEER_MAC, psrc=PEER, hwdst=asked.hwsrc, pdst=asked.psrc)
        return bytes(Ether(src=PEER_MAC, dst=asked.hwsrc) / reply).ljust(60, b"\0")
    if ICMP in packet and packet[IP].dst == PEER:
        request = packet[ICMP]
        reply = ICMP(type=0, id=request.id, seq=request.seq) / bytes(request.payload)
        return bytes(Ether(src=PEER_MAC, dst=packet.src) / IP(src=PEER, dst=packet[IP].src) / reply).ljust(60, b"\0")
    return None


@contextmanager
def board(**more: Any) -> Iterator[str]:
    """A board on a pseudo-terminal, in a thread of its own; yields the terminal's path."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    path = os.ttyname(theirs)
    stop_read, stop_write = os.pipe()
    env = RealTimeEngine(seed=1)
    stopped = env.event()
    model = BoardModel(env, lambda octets: os.write(ours, octets), **more)

    async def main() -> None:
        await stopped.wait()

    async def serve() -> None:
        while True:
            while model.nic.sent:
                reply = answer(model.nic.sent.pop(0))
                if reply is not None:
                    model.nic.receive(reply)
            await env.sleep(1_000_000)

    env.add_reader(ours, lambda: model.receive(os.read(ours, 65536)))
    env.add_reader(stop_read, stopped.set)
    env.spawn(serve(), name="the far end")
    thread = threading.Thread(target=lambda: env.run(main()))
    thread.start()
    try:
        yield path
    finally:
        os.write(stop_write, b"x")
        thread.join()
        for file in (ours, theirs, stop_read, stop_write):
            os.close(file)


def test_ping(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver finds the NIC behind the terminal, and its packets come and go."""
    with board(build_id=OWN) as path:
        status, output, errors = run(capsys, monkeypatch, "ping", PEER, "--port", path, "--count", "2")
    assert (status, errors) == (0, "")
    assert "icmp_seq=0" in output
    assert "2 sent, 2 answered" in output


def test_ping_without_answer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with board(build_id=OWN) as path:
        status, _, errors = run(capsys, monkeypatch, "ping", "192.168.1.77", "--port", path, "--count", "1")
    assert status == 1
    assert errors == "niclab: 192.168.1.77 does not answer\n"


def test_other_build(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with board(build_id=bytes(8)) as path:
        status, _, errors = run(capsys, monkeypatch, "report", "--port", path)
    assert status == 2
    assert f"its bitstream is build {bytes(8).hex()}, this niclab makes {OWN.hex()}" in errors
    assert errors.count("\n") == 1


def test_other_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with board(version=200) as path:
        status, _, errors = run(capsys, monkeypatch, "report", "--port", path)
    assert status == 2
    assert "its bitstream has version 200 of the bridge's protocol, this niclab has 1" in errors
    assert errors.count("\n") == 1


def test_no_answer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Told of in about a second with the start of the program: this is how long the attempts take together."""
    assert session._LINK.attempts * session._LINK.connect_t1 <= 200_000_000
    ours, theirs = pty.openpty()
    try:
        path = os.ttyname(theirs)
        status, _, errors = run(capsys, monkeypatch, "ping", PEER, "--port", path)
    finally:
        os.close(ours)
        os.close(theirs)
    assert status == 2
    assert errors.startswith(f"niclab: {path}: no board answers")
    assert errors.count("\n") == 1


def test_commands_start_without_what_takes_long_to_import() -> None:
    """An error comes within a second: neither the NIC nor its simulation is imported for it."""
    program = (
        "import sys\n"
        "from sim.entry import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(*sorted({'cocotb', 'hw.nic', 'plotly', 'polars', 'sim.runner'} & set(sys.modules)), 'end')"
    )
    command = [sys.executable, "-c", program, "board", "report", "--port", "/dev/no-such-port"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["end"]


def test_no_such_port(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    status, _, errors = run(capsys, monkeypatch, "report", "--port", "/dev/no-such-port")
    assert status == 2
    assert errors.startswith("niclab: /dev/no-such-port: no such port; ports here: ")
    assert errors.count("\n") == 1


def test_port_in_use(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    try:
        path = os.ttyname(theirs)
        fcntl.flock(theirs, fcntl.LOCK_EX)
        status, _, errors = run(capsys, monkeypatch, "report", "--port", path)
    finally:
        os.close(ours)
        os.close(theirs)
    assert status == 2
    assert errors == f"niclab: {path}: in use by another program; end that one\n"


def test_no_serial_port(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    for path in (file, tmp_path):
        status, _, errors = run(capsys, monkeypatch, "report", "--port", str(path))
        assert status == 2
        assert errors.startswith(f"niclab: {path}: not a serial port")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("ping", "nobody", "--port", "x"), "'nobody' is no IPv4 address"),
        (("ping", PEER, "--port", "x", "--own", "1.2.3"), "--own '1.2.3' is no IPv4 address"),
        (("build", "ecpix6"), "'ecpix6' is no board; there are ecpix5, versa_ecp5"),
    ],
)
def test_bad_arguments(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], text: str
) -> None:
    status, _, errors = run(capsys, monkeypatch, *arguments)
    assert status == 2
    assert text in errors
    assert errors.count("\n") == 1


def test_load(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No bitstream, one of other sources, and no openFPGALoader; with one, its arguments."""
    monkeypatch.setattr(bitstream.build, "BUILD", tmp_path)
    folder = tmp_path / "board" / "ecpix5"
    status, _, errors = run(capsys, monkeypatch, "load", "ecpix5")
    assert (status, errors.count("\n")) == (2, 1)
    assert "no bitstream; niclab board build ecpix5 makes it" in errors

    folder.mkdir(parents=True)
    (folder / "ecpix5.bit").write_bytes(b"")
    (folder / "build_id").write_text(bytes(8).hex())
    status, _, errors = run(capsys, monkeypatch, "load", "ecpix5")
    assert status == 2
    assert "made from other sources" in errors

    (folder / "build_id").write_text(OWN.hex())
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, errors = run(capsys, monkeypatch, "load", "ecpix5")
    assert status == 2
    assert "openFPGALoader is not installed: apt install openfpgaloader" in errors

    loader = tmp_path / "openFPGALoader"
    loader.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n')
    loader.chmod(0o755)
    assert run(capsys, monkeypatch, "load", "ecpix5")[0] == 0
    assert (tmp_path / "arguments").read_text().split() == ["-b", "ecpix5", str(folder / "ecpix5.bit")]
