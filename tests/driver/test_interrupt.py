"""The interrupt handler, the end of a poll, the watchdog, and the throttle as the device sees it."""

from itertools import pairwise

import pytest

from driver.itr import LatencyRange
from hw.registers import BY_NAME
from stack.skbuff import SkBuff
from tests.driver.rig import Rig, frame

MASK = 0x9D

LINE_RATE_NS = 12_304
"""ns per frame of 1514 bytes at 1 Gb/s: 1538 byte times with FCS, preamble and gap."""


def accesses(rig: Rig) -> list[str]:
    return [f"{kind} {register}" for kind, register, _ in rig.bus.accesses]


def test_one_packet_each_way_costs_seven_accesses() -> None:
    """As a Linux kernel was seen to do it."""

    async def main() -> None:
        nic = await rig.up(interrupt_throttle_rate=0)

        def answer(_: SkBuff) -> None:
            nic.queue_xmit(rig.skb(frame(60)))

        nic.receive = answer
        rig.bus.accesses.clear()
        rig.device.allow(0)
        rig.device.receive(frame(60))
        await rig.settled()
        assert accesses(rig) == [
            "read ICR",
            "write IMC",
            "read STATUS",
            "write TDT",
            "write RDT",
            "write IMS",
            "read STATUS",
        ]
        assert rig.bus.writes("IMC") == [0xFFFFFFFF]
        assert rig.bus.writes("IMS") == [MASK]

    rig = Rig()
    rig.run(main())


def test_an_interrupt_that_is_not_mine() -> None:
    async def main() -> None:
        nic = await rig.up()
        interrupts, polls = nic.counters.interrupts, nic.counters.polls
        rig.bus.accesses.clear()
        await rig.bus.call_handler()
        await rig.settled()
        assert accesses(rig) == ["read ICR"]
        assert nic.counters.interrupts_not_mine == 1
        assert (nic.counters.interrupts, nic.counters.polls) == (interrupts, polls)

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("delay", range(0, 12_000, 200))
def test_no_packet_waits_for_ever(delay: int) -> None:
    """A second frame, at every moment of the first one's interrupt and poll, is delivered without outside help."""

    async def main() -> None:
        nic = await rig.up(interrupt_throttle_rate=0)
        rig.device.receive(frame(60, 1))
        await rig.env.sleep(delay)
        rig.device.receive(frame(60, 2))
        nic.queue_xmit(rig.skb(frame(60)))
        await rig.until(lambda: len(rig.received) == 2 and len(rig.consumed) == 1, limit=100_000)
        await rig.settled()
        assert not rig.device.line
        assert rig.device.read(BY_NAME["IMS"].offset) == MASK

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("delay", range(0, 12_000, 200))
def test_a_handler_called_during_a_poll_loses_nothing(delay: int) -> None:
    """On a shared line, the handler runs for another device and reads causes that the poll has not seen."""

    async def main() -> None:
        nic = await rig.up(interrupt_throttle_rate=0)
        rig.device.receive(frame(60, 1))
        await rig.env.sleep(delay)
        rig.device.receive(frame(60, 2))
        nic.queue_xmit(rig.skb(frame(60)))
        await rig.env.sleep(700)
        await rig.bus.call_handler()
        await rig.until(lambda: len(rig.received) == 2 and len(rig.consumed) == 1, limit=100_000)
        await rig.settled()
        assert rig.device.read(BY_NAME["IMS"].offset) == MASK

    rig = Rig()
    rig.run(main())


def test_causes_that_a_handler_took_from_a_poll_are_looked_for_again() -> None:
    """A frame sent while the poll receives, its cause read by a handler for another device: no interrupt will tell."""

    async def main() -> None:
        nic = await rig.up(interrupt_throttle_rate=0)
        for number in range(40):
            rig.device.receive(frame(60, number))
        await rig.until(lambda: len(rig.received) > 5)
        nic.queue_xmit(rig.skb(frame(60)))
        await rig.until(lambda: len(rig.device.sent) == 1)
        await rig.env.sleep(100)
        await rig.bus.call_handler()
        assert len(rig.received) < 40, "the poll is still receiving"
        await rig.until(lambda: len(rig.consumed) == 1, limit=100_000)

    rig = Rig()
    rig.run(main())


def test_the_watchdog_polls_an_idle_device() -> None:
    async def main() -> None:
        nic = await rig.up(watchdog_interval=1_000_000)
        rig.bus.accesses.clear()
        interrupts = nic.counters.interrupts
        await rig.env.sleep(10_000_000)
        assert rig.bus.writes("ICS") == [0x10] * 10
        assert nic.counters.interrupts - interrupts == 10
        assert rig.bus.writes("RDT") == []

    rig = Rig()
    rig.run(main())


def test_link_events_do_not_multiply_the_watchdog() -> None:
    async def main() -> None:
        await rig.up(watchdog_interval=50_000_000)
        for _ in range(3):
            rig.device.set_link(True)
            await rig.env.sleep(1_000_000)
        rig.bus.accesses.clear()
        await rig.env.sleep(500_000_000)
        assert rig.bus.writes("ICS") == [0x10] * 10

    rig = Rig()
    rig.run(main())


