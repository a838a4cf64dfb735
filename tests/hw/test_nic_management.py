"""EEPROM, PHY and small registers on the whole NIC: EECD against EERD, the station address, MDIC, what is stored."""

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
    "CTRL_EXT": (0x0002_DFFF, 0),
    "FCTTV": (0xFFFF, 0),
    "TXCW": (0xC000_FFFF, 0),
    "TBT": (0xFFFF, 0),
    "AIT": (0xFFFF, 0),
    "LEDCTL": (0xCFCF_CFCF, 0x0602),
    "FCRTL": (0x8000_FFF8, 0),
    "FCRTH": (0x8000_FFF8, 0),
    **{f"{side}DF{name}": (0x1FFF, 0) for side in "RT" for name in ("H", "T", "HS", "TS", "PC")},
    "TSPMT": (0xFFFF_FFFF, 0x0100_0400),
    "WUC": (0xB, 0),
    "WUFC": (0x000F_80FF, 0),
    "WUS": (0, 0),
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
