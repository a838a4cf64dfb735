"""Starts the back end of a session, tells what it says, and sums up at its end."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO

from sim.clock import CYCLE_NS
from sim.engine import EventEngine
from sim.errors import RunFailedError, UserError
from sim.model.guest_nic import ModelNic
from sim.qemu.session import serve
from sim.qemu.settings import Settings
from sim.rtl import build
from sim.vfio_user.statistics import Statistics
from sim.wire import Link

__all__ = ["RESULT", "read_result", "run_model", "run_rtl", "summary"]

_FOLDER = build.BUILD / "qemu"

RESULT = "result.json"

_POLL_SECONDS = 0.05
_END_SECONDS = 10


def run_rtl(settings: Settings, *, log: Callable[[str], None], ready: Callable[[], None]) -> Statistics:
    """Serve on the Verilated NIC, in a simulator of its own, until the session is over.

    The simulator's files are in a folder of the socket. The simulator never outlives this call. Ctrl-C and SIGTERM
    (``SystemExit``) end the session as its last client does. Raises ``UserError`` if the session cannot begin,
    ``RunFailedError`` if it does not end well.
    """
    folder = _folder(settings.socket)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    settings.write(folder)
    with (folder / "launch.log").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "sim.rtl.simulator", "sim.qemu.worker", str(folder), str(os.getpid())],
            cwd=build.REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    assert process.stdin is not None
    (folder / "server.log").touch()
    try:
        with (folder / "server.log").open() as lines:
            try:
                _follow(process, lines, folder / "ready", log=log, ready=ready)
            except (KeyboardInterrupt, SystemExit):
                process.stdin.close()  # which the server watches
                process.wait(_END_SECONDS)
            _tell(lines, log)
    except subprocess.TimeoutExpired:
        raise RunFailedError(f"the simulator does not end; see {folder / 'simulator.log'}") from None
    finally:
        process.stdin.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    failure = folder / "failure.txt"
    if failure.exists():
        raise UserError(failure.read_text())
    if not (folder / RESULT).exists():
        raise RunFailedError(f"the simulator ended without a result; see {folder / 'simulator.log'}")
    return read_result(settings.socket)


def _folder(socket: Path) -> Path:
    """Where the files of the last session on a socket are."""
    return _FOLDER / hashlib.sha256(str(socket).encode()).hexdigest()[:12]


def read_result(socket: Path) -> Statistics:
    """What the last session on a socket has left."""
    return Statistics(**json.loads((_folder(socket) / RESULT).read_text()))


def run_model(settings: Settings, *, log: Callable[[str], None], ready: Callable[[], None]) -> Statistics:
    """Serve on the model of the NIC, in this process, as ``run_rtl`` does."""
    folder = _folder(settings.socket)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    env = EventEngine(seed=settings.seed)
    link = Link(env, delay=0)
    statistics = Statistics()
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        env.run(serve(ModelNic(env, link), link, settings, statistics, log=log, ready=ready))
    (folder / RESULT).write_text(json.dumps(asdict(statistics)))
    return statistics


def _follow(
    process: "subprocess.Popen[bytes]",
    lines: IO[str],
    sign: Path,
    *,
    log: Callable[[str], None],
    ready: Callable[[], None],
) -> None:
    """Pass on what the server says, until the process has ended."""
    told = False
    while process.poll() is None:
        if not told and sign.exists():
            told = True
            ready()
        _tell(lines, log)
        time.sleep(_POLL_SECONDS)


def _tell(lines: IO[str], log: Callable[[str], None]) -> None:
    for line in lines:
        log(line.rstrip("\n"))


def summary(statistics: Statistics) -> list[tuple[str, str]]:
    """What was done, in words and numbers."""
    cycles = statistics.simulated_ns // CYCLE_NS
    accesses = statistics.reads + statistics.writes
    return [
        ("clients", f"{statistics.clients}, {statistics.broken} of them sent away"),
        ("messages", f"{statistics.messages:,}, {statistics.refused} of them refused"),
        ("register accesses", f"{accesses:,}: {statistics.reads:,} reads, {statistics.writes:,} writes"),
        ("register read, mean", f"{1e6 * statistics.read_seconds / max(statistics.reads, 1):.0f} us of wall time"),
        ("interrupts", f"{statistics.interrupts:,}"),
        ("frames", f"{statistics.frames_sent:,} sent, {statistics.frames_received:,} received"),
        ("simulated", f"{statistics.simulated_ns / 1e6:,.3f} ms, {cycles:,} cycles"),
        ("speed", f"{cycles / max(statistics.work_seconds, 1e-9):,.0f} cycles/s while there was work"),
        ("DMA outside of memory", f"{statistics.bad_reads} reads, {statistics.bad_writes} writes"),
    ]
