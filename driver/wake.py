"""Wake on LAN: which frames wake a host that sleeps, and what has woken it (manual 13.6; Linux's e1000_shutdown)."""

from enum import Flag, auto
from typing import Final

from driver.bus import Bus
from hw.registers import BY_NAME

__all__ = ["LETTERS", "WakeOn", "arm", "disarm", "letters", "parse_wake_on", "woken_by"]

_WUC: Final = BY_NAME["WUC"]
_WUFC: Final = BY_NAME["WUFC"]
_WUS: Final = BY_NAME["WUS"]


class WakeOn(Flag):
    """What wakes the host; the letters of ``ethtool -s ... wol``."""

    NONE = 0
    PHY = auto()
    UCAST = auto()
    MCAST = auto()
    BCAST = auto()
    MAGIC = auto()


LETTERS: Final = {
    "p": WakeOn.PHY,
    "u": WakeOn.UCAST,
    "m": WakeOn.MCAST,
    "b": WakeOn.BCAST,
    "g": WakeOn.MAGIC,
}

_FIELDS: Final = {
    WakeOn.PHY: "LNKC",
    WakeOn.UCAST: "EX",
    WakeOn.MCAST: "MC",
    WakeOn.BCAST: "BC",
    WakeOn.MAGIC: "MAG",
}


def parse_wake_on(letters: str) -> WakeOn:
    """``d`` is nothing. Raises ``ValueError`` for a letter that stands for nothing."""
    wake = WakeOn.NONE
    for letter in letters:
        if letter == "d":
            return WakeOn.NONE
        if letter not in LETTERS:
            raise ValueError(f"wol takes letters of {''.join(LETTERS)}, or d, not {letters!r}")
        wake |= LETTERS[letter]
    return wake


def letters(wake: WakeOn) -> str:
    """The letters for a set, ``d`` for none."""
    return "".join(letter for letter, flag in LETTERS.items() if flag in wake) or "d"


def arm(bus: Bus, wake: WakeOn) -> None:
    """Let the device wake the host by PME#."""
    bus.write32(_WUS.offset, 0xFFFFFFFF)
    bus.write32(_WUC.offset, _WUC.mask("PME_EN", "PME_STATUS"))
    bus.write32(_WUFC.offset, _WUFC.mask(*(_FIELDS[flag] for flag in WakeOn if flag in wake)))


def disarm(bus: Bus) -> None:
    """The host is awake."""
    bus.write32(_WUC.offset, _WUC.mask("PME_STATUS"))
    bus.write32(_WUFC.offset, 0)
    bus.write32(_WUS.offset, 0xFFFFFFFF)


async def woken_by(bus: Bus) -> WakeOn:
    """What has woken the host, or would have, since ``arm``."""
    status = await bus.read32(_WUS.offset)
    wake = WakeOn.NONE
    for flag, field in _FIELDS.items():
        if status & _WUS.mask(field):
            wake |= flag
    return wake
