"""The transmit path (manual 3.3 to 3.6)."""

from .path import TransmitPath

__all__ = ["TransmitPath"]
