"""The error queue of a socket with IP_RECVERR (ip(7), ``linux/errqueue.h``): which packet did not arrive, why, and who
says so. ``recvmsg`` with MSG_ERRQUEUE reads it."""

import errno
import struct
from collections import deque
from dataclasses import dataclass

from stack.address import any_of, is_ipv4, scope_of, strip_scope
from stack.ip.errors import ERRNO, IPV4_CODES, IPV6_CODES, IcmpError
from stack.socket.constants import (
    AF_INET,
    AF_INET6,
    IP_RECVERR,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_RECVERR,
    SCM_TIMESTAMPING,
    SO_EE_CODE_ZEROCOPY_COPIED,
    SO_EE_ORIGIN_ICMP,
    SO_EE_ORIGIN_ICMP6,
    SO_EE_ORIGIN_LOCAL,
    SO_EE_ORIGIN_TIMESTAMPING,
    SO_EE_ORIGIN_ZEROCOPY,
    SOL_SOCKET,
)
from stack.tcp.transmit_timestamps import Transmitted

__all__ = ["ErrorQueue", "SocketError", "timestamp_messages", "zero_copy_message"]

_EXTENDED = struct.Struct("<IBBBxII")
"""``struct sock_extended_err``: errno, origin, type, code, info, data."""
_ADDRESS_IPV4 = struct.Struct("<H2x4s8x")
_ADDRESS_IPV6 = struct.Struct("<H6x16sI")
_TIMESTAMPING = struct.Struct("<qq32x")
"""``struct scm_timestamping``."""
_MOST_ERRORS = 64
"""Then the oldest stay, as a full receive buffer has it."""


@dataclass(frozen=True, slots=True)
class SocketError:
    """One packet's fate. ``error`` None: this host itself found it too large, and ``mtu`` is what would have fit."""

    error: IcmpError | None
    data: bytes
    """What was sent, as far as it was quoted."""
    destination: int
    port: int
    mtu: int = 0
    offender: int = 0
    """Who says so, 0 if it is not known."""

    @property
    def errno(self) -> int:
        """What it means to a program."""
        return ERRNO[self.error or IcmpError.PACKET_TOO_BIG]

    def control(self) -> tuple[int, int, bytes]:
        """The control message (level, type, ``struct sock_extended_err`` and the offender's ``struct sockaddr``)."""
        ipv4 = is_ipv4(self.destination)
        origin, kind, code = SO_EE_ORIGIN_LOCAL, 0, 0
        if self.error is not None:
            origin = SO_EE_ORIGIN_ICMP if ipv4 else SO_EE_ORIGIN_ICMP6
            kind, code = (IPV4_CODES if ipv4 else IPV6_CODES)[self.error]
        packed = _EXTENDED.pack(self.errno, origin, kind, code, self.mtu, 0)
        offender = self.offender or any_of(self.destination)
        raw = strip_scope(offender).to_bytes(16, "big")
        if ipv4:
            return IPPROTO_IP, IP_RECVERR, packed + _ADDRESS_IPV4.pack(AF_INET if self.offender else 0, raw[12:])
        family = AF_INET6 if self.offender else 0
        return IPPROTO_IPV6, IPV6_RECVERR, packed + _ADDRESS_IPV6.pack(family, raw, scope_of(offender))


def timestamp_messages(found: Transmitted, *, report: bool, number: bool, ipv4: bool) -> list[tuple[int, int, bytes]]:
    """The control messages of one time stamp: the time (``struct scm_timestamping``, of which the first is that of
    software) if the program asked for its ``report``, and which stage of which byte it is."""
    key = found.key if number else 0
    packed = _EXTENDED.pack(errno.ENOMSG, SO_EE_ORIGIN_TIMESTAMPING, 0, 0, found.stage.value, key)
    level, kind, size = (
        (IPPROTO_IP, IP_RECVERR, _ADDRESS_IPV4.size) if ipv4 else (IPPROTO_IPV6, IPV6_RECVERR, _ADDRESS_IPV6.size)
    )
    messages = [(level, kind, packed + bytes(size))]
    if report:
        messages.insert(0, (SOL_SOCKET, SCM_TIMESTAMPING, _TIMESTAMPING.pack(*divmod(found.time, 1_000_000_000))))
    return messages


def zero_copy_message(first: int, last: int, *, ipv4: bool) -> tuple[int, int, bytes]:
    """The control message that tells of calls with MSG_ZEROCOPY, numbered so, that their data has arrived. It was
    copied, as for any device that cannot read where the program has it."""
    packed = _EXTENDED.pack(0, SO_EE_ORIGIN_ZEROCOPY, 0, SO_EE_CODE_ZEROCOPY_COPIED, first, last)
    if ipv4:
        return IPPROTO_IP, IP_RECVERR, packed + bytes(_ADDRESS_IPV4.size)
    return IPPROTO_IPV6, IPV6_RECVERR, packed + bytes(_ADDRESS_IPV6.size)


class ErrorQueue:
    """One socket's; bounded."""

    def __init__(self) -> None:
        self._queue: deque[SocketError] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, one: SocketError) -> bool:
        """False if there is no room."""
        if len(self._queue) >= _MOST_ERRORS:
            return False
        self._queue.append(one)
        return True

    def take(self) -> tuple[SocketError, int]:
        """The oldest, and the errno of the next, 0 if there is none. Raises ``IndexError`` if it is empty."""
        one = self._queue.popleft()
        return one, self._queue[0].errno if self._queue else 0

    def clear(self) -> None:
        """Forget all."""
        self._queue.clear()
