"""A SYN for a listening port, with and without cookies (RFC 9293 section 3.10.7.2, RFC 4987), or fast (RFC 7413)."""

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from stack.counters import DropReason
from stack.ports import FourTuple
from stack.tcp.autotune import maximum_buffer
from stack.tcp.connection import Connection
from stack.tcp.fast_open import FastOpenMode
from stack.tcp.handshake import Handshake
from stack.tcp.input import segment_arrives
from stack.tcp.network import Path
from stack.tcp.options import FastOpenOption, Options, pack_syn_options, parse_options
from stack.tcp.receive import scale_for
from stack.tcp.segment import ACK, CWR, ECE, HEADER, HEADER_BYTES, SYN, Segment
from stack.tcp.sequence import MASK
from stack.tcp.state import State
from stack.tcp.timestamps import Timestamps
from stack.tcp.transmit import negotiate, send_syn

if TYPE_CHECKING:
    from stack.tcp.listener import Listener

__all__ = ["cookie_arrives", "syn_arrives"]

_DEFAULT_MSS: Final = 536
_COOKIES_COUNT: Final = 128_000_000_000
"""Nanoseconds after the last cookie during which an ACK may bring one back."""
_ALWAYS: Final = 2
_ECN_SETUP: Final = ECE | CWR


def syn_arrives(listener: "Listener", path: Path, key: FourTuple, segment: Segment, now: int) -> DropReason | None:
    """Open a connection if both queues have room; answer with a cookie if only the SYN queue has none."""
    tcp = listener.tcp
    if listener.accept_queue_full():
        listener.overflow()
        return DropReason.SOCKET_BACKLOG
    full = listener.syn_queue_full()
    if full or tcp.parameters.syncookies == _ALWAYS:
        if not tcp.parameters.syncookies:
            tcp.counters.mib["TcpExt.TCPReqQFullDrop"] += 1
            tcp.counters.mib["TcpExt.ListenDrops"] += 1
            return DropReason.SOCKET_BACKLOG
        tcp.counters.mib["TcpExt.TCPReqQFullDoCookies"] += full
        _send_cookie(listener, path, key, segment, now)
        return None
    offer = parse_options(segment.options)
    fast, cookie = _fast_open(listener, key, offer.fast_open, segment, now)
    connection = _create(listener, path, key)
    connection.receiver.open(segment.sequence)
    negotiate(connection, offer, segment.flags, now)
    connection.sender.window = connection.sender.maximum_window = segment.window
    connection.set_state(State.SYN_RECEIVED)
    if fast:
        _open_fast(connection, listener, segment, cookie)
    else:
        listener.opening.add(connection)
        send_syn(connection, fast_open=cookie)
    return None


def _fast_open(
    listener: "Listener", key: FourTuple, asked: FastOpenOption | None, segment: Segment, now: int
) -> tuple[bool, FastOpenOption | None]:
    """Whether to open a connection fast, and the option for the answer (RFC 7413 section 4.2.2, tcp_try_fastopen)."""
    tcp = listener.tcp
    mib = tcp.counters.mib
    mode = tcp.parameters.fast_open
    if asked is not None and not asked.cookie:
        mib["TcpExt.TCPFastOpenCookieReqd"] += 1
    if (
        not mode & FastOpenMode.SERVER_ENABLE
        or (asked is None and not segment.payload)
        or listener.fast_open_queue_full(now)
    ):
        return False, None
    options = listener.options
    if mode & FastOpenMode.SERVER_COOKIE_NOT_REQD or options.fast_open_no_cookie:
        return True, None
    if asked is None:
        return False, None
    if asked.cookie:
        valid = tcp.fast_open.check(key, asked.cookie, options)
        if valid == 1:
            return True, None
        if valid:
            mib["TcpExt.TCPFastOpenPassiveAltKey"] += 1
        else:
            mib["TcpExt.TCPFastOpenPassiveFail"] += 1
        return valid > 0, replace(asked, cookie=tcp.fast_open.fresh(key, options))
    return False, replace(asked, cookie=tcp.fast_open.fresh(key, options))


def _open_fast(connection: Connection, listener: "Listener", segment: Segment, cookie: FastOpenOption | None) -> None:
    """The program may have the connection, and the data of the SYN, before the handshake is complete."""
    connection.tcp.counters.mib["TcpExt.TCPFastOpenPassive"] += 1
    connection.listener = None
    connection.sender.skip_syn()
    receiver = connection.receiver
    if segment.payload:
        # As much as the answer's window, which is not scaled, will promise.
        receiver.window_field(scaled=False)
        connection.syn_data_acked = receiver.accept(receiver.nxt, segment.payload)
        connection.delayed_ack.last_data = connection.tcp.cpu.now
        connection.account()
    connection.handshake = Handshake(connection, listener)
    connection.handshake.answer(cookie)
    listener.opened_fast(connection)


