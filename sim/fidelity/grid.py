"""The grid: the scenarios by which the model's distance to the RTL is told.

A third is held out (``held_out``): no checkpoint was chosen, and nothing in the model changed, because of them.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hw.registers import BY_NAME
from sim.fidelity.scenario import Direction, Scenario

__all__ = ["GRID"]

_RX, _TX, _BOTH = Direction.RECEIVE, Direction.TRANSMIT, Direction.BOTH
_OFF: dict[str, Any] = {"interrupt_throttle_rate": 0}
_HEADER_AND_FCS = 18


def _thresholds(name: str, **fields: int) -> int:
    return BY_NAME[name].value(**fields)


def _points() -> Iterator[Scenario]:
    sizes = (64, 65, 128, 256, 512, 1024, 1518)
    for size in sizes:
        # Some load between an idle and a full wire.
        pause = 4_000 + 4 * size
        yield Scenario(name=f"receive-{size}", size=size, pause=pause, driver=_OFF)
        yield Scenario(name=f"transmit-{size}", direction=_TX, size=size, pause=pause, driver=_OFF)
    for size in (64, 600, 1518):
        yield Scenario(name=f"both-{size}", direction=_BOTH, size=size, pause=9_000, driver=_OFF)
    for size in (2000, 4000, 9018):
        driver = {**_OFF, "mtu": size - _HEADER_AND_FCS, "rx_buffer_size": 16384, "rx_descriptors": 80}
        yield Scenario(name=f"receive-jumbo-{size}", size=size, frames=12, pause=20_000, driver=driver)
        yield Scenario(name=f"transmit-jumbo-{size}", direction=_TX, size=size, frames=12, pause=20_000, driver=_OFF)
    yield Scenario(
        name="receive-jumbo-in-pieces",
        size=9018,
        frames=12,
        pause=40_000,
        driver={**_OFF, "mtu": 9018 - _HEADER_AND_FCS, "rx_buffer_size": 2048},
    )
    for burst in (2, 8, 32, 64):
        yield Scenario(name=f"receive-bursts-{burst}", frames=128, burst=burst, pause=700 * burst, driver=_OFF)
        yield Scenario(
            name=f"transmit-bursts-{burst}", direction=_TX, frames=128, burst=burst, pause=700 * burst, driver=_OFF
        )
    for rate in (1, 3, 4000, 8000, 20000, 100000):
        driver = {"interrupt_throttle_rate": rate}
        yield Scenario(name=f"receive-itr-{rate}", size=256, frames=100, pause=5_000, jitter=True, driver=driver)
        yield Scenario(name=f"both-itr-{rate}", direction=_BOTH, size=512, frames=60, pause=8_000, driver=driver)
    for delay, absolute in ((5, 0), (5, 20), (20, 0), (50, 60)):
        driver = {**_OFF, "rx_int_delay": delay, "rx_abs_int_delay": absolute}
        yield Scenario(name=f"receive-delay-{delay}-{absolute}", size=128, pause=6_000, jitter=True, driver=driver)
        driver = {**_OFF, "tx_int_delay": delay, "tx_abs_int_delay": absolute}
        yield Scenario(
            name=f"transmit-delay-{delay}-{absolute}", direction=_TX, size=128, pause=6_000, jitter=True, driver=driver
        )
    for latency in (200, 2000, 5000):
        costs = {"dma_read_latency": latency, "dma_write_latency": latency // 2}
        yield Scenario(name=f"receive-latency-{latency}", frames=100, pause=2_500, driver=_OFF, costs=costs)
        yield Scenario(
            name=f"transmit-latency-{latency}", direction=_TX, size=512, pause=6_000, driver=_OFF, costs=costs
        )
    for width in (4, 2, 1):
        costs = {"dma_width": width}
        yield Scenario(name=f"receive-width-{width}", size=700, pause=9_000, driver=_OFF, costs=costs)
        yield Scenario(name=f"transmit-width-{width}", direction=_TX, size=700, pause=9_000, driver=_OFF, costs=costs)
    for count in (80, 512):
        driver = {**_OFF, "rx_descriptors": count, "tx_descriptors": count}
        yield Scenario(name=f"receive-ring-{count}", frames=200, burst=100, pause=60_000, driver=driver)
        yield Scenario(name=f"transmit-ring-{count}", direction=_TX, frames=200, burst=100, pause=60_000, driver=driver)
    for pthresh, hthresh, wthresh in ((8, 1, 0), (32, 8, 4), (1, 16, 8)):
        fields = {"PTHRESH": pthresh, "HTHRESH": hthresh, "WTHRESH": wthresh, "GRAN": 1}
        # Used descriptors gather, so only a timer lets the driver see them.
        driver = {**_OFF, "rx_int_delay": 4, "rx_abs_int_delay": 8}
        yield Scenario(
            name=f"receive-thresholds-{pthresh}-{hthresh}-{wthresh}",
            frames=100,
            burst=5,
            pause=8_000,
            driver=driver,
            receive_thresholds=_thresholds("RXDCTL", **fields),
        )
        yield Scenario(
            name=f"transmit-thresholds-{pthresh}-{hthresh}-{wthresh}",
            direction=_TX,
            frames=100,
            burst=5,
            pause=8_000,
            driver=_OFF,
            transmit_thresholds=_thresholds("TXDCTL", **{**fields, "WTHRESH": max(wthresh, 1)}),
        )
    yield Scenario(name="receive-checksums", size=300, checksums=True, pause=6_000, driver=_OFF)
    yield Scenario(name="transmit-checksums", direction=_TX, size=300, checksums=True, pause=6_000, driver=_OFF)
    for segments, size in ((4, 1518), (20, 1518), (40, 1518), (8, 600)):
        yield Scenario(
            name=f"segmentation-{segments}-{size}",
            direction=_TX,
            size=size,
            frames=4 * segments,
            segments=segments,
            pause=30_000,
            driver=_OFF,
        )
    yield Scenario(name="both-line-rate-64", direction=_BOTH, frames=300, burst=300, pause=0, driver=_OFF)
    yield Scenario(name="both-line-rate-1518", direction=_BOTH, size=1518, frames=60, burst=60, pause=0, driver=_OFF)
    for name, cost in (("starvation", 3_000), ("drops", 20_000)):
        yield Scenario(
            name=f"receive-{name}",
            frames=1000 if name == "drops" else 300,
            burst=1000 if name == "drops" else 300,
            pause=0,
            driver={"interrupt_throttle_rate": 4000, "rx_descriptors": 80},
            costs={"driver_rx": cost},
        )


GRID = tuple(replace(scenario, held_out=number % 3 == 2, seed=number + 1) for number, scenario in enumerate(_points()))
