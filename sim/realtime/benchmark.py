"""How fast the stack is on a TAP, beside pmd-pytcp on another, in the same run and with the same client."""

import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sim.errors import RunFailedError
from sim.measurement import Figure
from sim.realtime.namespace import KERNEL, STACK, Namespace
from sim.rtl import build

__all__ = ["PEER_VERSION", "measure"]

PEER_VERSION = "0.3.8"
_PEER = build.BUILD / "peer"
_HERE = Path(__file__).parent
_TAP = "tap0"
_CLIENT_SECONDS = 300
_PEER_BYTES = 2_000_000
"""It is slower, and is given less to do."""
_BYTES = 40_000_000
_LARGE_BYTES = 200_000_000
_LOSSY_BYTES = 20_000_000
_ROUND_TRIPS = 1000
_PEER_ROUND_TRIPS = 100
_DATAGRAMS = 20_000
_PEER_DATAGRAMS = 1000
_ROUNDS = 3
"""Each is measured so often; the best counts."""
_LOSSY_ROUNDS = 7
"""With loss, and what it is compared with; the median counts. A round may find the processors in a happy order, so that
best would be held against best of unequal luck."""
_LOSS = 0.01
_DELAY = 0.5
"""Milliseconds in the relay each way: more than its programs take, so that the path makes the round trip and not the
processors."""
_DELAYED_BYTES = 10_000_000
_LEAST_KEPT = 0.8
"""Of the speed without loss, at one per cent."""


