"""What the device under a connection does by itself (Linux's sk_route_caps), asked anew when its features change."""

from typing import Final

from stack.net_device import Features
from stack.skbuff import GsoType
from stack.tcp.network import Path

__all__ = ["Offloads"]

_SEGMENTATION: Final = {
    GsoType.TCPV4: Features.TSO | Features.HW_CSUM,
    GsoType.TCPV6: Features.TSO6 | Features.HW_CSUM,
}


class Offloads:
    """One connection's view. Call ``refresh`` before a look."""

    __slots__ = ("_path", "checksum", "features", "segmentation")

    def __init__(self, path: Path) -> None:
        self._path = path
        self.features: Features | None = None
        self.checksum = False
        """It completes checksums."""
        self.segmentation = False
        """It cuts large packets, or the stack does so for it."""
        self.refresh()

    def refresh(self) -> None:
        """Flags are slow to take apart, and seldom change."""
        features = self._path.interface.device.features
        if features is not self.features:
            self.features = features
            self.checksum = bool(features & Features.HW_CSUM)
            wanted = _SEGMENTATION[self._path.gso_type]
            self.segmentation = features & wanted == wanted or bool(features & Features.GSO)
