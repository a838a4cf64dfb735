"""Receive livelock (Mogul and Ramakrishnan, ACM TOCS 1997): more datagrams than the host can take.

Without NAPI the interrupt's work, which goes before everything, grows with the load until the program has no time left;
with NAPI what is too much is dropped by the device, before it has cost anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from sim.engine import EventEngine
from sim.processor import SchedulerParameters
from stack.environment import Cause
from stack.host import NetworkStack
from stack.socket import AF_INET, SOCK_DGRAM
from tests.driver.rig import MAC, PEER, Rig

SPAN = 4_000_000
"""ns of load that are measured, after half of that to settle."""

SCHEDULER = SchedulerParameters(latency=400_000, minimum_granularity=50_000, wakeup_granularity=70_000)
"""Turns a fifteenth of Linux's, so that there are many of them in that time."""

DATAGRAM = bytes(
    Ether(src=PEER, dst=MAC) / IP(src="192.0.2.2", dst="192.0.2.1") / UDP(sport=9, dport=7) / Raw(bytes(18))
)


@dataclass
class Outcome:
    read: float
    """Datagrams per second that the program has read."""
    program: float
    """Share of the processor that the program had for its calls."""
    interrupt: float
    """Share that the interrupt handler had, the driver's work included where it is done there."""
    missed: int
    """Dropped by the device."""
    backlog_dropped: int
    ksoftirqd: int


def flood(rate: int, *, napi: bool) -> Outcome:
    """Offer ``rate`` datagrams per second to a program that reads them."""
    rig = Rig(scheduler=SCHEDULER)
    read = 0

    async def program(stack: NetworkStack) -> None:
        nonlocal read
        socket = stack.socket(AF_INET, SOCK_DGRAM)
        await socket.bind(("", 7))
        while True:
            await socket.recvfrom(2048)
            read += 1

    def arrivals(env: EventEngine) -> Iterator[None]:
        interval = 1_000_000_000 / rate
        start = env.now
        number = 0
        while True:
            number += 1
            env.call_at(start + round(number * interval), lambda: next(arriving))
            rig.device.receive(DATAGRAM)
            yield

    async def main() -> Outcome:
        nonlocal arriving
        nic = await rig.probe(napi=napi)
        stack = NetworkStack(rig.env, rig.cpu)
        stack.add_interface(nic, "192.0.2.1", 24)
        await nic.open()
        await rig.until(lambda: nic.carrier)
        rig.cpu.spawn(program(stack))
        await rig.settled()
        arriving = arrivals(rig.env)
        next(arriving)
        await rig.env.sleep(SPAN // 2)
        before, spent_before = read, rig.cpu.spent()
        await rig.env.sleep(SPAN)
        times = {cause: time - spent_before[cause] for cause, time in rig.cpu.spent().items()}
        assert sum(times.values()) <= SPAN
        spent = {cause: time / SPAN for cause, time in times.items()}
        return Outcome(
            read=(read - before) * 1_000_000_000 / SPAN,
            program=spent[Cause.SYSTEM_CALL] + spent[Cause.COPY],
            interrupt=sum(spent[cause] for cause in (Cause.INTERRUPT, Cause.DRIVER_RX, Cause.SKB_ALLOC, Cause.BACKLOG)),
            missed=rig.device.missed,
            backlog_dropped=rig.softirq.backlog.dropped,
            ksoftirqd=rig.softirq.ksoftirqd_runs,
        )

    arriving: Iterator[None] = iter(())
    return rig.run(main())


MODERATE, LINE_RATE = 300_000, 1_488_095
"""Datagrams per second: what both paths can take, and the most that 1 Gb/s carries."""


@pytest.mark.parametrize("napi", [False, True])
def test_what_the_host_can_take_is_read(napi: bool) -> None:
    outcome = flood(MODERATE, napi=napi)
    assert outcome.read == pytest.approx(MODERATE, rel=0.02)
    assert (outcome.missed, outcome.backlog_dropped, outcome.ksoftirqd) == (0, 0, 0)


@pytest.mark.slow
def test_without_napi_the_program_starves_and_with_it_does_not() -> None:
    traditional, napi = flood(LINE_RATE, napi=False), flood(LINE_RATE, napi=True)
    # The handler alone takes longer per packet than packets take to come: it never returns.
    assert traditional.interrupt > 0.98
    assert (traditional.read, traditional.program) == (0, 0)
    assert traditional.backlog_dropped > 1000
    # What is too much is dropped by the device; ksoftirqd leaves the program its share, and the most is read.
    assert napi.ksoftirqd > 0
    assert napi.missed > 1000
    assert napi.backlog_dropped == 0
    assert napi.program > 0.1
    assert napi.read > 0.95 * flood(700_000, napi=True).read
    # In between goodput falls with the load, and does not rise.
    falling = [flood(rate, napi=False).read for rate in (800_000, 1_200_000)]
    assert falling[0] > 200_000
    assert falling[1] < falling[0] / 2
