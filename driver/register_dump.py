"""The registers as ``ethtool -d`` shows them: those of Linux's e1000_get_regs, and their fields by name."""

from typing import Final, NamedTuple

from driver.bus import Bus
from driver.phy import read_phy
from hw.registers import BY_NAME

__all__ = ["DUMPED", "PHY_DUMPED", "DumpedRegister", "get_regs"]

DUMPED: Final = ("CTRL", "STATUS", "RCTL", "RDLEN", "RDH", "RDT", "RDTR", "TCTL", "TDLEN", "TDH", "TDT", "TIDV")
"""In Linux's order."""

PHY_DUMPED: Final = {"PHY specific control": 16, "PHY specific status": 17}


class DumpedRegister(NamedTuple):
    """A register's value, and those of its fields."""

    name: str
    offset: int
    """In the register window, or the number of a PHY register."""
    value: int
    fields: dict[str, int]


async def get_regs(bus: Bus, name: str) -> list[DumpedRegister]:
    """Read them. Raises ``OSError`` (EIO) if the PHY does not answer."""
    dumped = []
    for register in (BY_NAME[item] for item in DUMPED):
        value = await bus.read32(register.offset)
        fields = {field.name: field.get(value) for field in register.fields}
        dumped.append(DumpedRegister(register.name, register.offset, value, fields))
    for item, number in PHY_DUMPED.items():
        dumped.append(DumpedRegister(item, number, await read_phy(bus, number, name), {}))
    return dumped
