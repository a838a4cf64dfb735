"""The options of a TCP socket (socket(7), tcp(7)): times in the units that these pages give them."""

import errno
from collections.abc import Callable
from typing import NamedTuple

from stack.siphash import KEY_BYTES
from stack.skbuff import TransmitStage
from stack.socket.base import check_buffer, error
from stack.socket.constants import (
    SO_KEEPALIVE,
    SO_MARK,
    SO_MAX_PACING_RATE,
    SO_RCVBUF,
    SO_REUSEADDR,
    SO_SNDBUF,
    SO_TIMESTAMPING,
    SO_ZEROCOPY,
    SOF_TIMESTAMPING_OPT_ID,
    SOF_TIMESTAMPING_OPT_TSONLY,
    SOF_TIMESTAMPING_SOFTWARE,
    SOF_TIMESTAMPING_TX_ACK,
    SOF_TIMESTAMPING_TX_SCHED,
    SOF_TIMESTAMPING_TX_SOFTWARE,
    SOL_SOCKET,
    TCP_CONGESTION,
    TCP_CORK,
    TCP_FASTOPEN,
    TCP_FASTOPEN_CONNECT,
    TCP_FASTOPEN_KEY,
    TCP_FASTOPEN_NO_COOKIE,
    TCP_INQ,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_MAXSEG,
    TCP_NODELAY,
    TCP_NOTSENT_LOWAT,
    TCP_QUICKACK,
    TCP_SYNCNT,
    TCP_USER_TIMEOUT,
)
from stack.tcp.algorithms import ALGORITHMS
from stack.tcp.connection import Connection
from stack.tcp.fast_open import FastOpenMode
from stack.tcp.parameters import UNLIMITED, SocketOptions
from stack.tcp.tcp import IPPROTO_TCP, Tcp
from stack.tcp.transmit_timestamps import TransmitTimestamps

__all__ = ["get_option", "set_option"]

_SECOND = 1_000_000_000
_MS = 1_000_000


class _Option(NamedTuple):
    """How an integer option is kept: attribute of ``SocketOptions``, its unit, least and greatest value, and what is
    in force if the socket has not set it."""

    field: str
    unit: int
    least: int
    greatest: int
    default: Callable[[Tcp], int]


def _zero(tcp: Tcp) -> int:
    return 0


_OPTIONS = {
    (SOL_SOCKET, SO_MAX_PACING_RATE): _Option("max_pacing_rate", 1, 1, 1 << 62, lambda tcp: (1 << 32) - 1),
    (SOL_SOCKET, SO_MARK): _Option("mark", 1, 0, 0xFFFFFFFF, _zero),
    (IPPROTO_TCP, TCP_MAXSEG): _Option("maximum_segment_size", 1, 88, 32767, lambda tcp: 536),
    (IPPROTO_TCP, TCP_KEEPIDLE): _Option(
        "keepalive_time", _SECOND, 1, 32767, lambda tcp: tcp.parameters.keepalive_time
    ),
    (IPPROTO_TCP, TCP_KEEPINTVL): _Option(
        "keepalive_interval", _SECOND, 1, 32767, lambda tcp: tcp.parameters.keepalive_interval
    ),
    (IPPROTO_TCP, TCP_KEEPCNT): _Option("keepalive_probes", 1, 1, 127, lambda tcp: tcp.parameters.keepalive_probes),
    (IPPROTO_TCP, TCP_NOTSENT_LOWAT): _Option("notsent_lowat", 1, 0, UNLIMITED, _zero),
    (IPPROTO_TCP, TCP_SYNCNT): _Option("syn_retries", 1, 1, 127, lambda tcp: tcp.parameters.syn_retries),
    (IPPROTO_TCP, TCP_USER_TIMEOUT): _Option("user_timeout", _MS, 0, 1 << 31, _zero),
}
_SWITCHES = {
    (SOL_SOCKET, SO_REUSEADDR): "reuse",
    (SOL_SOCKET, SO_KEEPALIVE): "keepalive",
    (SOL_SOCKET, SO_ZEROCOPY): "zero_copy",
    (IPPROTO_TCP, TCP_NODELAY): "nodelay",
    (IPPROTO_TCP, TCP_CORK): "cork",
    (IPPROTO_TCP, TCP_QUICKACK): "quickack",
    (IPPROTO_TCP, TCP_INQ): "inq",
    (IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE): "fast_open_no_cookie",
}


_STAGES = {
    SOF_TIMESTAMPING_TX_SCHED: TransmitStage.SCHEDULED,
    SOF_TIMESTAMPING_TX_SOFTWARE: TransmitStage.SENT,
    SOF_TIMESTAMPING_TX_ACK: TransmitStage.ACKNOWLEDGED,
}
_TIMESTAMPING = (
    SOF_TIMESTAMPING_TX_SCHED
    | SOF_TIMESTAMPING_TX_SOFTWARE
    | SOF_TIMESTAMPING_TX_ACK
    | SOF_TIMESTAMPING_SOFTWARE
    | SOF_TIMESTAMPING_OPT_ID
    | SOF_TIMESTAMPING_OPT_TSONLY
)

_FAST_OPEN = tuple((IPPROTO_TCP, option) for option in (TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY))


