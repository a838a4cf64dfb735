"""Probe, parameters, open and stop."""

import errno
from typing import Any

import pytest

from driver.e1000 import E1000Parameters
from driver.hardware import read_eeprom
from hw.registers import BY_NAME
from sim.costs import HostCosts
from stack.net_device import Features, NetdevTx
from tests.driver.rig import MAC, Rig, frame


def test_probe_resets_masks_and_reads_the_address() -> None:
    rig = Rig()
    rig.device.write(BY_NAME["ICS"].offset, 0x80)
    rig.device.write(BY_NAME["IMS"].offset, 0x80)
    rig.device.write(BY_NAME["RCTL"].offset, 2)
    nic = rig.run(rig.probe())
    assert nic.address == MAC
    vlan = Features.HW_VLAN_CTAG_TX | Features.HW_VLAN_CTAG_RX | Features.HW_VLAN_CTAG_FILTER
    assert nic.features == Features.SG | Features.HW_CSUM | Features.TSO | Features.RXCSUM | vlan
    assert nic.gro
    assert rig.device.read(BY_NAME["IMS"].offset) == 0
    assert rig.device.read(BY_NAME["ICR"].offset) == 0
    assert rig.device.get("RCTL") == 0
    assert rig.device.has("CTRL", "SLU")
    assert not rig.device.line
    assert rig.memory.allocated() == 0
    assert [f"{kind} {register}" for kind, register, _ in rig.bus.accesses] == [
        "read STATUS",
        *("write IMC", "write RCTL", "write TCTL", "read STATUS"),
        *("read CTRL", "write CTRL", "read CTRL"),
        *("write IMC", "read ICR", "write CTRL"),
        *("read RAL", "read RAH"),
    ]


def test_probe_waits_around_the_reset() -> None:
    rig = Rig()
    rig.run(rig.probe(dma_drain=7_000_000, reset_recovery=3_000_000))
    assert 10_000_000 < rig.env.now < 10_020_000


@pytest.mark.parametrize("address", [bytes(6), bytes.fromhex("010000000001"), b"\xff" * 6])
def test_probe_refuses_an_address(address: bytes) -> None:
    rig = Rig()
    rig.device.mac_address = address
    with pytest.raises(OSError, match="no valid unicast address") as caught:
        rig.run(rig.probe())
    assert caught.value.errno == errno.EIO


def test_probe_refuses_an_address_that_is_not_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()
    reset = rig.device.reset

    def reset_without_address() -> None:
        reset()
        rig.device.registers[BY_NAME["RAH"].offset] &= 0xFFFF

    monkeypatch.setattr(rig.device, "reset", reset_without_address)
    with pytest.raises(OSError, match="no valid unicast address"):
        rig.run(rig.probe())


def test_probe_without_a_device() -> None:
    rig = Rig()
    rig.device.present = False
    with pytest.raises(OSError, match="no device answers") as caught:
        rig.run(rig.probe())
    assert caught.value.errno == errno.ENODEV


def test_probe_of_a_device_that_stays_in_reset() -> None:
    rig = Rig()
    rig.device.reset_works = False
    with pytest.raises(OSError, match="is in reset after") as caught:
        rig.run(rig.probe())
    assert caught.value.errno == errno.EIO


def test_read_eeprom() -> None:
    rig = Rig()
    words = [rig.run(read_eeprom(rig.bus, word, "eth0")) for word in range(64)]
    assert words == rig.device.eeprom


@pytest.mark.parametrize("word", [-1, 64])
def test_read_eeprom_refuses(word: int) -> None:
    rig = Rig()
    with pytest.raises(ValueError, match=f"word takes 0..63, not {word}"):
        rig.run(read_eeprom(rig.bus, word, "eth0"))


def test_read_eeprom_without_an_answer() -> None:
    rig = Rig()
    rig.device.eeprom_answers = False
    with pytest.raises(OSError, match="eth0: the EEPROM does not answer, EERD 0x00000300") as caught:
        rig.run(read_eeprom(rig.bus, 3, "eth0"))
    assert caught.value.errno == errno.EIO
    assert 1_000_000 < rig.env.now < 2_000_000


