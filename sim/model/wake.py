"""Wake on LAN (``hw.wake``). It outlives CTRL.RST."""

from collections.abc import Callable
from functools import partial
from typing import Final

from hw.eeprom_read import defaults
from hw.receive.filter import FilterSettings, wake_verdict
from hw.registers import BY_NAME
from hw.wake.flexible import FILTERS, PATTERN_BYTES, FlexibleFilter
from hw.wake.network import NetworkAddresses
from hw.wake.unit import LONGEST_LENGTH, STORED_BYTES, WakeUpSettings
from sim.model.registers import RegisterWindow

__all__ = ["WakeUp"]

_WUC, _WUFC, _WUS, _IPAV, _WUPL = (BY_NAME[name] for name in ("WUC", "WUFC", "WUS", "IPAV", "WUPL"))
_ARMED: Final = _WUC.mask("PME_EN", "APME")
_LINK_CHANGE: Final = _WUS.mask("LNKC")


class WakeUp:
    """``pme`` is the pin.

    ``settings`` gives those of the receive filter, ``station`` receive address 0, ``vet`` VET.
    """

    def __init__(
        self,
        window: RegisterWindow,
        *,
        settings: Callable[[], FilterSettings],
        station: Callable[[], bytes],
        vet: Callable[[], int],
    ) -> None:
        self._window = window
        self._settings = settings
        self._station = station
        self._vet = vet
        self.pme = False
        self._status = 0
        self._live = {"WUC": 0, "WUFC": 0, "IPAV": 0, "WUPL": 0}
        self._flexible: list[FlexibleFilter] | None = None
        for name in ("WUC", "WUFC", "IPAV", "WUPL"):
            window.on_read[name] = partial(self._read, name)
        for name in ("WUFC", "IPAV", "WUPL"):
            window.on_write[name] = partial(self._write, name)
        for name in ("FFLT", "FFMT", "FFVT"):
            window.on_write[name] = self._forget_flexible
        window.on_write["WUC"] = self._write_control
        window.on_read["WUS"] = lambda number: self._status
        window.on_write["WUS"] = self._write_status

    def _forget_flexible(self, number: int, value: int) -> None:
        self._flexible = None

    def _read(self, name: str, number: int) -> int:
        return self._live[name]

    def _write(self, name: str, number: int, value: int) -> None:
        self._live[name] = value & BY_NAME[name].writable_mask

    def _write_control(self, number: int, value: int) -> None:
        kept = self._live["WUC"] & _WUC.mask("PME_STATUS")
        if value & _WUC.mask("PME_STATUS"):
            kept = 0
            self.pme = False
        if not value & _WUC.mask("PME_EN"):
            self.pme = False
        self._live["WUC"] = kept | value & _WUC.mask("APME", "PME_EN", "APMPME")

    def _write_status(self, number: int, value: int) -> None:
        self._status &= ~value

    def load(self, words: list[int]) -> None:
        """What the EEPROM says after a reset."""
        given = defaults(words)
        kept = self._live["WUC"] & ~_WUC.mask("APME", "APMPME")
        self._live["WUC"] = kept | _WUC.value(APME=given["apme"], APMPME=given["apmpme"])

    @property
    def armed(self) -> bool:
        """Whether frames are looked at."""
        waiting = self._status & ~_LINK_CHANGE
        return bool(self._live["WUC"] & _ARMED) and not waiting

    def frame(self, frame: bytes, *, crc_error: bool) -> None:
        """A frame has come, whether it is received or not."""
        if not self.armed:
            return
        verdict = wake_verdict(frame, crc_error=crc_error, rx_error=False, overrun=False, settings=self._settings())
        control = self._live["WUC"]
        names = {item.name for item in _WUFC.fields if self._live["WUFC"] & item.mask}
        happened = WakeUpSettings(
            pme_en=bool(control & _WUC.mask("PME_EN")),
            apme=bool(control & _WUC.mask("APME")),
            filters=names,
            station=self._station(),
            network=self._network(),
            flexible=self._filters(),
        ).events(frame, verdict)
        if not happened:
            return
        self._status |= _WUS.mask(*happened)
        self._live["WUPL"] = _WUPL.value(LEN=min(len(frame), LONGEST_LENGTH))
        stored = frame[:STORED_BYTES].ljust(STORED_BYTES, b"\0")
        self._window.values["WUPM"] = [
            int.from_bytes(stored[place : place + 4], "little") for place in range(0, STORED_BYTES, 4)
        ]
        acpi = bool(control & _WUC.mask("PME_EN")) and bool(happened & names)
        if acpi or control & _WUC.mask("APMPME"):
            self._event()

    def link_changed(self) -> None:
        control = self._live["WUC"]
        if control & _WUC.mask("PME_EN") and self._live["WUFC"] & _WUFC.mask("LNKC"):
            if not self._status & _WUS.mask("LNKC"):
                self._event()
            self._status |= _WUS.mask("LNKC")

    def _event(self) -> None:
        self._live["WUC"] |= _WUC.mask("PME_STATUS")
        self.pme = True

    def _network(self) -> NetworkAddresses:
        valid, values = self._live["IPAV"], self._window.values
        ip4 = [
            values["IP4AT"][entry].to_bytes(4, "little")
            for entry in range(BY_NAME["IP4AT"].count)
            if valid & _IPAV.mask(f"V4{entry}")
        ]
        ip6 = b"".join(word.to_bytes(4, "little") for word in values["IP6AT"])
        return NetworkAddresses(ip4=ip4, ip6=ip6 if valid & _IPAV.mask("V60") else None, vet=self._vet())

    def _filters(self) -> list[FlexibleFilter]:
        if self._flexible is None:
            values = self._window.values
            self._flexible = [
                FlexibleFilter(
                    length=values["FFLT"][number],
                    mask=[bool(values["FFMT"][place] >> number & 1) for place in range(PATTERN_BYTES)],
                    values=bytes(values["FFVT"][place] >> 8 * number & 0xFF for place in range(PATTERN_BYTES)),
                )
                for number in range(FILTERS)
            ]
        return self._flexible
