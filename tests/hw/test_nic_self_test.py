"""The driver's own test of the hardware (``ethtool -t``) on the whole NIC: registers, EEPROM, interrupts, loopback,
link."""

import random
from typing import Any

import cocotb

from hw.eeprom import SUM, WORDS, image
from hw.mac.fcs import append_fcs
from hw.mac.speed import Speed
from hw.nic import Nic
from hw.registers import BY_NAME
from tests.hw.microwire import MicrowireDriver
from tests.hw.nic_bench import OWN, RING, NicBench
from tests.hw.simulate import simulate
from tests.hw.test_register_file import PATTERNS, SELF_TEST

PEER = bytes.fromhex("020000000002")

RCTL_MASK = 0x06DF_B3FE
STATUS_MASK = 0xFFFF_F833

SILENCE = 1000
"""Cycles in which no interrupt comes, where none may."""


async def started(dut: Any) -> NicBench:
    bench = NicBench(dut)
    await bench.start()
    return bench


@cocotb.test()
async def registers(dut: Any) -> None:
    bench = await started(dut)
    before = await bench.read("STATUS") & STATUS_MASK
    await bench.write("STATUS", STATUS_MASK)
    assert await bench.read("STATUS") & STATUS_MASK == before

    async def patterns(name: str, index: int) -> None:
        mask, write = SELF_TEST[name]
        for pattern in PATTERNS:
            await bench.write(name, pattern & write, index=index)
            assert await bench.read(name, index=index) == pattern & write & mask, (name, index, hex(pattern))

    async def set_and_check(name: str, mask: int, write: int) -> None:
        await bench.write(name, write)
        assert await bench.read(name) & mask == write & mask, (name, hex(write))

    arrays = ("RAL", "RAH", "MTA")
    for name in SELF_TEST:
        if name not in arrays:
            await patterns(name, 0)
    # All that came before is left as it is: the receiver is on, with a ring of nonsense.
    await set_and_check("RCTL", 0xFFFF_FFFF, 0)
    await set_and_check("RCTL", RCTL_MASK, 0x003F_FFFB)
    await set_and_check("TCTL", 0xFFFF_FFFF, 0)
    await set_and_check("RCTL", RCTL_MASK, 0xFFFF_FFFF)
    for name in arrays:
        for index in range(15 if name in ("RAL", "RAH") else 128):
            await patterns(name, index)

    # As a driver goes on: reset, and work.
    await bench.write("CTRL", BY_NAME["CTRL"].mask("RST"))
    await bench.open()
    outgoing, incoming = PEER + OWN + bytes(range(100)), OWN + PEER + bytes(range(50, 150))
    await bench.transmit(bench.legacy(outgoing))
    bench.send(incoming)
    await bench.settle()
    assert bench.sent() == [append_fcs(outgoing)]
    assert [data for _, data in bench.received()] == [append_fcs(incoming)]


@cocotb.test()
async def eeprom(dut: Any) -> None:
    bench = await started(dut)
    driver = MicrowireDriver(bench)
    words = [await driver.read(address) for address in range(WORDS)]
    assert sum(words) & 0xFFFF == SUM
    assert words == image(OWN)


@cocotb.test()
async def interrupts(dut: Any) -> None:
    bench = await started(dut)

    async def handled() -> int:
        """What ICR held, if there was an interrupt."""
        await bench.wait(SILENCE)
        return await bench.read("ICR") if int(dut.interrupt.value) else 0

    await bench.write("IMC", 0xFFFF_FFFF)
    for bit in range(10):
        mask = 1 << bit
        others = 0x7FFF & ~mask
        await bench.write("IMC", mask)
        await bench.write("ICS", mask)
        assert await handled() == 0, "masked"
        await bench.write("IMS", mask)
        await bench.write("ICS", mask)
        assert await handled() == mask
        await bench.write("IMC", others)
        await bench.write("ICS", others)
        assert await handled() == 0, "all others masked"
        assert await bench.read("ICR") == others
        await bench.write("IMC", 0xFFFF_FFFF)
    assert len(bench.rises) == 10


@cocotb.test()
async def link(dut: Any) -> None:
    """STATUS.LU needs a partner, CTRL.SLU and a PHY that is on; each change is a cause."""
    bench = await started(dut)
    lu, lsc = BY_NAME["STATUS"].mask("LU"), BY_NAME["ICR"].mask("LSC")

    async def changes(up: bool) -> None:
        await bench.wait(100)
        assert bool(await bench.read("STATUS") & lu) == up
        assert await bench.read("ICR") == lsc
        assert await bench.read("ICR") == 0

    assert int(dut.gmii__tx_speed.value) == Speed.GIGABIT, "what follows would take time, and a frame meanwhile be lost"
    assert not await bench.read("STATUS") & lu
    await bench.write_fields("CTRL", SLU=1)
    await changes(True)
    dut.link.value = 0
    await changes(False)
    dut.link.value = 1
    await changes(True)
    await bench.write_fields("CTRL", SLU=1, PHY_RST=1)
    await changes(False)
    await bench.write_fields("CTRL", SLU=1)
    await changes(True)


