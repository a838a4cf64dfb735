"""The device's own counters (manual 13.7), which clear when they are read, summed in software as Linux does it."""

from typing import Final, Protocol

from driver.bus import Bus
from hw.registers import BY_NAME
from stack.environment import Event

__all__ = ["STATISTICS_ORDER", "DeviceStatistics", "read_statistics"]

_ORDER: Final = (
    "CRCERRS GPRC GORCL GORCH BPRC MPRC ROC PRC64 PRC127 PRC255 PRC511 PRC1023 PRC1522 "
    "SYMERRS MPC SCC ECOL MCC LATECOL DC SEC RLEC XONRXC XONTXC XOFFRXC XOFFTXC FCRUC GPTC GOTCL GOTCH "
    "RNBC RUC RFC RJC TORL TORH TOTL TOTH TPR PTC64 PTC127 PTC255 PTC511 PTC1023 PTC1522 MPTC BPTC "
    "TPT COLC ALGNERRC RXERRC TNCRS CEXTERR TSCTC TSCTFC MGTPTC MGTPRC MGTPDC"
)
STATISTICS_ORDER: Final = tuple(_ORDER.split())
"""The registers in the order of Linux's ``e1000_update_stats``. Of a pair the low word comes first, since the read of
the high word clears both."""

_PAIRS: Final = {
    f"{name}{half}": (name, shift) for name in ("GORC", "GOTC", "TOR", "TOT") for half, shift in (("L", 0), ("H", 32))
}


class DeviceStatistics:
    """Totals since the probe, by register name; the pairs as ``GORC``, ``GOTC``, ``TOR`` and ``TOT``, in octets."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.totals = {_PAIRS.get(name, (name, 0))[0]: 0 for name in STATISTICS_ORDER}
        self._busy: Event | None = None

    async def update_stats(self) -> None:
        """Read all counters of the device (58 register reads) and add them to the totals."""
        # Two at once would both add the low word of a pair.
        while self._busy is not None:
            await self._busy.wait()
        done = self._busy = self._bus.env.event()
        try:
            for register in STATISTICS_ORDER:
                name, shift = _PAIRS.get(register, (register, 0))
                self.totals[name] += await self._bus.read32(BY_NAME[register].offset) << shift
        finally:
            self._busy = None
            done.set()


class _Device(Protocol):
    @property
    def statistics(self) -> DeviceStatistics: ...


async def read_statistics(device: _Device) -> dict[str, int]:
    """The totals of a device, brought up to date."""
    await device.statistics.update_stats()
    return dict(device.statistics.totals)
