"""ethtool's functions on the behavioural device; ``tests/system/test_driver.py`` has them on the RTL."""

from typing import Any

import pytest

from driver import ethtool, self_test
from driver.flow_control import FlowControl
from driver.itr import ThrottleMode
from driver.power import resume, suspend
from driver.register_dump import DUMPED, PHY_DUMPED, get_regs
from driver.wake import WakeOn, letters, parse_wake_on
from hw.registers import BY_NAME
from stack.net_device import Features
from tests.driver.rig import Rig, frame

WAIT = 20_000


@pytest.mark.parametrize(
    ("setting", "shown"),
    [(0, (False, 0)), (1, (True, 1)), (3, (True, 3)), (4, (False, 4)), (8000, (False, 125)), (100, (False, 10_000))],
)
def test_coalescing_as_it_is(setting: int, shown: tuple[bool, int]) -> None:
    nic = (rig := Rig()).run(rig.probe(interrupt_throttle_rate=setting))
    assert ethtool.get_coalesce(nic) == shown


@pytest.mark.parametrize(
    ("change", "mode", "register"),
    [
        ({"rx_usecs": 0}, ThrottleMode.OFF, 0),
        ({"rx_usecs": 1}, ThrottleMode.DYNAMIC, 195),
        ({"rx_usecs": 4}, ThrottleMode.SIMPLIFIED, 488),
        ({"rx_usecs": 10}, ThrottleMode.FIXED, 39),
        ({"rx_usecs": 10_000}, ThrottleMode.FIXED, 39062),
        ({"adaptive_rx": False}, ThrottleMode.OFF, 0),
        ({"adaptive_rx": True}, ThrottleMode.CONSERVATIVE, None),
        ({"adaptive_rx": True, "rx_usecs": 100}, ThrottleMode.FIXED, 390),
        ({}, ThrottleMode.CONSERVATIVE, None),
    ],
)
def test_coalescing_changed_while_up(change: dict[str, Any], mode: ThrottleMode, register: int | None) -> None:
    async def main() -> None:
        nic = await rig.up(itr_literal_figure=True)
        rig.bus.accesses.clear()
        ethtool.set_coalesce(nic, **change)
        await rig.settled()
        assert nic.itr.mode is mode
        assert nic.itr.literal_figure
        assert rig.bus.writes("ITR") == ([] if register is None else [register])

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("usecs", [-1, 2, 5, 9, 10_001])
def test_coalescing_refused(usecs: int) -> None:
    nic = (rig := Rig()).run(rig.probe())
    with pytest.raises(ValueError, match=rf"rx-usecs takes .*, not {usecs}$"):
        ethtool.set_coalesce(nic, rx_usecs=usecs)


def test_features() -> None:
    async def main() -> None:
        nic = await rig.up()
        shown = ethtool.get_features(nic)
        assert {name for name, on in shown.items() if not on} == {"generic-segmentation-offload", "rx-all"}
        await ethtool.set_features(nic, {"tx": False})
        shown = ethtool.get_features(nic)
        assert not shown["tx-checksumming"]
        assert not shown["tcp-segmentation-offload"], "it needs the other"
        with pytest.raises(ValueError, match="tcp-segmentation-offload needs tx-checksumming"):
            await ethtool.set_features(nic, {"tso": True})
        assert nic.features == nic.features & ~Features.TSO
        await ethtool.set_features(nic, {"tso": True, "tx": True})
        assert Features.TSO | Features.HW_CSUM in nic.features
        assert nic.counters.resets == 0
        await ethtool.set_features(nic, {"gro": False})
        assert not nic.gro
        with pytest.raises(ValueError, match="there is no feature 'lro'"):
            await ethtool.set_features(nic, {"lro": True})
        await ethtool.set_features(nic, {"rx": False, "rx-all": True})
        await rig.until(lambda: nic.carrier)
        assert nic.counters.resets == 1
        assert not rig.device.has("RXCSUM", "TUOFL")
        assert rig.device.has("RCTL", "SBP")
        rig.device.receive(frame(60, 1), ce=1)
        await rig.until(lambda: len(rig.received) == 1)
        await ethtool.set_features(nic, {"rx-all": False})
        await rig.until(lambda: nic.carrier)
        rig.device.receive(frame(60, 2), ce=1)
        await rig.settled()
        assert len(rig.received) == 1
        assert nic.stats.rx_crc_errors == 1

    rig = Rig()
    rig.run(main())


