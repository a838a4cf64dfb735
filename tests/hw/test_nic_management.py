"""EEPROM, PHY, pins and small registers on the whole NIC: EECD against EERD, what the EEPROM gives, MDIC, the I/O
window, LEDs, software-definable pins, what is stored."""

from typing import Any

import cocotb

from hw.eeprom import WORDS, image
from hw.mdio import CYCLES_PER_MDC, READ, WRITE
from hw.nic import Nic
from hw.phy import PHY_ADDRESS, REGISTERS
from hw.registers import BY_NAME
from tests.hw.microwire import MicrowireDriver
from tests.hw.nic_bench import OWN, NicBench
from tests.hw.simulate import simulate

EERD, MDIC, ICR = BY_NAME["EERD"], BY_NAME["MDIC"], BY_NAME["ICR"]
COMMAND_CYCLES = 64 * CYCLES_PER_MDC + 10

STORED = {
    "FCTTV": (0xFFFF, 0),
    "TXCW": (0xC000_FFFF, 0),
    "TBT": (0xFFFF, 0),
    "AIT": (0xFFFF, 0),
    "LEDCTL": (0xCFCF_CFCF, 0x0706_8302),
    "FCRTL": (0x8000_FFF8, 0),
    "FCRTH": (0x8000_FFF8, 0),
    **{f"{side}DF{name}": (0, 0) for side in "RT" for name in ("H", "T", "HS", "TS", "PC")},
    "TSPMT": (0xFFFF_FFFF, 0x0100_0400),
    "MANC": (0x0006_7F07, 0),
}
"""Registers that are stored and no more: the bits that read back, and the value after reset."""


async def started(dut: Any) -> NicBench:
    bench = NicBench(dut)
    await bench.start()
    return bench


async def read_word(bench: NicBench, address: int) -> int:
    """A word of the EEPROM through EERD."""
    await bench.write_fields("EERD", START=1, ADDR=address)
    for _ in range(3):
        value = await bench.read("EERD")
        if value & EERD.mask("DONE"):
            assert value & ~EERD.mask("DATA") == EERD.value(ADDR=address) | EERD.mask("DONE")
            return EERD["DATA"].get(value)
    raise AssertionError("EERD is never done")


async def mdio(bench: NicBench, operation: int, register: int, data: int = 0, **more: int) -> int:
    """A management access; MDIC when it is done."""
    await bench.write_fields("MDIC", **{"OP": operation, "PHY": PHY_ADDRESS, "REG": register, "DATA": data, **more})
    assert not await bench.read("MDIC") & MDIC.mask("READY")
    await bench.wait(COMMAND_CYCLES)
    return await bench.read("MDIC")


@cocotb.test()
async def eeprom_both_ways(dut: Any) -> None:
    bench = await started(dut)
    assert await bench.read("EERD") == 0
    assert [await read_word(bench, address) for address in range(WORDS)] == image(OWN)
    driver = MicrowireDriver(bench)
    await driver.write(0x2A, 0x9C35)
    assert await read_word(bench, 0x2A) == await driver.read(0x2A) == 0x9C35
    expected = [*image(OWN)]
    expected[0x2A] = 0x9C35
    assert [await read_word(bench, address) for address in range(WORDS)] == expected
    assert await read_word(bench, 0xC0 + 2) == expected[2], "the part has six bits of address"


@cocotb.test()
async def station_address(dut: Any) -> None:
    """Receive address 0 comes from the EEPROM at power-up and after CTRL.RST, which also takes out all others. The
    access that follows the reset at once already finds it."""
    bench = await started(dut)

    async def entries() -> list[tuple[int, int]]:
        return [(await bench.read("RAL", index=index), await bench.read("RAH", index=index)) for index in range(16)]

    low, high = (int.from_bytes(part, "little") for part in (OWN[:4], OWN[4:]))
    found = await entries()
    assert found[0] == (low, high | 1 << 31)
    assert not any(high >> 31 for _, high in found[1:])
    await MicrowireDriver(bench).write(2, 0x1234)
    assert (await entries())[0] == (low, high | 1 << 31)
    for index in range(16):
        await bench.write("RAL", 0xFFFF_FFFF, index=index)
        await bench.write("RAH", 0xFFFF_FFFF, index=index)
    await bench.write("CTRL", BY_NAME["CTRL"].mask("RST"))
    found = await entries()
    assert found[0] == (low, 0x1234 | 1 << 31)
    assert not any(high >> 31 for _, high in found[1:])
    assert await bench.read("EERD") == 0
    await MicrowireDriver(bench).write(2, image(OWN)[2])  # no reset brings it back


