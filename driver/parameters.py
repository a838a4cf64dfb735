"""The driver's parameters: what Linux takes from the module's command line and from ethtool."""

from dataclasses import dataclass, field
from typing import Final

from driver.flow_control import FlowControl
from driver.itr import parse_interrupt_throttle_rate

__all__ = ["MAXIMUM_DESCRIPTORS", "RX_BUFFER_SIZES", "E1000Parameters", "check_descriptors", "check_mtu"]

MINIMUM_DESCRIPTORS: Final = 80
MAXIMUM_DESCRIPTORS: Final = 4096
DESCRIPTOR_MULTIPLE: Final = 8
"""RDLEN and TDLEN count in units of 128 bytes (manual 13.4.27)."""

MAXIMUM_DELAY: Final = 0xFFFF
"""Units of 1.024 us that RDTR, RADV, TIDV and TADV hold (manual 13.4.30)."""

RX_BUFFER_SIZES: Final = {
    256: (3, 0),
    512: (2, 0),
    1024: (1, 0),
    2048: (0, 0),
    4096: (3, 1),
    8192: (2, 1),
    16384: (1, 1),
}
"""RCTL.BSIZE and RCTL.BSEX for each size of receive buffer in bytes (manual 13.4.22)."""


MINIMUM_MTU: Final = 46
MAXIMUM_MTU: Final = 16110
"""A frame of 16128 bytes, header and FCS included (Linux's MAX_JUMBO_FRAME_SIZE)."""


def check_mtu(mtu: int) -> None:
    """Raises ``ValueError`` if the device has no such MTU."""
    if not MINIMUM_MTU <= mtu <= MAXIMUM_MTU:
        raise ValueError(f"mtu takes {MINIMUM_MTU}..{MAXIMUM_MTU} bytes, not {mtu!r}")


def check_descriptors(name: str, count: int) -> None:
    """Raises ``ValueError`` if a ring cannot have so many descriptors."""
    if not MINIMUM_DESCRIPTORS <= count <= MAXIMUM_DESCRIPTORS or count % DESCRIPTOR_MULTIPLE:
        raise ValueError(
            f"{name} takes a multiple of {DESCRIPTOR_MULTIPLE} in "
            f"{MINIMUM_DESCRIPTORS}..{MAXIMUM_DESCRIPTORS}, not {count!r}"
        )


@dataclass(frozen=True, kw_only=True)
class E1000Parameters:
    """Raises ``ValueError`` for a value that the driver or the device does not take."""

    interrupt_throttle_rate: int = 3
    """0 off, 1 dynamic, 3 dynamic conservative, 4 simplified, 100..100000 interrupts/s."""
    itr_literal_figure: bool = False
    """Follow the published flow chart where it differs from Linux; see ``driver.itr.update_itr``."""
    napi: bool = True
    """Leave the work of an interrupt to a poll. Without, the handler does it, and ``netif_rx`` queues what it
    received."""
    gro: bool = True
    """Put received segments together on their way up."""
    tx_descriptors: int = 256
    rx_descriptors: int = 256
    rx_buffer_size: int = 2048
    """Bytes per receive buffer. A longer frame takes several."""
    rx_int_delay: int = 0
    """RDTR: how long a packet received waits for another before it interrupts, in units of 1.024 us; 0 is at once."""
    rx_abs_int_delay: int = 8
    """RADV: how long it waits at most, in units of 1.024 us; 0 is no limit. Idle while ``rx_int_delay`` is 0."""
    tx_int_delay: int = 8
    """TIDV: how long a packet sent waits for another before it interrupts, in units of 1.024 us; 0 is at once."""
    tx_abs_int_delay: int = 32
    """TADV: how long it waits at most, in units of 1.024 us; 0 is no limit. Idle while ``tx_int_delay`` is 0."""
    mtu: int = 1500
    """Bytes of the largest IP packet; above 1500 the device takes in long frames."""
    flow_control: FlowControl = field(default_factory=FlowControl)
    """Pause frames: none, by force or negotiated. (Linux takes its default from the EEPROM.)"""
    tso: bool = True
    tx_checksum: bool = True
    rx_checksum: bool = True
    vlan_offload: bool = True
    """Let the device put VLAN tags on and take them off."""
    vlan_filter: bool = True
    """Let the device drop the frames of other VLANs, once there is one."""
    tx_hang: int = 1_000_000_000
    """ns that the device may have a packet before the transmitter is taken to hang."""
    tx_timeout: int = 5_000_000_000
    """ns from then to the reset (Linux's watchdog_timeo)."""
    watchdog_interval: int = 2_000_000_000
    """ns between runs of the watchdog; in mode 4 the throttle follows at this pace."""
    check_eeprom: bool = False
    """Verify the EEPROM's checksum at probe, at the price of some 200 register accesses."""
    read_statistics: bool = False
    """Whether the watchdog reads the device's own counters, at the price of 58 register reads."""
    dma_drain: int = 10_000_000
    """ns that DMA is given to end before a reset."""
    reset_recovery: int = 5_000_000
    """ns that the device is given to come out of a reset."""

    def __post_init__(self) -> None:
        parse_interrupt_throttle_rate(self.interrupt_throttle_rate)
        for name in ("tx_descriptors", "rx_descriptors"):
            check_descriptors(name, getattr(self, name))
        if self.rx_buffer_size not in RX_BUFFER_SIZES:
            raise ValueError(f"rx_buffer_size takes one of {[*RX_BUFFER_SIZES]}, not {self.rx_buffer_size!r}")
        for name in ("rx_int_delay", "rx_abs_int_delay", "tx_int_delay", "tx_abs_int_delay"):
            delay = getattr(self, name)
            if not 0 <= delay <= MAXIMUM_DELAY:
                raise ValueError(f"{name} takes 0..{MAXIMUM_DELAY} units of 1.024 us, not {delay!r}")
        if self.tso and not self.tx_checksum:
            raise ValueError("tso needs tx_checksum: each segment has a checksum of its own")
        check_mtu(self.mtu)
        for name in ("watchdog_interval", "tx_hang"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} takes a positive number of ns, not {getattr(self, name)!r}")
        for name in ("dma_drain", "reset_recovery", "tx_timeout"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} takes a number of ns, not {getattr(self, name)!r}")
