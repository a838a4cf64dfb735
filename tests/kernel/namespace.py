"""A network namespace of Linux for a test, with programs that run in it, and niclab's stack on a TAP."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PACKAGES = {
    "curl": "curl",
    "ip": "iproute2",
    "iperf3": "iperf3",
    "nginx": "nginx-light",
    "ping": "iputils-ping",
    "socat": "socat",
    "tracepath": "iputils-tracepath",
}
_numbers = itertools.count()

STACK = "10.77.0.2"
KERNEL = "10.77.0.1"
_START_SECONDS = 30
_END_SECONDS = 10


def require(program: str) -> str:
    """Path of a program that the tests cannot do without."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        pytest.fail(f"{program} is missing: apt-get install {_PACKAGES[program]}", pytrace=False)
    return path


class Namespace:
    """One namespace. All that runs in it ends with it."""

    def __init__(self, folder: Path) -> None:
        self.name = f"niclab-{os.getpid()}-{next(_numbers)}"
        self.folder = folder
        self._processes: list[subprocess.Popen[str]] = []

    def command(self, *words: str) -> list[str]:
        return [require("ip"), "netns", "exec", self.name, *words]

    def ip(self, *words: str) -> None:
        """Run ip(8) on the namespace."""
        done = subprocess.run([require("ip"), "-n", self.name, *words], capture_output=True, text=True, timeout=10)
        assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"

    def run(self, *words: str, timeout: float = 60, data: bytes | None = None, check: bool = True) -> bytes:
        """Run a program to its end and return its output; both outputs are told if it fails."""
        done = subprocess.run(
            self.command(*words), input=data, capture_output=True, timeout=timeout, env=self.environment()
        )
        if check and done.returncode:
            pytest.fail(
                f"{' '.join(words)}: status {done.returncode}\n{done.stdout[-2000:]!r}\n{done.stderr[-2000:]!r}"
            )
        return done.stdout

    def start(self, *words: str, **options: object) -> "subprocess.Popen[str]":
        """Start a program; it is ended with the namespace."""
        process = subprocess.Popen(
            self.command(*words),
            text=True,
            env=self.environment(),
            **options,  # type: ignore[call-overload]
        )
        self._processes.append(process)
        return process

    def environment(self) -> dict[str, str]:
        """For programs in the namespace: niclab's control socket lies in the test's own folder."""
        return os.environ | {"XDG_RUNTIME_DIR": str(self.folder)}

    def niclab(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "sim.cli", *words]

    def start_stack(self, tap: str, *options: str) -> "subprocess.Popen[str]":
        """``niclab stack`` on ``tap``, up when this returns."""
        log = self.folder / f"{tap}.log"
        process = self.start(
            *self.niclab("stack", "--tap", tap, "--address", f"{STACK}/24", "--seed", "1", *options),
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "up with" in line, log.read_text()
        return process

    def start_relay(self, tap: str, *settings: str, seed: int = 1) -> None:
        """Put the kernel's address behind a relay that treats frames as ``settings`` say (``tests.kernel.relay``): tap0
        and the relay's near end in a bridge, the address at its far end."""
        for name in ("near", "far"):
            self.ip("tuntap", "add", "name", name, "mode", "tap")
        self.ip("link", "add", "name", "bridge", "type", "bridge")
        for name in (tap, "near"):
            self.ip("link", "set", name, "master", "bridge", "up")
        self.ip("link", "set", "bridge", "up")
        self.ip("link", "set", "far", "up")
        self.ip("address", "add", f"{KERNEL}/24", "dev", "far")
        relay = str(Path(__file__).parent / "relay.py")
        process = self.start(sys.executable, relay, str(seed), "near", "far", *settings, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"

    def make(self) -> None:
        done = subprocess.run([require("ip"), "netns", "add", self.name], capture_output=True, text=True, timeout=10)
        if done.returncode:
            pytest.fail(f"no network namespace can be made ({done.stderr.strip()}); run as root", pytrace=False)
        self.ip("link", "set", "lo", "up")

    def destroy(self) -> None:
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(_END_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout is not None:
                process.stdout.close()
        subprocess.run([require("ip"), "netns", "del", self.name], capture_output=True, timeout=10)


@contextmanager
def namespace(folder: Path) -> Iterator[Namespace]:
    """A namespace of its own for one test or module."""
    made = Namespace(folder)
    made.make()
    try:
        yield made
    finally:
        made.destroy()