def test_no_throttle_register_is_written_in_mode_0() -> None:
    async def main() -> None:
        nic = await rig.up(interrupt_throttle_rate=0, watchdog_interval=1_000_000)
        for number in range(20):
            rig.device.receive(frame(60, number))
            await rig.env.sleep(20_000)
        assert rig.bus.writes("ITR") == []
        assert list(nic.itr_log) == []
        assert nic.counters.interrupts >= 20

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("rate", [1000, 8000, 50_000])
def test_fixed_rate(rate: int) -> None:
    async def main() -> None:
        nic = await rig.up(interrupt_throttle_rate=rate)
        rig.device.interrupt_times.clear()
        for number in range(300):
            rig.device.receive(frame(60, number))
            await rig.env.sleep(10_000)
        assert rig.bus.writes("ITR") == [1_000_000_000 // (rate * 256)]
        times = rig.device.interrupt_times
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert min(gaps) >= nic.itr_log[0].register * 256
        assert len(times) <= 3_000_000 * rate // 1_000_000_000 + 3

    rig = Rig()
    rig.run(main())


def test_dynamic_modes_at_open_and_on_the_way_up() -> None:
    """The register values a Linux kernel was seen to write from its first interrupts on."""

    async def main() -> None:
        rig.device.link = False
        nic = await rig.probe(interrupt_throttle_rate=3)
        await nic.open()
        await rig.settled()
        rig.device.set_link(True)
        await rig.until(lambda: nic.carrier)
        await rig.settled()
        for number in range(12):
            rig.device.receive(frame(60, number))
            await rig.settled()
        assert rig.bus.writes("ITR") == [195, 976, 434, 279, 205, 195]
        assert [change.register for change in nic.itr_log] == rig.bus.writes("ITR")
        times = [change.time for change in nic.itr_log]
        assert times == sorted(times)
        assert nic.itr_log[-1].rx_class is LatencyRange.LOW_LATENCY

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize(("rate", "register"), [(1, 55), (3, 195)])
def test_small_packets_reach_the_lowest_class_in_mode_1_only(rate: int, register: int) -> None:
    async def main() -> None:
        nic = await rig.up(interrupt_throttle_rate=rate)
        for number in range(40):
            rig.device.receive(frame(60, number))
            await rig.settled()
        assert nic.itr_log[-1].register == rig.device.get("ITR") == register

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize(
    ("burst", "literal_figure", "register"), [(0, False, 195), (0, True, 976), (20, False, 976), (20, True, 976)]
)
def test_full_frames_at_line_rate(burst: int, literal_figure: bool, register: int) -> None:
    """Linux's rule has two stable points here: 4 frames per interrupt are low latency, 20 are bulk. A burst decides.
    The literal flow chart goes to bulk by itself."""

    async def main() -> None:
        nic = await rig.up(interrupt_throttle_rate=3, itr_literal_figure=literal_figure)
        for number in range(burst):
            rig.device.receive(frame(1514, number))
        for number in range(200):
            rig.device.receive(frame(1514, number))
            await rig.env.sleep(LINE_RATE_NS)
        assert nic.itr_log[-1].register == register
        before = nic.counters.interrupts
        for number in range(500):
            rig.device.receive(frame(1514, number))
            await rig.env.sleep(LINE_RATE_NS)
        assert nic.itr_log[-1].register == register
        assert nic.counters.interrupts - before == pytest.approx(500 * LINE_RATE_NS / (register * 256), abs=1)
        assert len(rig.received) >= burst + 200 + 500 - 21

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize(
    ("sent", "received", "rate"), [(0, 0, 8000), (0, 200, 8000), (200, 0, 8000), (100, 100, 2000), (200, 100, 4000)]
)
def test_mode_4_follows_the_balance_of_octets(sent: int, received: int, rate: int) -> None:
    async def main() -> None:
        # 996 bytes and FCS: ten frames are 10000 octets, so the integer division loses nothing.
        nic = await rig.up(interrupt_throttle_rate=4, watchdog_interval=4_000_000)
        await rig.until(lambda: len(rig.bus.writes("ICS")) >= 3)
        rig.bus.accesses.clear()
        for number in range(200):
            if number < received:
                rig.device.receive(frame(996, number))
            if number < sent:
                nic.queue_xmit(rig.skb(frame(996, number)))
            await rig.env.sleep(12_000)
        await rig.until(lambda: len(rig.bus.writes("ITR")) == 1)
        assert rig.bus.writes("ITR") == [1_000_000_000 // (rate * 256)]
        await rig.until(lambda: len(rig.bus.writes("ITR")) == 2)
        assert rig.bus.writes("ITR")[1] == 488, "nothing since the last watchdog"

    rig = Rig()
    rig.run(main())
