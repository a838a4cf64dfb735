"""The table of the bridge's protocol: framing, control fields and messages (docs/bridge-protocol.md). Pure Python.

Octets are stuffed and checked as RFC 1662 section 4 (PPP in HDLC-like framing on asynchronous lines) has it, without
address and protocol fields. The control field is that of ISO/IEC 13239 with sequence numbers modulo 128 (asynchronous
balanced mode, extended).
"""

from enum import IntEnum

__all__ = [
    "ADDRESS_OCTETS",
    "BOARD_RECORDS",
    "BUILD_ID_OCTETS",
    "ESCAPE",
    "ESCAPE_BIT",
    "FCS_OCTETS",
    "FLAG",
    "LENGTH_OCTETS",
    "MAX_INFORMATION",
    "MODULUS",
    "REJ",
    "RR",
    "SABME",
    "UA",
    "VERSION",
    "Message",
    "Request",
    "Status",
    "between",
]

VERSION = 1
"""Of this protocol. Another one may differ in all but SABME, and the first two octets behind UA's control field."""

FLAG, ESCAPE, ESCAPE_BIT = 0x7E, 0x7D, 0x20
"""Flag and escape octets; an octet behind the latter has this bit inverted (RFC 1662 section 4.2)."""

FCS_OCTETS = 4
"""The 32-bit FCS of RFC 1662 appendix C.3: that of IEEE 802.3, lowest octet first."""

MODULUS = 128
"""Of sequence numbers."""

RR, REJ = 0x01, 0x09
"""First octet of receive ready and of reject; the second is N(R) times 2. An information frame has N(S) times 2 and
N(R) times 2."""

SABME, UA = 0x7F, 0x73
"""Set asynchronous balanced mode extended, with P, and unnumbered acknowledgment, with F: one octet. Behind SABME
comes one octet that UA gives back, so that an answer is not taken for that to an earlier SABME. Behind that come in UA
the version (one octet), the build id, and the size of host memory in KiB (two octets, lowest first)."""

BUILD_ID_OCTETS = 8

MAX_INFORMATION = 256
"""Octets of information in a frame to the board. From the board there are as many as a DMA write has, and its head."""

BOARD_RECORDS = 31
"""Messages that the board keeps for the case that they have to be sent again. Each travels in a frame of its own."""

ADDRESS_OCTETS, LENGTH_OCTETS = 3, 2
"""Of messages; lowest octet first, as everywhere."""


class Request(IntEnum):
    """First octet of what the host asks for. Requests follow one another; where frames begin does not matter."""

    WRITE_REGISTER = 0x01
    """Address, four octets of data."""
    READ_REGISTER = 0x02
    """Address. Is answered by VALUE."""
    WRITE_MEMORY = 0x03
    """Address, length, and as many octets of data."""


class Message(IntEnum):
    """First octet of what the board tells."""

    WRITE_MEMORY = 0x81
    """The NIC has written host memory: address, length, and as many octets of data."""
    VALUE = 0x82
    """Of a register: four octets."""
    STATUS = 0x83
    """Has changed: one octet, see ``Status``."""


class Status(IntEnum):
    """Bits of STATUS. All are 0 when a link has been set up."""

    INTERRUPT = 0
    """The interrupt line."""
    OUTSIDE = 1
    """The NIC has accessed an address that is not in host memory. Stays until a link is set up anew."""
    UNKNOWN = 2
    """An octet has begun no request that is known. Stays likewise."""


def between(low: int, number: int, high: int) -> bool:
    """Whether a sequence number is one of ``low`` to ``high``, both included, modulo 128."""
    return (number - low) % MODULUS <= (high - low) % MODULUS
