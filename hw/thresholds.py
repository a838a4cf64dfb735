"""Descriptor thresholds (8254x manual 317453, sections 13.4.43 TXDCTL and 13.4.46 RXDCTL)."""

from amaranth.hdl import Cat, Const, Mux, Value
from amaranth.lib import data

from hw.descriptors import DESCRIPTOR_BYTES
from hw.registers import BY_NAME

__all__ = ["CACHE_LINE_BYTES", "ON_CHIP", "Thresholds", "in_descriptors", "threshold"]

ON_CHIP = 64
"""Descriptors of a ring that the NIC holds before they are used, and as many that wait to be written back (3.2.4)."""

CACHE_LINE_BYTES = 64
"""What GRAN = 0 counts in. There is no PCI configuration space whose cache line size (CLS) could say another."""

_LINE_DESCRIPTORS = CACHE_LINE_BYTES // DESCRIPTOR_BYTES

_NAMES = ("PTHRESH", "HTHRESH", "WTHRESH", "GRAN")

Thresholds = data.StructLayout({name.lower(): BY_NAME["RXDCTL"][name].width for name in _NAMES})
"""The fields of RXDCTL or TXDCTL that rule a ring."""


def threshold(value: int, *, gran: int) -> int:
    """A threshold in descriptors. With GRAN = 0 the manual allows no more than 31; more is not cut here."""
    return value if gran else value * _LINE_DESCRIPTORS


def in_descriptors(value: Value, *, gran: Value) -> Value:
    """``threshold`` in gateware."""
    lines = Cat(Const(0, _LINE_DESCRIPTORS.bit_length() - 1), value)
    return Mux(gran, value, lines)
