"""Rows that no simulation made, for tests of what is done with rows. All differ in every value."""

import random

from sim.experiment import mode_name
from sim.results import RunResult
from stack.environment import Cause

__all__ = ["synthetic_row", "synthetic_rows"]


def _shares(draw: random.Random) -> dict[str, float]:
    shares = {cause.value: draw.uniform(0.005, 0.08) for cause in Cause}
    return shares | {"idle": 1.0 - sum(shares.values())}


def synthetic_row(rate: int, *, offloads: bool, file_bytes: int = 1_234_567, latencies: int = 700) -> RunResult:
    """A row of the mode ``rate``; the same arguments give the same row."""
    draw = random.Random(f"{rate} {offloads} {file_bytes}")
    slow = 1.0 if offloads else 0.7
    hold = {0: 8.0, 1: 40.0, 3: 90.0, 4: 180.0}.get(rate, 1e6 / max(rate, 1))
    receive_latencies = [1e-6 * (4 + draw.uniform(0, hold)) for _ in range(latencies)]
    round_trips = [1e-6 * (12 + draw.uniform(0, hold)) for _ in range(32)]
    duration = 0.03 / slow
    return RunResult(
        name=f"itr-{rate}-offloads-{'on' if offloads else 'off'}",
        backend="synthetic",
        interrupt_throttle_rate=rate,
        mode=mode_name(rate),
        offloads=offloads,
        seed=7,
        file_bytes=file_bytes,
        sha256="0" * 64,
        duration=duration,
        send_goodput=9e8 * slow * draw.uniform(0.9, 1.0),
        receive_goodput=8e8 * slow * draw.uniform(0.9, 1.0),
        send_interrupts=draw.randrange(100, 1000),
        receive_interrupts=draw.randrange(100, 1000),
        send_interrupt_rate=8e5 / hold * draw.uniform(0.9, 1.0),
        receive_interrupt_rate=7e5 / hold * draw.uniform(0.9, 1.0),
        send_packets_per_interrupt=0.1 * hold * draw.uniform(0.9, 1.0),
        receive_packets_per_interrupt=0.12 * hold * draw.uniform(0.9, 1.0),
        send_cpu=_shares(draw),
        receive_cpu=_shares(draw),
        round_trip_p50=sorted(round_trips)[16],
        round_trip_p99=max(round_trips),
        receive_latency_p50=sorted(receive_latencies)[latencies // 2] if latencies else 0.0,
        receive_latency_p99=max(receive_latencies, default=0.0),
        receive_latencies=receive_latencies,
        round_trips=round_trips,
        retransmissions=draw.randrange(0, 9),
        tso_packets=draw.randrange(10, 100) if offloads else 0,
        tso_segments=draw.randrange(100, 1000) if offloads else 0,
        tso_segments_per_packet=draw.uniform(5, 40) if offloads else 0.0,
        tso_segments_per_descriptor=draw.uniform(1, 10) if offloads else 0.0,
        frames_sent=draw.randrange(1000, 2000),
        frames_received=draw.randrange(1000, 2000),
        itr_log=[(duration * step / 12, draw.choice((55, 195, 488, 976))) for step in range(1, 12)] if rate else [],
        dma_read_bytes=draw.randrange(10**6, 10**7),
        dma_write_bytes=draw.randrange(10**6, 10**7),
        simulated_cycles=round(duration * 125e6),
        wall_time=draw.uniform(3, 9),
        cycles_per_second=draw.uniform(1e6, 6e6),
    )


def synthetic_rows(rates: tuple[int, ...] = (0, 1, 3, 4, 8000)) -> list[RunResult]:
    return [synthetic_row(rate, offloads=offloads) for rate in rates for offloads in (True, False)]
