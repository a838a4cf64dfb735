"""``niclab qemu`` as its user has it: a process on a socket, both back ends, all far ends, and what goes wrong."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.utils import rdpcap, wrpcap

from sim.rtl import build
from tests.sim.vfio_user.raw_driver import MEMORY_PAGES, STATION, RawDriver
from tests.sim.vfio_user.serving import PAGE, Client, memory

PATIENCE = 120
BACKENDS = ["model", pytest.param("rtl", marks=[pytest.mark.rtl, pytest.mark.slow])]
BROADCAST = "ff:ff:ff:ff:ff:ff"
OWN = STATION.hex(":")


@contextmanager
def niclab_qemu(socket_path: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """The command, serving."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sim.cli", "qemu", "--socket", str(socket_path), *options],
        cwd=build.REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line
            if "qemu-system-x86_64" in line:
                break
        else:
            pytest.fail(seen)
        assert "memory-backend-memfd" in line
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]") -> str:
    """What it says at its end, which must be a good one."""
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return output


@contextmanager
def driver(path: Path) -> Iterator[RawDriver]:
    with memory(MEMORY_PAGES * PAGE) as descriptor, Client(path) as client:
        client.negotiate()
        made = RawDriver(client, descriptor)
        try:
            yield made
        finally:
            made.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_client_may_disappear_in_the_middle_of_dma(tmp_path: Path, backend: str) -> None:
    """The next finds a NIC that has just been switched on, and memory of the first is never touched again."""
    path = tmp_path / "nic.sock"
    capture = tmp_path / "capture.pcapng"
    with niclab_qemu(path, "--backend", backend, "--clients", "2", "--capture", str(capture)) as process:
        with memory(MEMORY_PAGES * PAGE) as descriptor:
            with Client(path) as client:
                client.negotiate()
                first = RawDriver(client, descriptor)
                first.send(*[STATION + bytes(6) + b"\x88\xb5" + bytes(1400)] * 60)
                first.close()
            with driver(path) as second:
                left = os.pread(descriptor, MEMORY_PAGES * PAGE, 0)
                assert second.read("TDT") == 0
                assert second.read("TDH") == 0
                assert second.read("TPT") == 0
                second.send(b"\xff" * 6 + STATION + b"\x88\xb5" + b"second")
                while second.read("TPT") == 0:
                    pass
                assert os.pread(descriptor, MEMORY_PAGES * PAGE, 0) == left
        output = ended(process)
    assert "clients                  2, 0 of them sent away" in output
    assert "DMA outside of memory" in output
    assert bytes(rdpcap(str(capture))[-1]).startswith(b"\xff" * 6 + STATION + b"\x88\xb5" + b"second")


@pytest.mark.parametrize("backend", BACKENDS)
def test_dma_outside_of_the_guests_memory_goes_nowhere(tmp_path: Path, backend: str) -> None:
    """Reads give ones, as a PCI master abort does; both are counted, and the NIC goes on."""
    path, capture = tmp_path / "nic.sock", tmp_path / "capture.pcapng"
    elsewhere, page = 0x8000000, 0x40000000
    with niclab_qemu(path, "--backend", backend, "--capture", str(capture)) as process:
        with memory(PAGE) as descriptor, driver(path) as nic:
            nic.send_from(elsewhere, 64)
            assert nic.client.map(page, PAGE, descriptor, flags=1) == 0
            os.pwrite(descriptor, b"\x11" * PAGE, 0)
            nic.send_from(page, 64)
            nic.send_from(page + PAGE - 32, 64)
            nic.sent()
            assert nic.client.unmap(page, PAGE) == 0
            nic.send_from(page, 64)
            nic.send(b"\xff" * 6 + STATION + bytes(50))
            nic.sent()
        output = ended(process)
    assert [bytes(frame) for frame in rdpcap(str(capture))] == [
        b"\xff" * 64,
        b"\x11" * 64,
        b"\x11" * 32 + b"\xff" * 32,
        b"\xff" * 64,
        b"\xff" * 6 + STATION + bytes(50),
    ]
    assert "DMA outside of memory    3 reads, 0 writes" in output


def test_our_stack_answers(tmp_path: Path) -> None:
    path = tmp_path / "nic.sock"
    with niclab_qemu(path, "--backend", "model", "--peer", "stack") as process:
        with driver(path) as nic:
            for address, tag in (("10.0.2.2", None), ("10.0.5.2", 5)):
                own = address[:-1] + "15"
                head = Ether(src=OWN, dst=BROADCAST)
                head = head / Dot1Q(vlan=tag) if tag else head
                nic.send(bytes(head / ARP(hwsrc=OWN, psrc=own, pdst=address)))
                reply = Ether(nic.receive())
                assert reply[ARP].psrc == address
                assert (reply[Dot1Q].vlan if tag else None) == tag
                head.dst = reply.src
                nic.send(bytes(head / IP(src=own, dst=address) / ICMP(id=7) / bytes(900)))
                answer = Ether(nic.receive())
                assert (answer[ICMP].type, answer[ICMP].id, len(answer[ICMP].payload)) == (0, 7, 900)
        output = ended(process)
    assert "4 sent, 4 received" in output


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_capture_is_replayed(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "nic.sock"
    frames = [
        Ether(src="02:00:00:00:00:09", dst=OWN) / IP(dst="10.0.2.15") / bytes([number] * 100) for number in range(5)
    ]
    for number, frame in enumerate(frames):
        frame.time = 1000 + number / 1000
    wrpcap(str(tmp_path / "frames.pcap"), frames)
    with niclab_qemu(path, "--backend", backend, "--pcap", str(tmp_path / "frames.pcap")) as process:
        with driver(path) as nic:
            assert [nic.receive() for _ in frames] == [bytes(frame) for frame in frames]
            assert nic.read("TPR") == len(frames)
        ended(process)


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    with niclab_qemu(tmp_path / "nic.sock", "--backend", "model", "--clients", "0") as process:
        with driver(tmp_path / "nic.sock") as nic:
            nic.read("STATUS")
        process.send_signal(signal.SIGTERM)
        assert "register accesses" in ended(process)
    assert not (tmp_path / "nic.sock").exists()


def _refused(*options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sim.cli", "qemu", "--backend", "model", *options],
        cwd=build.REPOSITORY,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    [line] = done.stderr.splitlines()
    return line


def _words(tmp_path: Path, *options: str) -> Sequence[str]:
    return ["--socket", str(tmp_path / "nic.sock"), *options]


@pytest.mark.slow
def test_bad_input_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no capture, but longer than a header of one is")
    wrpcap(str(tmp_path / "empty.pcap"), [])
    for options, words in (
        (("--pcap", "x", "--peer", "stack"), "one of --tap, --peer and --pcap"),
        (("--pcap", str(tmp_path / "missing")), "missing cannot be read: No such file"),
        (("--pcap", str(tmp_path / "text")), "text is no capture"),
        (("--pcap", str(tmp_path / "empty.pcap")), "empty.pcap holds no frames"),
        (("--tap", "a-name-that-is-too-long"), "1 to 15 bytes"),
        (("--capture", str(tmp_path / "missing" / "file")), "file cannot be written: No such file"),
        (("--peer", "somebody"), "somebody"),
    ):
        assert words in _refused(*_words(tmp_path, *options))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as taken:
        taken.bind(str(tmp_path / "nic.sock"))
        taken.listen()
        assert "is served already" in _refused(*_words(tmp_path))
