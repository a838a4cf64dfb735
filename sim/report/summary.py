"""One paragraph in plain words, made from the rows alone."""

from collections.abc import Sequence

from sim.results import RunResult

__all__ = ["paragraph"]


def _busy(run: RunResult) -> float:
    return 100 * (1 - run.receive_cpu["idle"])


def _mode(run: RunResult) -> str:
    return "throttling off" if run.interrupt_throttle_rate == 0 else f"mode {run.mode}"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1_000_000 else f"{count:,} bytes"


def _between_modes(runs: Sequence[RunResult]) -> list[str]:
    """Compares modes, among runs with the same offloads."""
    fastest = max(runs, key=lambda run: run.receive_goodput)
    quickest = min(runs, key=lambda run: run.receive_latency_p99)
    lightest = min(runs, key=_busy)
    return [
        f"With offloads {'on' if fastest.offloads else 'off'}, host A received fastest with {_mode(fastest)}: "
        f"{fastest.receive_goodput / 1e6:.0f} Mb/s at {fastest.receive_interrupt_rate:,.0f} interrupts/s.",
        f"The shortest receive latency (99th percentile) was that of {_mode(quickest)}, "
        f"{1e6 * quickest.receive_latency_p99:.1f} µs with the processor {_busy(quickest):.0f} % busy; "
        f"the least processor time went into {_mode(lightest)}, {_busy(lightest):.0f} % at "
        f"{1e6 * lightest.receive_latency_p99:.1f} µs.",
    ]


def _between_offloads(runs: Sequence[RunResult]) -> list[str]:
    """What the offloads change, in a mode that ran with and without them."""
    by_setting = {(run.interrupt_throttle_rate, run.offloads): run for run in runs}
    rates = [run.interrupt_throttle_rate for run in runs]
    pairs = [(by_setting[rate, True], by_setting[rate, False]) for rate in rates if len({*_settings(runs, rate)}) == 2]
    if not pairs:
        return []
    on, off = next((pair for pair in pairs if pair[0].interrupt_throttle_rate == 3), pairs[0])
    return [
        f"In {_mode(on)}, switching the offloads off takes sending from {on.send_goodput / 1e6:.0f} to "
        f"{off.send_goodput / 1e6:.0f} Mb/s, and the processor's load meanwhile from "
        f"{100 * (1 - on.send_cpu['idle']):.0f} to {100 * (1 - off.send_cpu['idle']):.0f} %."
    ]


def _settings(runs: Sequence[RunResult], rate: int) -> list[bool]:
    return [run.offloads for run in runs if run.interrupt_throttle_rate == rate]


def paragraph(runs: Sequence[RunResult]) -> str:
    """The summary of at least one run."""
    first = runs[0]
    count = f"{len(runs)} runs" if len(runs) > 1 else "one run"
    sentences = [
        f"A file of {_size(first.file_bytes)} went from host A over the NIC's RTL to host B and back, in {count}; "
        "its SHA-256 was the same at both ends every time."
    ]
    if first.file_bytes == 0:
        return f"{sentences[0]} The file is empty, so only the round trips say something."
    on = [run for run in runs if run.offloads]
    compared = on or list(runs)
    if len(compared) > 1:
        sentences += _between_modes(compared)
    else:
        sentences.append(
            f"Host A sent at {compared[0].send_goodput / 1e6:.0f} Mb/s and received at "
            f"{compared[0].receive_goodput / 1e6:.0f} Mb/s with {_mode(compared[0])}."
        )
    sentences += _between_offloads(runs)
    again = sum(run.retransmissions for run in runs)
    sentences.append("No TCP segment was sent again." if again == 0 else f"{again:,} TCP segments were sent again.")
    return " ".join(sentences)