def _create(
    listener: "Listener", path: Path, key: FourTuple, *, initial: int | None = None, clock: int | None = None
) -> Connection:
    tcp = listener.tcp
    tcp.counters.mib["Tcp.PassiveOpens"] += 1
    connection = Connection(tcp, key, path, replace(listener.options), initial=initial)
    tcp.ports.connect(key, connection)
    if clock is not None:
        connection.timestamps = Timestamps(clock)
    connection.listener = listener
    connection.opened_by_peer = True
    return connection


def _send_cookie(listener: "Listener", path: Path, key: FourTuple, segment: Segment, now: int) -> None:
    """Answer a SYN and forget it."""
    tcp = listener.tcp
    parameters = tcp.parameters
    offer = parse_options(segment.options)
    mss = path.mtu - path.header_bytes - HEADER_BYTES
    limit = listener.options.receive_buffer or parameters.receive_buffer
    scale: int | None = None
    timestamps: tuple[int, int] | None = None
    sack = ecn = False
    if offer.timestamps is not None and parameters.timestamps:
        # Without timestamps there is no room for the other options.
        ecn = parameters.ecn > 0 and segment.flags & _ECN_SETUP == _ECN_SETUP
        sack = offer.sack_permitted and parameters.sack
        if parameters.window_scaling and offer.window_scale is not None:
            scale = scale_for(maximum_buffer(parameters, listener.options))
        clock = Timestamps(tcp.cookies.timestamp_offset(key))
        kept = Options(None, offer.window_scale if scale is not None else None, sack)
        timestamps = (tcp.cookies.stamp(clock.value(now), kept, ecn=ecn), offer.timestamps[0])
    options = pack_syn_options(Options(mss, scale, sack, timestamps))
    cookie = tcp.cookies.number(key, segment.sequence, offer.maximum_segment_size or _DEFAULT_MSS, now)
    header = HEADER.pack(
        key.local_port,
        key.remote_port,
        cookie,
        segment.sequence + 1 & MASK,
        HEADER_BYTES + len(options) << 10 | SYN | ACK | (ECE if ecn else 0),
        min(limit, 0xFFFF),
        0,
        0,
    )
    tcp.counters.mib["TcpExt.SyncookiesSent"] += 1
    listener.cookie_sent_at = now
    tcp.send_bare(path, header + options)


def cookie_arrives(listener: "Listener", path: Path, key: FourTuple, segment: Segment, now: int) -> DropReason | None:
    """An ACK for a listening port: it may bring back a cookie; else it is answered with a RST."""
    tcp = listener.tcp
    sent_at = listener.cookie_sent_at
    if sent_at is None or now - sent_at > _COOKIES_COUNT or segment.flags & SYN:
        tcp.reset(path, key, segment)
        return DropReason.NO_SOCKET
    initial = segment.sequence - 1 & MASK
    cookie = segment.acknowledgment - 1 & MASK
    mss = tcp.cookies.check(key, cookie, initial, now)
    if mss is None:
        tcp.counters.mib["TcpExt.SyncookiesFailed"] += 1
        tcp.reset(path, key, segment)
        return DropReason.NO_SOCKET
    tcp.counters.mib["TcpExt.SyncookiesRecv"] += 1
    if listener.accept_queue_full():
        listener.overflow()
        return DropReason.SOCKET_BACKLOG
    stamped = (segment.tsval, segment.tsecr) if segment.tsval >= 0 and tcp.parameters.timestamps else None
    offer, ecn = tcp.cookies.offer(mss, stamped)
    connection = _create(listener, path, key, initial=cookie, clock=tcp.cookies.timestamp_offset(key))
    listener.opening.add(connection)
    connection.receiver.open(initial)
    negotiate(connection, offer, _ECN_SETUP if ecn else 0, now)
    connection.receiver.acknowledged = connection.receiver.nxt
    connection.receiver.edge = connection.receiver.nxt + min(connection.receiver.limit, 0xFFFF)
    connection.set_state(State.SYN_RECEIVED)
    connection.sender.sent_syn(now)
    # When the SYN was answered is not known, so its ACK tells no round-trip time.
    connection.sender.board.records[0].retransmitted = True
    return segment_arrives(connection, segment, now, 0)
