"""What plays the NIC."""

from enum import StrEnum

__all__ = ["Backend", "ItrSemantics"]


class Backend(StrEnum):
    RTL = "rtl"
    """The Verilated NIC (``sim/rtl``)."""
    MODEL = "model"
    """The fast model (``sim/model``)."""


class ItrSemantics(StrEnum):
    """What the NIC makes of its ITR register; see ``hw.interrupt.Semantics``, which has the same values."""

    SINCE_LAST_INTERRUPT = "since_last_interrupt"
    """The manual's (13.4.18): the least time between two interrupts; one that comes alone comes at once."""
    HOLD_OFF = "hold_off"
    """Every interrupt waits for the interval, from its cause on."""