def _peer_python() -> Path:
    """The interpreter of the peer's environment, made if it is not there. Raises ``RunFailedError``."""
    python = _PEER / "bin" / "python"
    if not (_PEER / f".installed-{PEER_VERSION}").is_file():
        venv.create(_PEER, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        done = subprocess.run([*pip, f"pmd-pytcp=={PEER_VERSION}"], capture_output=True, text=True)
        if done.returncode:
            raise RunFailedError(f"pmd-pytcp {PEER_VERSION} cannot be installed: {done.stderr.strip()}")
        (_PEER / f".installed-{PEER_VERSION}").touch()
    return python


def _client(lab: Namespace, host: str, kind: str, size: int) -> float:
    words = [sys.executable, str(_HERE / "bench_client.py"), host, kind, str(size)]
    return float(lab.run(*words, timeout=_CLIENT_SECONDS))


@contextmanager
def _laboratory() -> Iterator[Namespace]:
    with tempfile.TemporaryDirectory(prefix="niclab-") as folder, Namespace(Path(folder)) as lab:
        yield lab


def _ours(lab: Namespace, *options: str) -> None:
    lab.start_stack(_TAP, "--host-address", f"{KERNEL}/24", *options)


def _peer(lab: Namespace) -> None:
    lab.ip("tuntap", "add", "name", _TAP, "mode", "tap")
    lab.ip("link", "set", _TAP, "up")
    lab.ip("address", "add", f"{KERNEL}/24", "dev", _TAP)
    log = lab.folder / "peer.log"
    with log.open("w") as errors:
        words = [str(_peer_python()), "-O", str(_HERE / "bench_peer.py"), _TAP, f"{STACK}/24"]
        process = lab.start(*words, stdout=subprocess.PIPE, stderr=errors)
    lab.await_line(process, "up", log)


def _measured(start: Callable[[Namespace], None], sizes: dict[str, int]) -> dict[str, float]:
    """One stack, all kinds one after the other."""
    with _laboratory() as lab:
        start(lab)
        return {kind: _client(lab, STACK, kind, size) for kind, size in sizes.items()}


def _relayed(lab: Namespace, loss: float, delay: float) -> dict[str, float]:
    """In and out over a relay that loses that part of the data and holds all back for so many milliseconds."""
    lab.start_relay(_TAP, f"loss={loss}", f"delay={delay}", "spare=200")
    size = _DELAYED_BYTES if delay else _LOSSY_BYTES
    return {kind: _client(lab, STACK, kind, size) for kind in ("in", "out")}


def _over_relay(loss: float, delay: float = 0.0) -> dict[str, float]:
    with _laboratory() as lab:
        lab.start_stack(_TAP)
        return _relayed(lab, loss, delay)


def _kernels_over_relay(loss: float, delay: float = 0.0) -> dict[str, float]:
    """The same with a second kernel in the stack's place."""
    with _laboratory() as lab, _laboratory() as other:
        lab.ip("link", "add", "name", _TAP, "type", "veth", "peer", "name", _TAP, "netns", other.name)
        other.ip("link", "set", _TAP, "up")
        other.ip("address", "add", f"{STACK}/24", "dev", _TAP)
        log = other.folder / "kernel.log"
        with log.open("w") as errors:
            words = [sys.executable, str(_HERE / "bench_kernel.py")]
            process = other.start(*words, stdout=subprocess.PIPE, stderr=errors)
        other.await_line(process, "up", log)
        return _relayed(lab, loss, delay)


def _keep_best(best: dict[str, float], figures: dict[str, float]) -> None:
    """The best of several rounds, by kind: the least time, the greatest rate."""
    for kind, value in figures.items():
        better = min if kind == "rr" else max
        best[kind] = better(best.get(kind, value), value)


def measure(conditions: Callable[..., dict[str, Any]]) -> Iterator[Figure]:
    """All figures, as they come; ``conditions`` adds versions and commit. Raises ``UserError`` without root."""
    sizes = {"rr": _ROUND_TRIPS, "udp": _DATAGRAMS, "in": _BYTES, "out": _BYTES}
    peer_sizes = {"rr": _PEER_ROUND_TRIPS, "udp": _PEER_DATAGRAMS, "in": _PEER_BYTES, "out": _PEER_BYTES}
    ours: dict[str, float] = {}
    peer: dict[str, float] = {}
    large: dict[str, float] = {}
    for _ in range(_ROUNDS):
        # In turns, so that what else the machine does meets all alike.
        _keep_best(ours, _measured(lambda lab: _ours(lab, "--no-offloads"), sizes))
        _keep_best(peer, _measured(_peer, peer_sizes))
        _keep_best(large, _measured(_ours, {"in": _LARGE_BYTES, "out": _LARGE_BYTES}))
    beside = f"pmd-pytcp {PEER_VERSION} on a TAP, same client, in turns, best of {_ROUNDS}"
    for kind in ("in", "out"):
        yield Figure(
            name=f"stack.tcp.tap.{kind}",
            value=ours[kind],
            unit="bit/s",
            limit=peer[kind],
            conditions=conditions(limit=beside, mtu=1500, offloads=False, bytes=_BYTES, peer_bytes=_PEER_BYTES),
        )
    for kind in ("in", "out"):
        yield Figure(
            name=f"stack.tcp.tap.{kind}.offloads",
            value=large[kind],
            unit="bit/s",
            limit=peer[kind],
            conditions=conditions(limit=beside, mtu=1500, offloads=True, bytes=_LARGE_BYTES, peer_bytes=_PEER_BYTES),
        )
    yield Figure(
        name="stack.tcp.tap.round_trip",
        value=ours["rr"] * 1e9,
        unit="ns",
        limit=peer["rr"] * 1e9,
        conditions=conditions(limit=beside, octets=1, round_trips=_ROUND_TRIPS, peer_round_trips=_PEER_ROUND_TRIPS),
    )
    yield Figure(
        name="stack.udp.tap.in_flight_32",
        value=ours["udp"],
        unit="echoes/s",
        limit=peer["udp"],
        conditions=conditions(limit=beside, octets=64, echoes=_DATAGRAMS, peer_echoes=_PEER_DATAGRAMS),
    )
    yield from _lossy(conditions)


def _lossy(conditions: Callable[..., dict[str, Any]]) -> Iterator[Figure]:
    """At one per cent of loss, beside the same without and beside two kernels."""
    setups: dict[str, Callable[[], dict[str, float]]] = {
        "clean": lambda: _over_relay(0),
        "lossy": lambda: _over_relay(_LOSS),
        "kernels_clean": lambda: _kernels_over_relay(0),
        "kernels_lossy": lambda: _kernels_over_relay(_LOSS),
        "delayed": lambda: _over_relay(_LOSS, _DELAY),
        "kernels_delayed": lambda: _kernels_over_relay(_LOSS, _DELAY),
    }
    rounds = [{name: run() for name, run in setups.items()} for _ in range(_LOSSY_ROUNDS)]
    told = f"median of {_LOSSY_ROUNDS} rounds, in turns"
    for kind in ("in", "out"):
        all_of = {name: sorted(taken[name][kind] for taken in rounds) for name in setups}
        middle = {name: statistics.median(values) for name, values in all_of.items()}
        yield Figure(
            name=f"stack.tcp.tap.loss.{kind}",
            value=middle["lossy"],
            unit="bit/s",
            limit=min(_LEAST_KEPT * middle["clean"], middle["kernels_lossy"]),
            conditions=conditions(
                limit=f"what is wanted: {_LEAST_KEPT} of the same without loss, or what two kernels reach; {told}",
                without_loss=middle["clean"],
                kernels=middle["kernels_lossy"],
                kernels_without_loss=middle["kernels_clean"],
                rounds=all_of["lossy"],
                rounds_without_loss=all_of["clean"],
                loss=_LOSS,
                congestion_control="cubic",
                relay="user space, between two TAPs in a bridge",
                seed=1,
                bytes=_LOSSY_BYTES,
            ),
        )
        yield Figure(
            name=f"stack.tcp.tap.loss.delay.{kind}",
            value=middle["delayed"],
            unit="bit/s",
            limit=middle["kernels_delayed"],
            conditions=conditions(
                limit=f"two kernels over the same relay; {told}",
                loss=_LOSS,
                delay_ms=_DELAY,
                congestion_control="cubic",
                relay="user space, between two TAPs in a bridge",
                seed=1,
                bytes=_DELAYED_BYTES,
            ),
        )
