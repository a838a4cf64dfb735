"""The delay timers' parameters: what the driver writes, and what it makes of interrupts."""

import pytest

from tests.driver.rig import Rig, frame

UNIT = 1024
"""ns."""


def first_interrupt(*, sent: int = 0, received: int = 0, spacing: int = 0, **parameters: int) -> int:
    """When the first interrupt comes, in ns after this many frames have begun to be sent or received."""

    async def main() -> int:
        nic = await rig.up(interrupt_throttle_rate=0, **parameters)
        rig.device.interrupt_times.clear()
        start = rig.env.now
        for number in range(max(sent, received)):
            if number < sent:
                nic.queue_xmit(rig.skb(frame(60, number)))
            if number < received:
                rig.device.receive(frame(60, number))
            await rig.env.sleep(spacing)
        await rig.until(lambda: len(rig.consumed) == sent and len(rig.received) == received, limit=200_000_000)
        return rig.device.interrupt_times[0] - start

    rig = Rig()
    return rig.run(main())


@pytest.mark.parametrize("delay", [1, 8, 65535])
def test_a_packet_sent_is_told_after_tx_int_delay(delay: int) -> None:
    at_once = first_interrupt(sent=1, tx_int_delay=0)
    assert first_interrupt(sent=1, tx_int_delay=delay, tx_abs_int_delay=0) == at_once + delay * UNIT


def test_a_train_sent_is_told_after_tx_abs_int_delay() -> None:
    at_once = first_interrupt(sent=1, tx_int_delay=0)
    assert first_interrupt(sent=60, spacing=5000, tx_int_delay=8, tx_abs_int_delay=32) == at_once + 32 * UNIT
    last = 59 * 5000
    assert first_interrupt(sent=60, spacing=5000, tx_int_delay=8, tx_abs_int_delay=0) == at_once + last + 8 * UNIT


@pytest.mark.parametrize("delay", [0, 1, 100])
def test_a_packet_received_is_told_after_rx_int_delay(delay: int) -> None:
    assert first_interrupt(received=1, rx_int_delay=delay, rx_abs_int_delay=0) == delay * UNIT


def test_a_train_received_is_told_after_rx_abs_int_delay() -> None:
    assert first_interrupt(received=60, spacing=5000, rx_int_delay=6, rx_abs_int_delay=20) == 20 * UNIT


@pytest.mark.parametrize("delay", [0, 8])
def test_descriptors_ask_for_the_delay_if_there_is_one(delay: int) -> None:
    async def main() -> None:
        nic = await rig.up(tx_int_delay=delay)
        nic.queue_xmit(rig.skb(frame(60)))
        await rig.settled()
        assert [fields["ide"] for _, fields in rig.device.descriptors] == [int(delay > 0)]
        assert rig.device.get("TIDV") == delay

    rig = Rig()
    rig.run(main())


def test_registers() -> None:
    async def main() -> None:
        await rig.up(rx_int_delay=65535, rx_abs_int_delay=2, tx_int_delay=3, tx_abs_int_delay=4)
        assert [rig.device.get(name) for name in ("RDTR", "RADV", "TIDV", "TADV")] == [65535, 2, 3, 4]

    rig = Rig()
    rig.run(main())
