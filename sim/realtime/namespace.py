"""A network namespace of Linux, with programs that run in it, and niclab's stack on a TAP. Needs root."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from sim.errors import RunFailedError, UserError

__all__ = ["KERNEL", "KERNEL6", "STACK", "STACK6", "Namespace", "require"]

STACK = "10.77.0.2"
KERNEL = "10.77.0.1"
STACK6 = "fd77::2"
KERNEL6 = "fd77::1"
_PACKAGES = {
    "curl": "curl",
    "ip": "iproute2",
    "iperf3": "iperf3",
    "nginx": "nginx-light",
    "ping": "iputils-ping",
    "setpriv": "util-linux",
    "socat": "socat",
    "tracepath": "iputils-tracepath",
}
_END_SECONDS = 10
_numbers = itertools.count()


def require(program: str) -> str:
    """Path of a program that cannot be done without. Raises ``UserError``."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        raise UserError(f"{program} is missing: apt-get install {_PACKAGES[program]}")
    return path


class Namespace:
    """Use as a context manager. All that runs in it ends with it. ``folder`` takes logs and control sockets."""

    def __init__(self, folder: Path) -> None:
        self.name = f"niclab-{os.getpid()}-{next(_numbers)}"
        self.folder = folder
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> "Namespace":
        done = subprocess.run([require("ip"), "netns", "add", self.name], capture_output=True, text=True, timeout=10)
        if done.returncode:
            raise UserError(f"no network namespace can be made ({done.stderr.strip()}); run as root")
        try:
            self.ip("link", "set", "lo", "up")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in reversed(self._processes):
            self.end(process)
        subprocess.run([require("ip"), "netns", "del", self.name], capture_output=True, timeout=10)

    def end(self, process: "subprocess.Popen[str]") -> None:
        """End a program that was started."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def command(self, *words: str) -> list[str]:
        """The words that run a program in the namespace."""
        return [require("ip"), "netns", "exec", self.name, *words]

    def environment(self) -> dict[str, str]:
        """For programs in the namespace: control sockets lie in ``folder``."""
        return os.environ | {"XDG_RUNTIME_DIR": str(self.folder)}

    def ip(self, *words: str) -> None:
        """Run ip(8) on the namespace. Raises ``RunFailedError``."""
        done = subprocess.run([require("ip"), "-n", self.name, *words], capture_output=True, text=True, timeout=10)
        if done.returncode:
            raise RunFailedError(f"ip {' '.join(words)}: {done.stderr.strip()}")

    def run(self, *words: str, timeout: float = 60, data: bytes | None = None) -> bytes:
        """Run a program to its end and return its output. Raises ``RunFailedError`` with the end of both outputs."""
        done = subprocess.run(
            self.command(*words), input=data, capture_output=True, timeout=timeout, env=self.environment()
        )
        if done.returncode:
            raise RunFailedError(
                f"{' '.join(words)}: status {done.returncode}, {done.stdout[-2000:]!r}, {done.stderr[-2000:]!r}"
            )
        return done.stdout

    def start(self, *words: str, **options: Any) -> "subprocess.Popen[str]":
        """Start a program; it is ended with the namespace."""
        process = subprocess.Popen(self.command(*words), text=True, env=self.environment(), **options)
        self._processes.append(process)
        return process

    def niclab(self, *words: str) -> list[str]:
        """The words that run niclab."""
        return [sys.executable, "-m", "sim.entry", *words]

    def start_stack(self, tap: str, *options: str) -> "subprocess.Popen[str]":
        """``niclab stack`` on ``tap``, up when this returns. Raises ``RunFailedError``."""
        log = self.folder / f"{tap}.log"
        with log.open("w") as errors:
            process = self.start(
                *self.niclab("stack", "--tap", tap, "--address", f"{STACK}/24", "--seed", "1", *options),
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.await_line(process, "up with", log)
        return process

    def await_line(self, process: "subprocess.Popen[str]", text: str, log: Path) -> None:
        """Wait for a program to say that it is ready. Raises ``RunFailedError``."""
        assert process.stdout is not None
        if text not in process.stdout.readline():
            raise RunFailedError(log.read_text().strip() or "a program ended before it was ready")

    def start_relay(self, tap: str, *settings: str, seed: int = 1) -> "subprocess.Popen[str]":
        """Put the kernel's address behind a relay that treats frames as ``settings`` say (see its module): ``tap``
        and the relay's near end in a bridge, the address at its far end."""
        for name in ("near", "far"):
            self.ip("tuntap", "add", "name", name, "mode", "tap")
        self.ip("link", "add", "name", "bridge", "type", "bridge")
        for name in (tap, "near"):
            self.ip("link", "set", name, "master", "bridge", "up")
        self.ip("link", "set", "bridge", "up")
        self.ip("link", "set", "far", "up")
        self.ip("address", "add", f"{KERNEL}/24", "dev", "far")
        return self.run_relay(*settings, seed=seed)

    def run_relay(self, *settings: str, seed: int = 1) -> "subprocess.Popen[str]":
        """The relay between ``near`` and ``far``, which exist."""
        log = self.folder / "relay.log"
        with log.open("w") as errors:
            process = self.start(
                sys.executable,
                str(Path(__file__).parent / "relay.py"),
                str(seed),
                "near",
                "far",
                *settings,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.await_line(process, "up", log)
        return process
