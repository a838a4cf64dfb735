"""The kernel's TCP and the stack's over a wire that loses, delays, reorders, doubles and damages frames: every byte
arrives, both ways, with and without offloads."""

import hashlib
import random
from pathlib import Path

import pytest

from tests.kernel.namespace import STACK, Namespace, namespace, require

pytestmark = pytest.mark.slow

_FILE = random.Random(2).randbytes(2_000_000)

_FAULTS = {
    "delay": ("delay=5",),
    "loss": ("loss=0.02", "delay=1"),
    "reordering": ("reordering=0.05", "delay=1"),
    "duplication": ("duplication=0.05", "delay=1"),
    "corruption": ("corruption=0.02", "delay=1"),
    "all": ("loss=0.01", "reordering=0.02", "duplication=0.02", "corruption=0.01", "delay=2"),
}


def _lab(made: Namespace, folder: Path, faults: tuple[str, ...], offloads: str) -> None:
    (folder / "file").write_bytes(_FILE)
    made.start_stack("tap0", "--root", str(folder), offloads)
    made.start_relay("tap0", *faults)


@pytest.mark.parametrize("offloads", ["--offloads", "--no-offloads"])
@pytest.mark.parametrize("faults", _FAULTS.values(), ids=_FAULTS)
def test_every_byte_arrives(tmp_path: Path, faults: tuple[str, ...], offloads: str) -> None:
    with namespace(tmp_path) as made:
        _lab(made, tmp_path, faults, offloads)
        fetched = made.run(require("curl"), "-sS", "--fail", f"http://{STACK}/file")
        assert hashlib.sha256(fetched).digest() == hashlib.sha256(_FILE).digest()
        back = made.run(require("socat"), "-t", "60", "-", f"TCP:{STACK}:7", data=_FILE)
        assert hashlib.sha256(back).digest() == hashlib.sha256(_FILE).digest()


def test_damage_is_found_and_counted(tmp_path: Path) -> None:
    """What the relay turns over is seen by the checksums, and nothing else is."""
    with namespace(tmp_path) as made:
        _lab(made, tmp_path, ("corruption=0.1",), "--offloads")
        made.run(require("socat"), "-t", "60", "-", f"TCP:{STACK}:7", data=_FILE[:200_000])
        counters = made.run(*made.niclab("ss", "-s")).decode()
        assert "Tcp.InCsumErrors" in counters
        assert "Drop.TCP_CSUM" in counters
