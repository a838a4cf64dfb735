"""``docs/tcp-tables.md``: how fast TCP is in simulated time, against loss, round trip, buffer and algorithm.

``python -m sim.tcp_tables`` writes the whole page; a test makes its first part anew and compares.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path as FilePath
from typing import Any

from rich.progress import track

from sim.netsim import FAR, Netsim
from stack.socket import AF_INET, SHUT_WR, SOCK_STREAM, StreamSocket
from stack.tcp.algorithms import ALGORITHMS
from stack.tcp.congestion import INFINITE, CongestionControl
from stack.tcp.parameters import TcpParameters
from stack.tcp.rate import RateSample

__all__ = ["DOCUMENT", "average_window", "fairness", "small_section", "throughput"]

DOCUMENT = FilePath(__file__).resolve().parent.parent / "docs" / "tcp-tables.md"
_MS = 1_000_000
_SECOND = 1_000 * _MS
_PORT = 5001
_MEBIBYTE = 1 << 20
_FRAME_HEADERS = 66
"""Ethernet, IPv4, TCP with timestamps."""
_C, _BETA = 0.4, 0.7
"""RFC 9438 section 4.1.2 and 4.6."""

SMOLTCP = {
    4096: (35_062, 33_860, 26_937, 21_887, 14_074, 7_871, 1_604, 402),
    16384: (161_842, 159_311, 127_091, 104_233, 55_319, 27_269, 7_655, 1_277),
    32768: (322_945, 314_780, 219_671, 166_588, 76_626, 37_775, 6_079, 1_156),
}
"""Bytes/s by buffer, from smoltcp's ``tests/netsim.rs`` and its snapshot (7 August 2026)."""
LOSSES = (0.0, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
_SMOLTCP_FLOWS = {1: (3_450, 0.45, 1.0), 64: (167_824, 0.44, 0.976)}


def _fixed(buffer: int, **more: object) -> TcpParameters:
    """Buffers that do not grow."""
    return TcpParameters(
        send_buffer=buffer,
        send_buffer_maximum=buffer,
        receive_buffer=buffer,
        receive_buffer_maximum=buffer,
        moderate_receive_buffer=False,
        **more,  # type: ignore[arg-type]
    )


async def _send(netsim: Netsim, size: int) -> None:
    socket = netsim.near.socket(AF_INET, SOCK_STREAM)
    await socket.connect((FAR, _PORT))
    await socket.sendall(bytes(size))
    await socket.shutdown(SHUT_WR)


async def _receive(netsim: Netsim, size: int) -> None:
    listener = netsim.far.socket(AF_INET, SOCK_STREAM)
    await listener.bind((FAR, _PORT))
    await listener.listen()
    socket, _ = await listener.accept()
    got = 0
    while got < size:
        data = await socket.recv(_MEBIBYTE)
        if not data:
            raise ValueError("the connection ended early")
        got += len(data)


def throughput(
    *, size: int, buffer: int, loss: float, round_trip: int = 100 * _MS, control: str = "cubic", seed: int = 1
) -> float:
    """Bytes/s of one transfer of ``size`` bytes over a path that loses at random in both directions, its rate without
    limit."""
    retries = {"syn_retries": 20, "synack_retries": 20, "retries": 100, "maximum_rto": 10 * _SECOND}
    parameters = _fixed(buffer, congestion_control=control, **retries)
    netsim = Netsim(seed=seed, delay=round_trip // 2, parameters=parameters)
    netsim.lose_at_random(loss)

    async def main() -> None:
        receiving = netsim.engine.spawn(_receive(netsim, size))
        await netsim.engine.sleep(1)
        sending = netsim.engine.spawn(_send(netsim, size))
        await receiving
        sending.cancel()

    netsim.engine.run(main())
    return size * _SECOND / netsim.engine.now


def fairness(flows: int, *, duration: int, control: str = "cubic", seed: int = 1) -> tuple[float, float, float]:
    """(bytes/s of all flows, share of frames dropped at the queue, Jain's index) of flows with round trips of 50 to 150
    ms through a bottleneck of 200 Mbit/s with a queue of 64 KiB; buffers of 256 KiB, as in smoltcp's netsim."""
    delays: dict[int, int] = {}

    def delay(frame: bytes) -> int:
        ports = int.from_bytes(frame[34:36], "big"), int.from_bytes(frame[36:38], "big")
        return delays.get(ports[0] if ports[1] == _PORT else ports[1], 25 * _MS)

    netsim = Netsim(seed=seed, delay=delay, parameters=_fixed(256 * 1024, congestion_control=control), rate=200_000_000)
    received = [0] * flows

    async def send(number: int) -> None:
        socket = netsim.near.socket(AF_INET, SOCK_STREAM)
        port = 40_000 + number
        delays[port] = 25 * _MS + 50 * _MS * number // max(flows - 1, 1)
        await socket.bind(("", port))
        await socket.connect((FAR, _PORT))
        while True:
            await socket.send(bytes(64 * 1024))

    async def receive(socket: StreamSocket, number: int) -> None:
        while data := await socket.recv(_MEBIBYTE):
            received[number] += len(data)

    async def main() -> None:
        listener = netsim.far.socket(AF_INET, SOCK_STREAM)
        await listener.bind((FAR, _PORT))
        await listener.listen(4096)
        tasks = [netsim.engine.spawn(send(number)) for number in range(flows)]
        for _ in range(flows):
            socket, (_, port, *_) = await listener.accept()
            tasks.append(netsim.engine.spawn(receive(socket, port - 40_000)))
        begun = netsim.engine.now
        received[:] = [0] * flows
        await netsim.engine.sleep(duration)
        elapsed.append(netsim.engine.now - begun)
        for task in tasks:
            task.cancel()

    elapsed: list[int] = []
    netsim.engine.run(main())
    total = sum(received)
    jain = total**2 / (flows * sum(count**2 for count in received)) if total else 0.0
    return total * _SECOND / elapsed[0], netsim.forth.overflowed / max(netsim.forth.sent, 1), jain


class Uncontrolled(CongestionControl):
    """No congestion control: the buffers alone bound what is on its way. For comparison with stacks that have none."""

    name = "none"

    @property
    def cwnd(self) -> int:
        """Nothing changes it."""
        return INFINITE

    @cwnd.setter
    def cwnd(self, value: int) -> None:
        """See ``cwnd``."""

    def threshold(self, flight: int, now: int) -> int:
        return INFINITE

    def on_ack(self, sample: RateSample) -> None:
        """It does not grow."""


ALGORITHMS[Uncontrolled.name] = Uncontrolled


def average_window(*, packets_per_loss: int, round_trip: int, skipped: int, epochs: int) -> tuple[float, float]:
    """(average congestion window of CUBIC in segments, what the formula of RFC 9438 section 5.1 gives) if every so many
    data packets one is lost. Averaged over time, after so many losses."""
    parameters = TcpParameters(
        send_buffer=64 * _MEBIBYTE,
        send_buffer_maximum=64 * _MEBIBYTE,
        receive_buffer=64 * _MEBIBYTE,
        receive_buffer_maximum=64 * _MEBIBYTE,
    )
    netsim = Netsim(seed=1, delay=round_trip // 2, parameters=parameters)
    counted = 0

    def loses(frame: bytes) -> bool:
        nonlocal counted
        if len(frame) < _FRAME_HEADERS + 100:
            return False
        counted += 1
        return counted % packets_per_loss == 0

    netsim.forth.loses = loses
    samples: list[int] = []

    async def main() -> None:
        receiving = netsim.engine.spawn(_receive(netsim, 1 << 40))
        await netsim.engine.sleep(1)
        socket = netsim.near.socket(AF_INET, SOCK_STREAM)
        await socket.connect((FAR, _PORT))

        async def fill() -> None:
            while True:
                await socket.send(bytes(4 * _MEBIBYTE))

        sending = netsim.engine.spawn(fill())
        while counted < (epochs + skipped) * packets_per_loss:
            await netsim.engine.sleep(round_trip // 4)
            if counted >= skipped * packets_per_loss:
                samples.append(socket.tcp_info().snd_cwnd // socket.tcp_info().snd_mss)
        sending.cancel()
        receiving.cancel()

    netsim.engine.run(main())
    formula = (_C * (3 + _BETA) / (4 * (1 - _BETA))) ** 0.25 * (round_trip / _SECOND * packets_per_loss) ** 0.75
    return sum(samples) / len(samples), formula


# The page


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"


def _per_cent(loss: float) -> str:
    return f"{100 * loss:g} %"


def _small_cell(control: str, buffer: int, loss: float) -> float:
    return throughput(size=256 * 1024, round_trip=20 * _MS, buffer=buffer, loss=loss, control=control)


def small_section() -> str:
    """The part that a test makes anew."""
    losses = (0.0, 0.01, 0.05, 0.1)
    rows = []
    for control in ("cubic", "reno"):
        for buffer in (16 * 1024, 256 * 1024):
            cells = [f"{_small_cell(control, buffer, loss):,.0f}" for loss in losses]
            rows.append([control, f"{buffer // 1024} KiB", *cells])
    shared, dropped, jain = fairness(4, duration=_SECOND)
    window, formula = average_window(packets_per_loss=1000, round_trip=200 * _MS, skipped=12, epochs=6)
    return (
        "256 KiB one way, round trip 20 ms, no limit of rate, random loss both ways; bytes/s:\n\n"
        + _table(["algorithm", "buffers", *map(_per_cent, losses)], rows)
        + f"\nFour CUBIC flows, round trips of 50 to 150 ms, 200 Mbit/s, queue of 64 KiB, 1 s: {shared:,.0f} bytes/s, "
        f"{100 * dropped:.2f} % dropped, Jain's index {jain:.3f}.\n"
        f"\nCUBIC's average window at one loss per 1000 packets and 200 ms: {window:.1f} segments, "
        f"RFC 9438 section 5.1: {formula:.1f}.\n"
    )


def _smoltcp_cell(control: str, buffer: int, loss: float) -> float:
    return throughput(size=4 * _MEBIBYTE, buffer=buffer, loss=loss, control=control)


def _path_cell(control: str, round_trip: int, loss: float) -> float:
    return throughput(size=1 * _MEBIBYTE, buffer=4 * _MEBIBYTE, loss=loss, round_trip=round_trip, control=control)


def _fairness_cell(control: str, flows: int) -> tuple[float, float, float]:
    return fairness(flows, duration=1 * _SECOND, control=control)


def _window_cell(packets_per_loss: int, round_trip: int) -> tuple[float, float]:
    return average_window(packets_per_loss=packets_per_loss, round_trip=round_trip, skipped=30, epochs=12)


_ROUND_TRIPS = (1 * _MS, 10 * _MS, 50 * _MS, 200 * _MS)
_PATH_LOSSES = (0.0, 0.001, 0.01, 0.03)
_FLOWS = (1, 4, 64)
_WINDOWS = ((500, 400), (1000, 200), (1000, 400))


def document(jobs: int) -> str:
    """The whole page."""
    with ProcessPoolExecutor(jobs) as pool:
        smoltcp = {
            key: pool.submit(_smoltcp_cell, *key)
            for key in ((control, b, loss) for control in ("cubic", "none") for b in SMOLTCP for loss in LOSSES)
        }
        paths = {
            key: pool.submit(_path_cell, *key)
            for key in ((c, r, loss) for c in ("cubic", "reno") for r in _ROUND_TRIPS for loss in _PATH_LOSSES)
        }
        flows = {key: pool.submit(_fairness_cell, *key) for key in ((c, n) for c in ("cubic", "reno") for n in _FLOWS)}
        windows = {key: pool.submit(_window_cell, key[0], key[1] * _MS) for key in _WINDOWS}
        small = pool.submit(small_section)
        everything: list[Future[Any]] = [*smoltcp.values(), *paths.values(), *flows.values(), *windows.values(), small]
        for future in track(everything, "cells"):
            future.result()
    rows = []
    missed = []
    for buffer, theirs in SMOLTCP.items():
        rows.append([f"{buffer}", "smoltcp", *(f"{value:,}" for value in theirs)])
        for control in ("cubic", "none"):
            ours = [smoltcp[control, buffer, loss].result() for loss in LOSSES]
            rows.append(["", f"niclab, {control}", *(f"{value:,.0f}" for value in ours)])
            rows.append(["", "ratio", *(f"{mine / other:.2f}" for mine, other in zip(ours, theirs, strict=True))])
            missed += [
                f"{control} with {buffer} bytes at {_per_cent(loss)}"
                for loss, mine, other in zip(LOSSES, ours, theirs, strict=True)
                if mine < other
            ]
    verdict = "Below smoltcp: " + ", ".join(missed) + "." if missed else "None is below smoltcp."
    path_rows = [
        [control, f"{trip // _MS} ms", *(f"{paths[control, trip, loss].result():,.0f}" for loss in _PATH_LOSSES)]
        for control in ("cubic", "reno")
        for trip in _ROUND_TRIPS
    ]
    flow_rows = []
    for control in ("cubic", "reno"):
        for count in _FLOWS:
            rate, dropped, jain = flows[control, count].result()
            flow_rows.append([control, f"{count}", f"{rate:,.0f}", f"{100 * dropped:.2f} %", f"{jain:.3f}"])
    for count, (rate, dropped, jain) in _SMOLTCP_FLOWS.items():
        flow_rows.append(["smoltcp", f"{count}", f"{rate:,.0f}", f"{100 * dropped:.0f} %", f"{jain:.3f}"])
    window_rows = []
    for key in _WINDOWS:
        measured, formula = windows[key].result()
        window_rows.append(
            [f"{key[0]}", f"{key[1]} ms", f"{measured:.1f}", f"{formula:.1f}", f"{measured / formula:.2f}"]
        )
    return f"""# TCP in simulated time

Made by `python -m sim.tcp_tables` (`make tables`); the next section is made anew and compared by `tests/sim/test_tcp_tables.py`. Every run is exact: the same code gives the same bytes.

## Small

{small.result()}
## Loss and buffer, beside smoltcp

The net of smoltcp's `tests/netsim.rs`, with 4 MiB one way instead of 10: round trip 100 ms, MTU 1500, no limit of rate, random loss in both directions; columns are loss, rows the
size of both buffers, values bytes/s. smoltcp's sockets have no congestion control unless told so; therefore the rows `none`, in which nothing but the buffer bounds
what is on its way. With CUBIC a random loss is taken for congestion: its window at loss p is about 1.2 / sqrt(p) segments (RFC 9438 section 4.3), which at 1 % is 12, less
than a buffer of 32 KiB holds. The longest timeout is 10 s here, as in smoltcp. {verdict}

{_table(["buffer", "", *map(_per_cent, LOSSES)], rows)}
## Loss and round trip

1 MiB one way with buffers of 4 MiB, no limit of rate; bytes/s:

{_table(["algorithm", "round trip", *map(_per_cent, _PATH_LOSSES)], path_rows)}
## Many flows

Through 200 Mbit/s (25,000,000 bytes/s) with a queue of 64 KiB, round trips of 50 to 150 ms spread evenly, buffers of 256 KiB, 1 s from the first connection on:

{_table(["algorithm", "flows", "bytes/s together", "dropped at the queue", "Jain's index"], flow_rows)}
## CUBIC's window

Every so many data packets one is lost; the time average of the congestion window, in segments, beside AVG_W_cubic of RFC 9438 section 5.1,
after 30 losses. The formula knows no recovery, which takes a round trip without growth of each epoch (of some ten in the first row), and no fast convergence:

{_table(["packets per loss", "round trip", "measured", "RFC 9438", "ratio"], window_rows)}"""  # noqa: E501


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    DOCUMENT.write_text(document(parser.parse_args().jobs))


if __name__ == "__main__":
    main()
