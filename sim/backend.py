"""What plays the NIC."""

from enum import StrEnum

__all__ = ["Backend"]


class Backend(StrEnum):
    RTL = "rtl"
    """The Verilated NIC (``sim/rtl``)."""
    MODEL = "model"
    """The fast model (``sim/model``)."""
