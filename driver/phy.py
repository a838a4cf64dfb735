"""The PHY's registers through MDIC (manual 13.4.6; IEEE 802.3 clause 22.2.4)."""

import errno
from typing import Final

from driver.bus import Bus
from hw.registers import BY_NAME

__all__ = [
    "ADVERTISEMENT",
    "CONTROL",
    "PARTNER",
    "STATUS",
    "read_phy",
    "write_phy",
]

CONTROL: Final = 0
STATUS: Final = 1
ADVERTISEMENT: Final = 4
PARTNER: Final = 5
"""Numbers of registers (clause 22.2.4)."""

PHY_ADDRESS: Final = 1
_WRITE: Final = 1
_READ: Final = 2
_POLLS: Final = 640
_POLL_INTERVAL: Final = 5_000
"""ns. A frame of management takes 64 bits of 400 ns."""

_MDIC: Final = BY_NAME["MDIC"]


async def read_phy(bus: Bus, number: int, name: str) -> int:
    """A register of the PHY. Raises ``OSError`` (EIO) if no answer comes, or an error."""
    return await _access(bus, name, REG=number, PHY=PHY_ADDRESS, OP=_READ)


async def write_phy(bus: Bus, number: int, value: int, name: str) -> None:
    """Write a register of the PHY. Raises ``OSError`` as ``read_phy`` does."""
    await _access(bus, name, REG=number, PHY=PHY_ADDRESS, OP=_WRITE, DATA=value)


async def _access(bus: Bus, name: str, **command: int) -> int:
    bus.write32(_MDIC.offset, _MDIC.value(**command))
    value = 0
    for _ in range(_POLLS):
        await bus.env.sleep(_POLL_INTERVAL)
        value = await bus.read32(_MDIC.offset)
        if value & _MDIC.mask("ERROR"):
            break
        if value & _MDIC.mask("READY"):
            return _MDIC["DATA"].get(value)
    raise OSError(errno.EIO, f"{name}: PHY register {command['REG']} cannot be accessed, MDIC {value:#010x}")
