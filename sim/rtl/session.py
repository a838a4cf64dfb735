"""Runs a script on the Verilated NIC: a coroutine that is given a ``Station``, and arguments and a result in JSON."""

import importlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cocotb
from cocotb.handle import HierarchyObject, LogicObject

from sim.costs import HostCosts
from sim.errors import RunFailedError
from sim.host import HostCpu
from sim.rtl import build
from sim.rtl.bus import RtlBus
from sim.rtl.engine import RtlEngine
from sim.rtl.lifetime import end_with_parent
from sim.rtl.port import GmiiPort
from sim.rtl.shared import Bench
from sim.rtl.simulator import run_module
from sim.station import Station
from sim.wire import Link

__all__ = ["run_script"]


def run_script(
    script: str,
    arguments: dict[str, Any],
    *,
    seed: int = 1,
    folder: Path | None = None,
    announce: Callable[[str], None] = lambda text: None,
) -> Any:
    """What ``script``, written ``module:coroutine``, returns. Its files, the simulator's log among them, go to
    ``folder``, if that is not to be forgotten.

    Raises ``RunFailedError`` with what the script raised.
    """
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return run_script(script, arguments, seed=seed, folder=Path(temporary), announce=announce)
    runner = build.bench(announce=announce)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("result.json", "failure.txt"):
        (folder / name).unlink(missing_ok=True)
    (folder / "script.json").write_text(json.dumps({"script": script, "arguments": arguments, "seed": seed}))
    try:
        run_module(runner, "sim.rtl.session", folder)
    except (RuntimeError, SystemExit) as error:
        raise RunFailedError(f"{script}: {error}\n{(folder / 'simulator.log').read_text()[-2000:]}") from error
    if (failure := folder / "failure.txt").exists():
        raise RunFailedError(failure.read_text().strip())
    if not (result := folder / "result.json").exists():
        raise RunFailedError(f"{script}: no result\n{(folder / 'simulator.log').read_text()[-2000:]}")
    return json.loads(result.read_text())


@cocotb.test()
async def session(dut: HierarchyObject) -> None:
    """Runs what the folder named by ``NICLAB_RUN`` asks for."""
    end_with_parent(int(os.environ["NICLAB_PARENT"]))
    folder = Path(os.environ["NICLAB_RUN"])
    request = json.loads((folder / "script.json").read_text())
    module, name = request["script"].split(":")
    bench = Bench()
    wake = dut.wake
    assert isinstance(wake, LogicObject)
    env = RtlEngine(bench, wake, seed=request["seed"])
    link = Link(env)
    cpu = HostCpu(env, HostCosts())
    bus = RtlBus(env, cpu)
    port = GmiiPort(env, outgoing=link.a_to_b, incoming=link.b_to_a)
    script = getattr(importlib.import_module(module), name)
    try:
        result = await env.run(script(Station(env, cpu, bus, link), **request["arguments"]))
        if port.malformed or bench.state.bad_reads or bench.state.bad_writes:
            raise RunFailedError(
                f"{port.malformed} malformed frames on the GMII, "
                f"{bench.state.bad_reads + bench.state.bad_writes} DMA accesses outside of memory"
            )
    except (RunFailedError, OSError, ValueError, MemoryError, AssertionError) as error:
        (folder / "failure.txt").write_text(f"{type(error).__name__}: {error}" if str(error) else repr(error))
        raise
    (folder / "result.json").write_text(json.dumps(result))
