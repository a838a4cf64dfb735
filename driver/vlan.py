"""VLANs in the device: tags taken off and put on, and the filter of identifiers (manual 9.1 to 9.4, 13.5.3)."""

from collections.abc import Iterable
from typing import Final

from driver.bus import Bus
from hw.registers import BY_NAME

__all__ = ["ETHERTYPE_VLAN", "write_filter"]

ETHERTYPE_VLAN: Final = 0x8100
"""IEEE 802.1Q clause 9.6."""

_VFTA: Final = BY_NAME["VFTA"]


def write_filter(bus: Bus, identifiers: Iterable[int]) -> None:
    """Let in these VLANs, and no others; untagged frames are not concerned."""
    table = [0] * _VFTA.count
    for identifier in identifiers:
        table[identifier >> 5] |= 1 << (identifier & 31)
    for index, bits in enumerate(table):
        bus.write32(_VFTA.offset + 4 * index, bits)
