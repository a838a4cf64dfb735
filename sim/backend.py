"""What plays the NIC."""

from enum import StrEnum

__all__ = ["Backend"]


class Backend(StrEnum):
    RTL = "rtl"
    """The Verilated NIC (``sim/rtl``)."""
    MODEL = "model"
    """The fast model (``sim/model``)."""

    @property
    def launcher(self) -> str:
        """The module that runs an experiment: ``python -m MODULE FOLDER PARENT``."""
        return f"sim.{self.value}.launch"