def set_option(
    tcp: Tcp, options: SocketOptions, connection: Connection | None, level: int, option: int, value: int | str | bytes
) -> None:
    """Raises ``OSError``: ENOPROTOOPT, EINVAL, ENOENT for an unknown congestion control, EOPNOTSUPP."""
    name = (level, option)
    if name in _FAST_OPEN:
        _set_fast_open(tcp, options, connection, option, value)
        return
    if name == (IPPROTO_TCP, TCP_CONGESTION):
        if value not in ALGORITHMS:
            raise error(errno.ENOENT)
        options.congestion_control = str(value)
        if connection is not None:
            connection.sender.set_congestion_control(str(value))
        return
    if not isinstance(value, int):
        raise error(errno.EINVAL)
    if name == (SOL_SOCKET, SO_SNDBUF):
        options.send_buffer = check_buffer(value)
        if connection is not None:
            connection.sender.autotune = False
            connection.sender.limit = options.send_buffer
    elif name == (SOL_SOCKET, SO_RCVBUF):
        options.receive_buffer = check_buffer(value)
        if connection is not None:
            connection.receiver.limit = options.receive_buffer
    elif name == (SOL_SOCKET, SO_TIMESTAMPING):
        _set_timestamping(options, connection, value)
    elif name in _SWITCHES:
        setattr(options, _SWITCHES[name], bool(value))
    elif name in _OPTIONS:
        known = _OPTIONS[name]
        if not known.least <= value <= known.greatest:
            raise error(errno.EINVAL)
        setattr(options, known.field, value * known.unit)
    else:
        raise error(errno.ENOPROTOOPT)
    if connection is not None and not connection.closed():
        connection.options = options
        connection.apply_options()
        # TCP_NODELAY sends what waits, corked or not (tcp(7)).
        push = name == (IPPROTO_TCP, TCP_NODELAY) and bool(value)
        if not connection.opening():
            connection.sender.output(tcp.cpu.now, probe=push)


def _set_timestamping(options: SocketOptions, connection: Connection | None, flags: int) -> None:
    """Of what is sent, by software; EINVAL for other time stamps, which are not built, and where no connection is:
    Linux refuses only numbers there, and would remember the rest for one that comes."""
    if flags & ~_TIMESTAMPING or connection is None or connection.closed():
        raise error(errno.EINVAL)
    numbered, options.timestamping = options.timestamping & SOF_TIMESTAMPING_OPT_ID, flags
    stamps = connection.transmit_timestamps
    if stamps is None:
        stamps = connection.transmit_timestamps = TransmitTimestamps(
            connection.sender.una, lambda: connection.told(True)
        )
    if flags & SOF_TIMESTAMPING_OPT_ID and not numbered:
        stamps.restart(connection.sender.una)
    stamps.stages = frozenset(stage for flag, stage in _STAGES.items() if flags & flag)


def _set_fast_open(
    tcp: Tcp, options: SocketOptions, connection: Connection | None, option: int, value: int | str | bytes
) -> None:
    """Of a socket that has no connection yet."""
    if option == TCP_FASTOPEN_KEY:
        if not isinstance(value, bytes) or len(value) not in (KEY_BYTES, 2 * KEY_BYTES):
            raise error(errno.EINVAL)
        options.fast_open_keys = tuple(value[at : at + KEY_BYTES] for at in range(0, len(value), KEY_BYTES))
        return
    if not isinstance(value, int) or value < 0 or (option == TCP_FASTOPEN_CONNECT and value > 1):
        raise error(errno.EINVAL)
    if option == TCP_FASTOPEN_CONNECT and not tcp.parameters.fast_open & FastOpenMode.CLIENT_ENABLE:
        raise error(errno.EOPNOTSUPP)
    if connection is not None:
        raise error(errno.EINVAL)
    if option == TCP_FASTOPEN:
        options.fast_open_queue = min(value, tcp.parameters.somaxconn)
    else:
        options.fast_open_connect = bool(value)


def get_option(
    tcp: Tcp, options: SocketOptions, connection: Connection | None, level: int, option: int
) -> int | str | bytes:
    """Raises ``OSError``: ENOPROTOOPT."""
    name = (level, option)
    parameters = tcp.parameters
    if name == (IPPROTO_TCP, TCP_FASTOPEN):
        return options.fast_open_queue
    if name == (IPPROTO_TCP, TCP_FASTOPEN_CONNECT):
        return int(options.fast_open_connect)
    if name == (IPPROTO_TCP, TCP_FASTOPEN_KEY):
        return b"".join(options.fast_open_keys or tcp.fast_open.keys)
    if name == (IPPROTO_TCP, TCP_CONGESTION):
        return options.congestion_control or parameters.congestion_control
    if name == (SOL_SOCKET, SO_SNDBUF):
        return connection.sender.limit if connection is not None else options.send_buffer or parameters.send_buffer
    if name == (SOL_SOCKET, SO_RCVBUF):
        if connection is not None:
            return connection.receiver.limit
        return options.receive_buffer or parameters.receive_buffer
    if name == (IPPROTO_TCP, TCP_MAXSEG) and connection is not None:
        return connection.sender.mss
    if name == (SOL_SOCKET, SO_TIMESTAMPING):
        return options.timestamping
    if name in _SWITCHES:
        return int(getattr(options, _SWITCHES[name]))
    if name not in _OPTIONS:
        raise error(errno.ENOPROTOOPT)
    known = _OPTIONS[name]
    value = getattr(options, known.field)
    return (known.default(tcp) if value is None else int(value)) // known.unit
