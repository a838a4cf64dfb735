"""What can be chosen of a bitstream. Apart from the top, so that who only names a bitstream need not import the NIC."""

from dataclasses import dataclass

from hw.boards.phy_monitor import INTERVAL_CYCLES, RESET_CYCLES
from hw.bridge.link_transmit import T1_CYCLES

__all__ = ["BoardParameters"]


@dataclass(frozen=True, kw_only=True)
class BoardParameters:
    """What a bitstream can be made with. Simulation makes the waiting shorter; cycles are of 125 MHz."""

    build_id: bytes = bytes(8)
    baud: float = 3e6
    mac_address: bytes = bytes.fromhex("020000000001")
    phy_reset_cycles: int = RESET_CYCLES
    phy_interval_cycles: int = INTERVAL_CYCLES
    t1_cycles: int = T1_CYCLES
