"""The device's own counters: how they are read, summed, and when."""

from driver.statistics import STATISTICS_ORDER, read_statistics
from hw.registers import BY_NAME, STATISTICS
from tests.driver.rig import Rig


def fill(rig: Rig, values: dict[str, int]) -> None:
    """What the device has counted."""
    for name, value in values.items():
        rig.device.registers[BY_NAME[name].offset] = value


def counter_reads(rig: Rig) -> list[str]:
    return [name for kind, name, _ in rig.bus.accesses if kind == "read" and name in STATISTICS_ORDER]


def test_every_counter_is_read_once() -> None:
    assert sorted(STATISTICS_ORDER) == sorted(register.name for register in STATISTICS)
    for low in ("GORCL", "GOTCL", "TORL", "TOTL"):
        assert STATISTICS_ORDER.index(low) + 1 == STATISTICS_ORDER.index(low[:-1] + "H")


def test_totals() -> None:
    """Each register has a value of its own, twice: sums, and pairs as one number."""

    async def main() -> None:
        nic = await rig.up()
        first = {name: 1000 + index for index, name in enumerate(STATISTICS_ORDER)}
        fill(rig, first)
        totals = await read_statistics(nic)
        assert totals["GORC"] == first["GORCL"] | first["GORCH"] << 32
        assert totals["TOT"] == first["TOTL"] | first["TOTH"] << 32
        assert {name: totals[name] for name in first if name in totals} == {
            name: value for name, value in first.items() if name[:-1] not in ("GORC", "GOTC", "TOR", "TOT")
        }
        assert await read_statistics(nic) == totals, "they are cleared by the read"
        fill(rig, {"CRCERRS": 5, "TORL": 7})
        again = await read_statistics(nic)
        assert again == totals | {"CRCERRS": totals["CRCERRS"] + 5, "TOR": totals["TOR"] + 7}

    rig = Rig()
    rig.run(main())


def test_two_at_once() -> None:
    async def main() -> None:
        nic = await rig.up()
        fill(rig, {"GORCL": 100, "GORCH": 1, "TPR": 3})
        tasks = [rig.env.spawn(read_statistics(nic), name=f"reader {index}") for index in range(2)]
        for task in tasks:
            totals = await task
            assert (totals["GORC"], totals["TPR"]) == (100 | 1 << 32, 3)

    rig = Rig()
    rig.run(main())


def test_the_watchdog_reads_them_only_if_asked() -> None:
    async def main(asked: bool) -> None:
        nic = await rig.up(watchdog_interval=1_000_000, read_statistics=asked)
        rig.bus.accesses.clear()
        fill(rig, {"MPC": 2})
        await rig.env.sleep(1_500_000)
        assert counter_reads(rig)[: len(STATISTICS_ORDER)] == (list(STATISTICS_ORDER) if asked else [])
        assert nic.statistics.totals["MPC"] == (2 if asked else 0)

    for asked in (False, True):
        rig = Rig()
        rig.run(main(asked))
