"""What of a device's settings decides which frames come in, and how: addresses, VLANs, long and bad frames (RCTL,
CTRL)."""

from typing import TYPE_CHECKING, Final

from driver.rx_mode import receive_filter, write_rx_mode
from driver.vlan import ETHERTYPE_VLAN, write_filter
from hw.registers import BY_NAME
from stack.net_device import Features

if TYPE_CHECKING:
    from driver.e1000 import E1000

__all__ = ["Filters"]

_LONGEST_STANDARD: Final = 1518
"""Bytes with FCS of the longest frame that is no long one (manual 13.4.22, LPE)."""

_CTRL: Final = BY_NAME["CTRL"]
_RCTL: Final = BY_NAME["RCTL"]
_VET: Final = BY_NAME["VET"].offset


class Filters:
    """One device's. Whoever changes a setting calls the method that goes with it; nothing is written while the device
    is not active, and everything when it becomes so (``configure``)."""

    def __init__(self, device: "E1000") -> None:
        self._device = device
        self.vlans: set[int] = set()
        """Identifiers that are let in."""

    def configure(self) -> None:
        """After a reset."""
        self.write_addresses()
        if self.vlans:
            self._write_vlans()
        if self.vlans or any(self._device.pause):
            self.write_ctrl()

    def rx_mode_changed(self) -> None:
        """The lists of addresses, or promiscuous or all-multicast mode, have changed."""
        if self._device.active:
            self.write_addresses()
            self._device.rx_ring.write_mode()

    def vlans_changed(self) -> None:
        """``vlans``, or a feature of VLANs, has changed."""
        if self._device.active:
            self._write_vlans()
            self.write_ctrl()
            self._device.rx_ring.write_mode()

    def write_addresses(self) -> None:
        """The tables of addresses; RCTL is only made up."""
        device = self._device
        self._make_control()
        write_rx_mode(device.bus, unicast=device.unicast_list, multicast=device.multicast_list)

    def write_ctrl(self) -> None:
        """CTRL: pause frames, and tags taken off."""
        device = self._device
        rx, tx = device.pause
        stripped = bool(self.vlans) and Features.HW_VLAN_CTAG_RX in device.features
        device.bus.write32(_CTRL.offset, device.ctrl | _CTRL.value(RFCE=int(rx), TFCE=int(tx), VME=int(stripped)))

    def _write_vlans(self) -> None:
        bus = self._device.bus
        bus.write32(_VET, ETHERTYPE_VLAN)
        write_filter(bus, self.vlans)
        self._make_control()

    def _make_control(self) -> None:
        device = self._device
        filtered = bool(self.vlans) and not device.promiscuity and Features.HW_VLAN_CTAG_FILTER in device.features
        device.rx_ring.mode = receive_filter(
            promiscuous=device.promiscuity, all_multicast=device.all_multicast, unicast=len(device.unicast_list)
        ) | _RCTL.value(
            LPE=int(device.maximum_frame > _LONGEST_STANDARD), VFE=int(filtered), SBP=int(device.rx_ring.receive_all)
        )
