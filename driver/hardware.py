"""The device itself, below rings and packets: reset, station address, interrupt mask (manual chapters 13 and 14)."""

import errno
from typing import Final

from driver.bus import Bus
from driver.parameters import E1000Parameters
from hw.registers import BY_NAME

__all__ = [
    "INTERRUPT_MASK",
    "LINK_CAUSES",
    "check_eeprom",
    "check_present",
    "disable_interrupts",
    "enable_interrupts",
    "flush",
    "link_speed",
    "read_eeprom",
    "read_mac_address",
    "reset",
]

_CTRL: Final = BY_NAME["CTRL"]
_STATUS: Final = BY_NAME["STATUS"]
_EERD: Final = BY_NAME["EERD"]
_ICR: Final = BY_NAME["ICR"]
_IMS: Final = BY_NAME["IMS"]
_IMC: Final = BY_NAME["IMC"]
_RCTL: Final = BY_NAME["RCTL"]
_TCTL: Final = BY_NAME["TCTL"]
_RAL: Final = BY_NAME["RAL"]
_RAH: Final = BY_NAME["RAH"]
_PBA: Final = BY_NAME["PBA"]

_ALL: Final = 0xFFFFFFFF

INTERRUPT_MASK: Final = _IMS.mask("RXT0", "TXDW", "RXDMT0", "RXSEQ", "LSC")
"""The causes that the driver wants."""

LINK_CAUSES: Final = _ICR.mask("LSC", "RXSEQ")

EEPROM_WORDS: Final = 64
EEPROM_SUM: Final = 0xBABA
"""What all words of the EEPROM add up to, modulo 65536 (manual 5.6)."""

_EEPROM_POLLS: Final = 200
_EEPROM_POLL_INTERVAL: Final = 5_000
"""ns. All polls together give the part a millisecond, and a word takes some 30 us of its clock."""


async def flush(bus: Bus) -> None:
    """Return when the writes so far have arrived at the device."""
    await bus.read32(_STATUS.offset)


async def check_present(bus: Bus, name: str) -> None:
    """Raises ``OSError`` (ENODEV) if nothing answers: a bus that nobody drives reads all ones."""
    if await bus.read32(_STATUS.offset) == _ALL:
        raise OSError(errno.ENODEV, f"{name}: no device answers, STATUS reads {_ALL:#x}")


async def reset(bus: Bus, parameters: E1000Parameters, name: str, *, packet_buffer: int | None = None) -> int:
    """Stop everything and bring the registers back to their reset values (manual 14.4); then ask for the link.

    ``packet_buffer`` in KiB is the part of the packet buffer that is for receiving, if it is not to be the default.

    Afterwards nothing interrupts and no DMA takes place. Returns what CTRL is. Raises ``OSError`` (EIO) if the device
    does not come back.
    """
    bus.write32(_IMC.offset, _ALL)
    bus.write32(_RCTL.offset, 0)
    bus.write32(_TCTL.offset, _TCTL.mask("PSP"))
    await flush(bus)
    await bus.env.sleep(parameters.dma_drain)
    if packet_buffer is not None:
        bus.write32(_PBA.offset, _PBA.value(RXA=packet_buffer))
    ctrl = await bus.read32(_CTRL.offset)
    bus.write32(_CTRL.offset, ctrl | _CTRL.mask("RST"))
    await bus.env.sleep(parameters.reset_recovery)
    ctrl = await bus.read32(_CTRL.offset)
    if ctrl & _CTRL.mask("RST"):
        raise OSError(errno.EIO, f"{name}: the device is in reset after {parameters.reset_recovery} ns, CTRL {ctrl:#x}")
    bus.write32(_IMC.offset, _ALL)
    await bus.read32(_ICR.offset)
    ctrl = (ctrl & ~_CTRL.mask("FRCSPD", "FRCDPX")) | _CTRL.mask("SLU")
    bus.write32(_CTRL.offset, ctrl)
    return ctrl


async def read_mac_address(bus: Bus, name: str) -> bytes:
    """The station's own address, from receive address entry 0 (manual 13.5.2), which a reset loads.

    Raises ``OSError`` (EIO) if that is not a valid unicast address.
    """
    low = await bus.read32(_RAL.offset)
    high = await bus.read32(_RAH.offset)
    address = low.to_bytes(4, "little") + _RAH["ADDRESS"].get(high).to_bytes(2, "little")
    if not high & _RAH.mask("AV") or address[0] & 1 or not any(address):
        raise OSError(errno.EIO, f"{name}: no valid unicast address in the device, RAL0 {low:#010x} RAH0 {high:#010x}")
    return address


async def read_eeprom(bus: Bus, word: int, name: str) -> int:
    """A 16-bit word of the EEPROM through EERD (manual 13.4.4).

    Raises ``ValueError`` if ``word`` is not in 0..63, ``OSError`` (EIO) if no answer comes.
    """
    if not 0 <= word < EEPROM_WORDS:
        raise ValueError(f"word takes 0..{EEPROM_WORDS - 1}, not {word!r}")
    bus.write32(_EERD.offset, _EERD.value(START=1, ADDR=word))
    for _ in range(_EEPROM_POLLS):
        value = await bus.read32(_EERD.offset)
        if value & _EERD.mask("DONE"):
            return _EERD["DATA"].get(value)
        await bus.env.sleep(_EEPROM_POLL_INTERVAL)
    raise OSError(errno.EIO, f"{name}: the EEPROM does not answer, EERD {value:#010x}")


async def check_eeprom(bus: Bus, name: str) -> None:
    """Raises ``OSError`` (EIO) if the EEPROM does not answer, or its checksum is wrong (manual 5.6)."""
    total = 0
    for word in range(EEPROM_WORDS):
        total += await read_eeprom(bus, word, name)
    if total & 0xFFFF != EEPROM_SUM:
        raise OSError(
            errno.EIO,
            f"{name}: the EEPROM's checksum is wrong, its words add up to {total & 0xFFFF:#06x}, not {EEPROM_SUM:#06x}",
        )


def link_speed(status: int) -> int:
    """Mb/s of the link as STATUS tells it, 0 if there is none."""
    if not status & _STATUS.mask("LU"):
        return 0
    return (10, 100, 1000, 1000)[_STATUS["SPEED"].get(status)]


async def enable_interrupts(bus: Bus) -> None:
    """Unmask what the driver wants. A cause that came up meanwhile interrupts at once."""
    bus.write32(_IMS.offset, INTERRUPT_MASK)
    await flush(bus)


async def disable_interrupts(bus: Bus) -> None:
    """Mask every cause."""
    bus.write32(_IMC.offset, _ALL)
    await flush(bus)
