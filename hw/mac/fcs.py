"""The frame check sequence (IEEE 802.3 clause 3.2.9)."""

from amaranth.lib import crc
from amaranth.lib.crc.catalog import CRC32_ETHERNET

__all__ = ["FCS", "FCS_BYTES", "PREAMBLE", "PREAMBLE_BYTES", "SFD", "append_fcs"]

FCS: crc.Parameters = CRC32_ETHERNET(data_width=8)
"""The one CRC of golden functions and gateware, a byte at a time."""

FCS_BYTES = 4
PREAMBLE = 0x55
"""One octet of preamble as the GMII shows it (clause 35.2.3.2)."""

PREAMBLE_BYTES = 7
SFD = 0xD5
"""Start frame delimiter as the GMII shows it."""


def append_fcs(frame: bytes) -> bytes:
    """The frame followed by its FCS, in the order of the wire."""
    return frame + FCS.compute(frame).to_bytes(FCS_BYTES, "little")
