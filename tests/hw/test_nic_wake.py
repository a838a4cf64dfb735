"""Wake on LAN on the whole NIC: armed as drivers do it, and by the EEPROM alone before there is one."""

from typing import Any

import cocotb

from hw.eeprom import image
from hw.mac.fcs import append_fcs
from hw.nic import Nic
from hw.receive.bit_table import address_hash
from hw.registers import BY_NAME
from hw.wake.unit import STORED_BYTES
from tests.hw.microwire import MicrowireDriver
from tests.hw.nic_bench import OWN, NicBench
from tests.hw.simulate import simulate

WUC, WUS, WUFC = (BY_NAME[name] for name in ("WUC", "WUS", "WUFC"))
PEER = bytes.fromhex("020000000002")
OTHER = bytes.fromhex("020000000003")
BROADCAST = b"\xff" * 6
GROUP = bytes.fromhex("01aa00123456")
UNWANTED = bytes.fromhex("333300000001")
"""A group that is not in the multicast table, which keeps its contents from test to test."""

IP4, IP6 = bytes([10, 0, 0, 7]), bytes.fromhex("fe800000000000000000000000000007")
MAGIC = b"\x08\x42" + BROADCAST + OWN * 16
ARP = bytes.fromhex("08060001080006040001") + bytes(16) + IP4
TYPE = b"\x88\xb5"
EVENTS = {
    "MAG": (OWN, MAGIC),
    "EX": (OWN, TYPE),
    "MC": (GROUP, TYPE),
    "BC": (BROADCAST, TYPE),
    "ARP": (BROADCAST, ARP),
    "IPV4": (OWN, b"\x08\x00\x45" + bytes(15) + IP4),
    "IPV6": (OWN, b"\x86\xdd\x60" + bytes(23) + IP6),
    "FLX3": (OTHER, b"\x12\x34"),
}


def frame(to: bytes, behind: bytes) -> bytes:
    """With FCS, 64 bytes or more."""
    return append_fcs((to + PEER + behind).ljust(60, b"\0"))


