"""IPv6 extension headers (RFC 8200 section 4): a chain that ends at a transport protocol, or at something wrong."""

from dataclasses import dataclass
from typing import Final

from stack.ip.fragment import IPPROTO_FRAGMENT

__all__ = [
    "IPPROTO_DSTOPTS",
    "IPPROTO_HOPOPTS",
    "IPPROTO_NONE",
    "IPPROTO_ROUTING",
    "Problem",
    "check_options",
    "check_routing",
    "header_length",
    "upper_layer",
]

IPPROTO_HOPOPTS: Final = 0
IPPROTO_ROUTING: Final = 43
IPPROTO_NONE: Final = 59
IPPROTO_DSTOPTS: Final = 60
_EXTENSIONS: Final = (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_DSTOPTS)
_MOST: Final = 8
"""Headers in a row (Linux's IP6_MAX_EXT_HDRS_CNT is not far from it)."""
_HEADER_BYTES: Final = 40
_PAD1: Final = 0
_PADN: Final = 1
_ROUTER_ALERT: Final = 5
_MOST_PADDING: Final = 7
"""Of one option, as in Linux."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a header. ``offset`` from the start of that header; ``report`` is "": drop silently, "option" or
    "field": tell the sender; ``groups``: even if the packet was meant for many."""

    offset: int
    report: str
    groups: bool = False


def header_length(packet: memoryview, at: int) -> int | None:
    """Bytes of the hop-by-hop, destination or routing header at ``at``, None if the packet ends before it does."""
    if at + 8 > len(packet):
        return None
    length = (packet[at + 1] + 1) * 8
    return length if at + length <= len(packet) else None


def check_options(header: memoryview) -> Problem | None:
    """Options of a hop-by-hop or destination header (section 4.2): the two highest bits of an unknown type say what to
    do."""
    at = 2
    while at < len(header):
        kind = header[at]
        if kind == _PAD1:
            at += 1
            continue
        if at + 2 > len(header) or at + 2 + header[at + 1] > len(header):
            return Problem(at, "field")
        if kind == _PADN:
            if header[at + 1] + 2 > _MOST_PADDING:
                return Problem(at, "")
        elif kind != _ROUTER_ALERT and kind >> 6:
            action = kind >> 6
            return Problem(at, "" if action == 1 else "option", groups=action == 2)
        at += 2 + header[at + 1]
    return None


def check_routing(header: memoryview) -> Problem | None:
    """A routing header with segments left asks for what no type here does (RFC 5095 for type 0)."""
    return Problem(2, "field") if header[3] else None


def upper_layer(packet: memoryview) -> tuple[int, int] | None:
    """(protocol, its header's offset) in a whole IPv6 packet, without a look at options; None if the chain breaks off.
    For a fragment other than the first the protocol is 44."""
    if len(packet) < _HEADER_BYTES:
        return None
    protocol, at = packet[6], _HEADER_BYTES
    for _ in range(_MOST):
        if protocol == IPPROTO_FRAGMENT:
            if at + 8 > len(packet):
                return None
            if (packet[at + 2] << 8 | packet[at + 3]) & ~7:
                return protocol, at
            length: int | None = 8
        elif protocol in _EXTENSIONS:
            length = header_length(packet, at)
        else:
            return protocol, at
        if length is None:
            return None
        protocol, at = packet[at], at + length
    return None
