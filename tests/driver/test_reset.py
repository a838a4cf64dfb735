"""Resets while the device is up, a transmitter that hangs, and the watchdog's other work."""

import pytest

from driver.adaptive import AdaptiveSpacing
from driver.offload import plan_transmit
from hw.registers import BY_NAME
from tests.driver.rig import Rig, frame


@pytest.mark.parametrize("napi", [True, False])
def test_a_reset_loses_nothing_that_was_received_or_waits_to_be_sent(napi: bool) -> None:
    async def main() -> None:
        nic = await rig.up(interrupt_throttle_rate=100, napi=napi)
        # Of the first, one is on its way; the throttle lets no interrupt tell of those received.
        for number in range(40):
            nic.queue_xmit(rig.skb(frame(1000, number)))
            rig.device.receive(frame(60, number))
        rig.device.allow(3)
        await rig.env.sleep(100_000)
        rig.device.credit = None
        await nic.reinit()
        assert [skb.data for skb in rig.received] == [frame(60, number) for number in range(40)]
        await rig.until(lambda: len(rig.consumed) == 40)
        assert rig.device.sent == [frame(1000, number) for number in range(40)]
        assert nic.counters.resets == 1
        rig.device.receive(frame(60, 99))
        await rig.until(lambda: len(rig.received) == 41)
        await nic.stop()
        assert rig.memory.allocated() == 0

    rig = Rig()
    rig.device.credit = 0
    rig.run(main())


def test_packets_wait_in_the_queue_while_the_device_is_reset() -> None:
    async def main() -> None:
        nic = await rig.up()
        task = rig.env.spawn(nic.reinit())
        await rig.env.sleep(1_000_000)
        assert not nic.active
        nic.queue_xmit(rig.skb(frame(60, 1)))
        again = rig.env.spawn(nic.reinit())
        await task
        await again
        await rig.until(lambda: len(rig.consumed) == 1)
        assert nic.counters.resets == 2
        assert nic.stats.tx_dropped == 0

    rig = Rig()
    rig.run(main())


def test_a_reset_of_a_device_that_is_down_only_makes_the_change() -> None:
    async def main() -> None:
        nic = await rig.probe()
        rig.bus.accesses.clear()
        changes: list[int] = []
        await nic.reinit(lambda: changes.append(1))
        assert changes == [1]
        assert rig.bus.accesses == []
        assert nic.counters.resets == 0

    rig = Rig()
    rig.run(main())


HANG = {"watchdog_interval": 2_000_000, "tx_hang": 1_000_000, "tx_timeout": 5_000_000}


def test_a_transmitter_that_hangs_is_found_and_reset() -> None:
    async def main() -> None:
        nic = await rig.up(**HANG)
        rig.device.allow(0)
        started = rig.env.now
        for number in range(5):
            nic.queue_xmit(rig.skb(frame(500, number)))
        await rig.until(lambda: nic.counters.tx_hangs == 1)
        assert 1_000_000 <= rig.env.now - started <= 5_000_000
        assert nic.queue_stopped()
        nic.queue_xmit(rig.skb(frame(500, 5)))
        rig.device.credit = None
        assert rig.device.sent == []
        await rig.until(lambda: len(rig.consumed) == 6, limit=60_000_000)
        assert rig.device.sent == [frame(500, number) for number in range(6)]
        assert (nic.counters.tx_hangs, nic.counters.resets) == (1, 1)

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("reason", ["pause frames", "no link", "in time"])
def test_a_transmitter_that_waits_does_not_hang(reason: str) -> None:
    async def main() -> None:
        nic = await rig.up(**HANG | ({"tx_hang": 60_000_000} if reason == "in time" else {}))
        if reason == "no link":
            rig.device.set_link(False)
            await rig.until(lambda: not nic.carrier)
        if reason == "pause frames":
            rig.device.paused = True
        rig.device.allow(0)
        skb = rig.skb(frame(500))
        nic.tx_ring.enqueue(skb, plan_transmit(skb))
        await rig.env.sleep(30_000_000)
        assert (nic.counters.tx_hangs, nic.counters.resets) == (0, 0)

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize(
    ("looks", "values"),
    [
        ([(2000, 600), (2000, 600), (2000, 600)], [40, 50, 60]),
        ([(2000, 501)] * 7, [40, 50, 60, 70, 80, None, None]),
        ([(2000, 500)], [None]),
        ([(1000, 900)], [None]),
        ([(2000, 600), (1000, 0), (1000, 0)], [40, 0, None]),
        ([(2000, 600), (1001, 0)], [40, None]),
    ],
)
def test_adaptive_spacing(looks: list[tuple[int, int]], values: list[int | None]) -> None:
    spacing = AdaptiveSpacing()
    assert [spacing.update(transmitted=sent, collisions=collided) for sent, collided in looks] == values


def test_the_watchdog_reads_statistics_and_follows_collisions() -> None:
    async def main() -> None:
        nic = await rig.up(watchdog_interval=2_000_000, read_statistics=True)
        await rig.env.sleep(5_000_000)
        assert rig.bus.writes("AIT") == []
        rig.device.registers[BY_NAME["GPTC"].offset] = 2000
        rig.device.registers[BY_NAME["COLC"].offset] = 800
        await rig.env.sleep(5_000_000)
        # In the look after, nothing has collided any more.
        assert rig.bus.writes("AIT") == [40, 0]
        assert nic.statistics.totals["GPTC"] == 2000

    rig = Rig()
    rig.run(main())
