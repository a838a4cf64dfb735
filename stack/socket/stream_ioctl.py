"""ioctl(2) of a TCP socket (tcp(7), sockios.h)."""

import errno

from stack.socket.base import error
from stack.socket.constants import FIONREAD, SIOCATMARK, SIOCOUTQ, SIOCOUTQNSD
from stack.tcp.connection import Connection

__all__ = ["stream_ioctl"]


def stream_ioctl(connection: Connection | None, request: int, *, inline: bool) -> int:
    """FIONREAD: bytes that ``recv`` may return at once. SIOCOUTQ: bytes not acknowledged, SIOCOUTQNSD: not sent.
    SIOCATMARK: 1 if the next byte is the urgent one. EINVAL for any other. ``inline``: SO_OOBINLINE."""
    if connection is None:
        if request in (FIONREAD, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK):
            return 0
        raise error(errno.EINVAL)
    receiver, sender = connection.receiver, connection.sender
    if request == FIONREAD:
        return len(receiver.peek(len(receiver.buffer), inline=inline))
    if request == SIOCATMARK:
        return int(receiver.urgent is not None and receiver.urgent.sequence == receiver.position)
    if request == SIOCOUTQ:
        return sender.end - max(sender.una, sender.initial + 1)
    if request == SIOCOUTQNSD:
        return max(sender.end - max(sender.nxt, sender.initial + 1), 0)
    raise error(errno.EINVAL)