def test_probe_checks_the_eeprom_if_asked() -> None:
    rig = Rig()
    nic = rig.run(rig.probe(check_eeprom=True))
    assert nic.address == MAC
    rig.device.eeprom[0x30] ^= 0x40
    rig.run(rig.probe())
    with pytest.raises(OSError, match="checksum is wrong, its words add up to 0xbafa, not 0xbaba") as caught:
        rig.run(rig.probe(check_eeprom=True))
    assert caught.value.errno == errno.EIO


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"interrupt_throttle_rate": 2}, "InterruptThrottleRate takes .* not 2"),
        ({"tx_descriptors": 72}, "tx_descriptors takes .* not 72"),
        ({"rx_descriptors": 4104}, "rx_descriptors takes .* not 4104"),
        ({"rx_descriptors": 100}, "rx_descriptors takes a multiple of 8 .* not 100"),
        ({"rx_buffer_size": 1536}, "rx_buffer_size takes one of .* not 1536"),
        ({"rx_int_delay": 65536}, "rx_int_delay takes 0..65535 .* not 65536"),
        ({"rx_abs_int_delay": -1}, "rx_abs_int_delay takes .* not -1"),
        ({"tx_int_delay": -1}, "tx_int_delay takes .* not -1"),
        ({"tx_abs_int_delay": 65536}, "tx_abs_int_delay takes .* not 65536"),
        ({"tso": True, "tx_checksum": False}, "tso needs tx_checksum"),
        ({"watchdog_interval": 0}, "watchdog_interval takes .* not 0"),
        ({"dma_drain": -1}, "dma_drain takes .* not -1"),
        ({"reset_recovery": -1}, "reset_recovery takes .* not -1"),
    ],
)
def test_parameters_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        E1000Parameters(**parameters)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [80, 256, 4096])
def test_ring_sizes(count: int) -> None:
    async def main() -> None:
        nic = await rig.up(tx_descriptors=count, rx_descriptors=count)
        assert rig.device.get("TDLEN") == rig.device.get("RDLEN") == count * 16
        assert rig.device.get("RDT") == count - 2
        await nic.stop()

    rig = Rig()
    rig.run(main())


def test_features_off() -> None:
    rig = Rig()
    off = ("tso", "tx_checksum", "rx_checksum", "vlan_offload", "vlan_filter", "gro")
    nic = rig.run(rig.probe(**dict.fromkeys(off, False)))
    assert not nic.gro
    assert nic.features == Features.NONE


def test_open_writes_in_the_order_of_linux() -> None:
    async def main() -> None:
        nic = await rig.probe()
        rig.bus.accesses.clear()
        await nic.open()
        await rig.env.sleep(1000)

    rig = Rig()
    rig.run(main())
    writes = [(register, value) for kind, register, value in rig.bus.accesses if kind == "write"]
    names = [register for register, _ in writes]
    ring = ("LEN", "BAH", "BAL", "T", "H")
    addresses = 2 * 14
    assert names[:addresses] == ["RAL", "RAH"] * 14
    assert names[addresses : addresses + 128] == ["MTA"] * 128
    assert all(value == 0 for _, value in writes[: addresses + 128])
    names, writes = names[addresses + 128 :], writes[addresses + 128 :]
    assert names[:22] == [
        *(f"TD{name}" for name in ring),
        *("TIPG", "TIDV", "TADV", "TXDCTL", "TCTL", "RCTL", "RDTR", "RADV", "ITR"),
        *(f"RD{name}" for name in ring),
        *("RXCSUM", "RCTL", "RDT"),
    ]
    assert names[22:24] == ["IMS", "ICS"]
    values = [(register, value) for register, value in writes if register[2:] not in ("BAL", "H", "BAH")]
    assert values[:18] == [
        ("TDLEN", 4096),
        ("TDT", 0),
        ("TIPG", 0x00602008),
        ("TIDV", 8),
        ("TADV", 32),
        ("TXDCTL", 0x01010000),
        ("TCTL", 0x0103F0F8),
        ("RCTL", 0x8000),
        ("RDTR", 0),
        ("RADV", 8),
        ("ITR", 195),
        ("RDLEN", 4096),
        ("RDT", 0),
        ("RXCSUM", 0x200),
        ("RCTL", 0x8002),
        ("RDT", 254),
        ("IMS", 0x9D),
        ("ICS", 0x04),
    ]