def test_rings() -> None:
    async def main() -> None:
        nic = await rig.up()
        before = rig.memory.allocated()
        await ethtool.set_ringparam(nic, rx=512)
        await rig.until(lambda: nic.carrier)
        assert ethtool.get_ringparam(nic) == (4096, 4096, 512, 256)
        assert rig.memory.allocated() == before + 256 * (16 + 2048)
        assert rig.device.get("RDLEN") == 512 * 16
        # What a smaller ring has no room for waits in the queue, in its order.
        rig.device.allow(0)
        for number in range(200):
            nic.queue_xmit(rig.skb(frame(60, number)))
        await rig.settled()
        await ethtool.set_ringparam(nic, tx=80)
        rig.device.allow(None)
        await rig.until(lambda: len(rig.consumed) == 200, limit=60_000_000)
        assert rig.device.sent == [frame(60, number) for number in range(200)]
        assert nic.stats.tx_dropped == 0
        rig.fill_memory()
        with pytest.raises(MemoryError):
            await ethtool.set_ringparam(nic, rx=4096)
        await rig.until(lambda: nic.carrier)
        assert ethtool.get_ringparam(nic) == (4096, 4096, 512, 80)
        rig.device.receive(frame(60, 1))
        await rig.until(lambda: len(rig.received) == 1)
        for wrong in ({"rx": 72}, {"tx": 4104}, {"rx": 100}):
            with pytest.raises(ValueError, match="takes a multiple of 8"):
                await ethtool.set_ringparam(nic, **wrong)

    rig = Rig()
    rig.run(main())


def test_rings_of_a_device_that_is_down() -> None:
    async def main() -> None:
        nic = await rig.probe()
        await ethtool.set_ringparam(nic, rx=80, tx=88)
        assert rig.memory.allocated() == 0
        await nic.open()
        assert (rig.device.get("RDLEN"), rig.device.get("TDLEN")) == (80 * 16, 88 * 16)

    rig = Rig()
    rig.run(main())


def test_statistics_outlive_a_reset() -> None:
    async def main() -> None:
        nic = await rig.up()
        for name, value in (("GPRC", 5), ("GORCL", 500), ("CRCERRS", 2), ("RUC", 3), ("ROC", 4), ("RXERRC", 1)):
            rig.device.registers[BY_NAME[name].offset] = value
        await nic.reinit()
        rig.device.registers[BY_NAME["GPRC"].offset] = 7
        stats = await ethtool.get_stats(nic)
        assert (stats["rx_packets"], stats["rx_bytes"]) == (12, 500)
        assert (stats["rx_errors"], stats["rx_length_errors"]) == (10, 7)
        assert stats["tx_timeout_count"] == 0

    rig = Rig()
    rig.run(main())


def test_registers() -> None:
    async def main() -> None:
        nic = await rig.up()
        dump = await get_regs(nic.bus, nic.name)
        assert [item.name for item in dump] == [*DUMPED, *PHY_DUMPED]
        found = {item.name: item for item in dump}
        assert found["RCTL"].value == rig.device.get("RCTL")
        assert found["RCTL"].fields["BAM"] == found["RCTL"].fields["EN"] == 1
        assert found["TDLEN"].offset == 0x3808
        assert found["PHY specific status"] == ("PHY specific status", 17, 0xAC00, {})

    rig = Rig()
    rig.run(main())


def test_pause() -> None:
    async def main() -> None:
        nic = await rig.up()
        await ethtool.set_pauseparam(nic, tx=True)
        assert ethtool.get_pauseparam(nic) == (False, False, True, False, True)
        await ethtool.set_pauseparam(nic, rx=True)
        assert nic.flow_control == FlowControl(rx=True, tx=True)
        # An offer: into the PHY's advertisement, which restarts the negotiation.
        await ethtool.set_pauseparam(nic, autoneg=True)
        assert rig.device.phy[4] & 0x0C00 == 0x0C00
        rig.device.phy[5] = 0x0400
        rig.device.set_link(False)
        await rig.until(lambda: not nic.carrier)
        rig.device.set_link(True)
        await rig.until(lambda: nic.carrier)
        assert nic.pause == (True, True)

    rig = Rig()
    rig.run(main())


