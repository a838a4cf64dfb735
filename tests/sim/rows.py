"""Rows that no simulation made, for tests of what is done with rows. All differ in every value."""

import json
import random

from sim.results import CAUSES, DROP_CAUSES, QUANTILES, Row
from sim.run import mode_name

__all__ = ["synthetic_main_job", "synthetic_row", "synthetic_rows"]


def _shares(draw: random.Random) -> dict[str, float]:
    shares = {cause: draw.uniform(0.005, 0.08) for cause in CAUSES if cause != "idle"}
    return shares | {"idle": 1.0 - sum(shares.values())}


def synthetic_row(
    rate: int,
    *,
    offloads: bool = True,
    load: float = 50_000.0,
    seed: int = 1,
    workload: str = "poisson",
    phase: str = "steady",
    load_unit: str = "packets/s",
    experiment: str = "synthetic",
    varied: dict[str, object] | None = None,
    latencies: int = 700,
) -> Row:
    """A row of the mode ``rate``; the same arguments give the same row."""
    draw = random.Random(f"{rate} {offloads} {load} {seed} {workload} {phase}")
    hold = {0: 8.0, 1: 40.0, 3: 90.0, 4: 180.0}.get(rate, 1e6 / max(rate, 1))
    times = sorted(1e-6 * (4 + draw.uniform(0, hold)) for _ in range(latencies))
    quantiles = [times[round(share * (latencies - 1))] for share in QUANTILES] if times else []
    duration = 0.01
    sent, received = draw.randrange(10**5, 10**6), draw.randrange(10**5, 10**6)
    interrupts = draw.randrange(100, 1000)
    name = f"{workload}-{load:g}-itr-{rate}-offloads-{'on' if offloads else 'off'}-seed-{seed}"
    return Row(
        key=f"{abs(hash(name)):032x}"[:32],
        experiment=experiment,
        name=name,
        backend="model",
        workload=workload,
        phase=phase,
        settings=json.dumps({}),
        varied=json.dumps(varied or {}),
        load=load,
        load_unit=load_unit,
        interrupt_throttle_rate=rate,
        mode=mode_name(rate),
        offloads=offloads,
        seed=seed,
        sha256="0" * 64 if workload == "file" else "",
        duration=duration,
        sent_bytes=sent,
        received_bytes=received,
        send_goodput=8 * sent / duration,
        receive_goodput=8 * received / duration,
        transactions=latencies,
        transaction_rate=latencies / duration,
        interrupts=interrupts,
        interrupt_rate=interrupts / duration,
        frames_sent=draw.randrange(1000, 2000),
        frames_received=draw.randrange(1000, 2000),
        packets_per_interrupt=0.1 * hold * draw.uniform(0.9, 1.0),
        cpu=_shares(draw),
        latency_of="delivery",
        latency_count=latencies,
        latency_p50=quantiles[100] if times else 0.0,
        latency_p99=quantiles[198] if times else 0.0,
        latency_p999=quantiles[-2] if times else 0.0,
        latency_max=quantiles[-1] if times else 0.0,
        latencies=quantiles,
        receive_p50=draw.uniform(1e-6, 1e-4),
        receive_p99=draw.uniform(1e-4, 1e-3),
        receive_latencies=quantiles,
        drops={cause: draw.randrange(0, 9) for cause in DROP_CAUSES},
        receive_no_buffer=draw.randrange(0, 9),
        retransmissions=draw.randrange(0, 9),
        tso_packets=draw.randrange(10, 100) if offloads else 0,
        tso_segments=draw.randrange(100, 1000) if offloads else 0,
        tso_segments_per_descriptor=draw.uniform(1, 10) if offloads else 0.0,
        polls=draw.randrange(100, 1000),
        itr_log=[
            {"time": duration * step / 12, "register": draw.choice((55, 195, 976)), "rx_class": step % 3, "tx_class": 0}
            for step in range(12)
        ]
        if rate
        else [],
        rings=[
            {"time": duration * step / 50, "rx": draw.randrange(0, 99), "tx": draw.randrange(0, 99)}
            for step in range(50)
        ],
        dma_read_bytes=draw.randrange(10**6, 10**7),
        dma_write_bytes=draw.randrange(10**6, 10**7),
        simulated_cycles=round(duration * 125e6),
        wall_time=draw.uniform(3, 9),
        cycles_per_second=draw.uniform(1e6, 6e6),
    )


def synthetic_rows(
    rates: tuple[int, ...] = (0, 1, 3, 4, 8000),
    *,
    loads: tuple[float, ...] = (10_000.0, 50_000.0),
    seeds: tuple[int, ...] = (1, 2, 3),
    offloads: tuple[bool, ...] = (True, False),
) -> list[Row]:
    """A grid as an experiment gives it."""
    return [
        synthetic_row(rate, offloads=on, load=load, seed=seed)
        for load in loads
        for on in offloads
        for rate in rates
        for seed in seeds
    ]


def synthetic_main_job(rates: tuple[int, ...] = (0, 3)) -> list[Row]:
    """The phases of main jobs."""
    return [
        synthetic_row(
            rate, offloads=on, load=1.0, load_unit="file", workload="file", phase=phase, experiment="main-job"
        )
        for rate in rates
        for on in (True, False)
        for phase in ("round trip", "send", "receive")
    ]
