"""Addresses: numbers of 128 bits inside of the stack, text at the socket edge.

An IPv4 address is kept in its IPv4-mapped form ``::ffff:a.b.c.d`` (RFC 4291 section 2.5.5.2). So one table of routes,
one of sockets and one pseudo-header serve both families: modulo 0xFFFF, a mapped address has the sum of the address
itself. A link-local address carries its interface's index in its second 16 bits, which are zero on the wire, as in
KAME's IPv6: so it is unique on a host with several links.
"""

import ipaddress
from typing import Final

__all__ = [
    "ALL_NODES",
    "ALL_ROUTERS",
    "IN6ADDR_ANY",
    "IN6ADDR_LOOPBACK",
    "INADDR_ANY",
    "INADDR_BROADCAST",
    "INADDR_LOOPBACK",
    "IPV4_PREFIX",
    "MAPPED",
    "any_of",
    "embed_scope",
    "format_address",
    "is_ipv4",
    "is_link_local",
    "is_multicast",
    "parse_address",
    "parse_ipv4",
    "scope_of",
    "solicited_node",
    "strip_scope",
]

MAPPED: Final = 0xFFFF << 32
"""The prefix of IPv4-mapped addresses."""
IPV4_PREFIX: Final = 96
"""Its length: so much longer is an IPv4 prefix in the common form."""
IN6ADDR_ANY: Final = 0
IN6ADDR_LOOPBACK: Final = 1
INADDR_ANY: Final = MAPPED
INADDR_BROADCAST: Final = MAPPED | 0xFFFFFFFF
INADDR_LOOPBACK: Final = MAPPED | 0x7F000001
ALL_NODES: Final = 0xFF02 << 112 | 1
ALL_ROUTERS: Final = 0xFF02 << 112 | 2
_SOLICITED_NODE: Final = 0xFF02 << 112 | 0x1FF << 24
_SCOPE_SHIFT: Final = 96
_SCOPE: Final = 0xFFFF << _SCOPE_SHIFT


def is_ipv4(address: int) -> bool:
    """Whether an address is one of IPv4."""
    return address >> 32 == 0xFFFF


def any_of(address: int) -> int:
    """The wildcard of an address's family."""
    return INADDR_ANY if address >> 32 == 0xFFFF else IN6ADDR_ANY


def is_multicast(address: int) -> bool:
    """Class D (RFC 1112), ff00::/8 (RFC 4291 section 2.7)."""
    return address >> 28 == 0xFFFFE or address >> 120 == 0xFF


def is_link_local(address: int) -> bool:
    """fe80::/10, and groups of interface-local and link-local scope: such an address means something on one link only
    (RFC 4007)."""
    return address >> 118 == 0x3FA or (address >> 120 == 0xFF and address >> 112 & 0xF in (1, 2))


def embed_scope(address: int, index: int) -> int:
    """A link-local address together with its interface's index (1 to 65535); any other address as it is."""
    return address & ~_SCOPE | index << _SCOPE_SHIFT if is_link_local(address) else address


def strip_scope(address: int) -> int:
    """The address as it is on the wire."""
    return address & ~_SCOPE if is_link_local(address) else address


def scope_of(address: int) -> int:
    """The index of the interface that a link-local address belongs to, else 0."""
    return address >> _SCOPE_SHIFT & 0xFFFF if is_link_local(address) else 0


def solicited_node(address: int) -> int:
    """The group that asks for an IPv6 address (RFC 4291 section 2.7.1)."""
    return _SOLICITED_NODE | address & 0xFFFFFF


def parse_ipv4(text: str) -> int:
    """An address in dotted form; "" is any address. Raises ``ValueError`` for anything else."""
    return MAPPED | int(ipaddress.IPv4Address(text)) if text else INADDR_ANY


def parse_address(text: str) -> int:
    """An address of either family, ``fe80::1%2`` for one on the link with index 2. Raises ``ValueError``."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv4Address):
        return MAPPED | int(address)
    scope = address.scope_id
    number = int(address)
    if scope is None:
        return number
    if not scope.isdecimal() or not 0 < int(scope) <= 0xFFFF:
        raise ValueError(f"{text!r}: a scope is an interface's index, 1 to 65535")
    return embed_scope(number, int(scope))


def format_address(address: int) -> str:
    """Dotted form of an IPv4 address, RFC 5952 form of an IPv6 address."""
    if address >> 32 == 0xFFFF:
        return str(ipaddress.IPv4Address(address & 0xFFFFFFFF))
    scope = scope_of(address)
    text = str(ipaddress.IPv6Address(strip_scope(address)))
    return f"{text}%{scope}" if scope else text