@cocotb.test()
async def eeprom_defaults(dut: Any) -> None:
    """CTRL and WUC take what the EEPROM says when it is read again: after CTRL.RST, or by CTRL_EXT.EE_RST alone, which
    leaves all else as it is. Without the signature nothing is taken, nor the address."""
    bench = await started(dut)
    driver = MicrowireDriver(bench)
    ctrl, wuc = BY_NAME["CTRL"], BY_NAME["WUC"]
    assert await bench.read("CTRL") == ctrl.reset | ctrl.mask("FD")
    for address, word in ((0x0A, 0x4E03), (0x0F, 0xF000), (0x24, 0x0400)):
        await driver.write(address, word)
    await bench.write_fields("CTRL", SLU=1)
    await bench.write("TIPG", 0x123)
    await bench.write_fields("CTRL_EXT", EE_RST=1)
    given = ctrl.mask("FD", "LRST", "FRCSPD", "ASDE")
    assert await bench.read("CTRL") == ctrl.mask("SLU") | given
    assert await bench.read("CTRL_EXT") == 0
    assert await bench.read("WUC") == wuc.mask("APME", "APMPME")
    assert await bench.read("TIPG") == 0x123
    await bench.write("WUC", 0)
    await bench.write("CTRL", ctrl.mask("RST"))
    assert await bench.read("CTRL") == ctrl.reset | given
    assert await bench.read("WUC") == wuc.mask("APME", "APMPME")
    assert await bench.read("TIPG") == BY_NAME["TIPG"].reset
    await driver.write(0x0A, 0x8E03)
    await bench.write("CTRL", ctrl.mask("RST"))
    assert await bench.read("CTRL") == ctrl.reset
    assert await bench.read("WUC") == 0
    assert await bench.read("RAH") >> 31 == 0
    for address in (0x0A, 0x0F, 0x24):  # no reset brings the EEPROM back
        await driver.write(address, image(OWN)[address])


@cocotb.test()
async def io_window(dut: Any) -> None:
    """Drivers reset the NIC by way of IOADDR and IODATA; it is the same registers, and offsets that are none do
    nothing."""
    bench = await started(dut)
    await bench.io_write(0, BY_NAME["TIPG"].offset)
    await bench.io_write(4, 0x0012_3456)
    assert await bench.read("TIPG") == await bench.io_read(4) == 0x0012_3456
    for strobe in (0b0111, 0b0001):
        await bench.io_write(4, 0, strobe=strobe)
    for address in (0x2_0000 + BY_NAME["TIPG"].offset, 0x8_0000 + BY_NAME["TIPG"].offset):
        await bench.io_write(0, address)
        await bench.io_write(4, 0)
        assert (await bench.io_read(0), await bench.io_read(4)) == (address, 0)
    await bench.io_write(8, 0)
    assert await bench.io_read(8) == 0
    assert await bench.read("TIPG") == 0x0012_3456
    await bench.write_fields("IMS", LSC=1)
    await bench.io_write(0, BY_NAME["CTRL"].offset)
    await bench.io_write(4, BY_NAME["CTRL"].mask("RST"))
    assert await bench.read("TIPG") == BY_NAME["TIPG"].reset
    assert await bench.read("IMS") == 0
    assert await bench.io_read(0) == 0


@cocotb.test()
async def leds(dut: Any) -> None:
    """Link and 1000 Mb/s are on as soon as there is a link; after reset activity blinks, here it stays on."""
    bench = await started(dut)
    assert int(dut.leds.value) == 0
    await bench.write_fields("CTRL", SLU=1, FD=1, SPEED=2)
    await bench.wait(200)
    assert int(dut.leds.value) == 0b1001
    await bench.write_fields("LEDCTL", LED0_MODE=3, LED1_MODE=4, LED2_MODE=14, LED3_MODE=15, LED3_IVRT=1)
    await bench.wait(10)
    assert int(dut.leds.value) == 0b1110
    bench.send(OWN + OWN)
    await bench.settle()
    assert int(dut.leds.value) == 0b1101


@cocotb.test()
async def software_definable_pins(dut: Any) -> None:
    """CTRL has four, CTRL_EXT the other four: outputs carry what is written, inputs read what is there, and a rise of
    the second four is an interrupt cause if enabled."""
    bench = await started(dut)
    ctrl, ext = BY_NAME["CTRL"], BY_NAME["CTRL_EXT"]
    dut.sdp__i.value = 0b0101_0011
    await bench.write_fields("CTRL", SWDPIN=0b1010, SWDPIO=0b1100)
    await bench.write_fields("CTRL_EXT", SDP_DATA=0b1001, SDP_IODIR=0b0011, GPI_EN=0b1000, ASDCHK=1)
    assert ctrl["SWDPIN"].get(await bench.read("CTRL")) == 0b1011
    assert await bench.read("CTRL_EXT") == ext.value(SDP_DATA=0b0101, SDP_IODIR=0b0011, GPI_EN=0b1000)
    assert int(dut.sdp__oe.value) == 0b0011_1100
    assert int(dut.sdp__o.value) & 0b0011_1100 == 0b0001_1000
    assert await bench.read("ICR") == 0
    await bench.write_fields("IMS", GPI3=1)
    dut.sdp__i.value = 0b1101_0011
    await bench.wait(10)
    assert int(dut.interrupt.value)
    assert await bench.read("ICR") == ICR.mask("GPI3")
    await bench.write("CTRL", ctrl.mask("RST"))
    assert await bench.read("CTRL_EXT") == ext.value(SDP_DATA=0b1101)
    assert int(dut.sdp__oe.value) == 0


