"""A Linux guest with the stock driver: the system that ``rig/make.sh`` makes, one run of it, and what that has said."""

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sim.errors import RunFailedError, UserError
from sim.qemu.command_line import guest
from sim.rtl import build

__all__ = ["ROOT", "SOCKET", "GuestLog", "Line", "make", "run"]

FOLDER = build.BUILD / "linux"
ROOT = FOLDER / "root"
"""The Debian that QEMU runs in, by chroot."""

SOCKET = ROOT / "run" / "niclab.sock"
_MARK = "NICLAB "
_MAKE = Path(__file__).parent / "rig" / "make.sh"


@dataclass(frozen=True, slots=True)
class Line:
    """A result: when (the guest's seconds since its start), of which step, and its values by name."""

    uptime: float
    step: str
    values: dict[str, str]
    text: tuple[str, ...]
    """The lines that follow it, up to the next result."""


class GuestLog:
    """What a guest has written to its console."""

    def __init__(self, console: str) -> None:
        self.console = console
        self.lines: list[Line] = []
        following: list[str] = []
        found: list[tuple[str, list[str]]] = []
        for line in console.replace("\r", "").splitlines():
            if line.startswith(_MARK):
                following = []
                found.append((line, following))
            else:
                following.append(line)
        for line, text in found:
            _, uptime, step, *words = line.split(" ")
            values = dict(word.split("=", 1) for word in words if "=" in word)
            self.lines.append(Line(float(uptime), step, values, tuple(text)))

    def of(self, step: str) -> list[Line]:
        return [line for line in self.lines if line.step == step]

    @property
    def ended(self) -> bool:
        return bool(self.of("end"))


def make(announce: Callable[[str], None]) -> None:
    """Make the guest, or what is missing of it. Raises ``UserError`` with what stands in the way."""
    if not (ROOT / "made").exists():
        announce(f"Making a Debian with QEMU in {FOLDER} (about a minute)")
    done = subprocess.run([str(_MAKE), str(FOLDER)], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"{_MAKE} failed")


def run(steps: Sequence[str], options: dict[str, str], *, log: Path, timeout: float) -> GuestLog:
    """Run the guest on the NIC that is served at ``SOCKET``; its console goes to the file ``log``.

    Raises ``RunFailedError`` if it does not come to its end within ``timeout`` seconds.
    """
    words = [f"niclab.steps={','.join(steps)}", *(f"niclab.{name}={value}" for name, value in options.items())]
    command = guest(
        Path("/") / SOCKET.relative_to(ROOT),
        kernel=Path("/vmlinuz"),
        initrd=Path("/initrd.gz"),
        arguments=" ".join(words),
    )
    with log.open("w") as console:
        try:
            subprocess.run(
                ["chroot", str(ROOT), *command],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                timeout=timeout,
                check=False,
                env=os.environ | {"LC_ALL": "C"},
            )
        except subprocess.TimeoutExpired:
            raise RunFailedError(f"the guest did not end within {timeout:.0f} s; its console is {log}") from None
    result = GuestLog(log.read_text(errors="replace"))
    if not result.ended:
        raise RunFailedError(f"the guest did not come to its end; its console is {log}")
    return result
