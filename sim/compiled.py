"""The compiled modules, if ``make compiled`` has made them of the present sources: the same code, but for one loop in
``stack/checksum.py`` that only they go through. The model runs two to four times as fast with them, the RTL's
simulation hardly faster.

``sim/compiler.py`` makes them with mypyc, and ``import sim`` has Python look for them first. The readable modules are
the reference: the tests run those, and compare the outcomes of both. Which are compiled is said here alone.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

__all__ = ["INTERPRETED", "ROOT", "Finder", "folder", "place", "sources", "use"]

ROOT = Path(__file__).resolve().parent.parent
INTERPRETED = "NICLAB_INTERPRETED"
"""The environment variable that, set to anything, has the readable modules run."""

_SINGLE = (
    "hw/descriptors.py",
    "hw/registers.py",
    "sim/clock.py",
    "sim/engine.py",
    "sim/fidelity/play.py",
    "sim/fidelity/traffic.py",
    "sim/host.py",
    "sim/host_bus.py",
    "sim/memory.py",
    "sim/minimum_frames.py",
    "sim/processor.py",
    "sim/realtime/engine.py",
    "sim/realtime/tap.py",
    "sim/wire.py",
    "sim/wire_device.py",
)
_FOLDERS = ("sim/model", "driver", "stack", "stack/ip", "stack/tcp")
"""Not ``stack/socket``: mypyc 2.4 mistakes the arguments of the constructor that its classes share."""
_LEFT_OUT = {
    "driver/flow_control.py": "has parameters, which go to other processes",
    "driver/parameters.py": "has parameters, which go to other processes",
    "driver/self_test.py": "has an asynchronous generator, which mypyc does not have",
    "sim/model/guest_nic.py": "is for QEMU's guests alone",
}
_SUFFIX = f".{sys.implementation.cache_tag}"


def sources() -> list[Path]:
    """The modules that are compiled, from the root on, in order."""
    inside = (
        path.relative_to(ROOT)
        for folder in _FOLDERS
        for path in (ROOT / folder).glob("*.py")
        if path.name != "__init__.py"
    )
    return sorted(path for path in (*map(Path, _SINGLE), *inside) if path.as_posix() not in _LEFT_OUT)


def place() -> Path:
    """Where the compiled modules of the present sources lie, if there are any."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.as_posix().encode() + b"\0")
        digest.update((ROOT / path).read_bytes() + b"\0")
    return ROOT / "build" / "compiled" / (digest.hexdigest()[:16] + _SUFFIX)


def folder() -> Path | None:
    """Their folder, or None if they are not there, or not asked for."""
    if INTERPRETED in os.environ or not (ROOT / "build" / "compiled").is_dir():
        return None
    found = place()
    return found if found.is_dir() else None


class Finder:
    """Finds modules below a folder, and the library that they share. A part of ``sys.meta_path``."""

    def __init__(self, folder: Path) -> None:
        self._files = dict(_modules(folder))

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(name)
        return None if file is None else importlib.util.spec_from_file_location(name, file)


def _modules(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*.so"):
        yield ".".join((*path.relative_to(folder).parent.parts, path.name.partition(".")[0])), path


def use() -> None:
    """Have what is imported from now on be the compiled modules, unless a readable one of them is at work already."""
    found = folder()
    if found is None:
        return
    if not any(".".join(path.with_suffix("").parts) in sys.modules for path in sources()):
        sys.meta_path.insert(0, Finder(found))