LOOPBACK_ROUNDS, LOOPBACK_FRAMES, LOOPBACK_BYTES = 5, 64, 1024
LOOPBACK_PHY_WRITES = (
    *((16, 0x0808), (0, 0x9140), (0, 0x8140), (0, 0x4140)),
    *((29, 0x001F), (30, 0x8FFC), (29, 0x001A), (30, 0x8FF0)),
)
ROUND_CYCLES = 2 * LOOPBACK_FRAMES * (LOOPBACK_BYTES + 24)
"""What a round may take: twice its time on the wire. The driver waits for 200 ms."""


def loopback_frame() -> bytes:
    """What the driver sends, and looks for: ones, so that it is a broadcast, and marks in the second half."""
    half = LOOPBACK_BYTES // 2
    frame = bytearray(b"\xff" * half + b"\xaa" * (half - 1) + b"\xff")
    frame[half + 10], frame[half + 12] = 0xBE, 0xAF
    return bytes(frame)


@cocotb.test()
async def loopback(dut: Any) -> None:
    """Rounds of 64 frames through loopback in the PHY, without a partner. Only the first 64 buffers of the ring of 256
    hold the frame, the others whatever memory held: those are sent, and fail the address filter. Five rounds go once
    around the ring, the driver makes ten.
    """
    bench = NicBench(dut)
    await bench.start(link=False)
    for index in range(BY_NAME["MTA"].count):  # as drivers do; a reset leaves there what the test of registers wrote
        await bench.write("MTA", 0, index=index)
    await bench.open(buffers=RING - 1, rctl={"BAM": 1})
    assert not await bench.read("STATUS") & BY_NAME["STATUS"].mask("LU")
    for number, value in LOOPBACK_PHY_WRITES[:4]:
        await bench.write_phy(number, value)
    await bench.write_fields("CTRL", SLU=1, FRCSPD=1, FRCDPX=1, SPEED=2, FD=1, ILOS=1)
    for number, value in LOOPBACK_PHY_WRITES[4:]:
        await bench.write_phy(number, value)
    status = BY_NAME["STATUS"].value(LU=1, FD=1, SPEED=2, ASDV=2)
    assert await bench.read("STATUS") == status

    rng = random.Random(5)
    frame = loopback_frame()
    memory = [frame if index < LOOPBACK_FRAMES else rng.randbytes(LOOPBACK_BYTES) for index in range(RING)]
    descriptors = [bench.legacy(data, rs=0, rps=1) for data in memory]
    good = 0
    for number in range(LOOPBACK_ROUNDS):
        first = number * LOOPBACK_FRAMES % RING
        begin = bench.cycle()
        await bench.transmit(*descriptors[first : first + LOOPBACK_FRAMES])
        # Of most rounds neither memory nor pins see anything.
        looped = 0
        while looped < LOOPBACK_FRAMES:
            assert bench.cycle() - begin < ROUND_CYCLES
            await bench.wait(1000)
            looped += await bench.read("TPR")
        await bench.settle()
        assert looped == await bench.read("TPT") == LOOPBACK_FRAMES
        assert await bench.read("TDH") == bench.transmit_tail
        received = [data for _, data in bench.received()]
        assert received == ([append_fcs(frame)] * LOOPBACK_FRAMES if first == 0 else [])
        good += len(received)
    assert good == 2 * LOOPBACK_FRAMES
    assert bench.sent() == [], "nothing reaches the partner"
    assert await bench.read("TPT") == await bench.read("TPR") == 0
    assert await bench.read("STATUS") == status

    # As the driver leaves it: the PHY is reset, and negotiates.
    await bench.write_phy(0, 0x9140)
    await bench.write_fields("CTRL", SLU=1)
    dut.link.value = 1
    await bench.wait(100)
    await bench.transmit(bench.legacy(frame))
    await bench.settle()
    assert bench.sent() == [append_fcs(frame)]
    assert bench.received() == []


@cocotb.test()
async def link_test(dut: Any) -> None:
    """The PHY has a link, and so has the NIC. (The driver waits 4 s in between for the PHYs of others.)"""
    bench = await started(dut)
    await bench.write_fields("CTRL", SLU=1)
    await bench.read_phy(1)
    assert await bench.read_phy(1) & 0x24 == 0x24
    assert await bench.read("STATUS") & BY_NAME["STATUS"].mask("LU")


def test_nic() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
