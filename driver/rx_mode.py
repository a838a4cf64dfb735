"""Which frames the device lets in: its own address, further unicast and multicast addresses, or all (e1000_set_rx_mode;
manual 13.4.22, 13.5.1 and 13.5.2)."""

from collections.abc import Iterable
from typing import Final

from driver.bus import Bus
from hw.registers import BY_NAME

__all__ = ["RAR_ENTRIES", "multicast_hash", "receive_filter", "write_rx_mode"]

RAR_ENTRIES: Final = 15
"""Receive addresses in use, the station's own included; Linux leaves the sixteenth alone."""

MTA_REGISTERS: Final = 128

_RCTL: Final = BY_NAME["RCTL"]
_RAL: Final = BY_NAME["RAL"]
_RAH: Final = BY_NAME["RAH"]
_MTA: Final = BY_NAME["MTA"]


def multicast_hash(address: bytes) -> int:
    """The bit of the multicast table that stands for an address, with RCTL.MO of 0 (manual 13.5.1)."""
    return (address[5] << 8 | address[4]) >> 4 & 0xFFF


def receive_filter(*, promiscuous: bool, all_multicast: bool, unicast: int) -> int:
    """The bits UPE and MPE of RCTL, for so many further unicast addresses: more than fit take everything."""
    if promiscuous:
        return _RCTL.mask("UPE", "MPE")
    return _RCTL.value(UPE=int(unicast >= RAR_ENTRIES), MPE=int(all_multicast))


def write_rx_mode(bus: Bus, *, unicast: Iterable[bytes], multicast: Iterable[bytes]) -> None:
    """Write the receive addresses behind the station's own, and the multicast table.

    Unicast addresses come first. Multicast addresses take the entries that are left; of the others the table holds a
    hash, which lets in more than them.
    """
    wanted = list(unicast)
    entries = wanted if len(wanted) < RAR_ENTRIES else []
    table = [0] * MTA_REGISTERS
    for address in multicast:
        if len(entries) < RAR_ENTRIES - 1:
            entries = [*entries, address]
        else:
            bit = multicast_hash(address)
            table[bit >> 5] |= 1 << (bit & 31)
    for index in range(1, RAR_ENTRIES):
        offset = index * 8
        if index <= len(entries):
            address = entries[index - 1]
            bus.write32(_RAL.offset + offset, int.from_bytes(address[:4], "little"))
            bus.write32(_RAH.offset + offset, _RAH.value(ADDRESS=int.from_bytes(address[4:], "little"), AV=1))
        else:
            bus.write32(_RAL.offset + offset, 0)
            bus.write32(_RAH.offset + offset, 0)
    # From the end: Linux does so too, since some bridges combine rising writes.
    for index in reversed(range(MTA_REGISTERS)):
        bus.write32(_MTA.offset + 4 * index, table[index])
