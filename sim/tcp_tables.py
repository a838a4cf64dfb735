"""``docs/tcp-tables.md``: how fast TCP is in simulated time, against loss, round trip, buffer and algorithm.

``python -m sim.tcp_tables`` writes the whole page; a test makes its first part anew and compares.
"""

import argparse
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path as FilePath
from statistics import mean
from typing import Any

from rich.progress import track

from sim import compiled, cubic_window
from sim.tcp_runs import NETSIM, SHARED, AverageWindow, average_window, fairness, throughput

__all__ = ["DOCUMENT", "small_section"]

DOCUMENT = FilePath(__file__).resolve().parent.parent / "docs" / "tcp-tables.md"
_MS = 1_000_000
_SECOND = 1_000 * _MS
_MEBIBYTE = 1 << 20

SMOLTCP = {
    4096: (35_062, 33_860, 26_937, 21_887, 14_074, 7_871, 1_604, 402),
    16384: (161_842, 159_311, 127_091, 104_233, 55_319, 27_269, 7_655, 1_277),
    32768: (322_945, 314_780, 219_671, 166_588, 76_626, 37_775, 6_079, 1_156),
}
"""Bytes/s by buffer, from smoltcp's ``tests/netsim.rs`` and its snapshot (7 August 2026)."""
LOSSES = (0.0, 0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
_SMOLTCP_FLOWS = {1: (3_450, 0.45, 1.0), 64: (167_824, 0.44, 0.976)}


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"


def _per_cent(loss: float) -> str:
    return f"{100 * loss:g} %"


def _shares(result: tuple[float, float, float]) -> list[str]:
    rate, dropped, jain = result
    return [f"{rate:,.0f}", f"{100 * dropped:.2f} %", f"{jain:.3f}"]


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
    window = average_window(packets_per_loss=1000, round_trip=200 * _MS, skipped=12, epochs=6)
    expected = cubic_window.average_window(packets_per_loss=1000, round_trip=0.2, skipped=12, epochs=6)
    formula = cubic_window.formula(1000, 0.2)
    return (
        "256 KiB one way, round trip 20 ms, no limit of rate, random loss both ways; bytes/s:\n\n"
        + _table(["algorithm", "buffers", *map(_per_cent, losses)], rows)
        + f"\nFour CUBIC flows, round trips of 50 to 150 ms, 200 Mbit/s, queue of 64 KiB, 1 s: {shared:,.0f} bytes/s, "
        f"{100 * dropped:.2f} % dropped, Jain's index {jain:.3f}.\n"
        f"\nCUBIC's average window at one loss per 1000 packets and 200 ms: {window.always:.1f} segments, "
        f"RFC 9438 packet by packet: {expected:.1f}; in congestion avoidance {window.avoidance:.1f}, section 5.1: "
        f"{formula:.1f}.\n"
    )


def _smoltcp_cell(control: str, buffer: int, loss: float) -> float:
    """The mean of some seeds: a run at 30 % has few ways to go well."""
    return mean(
        throughput(size=10 * _MEBIBYTE, buffer=buffer, loss=loss, control=control, seed=seed)
        for seed in range(1, _SEEDS + 1)
    )


def _path_cell(control: str, round_trip: int, loss: float) -> float:
    return throughput(size=4 * _MEBIBYTE, buffer=4 * _MEBIBYTE, loss=loss, round_trip=round_trip, control=control)


def _fairness_cell(control: str, pacing: bool, flows: int) -> tuple[float, float, float]:
    return fairness(flows, duration=3 * _SECOND, control=control, bottleneck=replace(NETSIM, pacing=pacing))


def _shared_cell(control: str, flows: int) -> tuple[float, float, float]:
    return fairness(flows, duration=20 * _SECOND, settle=5 * _SECOND, control=control, bottleneck=SHARED)


def _window_cell(packets_per_loss: int, round_trip_ms: int, control: str) -> tuple[AverageWindow, float, float]:
    """(measured, RFC 9438 packet by packet, its formula)."""
    measured = average_window(
        packets_per_loss=packets_per_loss,
        round_trip=round_trip_ms * _MS,
        skipped=_SKIPPED_LOSSES,
        epochs=_LOSSES,
        control=control,
    )
    expected = cubic_window.average_window(
        packets_per_loss=packets_per_loss,
        round_trip=round_trip_ms / 1000,
        skipped=_SKIPPED_LOSSES,
        epochs=_LOSSES,
        fast_convergence=control == "cubic",
    )
    return measured, expected, cubic_window.formula(packets_per_loss, round_trip_ms / 1000)


_ROUND_TRIPS = (1 * _MS, 10 * _MS, 50 * _MS, 200 * _MS)
_PATH_LOSSES = (0.0, 0.001, 0.01, 0.03)
_SEEDS = 3
_FLOWS = (1, 4, 16, 64)
_SHARED_FLOWS = (2, 4, 16)
_WINDOWS = ((500, 400), (1000, 200), (1000, 400), (3000, 100))
_SKIPPED_LOSSES, _LOSSES = 100, 60


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
        shared = {
            key: pool.submit(_shared_cell, *key) for key in ((c, n) for c in ("cubic", "reno") for n in _SHARED_FLOWS)
        }
        flows = {
            key: pool.submit(_fairness_cell, *key)
            for key in ((c, paced, n) for c in ("cubic", "reno") for paced in (False, True) for n in _FLOWS)
        }
        windows = {
            key: pool.submit(_window_cell, *key)
            for key in ((*window, c) for c in ("cubic", "cubic-alone") for window in _WINDOWS)
        }
        small = pool.submit(small_section)
        everything: list[Future[Any]] = [
            *smoltcp.values(),
            *paths.values(),
            *shared.values(),
            *flows.values(),
            *windows.values(),
            small,
        ]
        for future in track(everything, "cells"):
            future.result()
    rows = []
    missed = []
    for buffer, theirs in SMOLTCP.items():
        rows.append([f"{buffer}", "smoltcp", *(f"{value:,}" for value in theirs)])
        for control in ("none", "cubic"):
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
    flow_rows = [
        [f"{control}, paced" if paced else control, f"{count}", *_shares(flows[control, paced, count].result())]
        for control in ("cubic", "reno")
        for paced in (False, True)
        for count in _FLOWS
    ]
    shared_rows = [
        [control, f"{count}", *_shares(shared[control, count].result())]
        for control in ("cubic", "reno")
        for count in _SHARED_FLOWS
    ]
    for count, (rate, dropped, jain) in _SMOLTCP_FLOWS.items():
        flow_rows.append(["smoltcp", f"{count}", f"{rate:,.0f}", f"{100 * dropped:.0f} %", f"{jain:.3f}"])
    window_rows = []
    for key, window in windows.items():
        measured, expected, formula = window.result()
        window_rows.append(
            [
                f"{key[0]}",
                f"{key[1]} ms",
                "yes" if key[2] == "cubic" else "no",
                f"{measured.always:.1f}",
                f"{expected:.1f}",
                f"{measured.always / expected:.2f}",
                f"{measured.avoidance:.1f}",
                f"{formula:.1f}",
                f"{measured.avoidance / formula:.2f}",
                f"{measured.always / formula:.2f}",
            ]
        )
    return f"""# TCP in simulated time

Made by `make tables` (`sim/tcp_tables.py`); the next section is made anew and compared by `tests/sim/test_tcp_tables.py`. Every run is exact: the same code gives the same bytes.

## Small

{small.result()}
## Loss and buffer, beside smoltcp

The net of smoltcp's `tests/netsim.rs`: 10 MiB one way, round trip 100 ms, MTU 1500, no limit of rate, random loss in both directions; columns are loss, rows the
size of both buffers, values bytes/s, ours the mean of {_SEEDS} seeds. smoltcp's sockets have no congestion control there, so the rows `none`, in which nothing but the buffer
bounds what is on its way, compare like with like. With CUBIC a random loss is taken for congestion: its window at loss p is about 1.2 / sqrt(p) segments (RFC 9438 section
4.3), which is 12 at 1 % and 9 at 2 %, where a buffer of 32 KiB holds 22 and the rows `none` make use of them: no CUBIC or Reno can be as fast there. At 0.1 % a loss
comes every 45 round trips with that buffer, takes the window from 22 segments to 15 (sections 4.6: 0.7 of what is in flight) and leaves it to grow by half a segment per round trip (section 4.3): 13 round
trips with 3 or 4 segments less each are a twentieth of what the buffer would let through. With 16 KiB it is a hundredth. The longest timeout is 60 s, as in smoltcp. {verdict}

{_table(["buffer", "", *map(_per_cent, LOSSES)], rows)}
## Loss and round trip

4 MiB one way with buffers of 4 MiB, no limit of rate; bytes/s:

{_table(["algorithm", "round trip", *map(_per_cent, _PATH_LOSSES)], path_rows)}
## Many flows

Through 200 Mbit/s (25,000,000 bytes/s) with a queue of 64 KiB, round trips of 50 to 150 ms spread evenly, buffers of 256 KiB, 3 s from the first connection on:

{_table(["algorithm", "flows", "bytes/s together", "dropped at the queue", "Jain's index"], flow_rows)}
Here the buffers share the link more than congestion control does: a flow cannot be faster than a buffer per round trip, for four flows together 12,400,000 bytes/s with
an index of 0.84, which is what pacing (`TcpParameters.pacing`) leaves of it. Without pacing a window comes as a burst that is larger than the queue.

40 Mbit/s (5,000,000 bytes/s), all round trips 50 ms, a queue of 250,000 bytes, which is as much as the path holds, buffers of 4 MiB, 20 s after the first 5 s: here
congestion control alone shares.

{_table(["algorithm", "flows", "bytes/s together", "dropped at the queue", "Jain's index"], shared_rows)}
## CUBIC's window

Every so many data packets one is lost; averages over time of the congestion window, in segments, over {_LOSSES} losses after the first {_SKIPPED_LOSSES}. *Always* counts each
moment, and stands beside what the rules of RFC 9438 give when its packets travel (`sim/cubic_window.py`, which shares no code with the stack). *In avoidance* leaves fast
recovery out, in which PRR sets the window, and stands beside AVG_W_cubic of section 5.1: the formula has nothing but congestion avoidance in it, so this is what it can be
compared with, and what "within 10 %" is about. The last column has the average with recovery over the formula, too.

{_table(["packets per loss", "round trip", "fast convergence", "always", "packet by packet", "ratio", "in avoidance", "section 5.1", "ratio", "always to 5.1"], window_rows)}
The stack has the window that the rules give, within a tenth; what is left is what the formula leaves out. It has the window on the curve at each moment, where it comes after it by ACKs, a
round trip at a time: at 500 packets and 400 ms an epoch has ten round trips, and the windows are under the formula even without fast convergence. And it knows no fast
convergence (section 4.7), which takes a window that is smaller than the one before for another flow's doing. Only whole segments are compared, as in Linux, but the
losses here do not come at the same moment of each round trip, so windows differ and it sets in every few epochs all the same. Section 4.7 says that a flow which is always
alone should do without it; hosts do not know that they are alone, and Linux has it too. After a start far above the plateau the window without it comes down slowly, and is
still above the formula at the shorter round trips.
"""  # noqa: E501


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    jobs = parser.parse_args().jobs
    if compiled.folder() is not None:
        # Some of the algorithms put attributes in the place of others, which compiled modules do not look for.
        parser.error(
            f"the tables are made with the readable modules: {compiled.INTERPRETED}=1 python -m sim.tcp_tables"
        )
    DOCUMENT.write_text(document(jobs))


if __name__ == "__main__":
    main()
