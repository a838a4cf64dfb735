"""What the receiver looks at, and when: of a frame that comes while a register changes some stages see what was there
before, and some what is there after (``hw.receive``)."""

from collections import deque
from dataclasses import replace
from typing import Final, NamedTuple

from hw.receive.filter import FilterSettings

__all__ = ["Looked", "ReceiveSettings", "SettingsHistory"]

_SUMS: Final = 22
"""Cycles from the begin of the preamble to where the checksum begins."""
_PREAMBLE: Final = 17
"""From a byte of the frame, counted from its first, to the tag stripper: preamble, and the FIFO between the clocks."""
_SECOND: Final = 16
"""Bytes of a frame with which the tag is there, and the search for its addresses begins."""
_SEARCH: Final = 1
"""Cycles from there to the first entry of the address table; each of the others takes one more."""
_TABLES: Final = 13
"""Cycles before the decision in which the bit of a table is looked up, and the FCS is summed up or not,"""
_FATE: Final = 11
"""in which RCTL and types count,"""
_RESULT: Final = 7
"""and in which the checksum's result and the length are there."""
_REMEMBERED: Final = 16
"""Changes that may come while a frame does: more than software gets through with."""


class ReceiveSettings(NamedTuple):
    """Registers: ``strip_tag`` is CTRL.VME, ``strip_crc`` RCTL.SECRC, the last three are of RXCSUM."""

    filter: FilterSettings
    strip_tag: bool = False
    strip_crc: bool = False
    pcss: int = 0
    ip_offload: bool = False
    tcp_offload: bool = False


class Looked(NamedTuple):
    """What counts for a frame."""

    filter: FilterSettings
    vet: int
    """Type of a tag that is to be taken out."""
    strip_tag: bool
    tell_tag: bool
    """The tag is told in the descriptor."""
    strip_crc: bool
    sum_crc: bool
    """The packet checksum has the FCS in it."""
    pcss: int
    swapped: bool
    """The bytes of the packet checksum are taken one for the other, since PCSS was even and is odd, or the reverse."""
    ip_offload: bool
    tcp_offload: bool


def _steady(settings: ReceiveSettings) -> Looked:
    filter_, strip_tag, strip_crc, pcss, ip_offload, tcp_offload = settings
    return Looked(
        filter=filter_,
        vet=filter_.vet,
        strip_tag=strip_tag,
        tell_tag=strip_tag,
        strip_crc=strip_crc,
        sum_crc=not strip_crc,
        pcss=pcss,
        swapped=False,
        ip_offload=ip_offload,
        tcp_offload=tcp_offload,
    )


class SettingsHistory:
    """What the settings are, and were."""

    def __init__(self, settings: ReceiveSettings) -> None:
        self.now = settings
        self.steady = _steady(settings)
        """What counts for a frame for which they do not change."""
        self.steady_from = 0
        """Such a one begins in this cycle or later."""
        self._before: deque[tuple[int, ReceiveSettings]] = deque(maxlen=_REMEMBERED)
        """Up to a cycle."""

    def set(self, cycle: int, settings: ReceiveSettings) -> None:
        """They are to be this from a cycle on."""
        if settings != self.now:
            self._before.append((cycle, self.now))
            self.now = settings
            self.steady = _steady(settings)
            self.steady_from = cycle - _SUMS

    def of(self, begin: int, length: int, decided: int) -> Looked:
        """What counts for a frame of a length with FCS whose preamble began in a cycle, and which is decided on in
        another."""
        second = begin + _PREAMBLE + min(length, _SECOND)
        stripped, fate, result = self._at(second), self._at(decided - _FATE), self._at(decided - _RESULT)
        tables, pcss = self._at(decided - _TABLES), self._at(begin + _SUMS).pcss
        entries = len(fate.filter.table)
        filter_ = replace(
            fate.filter,
            table=[self._at(second + _SEARCH + number).filter.table[number] for number in range(entries)],
            multicast=tables.filter.multicast,
            vlan=tables.filter.vlan,
        )
        return Looked(
            filter=filter_,
            vet=stripped.filter.vet,
            strip_tag=stripped.strip_tag,
            tell_tag=fate.strip_tag,
            strip_crc=result.strip_crc,
            sum_crc=not tables.strip_crc,
            pcss=pcss,
            swapped=bool((pcss ^ result.pcss) & 1),
            ip_offload=result.ip_offload,
            tcp_offload=result.tcp_offload,
        )

    def _at(self, cycle: int) -> ReceiveSettings:
        return next((settings for until, settings in self._before if until > cycle), self.now)