def test_napi_is_enabled_before_the_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        nic = await rig.probe()
        enabled = []
        write32 = rig.bus.write32

        def watch(offset: int, value: int) -> None:
            if offset == BY_NAME["IMS"].offset:
                enabled.append(nic.napi.enabled)
            write32(offset, value)

        monkeypatch.setattr(rig.bus, "write32", watch)
        await nic.open()
        assert enabled == [True]

    rig = Rig()
    rig.run(main())


def test_a_cause_that_waits_at_open_is_served() -> None:
    async def main() -> None:
        nic = await rig.probe()
        rig.device.cause("RXT0")
        await nic.open()
        await rig.until(lambda: nic.counters.polls > 0)

    rig = Rig()
    rig.run(main())


def test_the_link_enables_transmission() -> None:
    async def main() -> None:
        rig.device.link = False
        nic = await rig.probe()
        await nic.open()
        nic.queue_xmit(rig.skb(frame(100)))
        await rig.settled()
        assert (nic.carrier, nic.link_speed, nic.queue_stopped()) == (False, 0, True)
        assert not rig.device.has("TCTL", "EN")
        assert rig.device.sent == []

        rig.device.set_link(True)
        await rig.until(lambda: nic.carrier)
        await rig.settled()
        assert (nic.link_speed, nic.queue_stopped()) == (1000, False)
        assert rig.device.get("TCTL") == 0x0103F0FA
        assert rig.device.sent == [frame(100)]

        rig.device.set_link(False)
        await rig.until(lambda: not nic.carrier)
        assert (nic.link_speed, nic.queue_stopped()) == (0, True)
        nic.queue_xmit(rig.skb(frame(101)))
        await rig.settled()
        assert len(rig.device.sent) == 1

        rig.device.set_link(True)
        await rig.until(lambda: len(rig.device.sent) == 2)
        await nic.stop()

    rig = Rig()
    rig.run(main())


def test_the_watchdog_finds_a_link_that_came_without_an_interrupt() -> None:
    async def main() -> None:
        rig.device.link = False
        nic = await rig.probe(watchdog_interval=1_000_000)
        await nic.open()
        await rig.settled()
        rig.device.link = True
        await rig.until(lambda: nic.carrier, limit=1_100_000)

    rig = Rig()
    rig.run(main())


def test_a_queue_without_link_is_not_woken() -> None:
    async def main() -> None:
        nic = await rig.up(tx_descriptors=80)
        rig.device.allow(0)
        for number in range(100):
            nic.queue_xmit(rig.skb(frame(60, number)))
        rig.device.set_link(False)
        await rig.until(lambda: not nic.carrier)
        rig.device.allow(None)
        await rig.settled()
        assert len(rig.consumed) == 56, "what was in the ring"
        assert (nic.queue_stopped(), nic.counters.tx_queue_wakes) == (True, 0)

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("delay", range(0, 8000, 400))
def test_stop_while_the_link_comes_up(delay: int) -> None:
    async def main() -> None:
        rig.device.link = False
        nic = await rig.probe()
        await nic.open()
        await rig.settled(1_000_000)
        rig.device.set_link(True)
        await rig.env.sleep(delay)
        await nic.stop()
        assert (nic.carrier, nic.link_speed, nic.queue_stopped()) == (False, 0, True)

    rig = Rig()
    rig.run(main())


def test_an_interrupt_on_the_way_down_is_only_acknowledged() -> None:
    async def main() -> None:
        nic = await rig.up()
        down = rig.env.spawn(nic.stop())
        await rig.settled()
        rig.bus.accesses.clear()
        rig.device.cause("LSC")
        await rig.settled()
        assert [f"{kind} {register}" for kind, register, _ in rig.bus.accesses] == ["read ICR"]
        await down

    rig = Rig()
    rig.run(main())


