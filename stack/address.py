"""Addresses: numbers inside of the stack, text at the socket edge."""

import ipaddress

__all__ = ["INADDR_ANY", "INADDR_BROADCAST", "format_ipv4", "is_multicast", "parse_ipv4"]

INADDR_ANY = 0
INADDR_BROADCAST = 0xFFFFFFFF


def parse_ipv4(text: str) -> int:
    """The number of an address in dotted form; "" is any address. Raises ``ValueError`` for anything else."""
    return int(ipaddress.IPv4Address(text)) if text else INADDR_ANY


def format_ipv4(address: int) -> str:
    """Dotted form of an address."""
    return str(ipaddress.IPv4Address(address))


def is_multicast(address: int) -> bool:
    """Class D (RFC 1112)."""
    return address >> 28 == 0xE
