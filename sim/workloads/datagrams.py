"""Datagrams at a rate of their own, whatever becomes of them: floods, Poisson, bursts, IMIX.

Those to host A come from a packet generator on the wire (``sim.workloads.generator``); A's program counts what reaches
it. The latency is from a frame's start on the wire to A's program having the datagram.
"""

import random
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from sim.hosts import Hosts
from sim.quantity import Duration, EventRate, Size
from sim.wire import GAP_BYTES, PREAMBLE_BYTES
from sim.workloads.arrivals import Arrivals, gaps
from sim.workloads.generator import MAXIMUM_FRAME, MINIMUM_FRAME, UdpFrames, send_at
from sim.workloads.programs import sink_datagrams
from sim.workloads.workload import Load, TimedWorkload

__all__ = ["SIMPLE_IMIX", "Datagrams", "Flood", "Imix", "OnOff", "Poisson"]

SIMPLE_IMIX = ((64, 7), (594, 4), (1518, 1))
"""Frame sizes in bytes with FCS, and how many of each in twelve: the simple Internet mix that test equipment uses, a
table of IMIX proportions in the sense of RFC 6985."""


class Datagrams(TimedWorkload):
    """UDP datagrams to host A."""

    latency_of = "delivery"
    process: ClassVar[Arrivals]
    rate: EventRate
    """Datagrams per second, the mean."""

    @property
    def load(self) -> Load:
        return self.rate, "packets/s"

    def sizes(self, draw: random.Random) -> Iterator[int]:
        """Bytes of each frame, FCS included."""
        raise NotImplementedError

    def burst(self, byte_time: int) -> tuple[float, float]:
        """Mean packets of a burst, and ns between two of them."""
        return 1.0, 0.0

    async def start(self, hosts: Hosts) -> None:
        direction = hosts.to_a
        frames = UdpFrames(
            source=hosts.peer_mac,
            destination=hosts.mac,
            from_address=hosts.peer_addresses[0],
            to_address=hosts.address,
        )
        draw = random.Random(f"{hosts.seed} arrivals")
        burst, burst_gap = self.burst(direction.byte_time)
        sent_at: dict[int, int] = {}
        origin = hosts.env.now

        def arrivals() -> Iterator[tuple[float, bytes]]:
            time = 0.0
            sizes = self.sizes(random.Random(f"{hosts.seed} sizes"))
            for gap in gaps(self.process, rate=self.rate, burst=burst, burst_gap=burst_gap, random=draw):
                time += gap
                number = frames.count
                frame = frames.next(next(sizes))
                sent_at[number] = origin + round(time)
                yield time, frame

        hosts.spawn(sink_datagrams(hosts, sent_at), "sink")
        hosts.spawn(send_at(hosts.env, direction, arrivals()), "generator")


class _OfOneSize(Datagrams):
    frame: Size = Field(default=MINIMUM_FRAME, ge=MINIMUM_FRAME, le=MAXIMUM_FRAME)
    """Bytes of a frame, FCS included."""

    def sizes(self, draw: random.Random) -> Iterator[int]:
        while True:
            yield self.frame


class Flood(_OfOneSize):
    """Equal gaps, up to line rate: beyond what the host can take, receive livelock is to be seen or not."""

    kind: Literal["flood"] = "flood"
    process = Arrivals.CONSTANT


class Poisson(_OfOneSize):
    """Independent sources."""

    kind: Literal["poisson"] = "poisson"
    process = Arrivals.POISSON


class OnOff(_OfOneSize):
    """Bursts back to back on the wire, with exponential silences between."""

    kind: Literal["on-off"] = "on-off"
    process = Arrivals.ON_OFF
    packets: float = Field(default=16, ge=1, le=10_000)
    """In a burst, the mean of a geometric distribution."""
    gap: Duration = 0
    """Between two frames of a burst, beyond the wire's own."""

    def burst(self, byte_time: int) -> tuple[float, float]:
        return self.packets, self.gap + (PREAMBLE_BYTES + self.frame + GAP_BYTES) * byte_time


class Imix(Datagrams):
    """The simple Internet mix of sizes (``SIMPLE_IMIX``), with Poisson arrivals."""

    kind: Literal["imix"] = "imix"
    process = Arrivals.POISSON

    def sizes(self, draw: random.Random) -> Iterator[int]:
        sizes = [size for size, count in SIMPLE_IMIX for _ in range(count)]
        while True:
            yield draw.choice(sizes)