def test_stop_gives_everything_back_and_open_works_again() -> None:
    async def main() -> None:
        nic = await rig.probe()
        await nic.stop()
        for _ in range(2):
            await nic.open()
            await rig.until(lambda: nic.carrier)
            rig.device.allow(0)
            rig.consumed.clear()
            for number in range(400):
                nic.queue_xmit(rig.skb(frame(100, number)))
            await rig.settled()
            assert rig.memory.allocated() > 256 * 2048
            await nic.stop()
            assert rig.memory.allocated() == 0
            assert len(rig.consumed) == 400, "from the ring of 256 and from the queue"
            assert nic.queue_stopped()
            assert not rig.device.has("RCTL", "EN")
            assert not rig.device.has("TCTL", "EN")
            assert rig.device.read(BY_NAME["IMS"].offset) == 0
            rig.device.allow(None)

            # When the last posted write has arrived, nothing touches the device any more: the watchdog has ended.
            await rig.env.sleep(1000)
            rig.bus.accesses.clear()
            await rig.env.sleep(10_000_000_000)
            assert rig.bus.accesses == []
            assert nic.start_xmit(rig.skb(frame(100))) is NetdevTx.OK
            assert len(rig.consumed) == 401

    rig = Rig()
    rig.run(main())


def test_stop_in_full_traffic() -> None:
    async def main() -> None:
        nic = await rig.up(interrupt_throttle_rate=0)

        async def traffic() -> None:
            for number in range(1000):
                rig.device.receive(frame(60, number))
                nic.queue_xmit(rig.skb(frame(200, number)))
                await rig.env.sleep(700)

        task = rig.env.spawn(traffic())
        for _ in range(10):
            await rig.env.sleep(50_000)
            await nic.stop()
            assert rig.memory.allocated() == 0
            await nic.open()
            await rig.until(lambda: nic.carrier)
        await task
        await rig.settled()
        await nic.stop()
        assert rig.memory.allocated() == 0
        assert len(rig.consumed) == 1000
        assert rig.received

    rig = Rig()
    rig.run(main())


def test_stop_waits_for_the_poll() -> None:
    """With a slow processor, and no other wait in between, a poll of 64 packets would outlast the rest of ``stop``."""

    async def main() -> None:
        nic = await rig.up(dma_drain=0, reset_recovery=0)
        for number in range(150):
            rig.device.receive(frame(60, number))
        await rig.until(lambda: len(rig.received) >= 5)
        rig.bus.accesses.clear()
        await nic.stop()
        received = len(rig.received)
        assert received >= 64
        await rig.env.sleep(100_000_000)
        assert len(rig.received) == received
        assert rig.bus.writes("IMS") == [], "a poll on the way down does not switch interrupts on again"

    rig = Rig(costs=HostCosts(driver_rx=50_000))
    rig.run(main())


def test_one_watchdog_after_opening_again() -> None:
    async def main() -> None:
        nic = await rig.up(watchdog_interval=50_000_000)
        await nic.stop()
        await nic.open()
        await rig.until(lambda: nic.carrier)
        await rig.env.sleep(25_000_000)
        rig.bus.accesses.clear()
        await rig.env.sleep(500_000_000)
        assert rig.bus.writes("ICS") == [0x10] * 10

    rig = Rig()
    rig.run(main())


def test_open_twice() -> None:
    async def main() -> None:
        nic = await rig.up()
        with pytest.raises(OSError, match="eth0 is up") as caught:
            await nic.open()
        assert caught.value.errno == errno.EBUSY

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("room", [1000, 5000, 300_000])
def test_open_without_memory(room: int) -> None:
    async def main() -> None:
        nic = await rig.probe()
        hog = rig.memory.allocate(len(rig.memory.array) - 4096 - room)
        before = rig.memory.allocated()
        with pytest.raises(MemoryError):
            await nic.open()
        assert rig.memory.allocated() == before
        rig.memory.free(hog)
        await nic.open()
        await nic.stop()
        assert rig.memory.allocated() == 0

    rig = Rig()
    rig.run(main())


def test_open_with_the_line_taken() -> None:
    async def main() -> None:
        async def handler() -> None: ...

        nic = await rig.probe()
        rig.bus.request_irq(handler)
        with pytest.raises(ValueError, match="has a handler already"):
            await nic.open()
        assert rig.memory.allocated() == 0
        assert not rig.device.has("RCTL", "EN")

    rig = Rig()
    rig.run(main())
