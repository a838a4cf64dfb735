"""What the acceptance levels make of a guest's words."""

from dataclasses import replace

import pytest

from hw.registers import BY_NAME
from sim.engine import EventEngine
from sim.qemu import levels
from sim.qemu.guest import GuestLog
from sim.qemu.levels import Evidence, Level
from sim.qemu.wire_counts import WireCounts
from sim.vfio_user.statistics import Statistics
from sim.wire import Link, fcs

CONSOLE = """\
NICLAB 1.00 start\r
NICLAB 2.00 probe status=0 kernel=6.12 mac=02:00:00:00:00:01\r
NICLAB 2.50 features\r
rx-checksumming: on\r
tx-checksumming: on\r
scatter-gather: on\r
tcp-segmentation-offload: on\r
NICLAB 3.00 up status=0 carrier=1 speed=1000 duplex=full\r
NICLAB 4.00 ping size=56 sent=3 received=3\r
NICLAB 5.00 sizes size=0 sent=3 received=3\r
NICLAB 6.00 sizes size=20000 sent=3 received=3\r
NICLAB 7.00 tcp bytes=1000000 same=yes seconds=1.5\r
NICLAB 8.00 selftest kind=offline\r
The test result is PASS\r
The test extra info:\r
Register test  (offline)\t 0\r
Eeprom test    (offline)\t 0\r
Interrupt test (offline)\t 0\r
Loopback test  (offline)\t 0\r
Link test   (on/offline)\t 0\r
NICLAB 9.00 selftest_end kind=offline status=0\r
NICLAB 9.10 mtu status=0\r
NICLAB 9.20 mtu size=8000 sent=3 received=3\r
NICLAB 9.50 statistics\r
NIC statistics:\r
     rx_packets: 10\r
     tx_packets: 11\r
     rx_bytes: 1000\r
     tx_bytes: 1100\r
     rx_broadcast: 1\r
     tx_broadcast: 2\r
NICLAB 9.60 statistics_end\r
NICLAB 9.70 down status=0\r
NICLAB 9.80 unload status=0\r
NICLAB 9.90 end\r
"""
WIRE = {
    "rx_packets": 10,
    "tx_packets": 11,
    "rx_bytes": 1000,
    "tx_bytes": 1100,
    "rx_broadcast": 1,
    "tx_broadcast": 2,
    "rx_bytes_between": 0,
}
ALL = (
    levels.probe,
    levels.link,
    levels.features,
    levels.tcp,
    levels.self_test,
    levels.life,
    levels.kernel,
    levels.statistics,
)


def failures(
    console: str, statistics: Statistics, *, checksum_errors: int = 0, of: tuple[Level, ...] = ALL
) -> list[str]:
    evidence = Evidence(GuestLog(console), statistics, checksum_errors)
    return [check.name for level in of for check in level(evidence) if not check.passed]


def test_a_guest_that_got_everything() -> None:
    assert failures(CONSOLE, Statistics(wire=WIRE)) == []


@pytest.mark.parametrize(
    ("good", "bad", "failed"),
    [
        ("probe status=0", "probe status=1", ["probe"]),
        ("mac=02:00:00:00:00:01", "mac=", ["probe"]),
        ("carrier=1", "carrier=0", ["link"]),
        ("speed=1000", "speed=100", ["link"]),
        ("ping size=56 sent=3 received=3", "ping size=56 sent=3 received=2", ["ping"]),
        ("ping size=56 sent=3 received=3", "ping size=56 sent= received=", ["ping"]),
        ("size=20000 sent=3 received=3", "size=20000 sent=3 received=0", ["sizes"]),
        ("tcp-segmentation-offload: on", "tcp-segmentation-offload: off", ["offloads"]),
        ("same=yes", "same=no", ["TCP echo"]),
        ("Loopback test  (offline)\t 0", "Loopback test  (offline)\t 13", ["ethtool -t offline"]),
        ("result is PASS", "result is FAIL", ["ethtool -t offline"]),
        ("unload status=0", "unload status=1", ["unload"]),
        ("NICLAB 9.90", "e1000: Detected Tx Unit Hang\r\nNICLAB 9.90", ["kernel's messages"]),
        ("rx_packets: 10", "rx_packets: 9", ["ethtool -S rx_packets"]),
        ("tx_bytes: 1100", "tx_bytes: 1101", ["ethtool -S tx_bytes"]),
    ],
)
def test_each_fault_is_found(good: str, bad: str, failed: list[str]) -> None:
    assert good in CONSOLE
    assert failures(CONSOLE.replace(good, bad), Statistics(wire=WIRE)) == failed


def test_faults_that_the_guest_does_not_see() -> None:
    assert failures(CONSOLE, Statistics(wire=WIRE), checksum_errors=1) == ["checksums"]
    assert failures(CONSOLE, Statistics(wire=WIRE, bad_writes=1)) == ["DMA"]


def test_octets_that_arrive_between_two_reads_are_the_only_excuse() -> None:
    told = replace(Statistics(), wire=WIRE | {"rx_bytes": 2518, "rx_bytes_between": 1518})
    assert failures(CONSOLE, told) == []
    told.wire["rx_bytes_between"] = 0
    assert failures(CONSOLE, told) == ["ethtool -S rx_bytes"]
    told.wire |= {"rx_bytes": 900, "rx_bytes_between": 1518}
    assert failures(CONSOLE, told) == ["ethtool -S rx_bytes"]


def test_what_crosses_the_wire_is_counted_as_the_nic_does() -> None:
    station = bytes.fromhex("020000000001")
    env = EventEngine(seed=1)
    link = Link(env, delay=0)
    link.b_to_a.deliver = link.a_to_b.deliver = lambda start, frame: None
    counts = WireCounts(link, station)
    for destination in (station, b"\xff" * 6, bytes.fromhex("01005e000001"), bytes.fromhex("020000000009")):
        frame = destination + bytes(54)
        link.a_to_b.send(frame + fcs(frame))
        link.b_to_a.send(frame + fcs(frame))

    async def main() -> None:
        counts.read(BY_NAME["GOTCL"].offset)
        counts.read(BY_NAME["GORCL"].offset)
        await env.sleep(1_000_000)
        for name in ("GOTCH", "GORCH", "TPT"):
            counts.read(BY_NAME[name].offset)

    env.run(main())
    assert counts.seen == {
        "tx_packets": 4,
        "tx_bytes": 256,
        "tx_broadcast": 1,
        "tx_multicast": 1,
        "rx_packets": 2,
        "rx_bytes": 128,
        "rx_broadcast": 1,
        "rx_multicast": 0,
        "tx_bytes_between": 0,
        "rx_bytes_between": 128,
    }