@cocotb.test()
async def buffer_pointers(dut: Any) -> None:
    """The diagnostic registers, frame by frame: received ones wait while there is no descriptor; sent ones leave."""
    bench = await started(dut)
    names = ("H", "T", "HS", "TS", "PC")

    async def pointers(side: str) -> list[int]:
        return [await bench.read(f"{side}DF{name}") for name in names]

    await bench.open(buffers=0)
    frames = 5
    for _ in range(frames):
        bench.send(OWN + OWN)
    await bench.settle()
    head, tail, head_saved, tail_saved, packets = await pointers("R")
    words = 1 + 64 // 8  # of a frame, with its information
    assert (tail, tail_saved) == (frames * words, (frames - 1) * words)
    assert (head_saved, packets) == (0, frames - 1), "the first has begun to be read"
    assert head < words
    await bench.give(frames)
    await bench.settle()
    assert await pointers("R") == [frames * words, frames * words, (frames - 1) * words, (frames - 1) * words, 0]
    await bench.transmit(*(bench.legacy(bytes(60)) for _ in range(frames)))
    await bench.settle()
    assert await pointers("T") == [frames * 8, frames * 8, (frames - 1) * 8, (frames - 1) * 8, 0]
    await bench.write("CTRL", BY_NAME["CTRL"].mask("RST"))
    assert await pointers("R") == await pointers("T") == [0] * 5


@cocotb.test()
async def phy(dut: Any) -> None:
    bench = await started(dut)
    for item in REGISTERS:
        if item.number not in (1, 17):
            value = await mdio(bench, READ, item.number, 0x5A5A)
            assert value == MDIC.value(OP=READ, PHY=PHY_ADDRESS, REG=item.number, DATA=item.boot, READY=1), item.name
    status = [MDIC["DATA"].get(await mdio(bench, READ, 1)) for _ in range(2)]
    assert status == [0x7969, 0x796D], "the link bit is latched low"
    assert MDIC["DATA"].get(await mdio(bench, READ, 17)) == 0xAC00
    assert await mdio(bench, READ, 2, PHY=2) & MDIC.mask("ERROR", "READY") == MDIC.mask("ERROR", "READY")
    assert await bench.read("ICR") == 0

    # Power-down takes the link away, and a software reset brings no link back: the PHY outlives it.
    await bench.write_fields("CTRL", SLU=1)
    assert await mdio(bench, WRITE, 0, 0x1940, INT_EN=1) & MDIC.mask("READY", "INT_EN") == MDIC.mask("READY", "INT_EN")
    assert await bench.read("ICR") == ICR.mask("LSC", "MDAC")
    assert not await bench.read("STATUS") & BY_NAME["STATUS"].mask("LU")
    await bench.write_fields("CTRL", SLU=1, RST=1)
    assert await bench.read("MDIC") == 0
    assert MDIC["DATA"].get(await mdio(bench, READ, 0)) == 0x1940
    await bench.write_fields("CTRL", SLU=1)
    assert not await bench.read("STATUS") & BY_NAME["STATUS"].mask("LU")
    await mdio(bench, WRITE, 0, 0x8000)
    assert MDIC["DATA"].get(await mdio(bench, READ, 0)) == 0x1140
    assert await bench.read("STATUS") & BY_NAME["STATUS"].mask("LU")


@cocotb.test()
async def stored(dut: Any) -> None:
    """Each register reads its value after reset, and what of a value can be stored; CTRL.RST undoes it."""
    bench = await started(dut)
    for data in (0xFFFF_FFFF, 0xA5A5_5A5A):
        for name, (_, reset) in STORED.items():
            assert await bench.read(name) == reset, name
            await bench.write(name, data)
        for name, (mask, _) in STORED.items():
            assert await bench.read(name) == data & mask, name
        await bench.write("CTRL", BY_NAME["CTRL"].mask("RST"))


@cocotb.test()
async def packet_buffer_allocation(dut: Any) -> None:
    """PBA is written before a reset and takes effect by that."""
    bench = await started(dut)
    assert await bench.read("PBA") == 0x0010_0030
    await bench.write("PBA", 40)
    await bench.write("CTRL", BY_NAME["CTRL"].mask("RST"))
    assert await bench.read("PBA") == 24 << 16 | 40


def test_nic() -> None:
    simulate(Nic(), name="nic", test_module=__name__)
