"""A network namespace with a TAP device, in which Linux is the far end of the wire."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sim.errors import UserError
from sim.qemu.stack_far_end import ADDRESS, JUMBO_ADDRESS

__all__ = ["TAP", "Namespace", "namespace"]

TAP = "tap0"
_JUMBO_MTU = 9000


class Namespace:
    """Made by ``namespace``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def command(self, *words: str) -> list[str]:
        """A command line that runs in the namespace."""
        return ["ip", "netns", "exec", self.name, *words]

    def snmp(self, layer: str) -> dict[str, int]:
        """Linux's counters of a layer such as ``Tcp``, by their names in RFC 1213 and its successors."""
        text = subprocess.run(self.command("cat", "/proc/net/snmp"), capture_output=True, text=True, check=True).stdout
        names, values = (line.split()[1:] for line in text.splitlines() if line.startswith(f"{layer}:"))
        return dict(zip(names, map(int, values), strict=True))


@contextmanager
def namespace(root: Path) -> Iterator[Namespace]:
    """A namespace of its own, whose echo service is the busybox in ``root``.

    Raises ``UserError`` if there can be none.
    """
    made = Namespace(f"niclab-{os.getpid()}")
    _run(["ip", "netns", "add", made.name])
    try:
        # Two addresses: packets of the first have the usual size, those of the second fill jumbo frames.
        for words in (
            ("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"),
            ("ip", "tuntap", "add", "name", TAP, "mode", "tap"),
            ("ip", "link", "set", TAP, "mtu", str(_JUMBO_MTU), "up"),
            ("ip", "address", "add", f"{ADDRESS}/24", "dev", TAP),
            ("ip", "address", "add", f"{JUMBO_ADDRESS}/24", "dev", TAP),
            ("ip", "route", "change", f"{ADDRESS.rpartition('.')[0]}.0/24", "dev", TAP, "mtu", "1500"),
        ):
            _run(made.command(*words))
        echo = subprocess.Popen(
            made.command("chroot", str(root), "busybox", "nc", "-ll", "-p", "7", "-e", "/bin/cat"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield made
        finally:
            echo.terminate()
            echo.wait()
    finally:
        subprocess.run(["ip", "netns", "delete", made.name], capture_output=True, check=False)


def _run(words: Sequence[str]) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(f"{words[0]} is missing: apt-get install iproute2") from None
    if done.returncode:
        raise UserError(f"{' '.join(words)}: {done.stderr.strip() or 'failed'}; root can do this")