@pytest.mark.parametrize("text", ["d", "g", "pumbg", "ub"])
def test_wake_on_letters(text: str) -> None:
    assert letters(parse_wake_on(text)) == text


def test_suspend_arms_what_is_wanted_and_resume_tells_what_came() -> None:
    async def main() -> None:
        nic = await rig.up()
        with pytest.raises(ValueError, match="wol takes letters of pumbg, or d, not 'gx'"):
            ethtool.set_wol(nic, "gx")
        ethtool.set_wol(nic, "gm")
        assert ethtool.get_wol(nic) == ("pumbg", "mg")
        await suspend(nic)
        assert not nic.up
        assert rig.device.get("WUFC") == BY_NAME["WUFC"].mask("MAG", "MC")
        assert rig.device.has("WUC", "PME_EN")
        assert rig.device.has("RCTL", "MPE")
        rig.device.registers[BY_NAME["WUS"].offset] = BY_NAME["WUS"].mask("MAG")
        assert await resume(nic) is WakeOn.MAGIC
        await rig.until(lambda: nic.carrier)
        assert rig.device.get("WUFC") == 0
        await nic.stop()
        ethtool.set_wol(nic, "d")
        rig.bus.accesses.clear()
        await suspend(nic)
        assert rig.bus.accesses == []
        await resume(nic)
        assert not nic.up

    rig = Rig()
    rig.run(main())


def broken(rig: Rig, part: str) -> None:
    """Break what a part of the self-test looks at."""
    device = rig.device
    match part:
        case "register":
            write = device.write

            def stuck(offset: int, value: int) -> None:
                write(offset, value & ~0x10 if offset == BY_NAME["FCTTV"].offset else value)

            device.write = stuck  # type: ignore[method-assign]
        case "eeprom":
            device.eeprom[7] ^= 1
        case "interrupt":
            device.masked_causes_interrupt = True
        case "link":
            device.phy[1] &= ~(1 << 2)


@pytest.mark.parametrize(
    ("part", "value"), [("", 0), ("register", BY_NAME["FCTTV"].offset), ("eeprom", 2), ("interrupt", 3), ("link", 1)]
)
def test_self_test(part: str, value: int) -> None:
    """The behavioural device has no loopback: a frame that does not come back is found out."""

    async def main() -> dict[str, int]:
        nic = await rig.up()
        broken(rig, part)
        results = await self_test.self_test(nic, wait=WAIT)
        assert nic.up
        assert rig.memory.allocated() > 0
        return results

    rig = Rig()
    results = rig.run(main())
    assert results["loopback"] == 14
    del results["loopback"]
    assert results == {
        **dict.fromkeys(("register", "eeprom", "interrupt", "link"), 0),
        **({part: value} if part else {}),
    }


def test_self_test_finds_an_eeprom_that_does_not_answer_and_a_line_that_is_taken() -> None:
    async def main() -> None:
        nic = await rig.probe()
        rig.device.eeprom_answers = False
        assert await self_test.eeprom_test(nic.bus, "eth0") == 1

        async def handler() -> None: ...

        rig.bus.request_irq(handler)
        assert await self_test.interrupt_test(nic.bus, wait=WAIT) == 1

    rig = Rig()
    rig.run(main())


def test_self_test_finds_an_interrupt_that_does_not_come() -> None:
    async def main() -> int:
        nic = await rig.probe()
        rig.device.line_changed = lambda: None
        return await self_test.interrupt_test(nic.bus, wait=WAIT)

    rig = Rig()
    assert rig.run(main()) == 4


def test_self_test_online_leaves_the_device_alone() -> None:
    async def main() -> None:
        nic = await rig.up()
        rig.bus.accesses.clear()
        assert await self_test.self_test(nic, offline=False) == {"link": 0}
        assert {register for _, register, _ in rig.bus.accesses} == {"MDIC", "STATUS"}

    rig = Rig()
    rig.run(main())
