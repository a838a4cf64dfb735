"""Socket addresses: (host, port) and IPv6's (host, port, flow information, scope) to numbers and back."""

import errno
import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from stack.address import (
    IN6ADDR_ANY,
    INADDR_ANY,
    MAPPED,
    embed_scope,
    format_address,
    is_ipv4,
    is_link_local,
    scope_of,
    strip_scope,
)
from stack.socket.base import Address, check_port, error
from stack.socket.constants import AF_INET

__all__ = ["format_name", "parse_host", "parse_name"]

_REMEMBERED = 1024
"""Names that are kept: a server answers where it was asked from, again and again."""


@lru_cache(_REMEMBERED)
def parse_host(text: str, family: int, scope: int = 0) -> int:
    """The number of a host's address; "" is any. Raises ``ValueError`` for what is none of ``family``, EINVAL for a
    link-local address without scope."""
    if family == AF_INET:
        return MAPPED | int(ipaddress.IPv4Address(text)) if text else INADDR_ANY
    if not text:
        return IN6ADDR_ANY
    address = ipaddress.IPv6Address(text)
    zone = address.scope_id
    if zone is not None:
        if not zone.isdecimal():
            raise ValueError(f"{text!r}: a scope is an interface's index")
        scope = int(zone)
    number = int(address)
    if not is_link_local(number):
        return number
    if not 0 < scope <= 0xFFFF:
        raise error(errno.EINVAL)
    return embed_scope(number, scope)


def parse_name(name: Sequence[object], family: int) -> tuple[int, int]:
    """(address, port) of a socket address. Raises ``TypeError``, ``ValueError`` or ``OverflowError`` for what is
    none."""
    if not 2 <= len(name) <= (2 if family == AF_INET else 4):
        raise TypeError(f"a socket address has a host and a port, not {name!r}")
    host, port = name[0], name[1]
    scope = name[3] if len(name) > 3 else 0
    if not isinstance(host, str) or not isinstance(port, int) or not isinstance(scope, int):
        raise TypeError(f"a socket address has a host and a port, not {name!r}")
    return parse_host(host, family, scope), check_port(port)


@lru_cache(_REMEMBERED)
def format_name(address: int, port: int, family: int) -> Address:
    """The socket address for an address and port; an IPv4 address is mapped in AF_INET6."""
    if family == AF_INET:
        return format_address(address), port
    if is_ipv4(address):
        return "::ffff:" + format_address(address), port, 0, 0
    return str(ipaddress.IPv6Address(strip_scope(address))), port, 0, scope_of(address)
