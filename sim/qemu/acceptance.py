"""``niclab linux``: stock Linux guests on the NIC, and whether they got what the acceptance levels ask for.

Two guests for each back end: one whose peer is Linux on a TAP, in a network namespace made for it; and one whose peer
is our own stack.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sim.errors import RunFailedError
from sim.measurement import Figure, commit
from sim.qemu import guest, levels
from sim.qemu.itr_history import read_history
from sim.qemu.itr_report import compare, write_figure
from sim.qemu.levels import Check, Evidence, Level
from sim.qemu.namespace import TAP, Namespace, namespace
from sim.qemu.runner import read_result
from sim.rtl import build
from sim.vfio_user.statistics import Statistics

__all__ = ["accept", "figures"]

_DYNAMIC_CONSERVATIVE = 3
"""The stock driver's default InterruptThrottleRate."""

_SLOWEST_READ = 5000.0
"""Microseconds. With register accesses of that length the stock driver is known to pass all levels in QEMU."""

_READY_SECONDS = 300
_END_SECONDS = 60


@dataclass(frozen=True)
class _Scenario:
    """One guest: its steps, its options, and the levels that it is held against."""

    name: str
    steps: Sequence[str]
    options: dict[str, str]
    levels: Sequence[Level]
    timeout: float


_LINUX = _Scenario(
    "linux",
    ("probe", "features", "up", "ping", "sizes", "tcp", "selftest", "ping", "down", "up", "ping", "mtu", "unload"),
    {},
    (levels.probe, levels.link, levels.features, levels.tcp, levels.self_test, levels.life, levels.kernel),
    1500.0,
)
_STACK = _Scenario(
    "stack",
    ("probe", "up", "ping", "flood", "tcp", "vlan", "idle", "statistics", "down", "unload"),
    {},
    (levels.probe, levels.link, levels.tcp, levels.life, levels.statistics, levels.kernel),
    900.0,
)
_QUICK = _Scenario(
    "quick",
    ("probe", "up", "ping", "sizes", "down", "unload"),
    {"count": "1"},
    (levels.probe, levels.link, levels.life, levels.kernel),
    600.0,
)


def accept(backend: str, *, quick: bool, log: Callable[[str], None]) -> tuple[list[Check], list[Statistics]]:
    """Run the guests of a back end. Files are in ``build/linux/``. Raises ``RunFailedError`` if one does not end."""
    checks: list[Check] = []
    statistics: list[Statistics] = []
    with namespace(guest.ROOT) as peer:
        log(f"{backend}: a guest, and Linux at the far end")
        evidence = _run(backend, _QUICK if quick else _LINUX, peer, ("--tap", TAP))
        scenario = _QUICK if quick else _LINUX
        checks += [check for level in scenario.levels for check in level(evidence)]
        statistics.append(evidence.statistics)
    if not quick:
        log(f"{backend}: a guest, and our own stack at the far end")
        history = guest.FOLDER / f"{backend}-itr.json"
        evidence = _run(backend, _STACK, None, ("--peer", "stack", "--itr", str(history)))
        checks += [check for level in _STACK.levels for check in level(evidence)]
        checks.append(_throttling(history))
        statistics.append(evidence.statistics)
    return checks, statistics


def _run(backend: str, scenario: _Scenario, peer: Namespace | None, far_end: Sequence[str]) -> Evidence:
    before = _checksum_errors(peer)
    log = guest.FOLDER / f"{backend}-{scenario.name}.log"
    capture = log.with_suffix(".pcapng")
    with _server(backend, (*far_end, "--capture", str(capture)), peer, log.with_suffix(".server.log")):
        console = guest.run(scenario.steps, scenario.options, log=log, timeout=scenario.timeout)
    statistics = read_result(guest.SOCKET)
    errors = _checksum_errors(peer) - before if peer is not None else statistics.checksum_errors
    return Evidence(console, statistics, errors)


@contextmanager
def _server(backend: str, options: Sequence[str], peer: Namespace | None, log: Path) -> Iterator[None]:
    """``niclab qemu`` for one guest, in the namespace if there is one. Ends when the guest has."""
    words = [sys.executable, "-m", "sim.cli", "qemu", "--backend", backend, "--socket", str(guest.SOCKET), *options]
    with log.open("w") as output:
        process = subprocess.Popen(
            words if peer is None else peer.command(*words),
            cwd=build.REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                output.write(line)
                if "qemu-system" in line:
                    break
            else:
                raise RunFailedError(f"the server does not come up; see {log}")
            yield
            output.write(process.communicate(timeout=_END_SECONDS)[0])
            if process.returncode:
                raise RunFailedError(f"the server failed; see {log}")
        except subprocess.TimeoutExpired:
            raise RunFailedError(f"the server did not end with its guest; see {log}") from None
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


def _checksum_errors(peer: Namespace | None) -> int:
    """What Linux has counted."""
    if peer is None:
        return 0
    return peer.snmp("Tcp")["InCsumErrors"] + peer.snmp("Udp")["InCsumErrors"] + peer.snmp("Icmp")["InCsumErrors"]


def _throttling(history: Path) -> Check:
    """ITR in the field: the stock driver and ours write the same values."""
    polls = read_history(history)
    page = history.with_suffix(".html")
    write_figure(polls, _DYNAMIC_CONSERVATIVE, page)
    differing = compare(polls, _DYNAMIC_CONSERVATIVE)
    writes = sum(poll.itr is not None for poll in polls)
    detail = f"{len(polls)} polls, {writes} writes, {len(differing)} unlike driver/itr.py; {page.name}"
    return Check("ITR", "throttling", not differing and writes > 1, detail)


def figures(backend: str, checks: list[Check], statistics: list[Statistics]) -> list[Figure]:
    """What ``build/linux.json`` holds of a back end."""
    conditions = {"commit": commit(), "backend": backend, "failed": [c.name for c in checks if not c.passed]}
    reads = sum(item.reads for item in statistics)
    seconds = sum(item.read_seconds for item in statistics)
    return [
        Figure(
            name=f"linux.{backend}.checks",
            value=sum(check.passed for check in checks),
            unit="passed",
            limit=len(checks),
            conditions=conditions | {"limit": "all checks of the acceptance levels"},
        ),
        Figure(
            name=f"linux.{backend}.register_read",
            value=1e6 * seconds / max(reads, 1),
            unit="us",
            limit=_SLOWEST_READ,
            conditions=conditions | {"limit": "the longest with which the stock driver is known to pass all levels"},
        ),
    ]
