"""Errors that ICMP tells of, the same for both families: their types and codes, and what they mean to a socket."""

import errno
from enum import Enum
from typing import Final

__all__ = ["ERRNO", "IPV4_CODES", "IPV6_CODES", "IcmpError", "ipv4_error", "ipv6_error"]


class IcmpError(Enum):
    """Why a packet did not arrive."""

    NET_UNREACHABLE = "no route"
    HOST_UNREACHABLE = "no answer from the neighbour"
    PROTOCOL_UNREACHABLE = "no such protocol there"
    PORT_UNREACHABLE = "nobody listens"
    PACKET_TOO_BIG = "larger than a link takes"
    SOURCE_ROUTE_FAILED = "source route failed"
    PROHIBITED = "forbidden by an administrator"
    HOP_LIMIT_EXCEEDED = "too many hops"
    REASSEMBLY_TIMEOUT = "fragments missing"
    PARAMETER_PROBLEM = "bad header"
    UNKNOWN_OPTION = "unknown option"


ERRNO: Final = {
    IcmpError.NET_UNREACHABLE: errno.ENETUNREACH,
    IcmpError.HOST_UNREACHABLE: errno.EHOSTUNREACH,
    IcmpError.PROTOCOL_UNREACHABLE: errno.ENOPROTOOPT,
    IcmpError.PORT_UNREACHABLE: errno.ECONNREFUSED,
    IcmpError.PACKET_TOO_BIG: errno.EMSGSIZE,
    IcmpError.SOURCE_ROUTE_FAILED: errno.EOPNOTSUPP,
    IcmpError.PROHIBITED: errno.EACCES,
    IcmpError.HOP_LIMIT_EXCEEDED: errno.EHOSTUNREACH,
    IcmpError.REASSEMBLY_TIMEOUT: errno.EHOSTUNREACH,
    IcmpError.PARAMETER_PROBLEM: errno.EPROTO,
    IcmpError.UNKNOWN_OPTION: errno.EPROTO,
}
"""As Linux's ``icmp_err_convert`` and ``icmpv6_err_convert``."""

IPV4_CODES: Final = {
    IcmpError.NET_UNREACHABLE: (3, 0),
    IcmpError.HOST_UNREACHABLE: (3, 1),
    IcmpError.PROTOCOL_UNREACHABLE: (3, 2),
    IcmpError.PORT_UNREACHABLE: (3, 3),
    IcmpError.PACKET_TOO_BIG: (3, 4),
    IcmpError.SOURCE_ROUTE_FAILED: (3, 5),
    IcmpError.PROHIBITED: (3, 13),
    IcmpError.HOP_LIMIT_EXCEEDED: (11, 0),
    IcmpError.REASSEMBLY_TIMEOUT: (11, 1),
    IcmpError.PARAMETER_PROBLEM: (12, 0),
    IcmpError.UNKNOWN_OPTION: (12, 0),
}
"""(type, code): RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1."""

IPV6_CODES: Final = {
    IcmpError.NET_UNREACHABLE: (1, 0),
    IcmpError.HOST_UNREACHABLE: (1, 3),
    IcmpError.PROTOCOL_UNREACHABLE: (4, 1),
    IcmpError.PORT_UNREACHABLE: (1, 4),
    IcmpError.PACKET_TOO_BIG: (2, 0),
    IcmpError.SOURCE_ROUTE_FAILED: (1, 7),
    IcmpError.PROHIBITED: (1, 1),
    IcmpError.HOP_LIMIT_EXCEEDED: (3, 0),
    IcmpError.REASSEMBLY_TIMEOUT: (3, 1),
    IcmpError.PARAMETER_PROBLEM: (4, 0),
    IcmpError.UNKNOWN_OPTION: (4, 2),
}
"""(type, code): RFC 4443 section 3."""

_IPV4_BY_CODE: Final = {code: error for error, code in IPV4_CODES.items() if error is not IcmpError.UNKNOWN_OPTION}
_IPV6_BY_CODE: Final = {code: error for error, code in IPV6_CODES.items()}
_IPV4_NETS: Final = (6, 8, 11)
_IPV4_PROHIBITED: Final = (9, 10, 13, 14, 15)


def ipv4_error(kind: int, code: int) -> IcmpError | None:
    """The error that a type and code stand for, None if they are none."""
    if kind == 3 and code in _IPV4_NETS:
        return IcmpError.NET_UNREACHABLE
    if kind == 3 and code in _IPV4_PROHIBITED:
        return IcmpError.PROHIBITED
    if kind == 3:
        return _IPV4_BY_CODE.get((kind, code), IcmpError.HOST_UNREACHABLE)
    return _IPV4_BY_CODE.get((kind, code))


def ipv6_error(kind: int, code: int) -> IcmpError | None:
    """The error that a type and code stand for, None if they are none."""
    if kind == 1:
        return _IPV6_BY_CODE.get((kind, code), IcmpError.PROHIBITED)
    if kind == 2:
        return IcmpError.PACKET_TOO_BIG
    return _IPV6_BY_CODE.get((kind, code))