async def words(bench: NicBench, name: str, octets: bytes) -> None:
    """Bytes into an array of registers."""
    for index in range(len(octets) // 4):
        await bench.write(name, int.from_bytes(octets[4 * index : 4 * index + 4], "little"), index=index)


async def status(bench: NicBench) -> set[str]:
    """What is set in WUS."""
    value = await bench.read("WUS")
    return {item.name for item in WUS.fields if value & item.mask}


async def stored(bench: NicBench) -> bytes:
    """WUPM, as much as WUPL says."""
    memory = b"".join([(await bench.read("WUPM", index=index)).to_bytes(4, "little") for index in range(32)])
    return memory[: min(await bench.read("WUPL"), STORED_BYTES)]


async def clear(bench: NicBench) -> None:
    await bench.write("WUS", 0xFFFF_FFFF)
    await bench.write_fields("WUC", PME_EN=1, PME_STATUS=1)
    assert await bench.read("WUC") == WUC.mask("PME_EN")


@cocotb.test()
async def each_event(dut: Any) -> None:
    """Each filter by itself, then all of them at a time; the rest of the NIC goes on receiving."""
    bench = NicBench(dut)
    await bench.start()
    await bench.open(buffers=60, rctl={"BAM": 1, "UPE": 1})
    place = address_hash(GROUP, 0)
    await bench.write("MTA", 1 << (place & 31), index=place >> 5)
    await bench.write("IP4AT", int.from_bytes(IP4, "little"), index=2)
    await words(bench, "IP6AT", IP6)
    await bench.write_fields("IPAV", V42=1, V60=1)
    for index in range(128):
        await bench.write("FFMT", 0b1000 if index in (12, 13) else 0, index=index)
    await bench.write("FFVT", 0x1200_0000, index=12)
    await bench.write("FFVT", 0x3400_0000, index=13)
    for index in range(4):
        await bench.write("FFLT", 14, index=index)
    await bench.write_fields("WUC", PME_EN=1)
    for enabled in EVENTS:
        await bench.write_fields("WUFC", **{enabled: 1})
        for name, (to, behind) in EVENTS.items():
            bench.put(frame(to, behind))
            await bench.settle(100)
            wanted = {enabled} if enabled == name or (enabled, to) in (("EX", OWN), ("BC", BROADCAST)) else set()
            assert await status(bench) == wanted, (enabled, name)
            assert bool(int(dut.pme.value)) == bool(wanted)
            if wanted:
                assert await stored(bench) == frame(to, behind)[:STORED_BYTES]
                await clear(bench)
                assert not int(dut.pme.value)
        bench.received()
        await bench.give(len(EVENTS))
    await bench.write_fields("WUFC", **dict.fromkeys(EVENTS, 1))
    bench.put(frame(OWN, MAGIC))
    bench.put(frame(GROUP, TYPE))
    await bench.settle(100)
    assert await status(bench) == {"MAG", "EX"}
    assert len(bench.received()) == 2


@cocotb.test()
async def without_a_driver(dut: Any) -> None:
    """APM: the EEPROM arms it, neither receiver nor link is on, nothing else is known than the station's address."""
    bench = NicBench(dut)
    await bench.start()
    driver = MicrowireDriver(bench)
    await driver.write(0x0F, 0xB000)
    await driver.write(0x24, 0x0400)
    await bench.write("CTRL", BY_NAME["CTRL"].mask("RST"))
    assert await bench.read("WUC") == WUC.mask("APME", "APMPME")
    spoilt = bytearray(frame(OWN, MAGIC))
    spoilt[-1] ^= 1
    for whole in (frame(OWN, TYPE), frame(OTHER, MAGIC), frame(UNWANTED, MAGIC), bytes(spoilt)):
        bench.put(whole)
        await bench.settle(100)
        assert await status(bench) == set()
    for to in (OWN, BROADCAST):
        bench.put(frame(to, MAGIC))
        await bench.settle(100)
        assert await status(bench) == {"MAG"}
        assert int(dut.pme.value)
        assert await bench.read("WUC") == WUC.mask("APME", "APMPME", "PME_STATUS")
        assert await stored(bench) == frame(to, MAGIC)[:STORED_BYTES]
        await bench.write("WUS", WUS.mask("MAG"))
        await bench.write_fields("WUC", APME=1, APMPME=1, PME_STATUS=1)
        assert await bench.read("WUC") == WUC.mask("APME", "APMPME")
        assert not int(dut.pme.value)
    assert not bench.memory.writes, "nothing is received"
    for address in (0x0F, 0x24):  # no reset brings the EEPROM back
        await driver.write(address, image(OWN)[address])


@cocotb.test()
async def link_change_and_reset(dut: Any) -> None:
    """LNKC both ways; CTRL.RST leaves the wake-up unit alone, so a driver sees what woke the host."""
    bench = NicBench(dut)
    await bench.start()
    await bench.wait(100)  # the PHY makes its link
    await bench.write_fields("WUFC", LNKC=1)
    await bench.write_fields("WUC", PME_EN=1)
    for link in (0, 1):
        dut.link.value = link
        await bench.wait(300)
        assert await status(bench) == {"LNKC"}
        assert int(dut.pme.value)
        await bench.write("CTRL", BY_NAME["CTRL"].mask("RST"))
        assert await status(bench) == {"LNKC"}
        assert await bench.read("WUFC") == WUFC.mask("LNKC")
        assert await bench.read("WUC") == WUC.mask("PME_EN", "PME_STATUS")
        assert int(dut.pme.value)
        await clear(bench)


@cocotb.test()
async def line_rate(dut: Any) -> None:
    """Armed, with frames close behind one another: none is lost, and the one that wakes does, wherever it is."""
    bench = NicBench(dut)
    await bench.start(receive_clock_ps=7998)
    await bench.open(buffers=250, rctl={"UPE": 1})
    await bench.write_fields("WUFC", MAG=1)
    await bench.write_fields("WUC", PME_EN=1)
    sizes = [60, 61, 67, 68, 69, 100, 1514]
    await bench.wait(300)  # the PHY makes its link
    for repeat in range(3):
        for size in sizes:
            bench.put(append_fcs((OTHER + PEER + TYPE).ljust(size, b"\xff")))
        bench.put(frame(OTHER, MAGIC + bytes([repeat])))
        for _ in range(20):
            bench.put(frame(OTHER, TYPE))
    await bench.settle()
    assert len(bench.received()) == 3 * (len(sizes) + 21)
    assert await bench.read("MPC") == 0
    assert await status(bench) == {"MAG"}
    assert await stored(bench) == frame(OTHER, MAGIC + b"\0")[:STORED_BYTES]


def test_nic_wake() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
