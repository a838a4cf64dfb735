"""SEGMENT ARRIVES: what a connection does with a segment, in the order of RFC 9293 section 3.10.7."""

import errno
from typing import Final

from stack.counters import DropReason
from stack.tcp.acknowledgment import acknowledge
from stack.tcp.active_open import answer_arrives
from stack.tcp.connection import Connection
from stack.tcp.segment import ACK, ECE, FIN, RST, SYN, URG, Segment
from stack.tcp.sequence import MASK, unwrap
from stack.tcp.state import State
from stack.tcp.transmit import send_syn

__all__ = ["segment_arrives"]

_CHALLENGE_ACKS: Final = 10
_CHALLENGE_PERIOD: Final = 5_000_000_000
"""RFC 5961 section 7: so many challenge ACKs in so many nanoseconds."""

_ESTABLISHED: Final[State] = State.ESTABLISHED
_FIN_WAIT_1: Final[State] = State.FIN_WAIT_1
_FIN_WAIT_2: Final[State] = State.FIN_WAIT_2
_CLOSING: Final[State] = State.CLOSING
_LAST_ACK: Final[State] = State.LAST_ACK
_TIME_WAIT: Final[State] = State.TIME_WAIT
_SYN_RECEIVED: Final[State] = State.SYN_RECEIVED


def segment_arrives(connection: Connection, segment: Segment, now: int, dsfield: int) -> DropReason | None:
    """Process one segment of an existing connection, ``dsfield`` from its network header. Returns why it was dropped,
    if it was."""
    if connection.state is State.SYN_SENT:
        drop = answer_arrives(connection, segment, now)
        opened_fast = connection.fast_open is not None and connection.state is _ESTABLISHED
        if opened_fast and (segment.payload or segment.flags & FIN):
            # Text and FIN of the answer (section 3.10.7.3). Of others, the peer sends them again, as with Linux.
            _text(connection, segment, connection.receiver.nxt, now)
        if connection.ack_now:
            connection.send_ack()
        return drop
    flags = segment.flags
    receiver = connection.receiver
    sequence = unwrap(segment.sequence, receiver.nxt)
    timestamps = connection.timestamps
    # Most segments of a fast connection have the timestamp of the one before.
    stamped = timestamps.enabled and segment.tsval >= 0 and segment.tsval != timestamps.recent
    drop = None
    if stamped and timestamps.is_old(segment.tsval, now):
        drop = _old_timestamp(connection, segment, sequence, now)
    drop = drop or _check_sequence(connection, segment, sequence, now)
    if drop is not None:
        return drop
    if flags & RST:
        return _reset(connection, segment, sequence, now)
    if flags & SYN:
        # RFC 5961 section 4.2: only a peer that answers the challenge with a RST was in earnest.
        challenge(connection, now)
        return DropReason.TCP_INVALID_SYN
    if not flags & ACK:
        return DropReason.TCP_FLAGS
    connection.keepalive.heard_at = now
    drop = _acknowledgment(connection, segment, sequence, now)
    if drop is not None or connection.closed():
        return drop
    if connection.sender.ecn.enabled:
        connection.sender.ecn.received(flags, dsfield, has_data=len(segment.payload) > 0)
    if flags & URG and connection.can_receive() and connection.receiver.mark_urgent(sequence + segment.urgent - 1):
        # Sixth, the URG bit: the program learns of it before the data is there.
        connection.readable()
    if segment.payload or flags & FIN:
        drop = _text(connection, segment, sequence, now)
        if connection.closed():
            return drop
    sender = connection.sender
    if sender.nxt < sender.buffer.end or sender.fin_queued:
        sender.output(now)
        # What is unsent may be less now.
        connection.write_space()
    if connection.ack_now:
        connection.send_ack()
    return drop


def _old_timestamp(connection: Connection, segment: Segment, sequence: int, now: int) -> DropReason | None:
    """PAWS (RFC 7323 section 5.3, R1): not for RST, and a SYN is challenged instead.

    A segment without timestamps is taken as it is, as in Linux, although section 3.2 would rather have it dropped."""
    if segment.flags & (RST | SYN):
        return None
    receiver = connection.receiver
    if not segment.payload and sequence == receiver.nxt and segment.flags & ACK and not segment.flags & FIN:
        # Linux's tcp_disordered_ack: a pure ACK that was overtaken by data is no offence.
        sender = connection.sender
        if segment.acknowledgment == sender.una & MASK and segment.window << sender.scale == sender.window:
            return None
    connection.tcp.counters.mib["TcpExt.PAWSEstab"] += 1
    connection.receiver.sacks.duplicate(sequence, min(sequence + len(segment.payload), receiver.nxt))
    challenge(connection, now)
    return DropReason.TCP_RFC7323_PAWS


def challenge(connection: Connection, now: int) -> None:
    """Answer something odd with an ACK, but not without end: two confused peers must not shout at each other."""
    count, since = connection.challenges
    if now - since >= _CHALLENGE_PERIOD:
        count, since = 0, now
    connection.challenges = (count + 1, since)
    if count < _CHALLENGE_ACKS:
        connection.tcp.counters.mib["TcpExt.TCPChallengeACK"] += 1
        connection.send_ack()


def _check_sequence(connection: Connection, segment: Segment, sequence: int, now: int) -> DropReason | None:
    """First, the sequence number (section 3.10.7.4).

    As in Linux, an empty segment may lie between the last number that was acknowledged and the edge of the window,
    both included: a peer that has filled the window, or whose ACK was overtaken, is no offender.
    """
    receiver = connection.receiver
    flags = segment.flags
    length = len(segment.payload) + (flags & SYN != 0) + (flags & FIN)
    if sequence <= receiver.edge and (
        sequence + length > receiver.nxt if length else sequence >= receiver.acknowledged
    ):
        return None
    if flags & RST:
        return DropReason.TCP_RESET
    if flags & (SYN | ACK) == SYN and sequence == receiver.initial:
        # The peer's SYN again: our answer was lost.
        if connection.handshake is not None:
            connection.handshake.answer()
            return DropReason.TCP_OLD_DATA
        if connection.state is _SYN_RECEIVED:
            send_syn(connection)
            return DropReason.TCP_OLD_DATA
    if connection.state is _TIME_WAIT and flags & FIN:
        # The peer has not seen our ACK of its FIN.
        connection.time_wait(now)
    if segment.payload or flags & FIN:
        # RFC 2883 section 4: what was there already is reported.
        receiver.sacks.duplicate(sequence, min(sequence + len(segment.payload), receiver.nxt))
        connection.delayed_ack.quicken()
        connection.send_ack()
        return DropReason.TCP_OLD_DATA if sequence < receiver.nxt else DropReason.TCP_OVERWINDOW
    challenge(connection, now)
    return DropReason.TCP_INVALID_SEQUENCE


def _reset(connection: Connection, segment: Segment, sequence: int, now: int) -> DropReason | None:
    """Second, RST. RFC 5961 section 3.2: it must hit the next number exactly, or as in Linux the end of what was
    reported as received above it."""
    blocks = connection.receiver.sacks.blocks
    if sequence != connection.receiver.nxt and not (blocks and sequence == max(end for _, end in blocks)):
        challenge(connection, now)
        return DropReason.TCP_RESET
    state = connection.state
    if connection.handshake is not None:
        connection.handshake.reset(now)
        connection.finish(errno.ECONNRESET)
    elif state is _SYN_RECEIVED:
        connection.finish(errno.ECONNREFUSED)
    elif state is State.CLOSE_WAIT:
        connection.finish(errno.EPIPE)
    elif state in (_CLOSING, _LAST_ACK, _TIME_WAIT):
        connection.finish(0)
    else:
        connection.finish(errno.ECONNRESET)
    return None


def _acknowledgment(connection: Connection, segment: Segment, sequence: int, now: int) -> DropReason | None:
    """Fifth, the ACK field."""
    sender = connection.sender
    ack = unwrap(segment.acknowledgment, sender.una)
    completes = connection.handshake is not None
    if completes:
        if not sender.una <= ack <= sender.nxt:
            connection.tcp.reset(connection.path, connection.key, segment)
            return DropReason.TCP_FLAGS
        sender.wl1 = sequence - 1
        connection.established(now)
    elif connection.state is _SYN_RECEIVED:
        if not sender.una < ack <= sender.nxt:
            connection.tcp.reset(connection.path, connection.key, segment)
            return DropReason.TCP_FLAGS
        if connection.listener is not None and not connection.listener.admits(connection):
            return DropReason.SOCKET_BACKLOG
        sender.wl1 = sequence - 1
        connection.established(now)
    if ack > sender.nxt:
        challenge(connection, now)
        return DropReason.TCP_ACK_UNSENT_DATA
    if ack < sender.una - sender.maximum_window:
        # RFC 5961 section 5.2.
        challenge(connection, now)
        return DropReason.TCP_TOO_OLD_ACK
    timestamps, receiver = connection.timestamps, connection.receiver
    if timestamps.enabled and segment.tsval >= 0 and sequence <= receiver.acknowledged:
        # RFC 7323 section 4.3: the earliest segment that is not acknowledged yet. Not of one that acknowledges what
        # was never sent.
        timestamps.accept(segment.tsval, now)
    sender.heard()
    advances = ack > sender.una
    changed = sender.update_window(sequence, ack, segment.window << sender.scale)
    if advances or ((ack == sender.una or segment.sack) and sender.una < sender.nxt):
        # An ACK that was overtaken may still tell what has arrived.
        acknowledge(
            sender,
            max(ack, sender.una),
            now,
            sack=segment.sack,
            tsecr=segment.tsecr if segment.tsval >= 0 else None,
            pure=not changed and not completes and not segment.payload and not segment.flags & FIN,
            ece=segment.flags & ECE != 0,
            timestamps=connection.timestamps,
        )
    if advances:
        if connection.zero_copy is not None:
            connection.told(connection.zero_copy.acknowledged(sender.una))
        if connection.transmit_timestamps is not None:
            connection.transmit_timestamps.acknowledged(sender.una, now)
        connection.path.next_hop.confirmed_at = now
        if not connection.tcp.memory.pressure:
            sender.grow_buffer()
        connection.write_space()
    if sender.fin_queued and sender.fin_acknowledged:
        _fin_acknowledged(connection, now)
    return None


def _fin_acknowledged(connection: Connection, now: int) -> None:
    state = connection.state
    if state is _FIN_WAIT_1:
        connection.set_state(_FIN_WAIT_2)
        if connection.orphan:
            connection.await_fin()
    elif state is _CLOSING:
        connection.time_wait(now)
    elif state is _LAST_ACK:
        connection.finish(0)


def _text(connection: Connection, segment: Segment, sequence: int, now: int) -> DropReason | None:
    """Seventh, the data, and eighth, the FIN."""
    receiver = connection.receiver
    payload = segment.payload
    if not connection.can_receive():
        # The peer's FIN has come: nothing new can follow it.
        connection.ack_now = True
        return DropReason.TCP_CLOSE if payload else None
    end = sequence + len(payload)
    before = receiver.nxt
    if payload:
        if connection.orphan and end > receiver.nxt:
            # Nobody will ever read it (RFC 9293 section 3.10.7.4; RFC 2525 section 2.17).
            connection.tcp.counters.mib["TcpExt.TCPAbortOnData"] += 1
            # With the number that the peer expects next: it may not have our FIN, and then takes no other RST at once.
            connection.tcp.reset(connection.path, connection.key, segment)
            connection.finish(0)
            return DropReason.TCP_CLOSE
        in_order = sequence <= receiver.nxt
        if (receiver.buffer or not in_order) and connection.tcp.memory.refuses(
            receiver.kept, connection.tcp.parameters
        ):
            # Nothing is lost that the peer does not have still. A program with nothing to read gets what comes.
            connection.tcp.counters.mib["TcpExt.TCPRcvQDrop" if in_order else "TcpExt.TCPOFODrop"] += 1
            connection.ack_now = True
            return DropReason.PROTO_MEM
        pieces = receiver.pieces()
        if receiver.accept(sequence, payload):
            connection.delayed_ack.received(now)
        else:
            connection.delayed_ack.beyond_gap(now, advanced=receiver.nxt > before)
            connection.tcp.counters.mib["TcpExt.TCPOFOQueue"] += receiver.pieces() > pieces
    if segment.flags & FIN and end <= receiver.edge:
        receiver.fin = end
    if receiver.fin == receiver.nxt:
        receiver.nxt += 1
        receiver.edge = max(receiver.edge, receiver.nxt)
        _fin(connection, now)
    elif segment.flags & FIN:
        connection.ack_now = True
    if receiver.nxt > before:
        if receiver.nxt >= connection.tuning.trip_edge:
            connection.tuning.received(receiver.edge, now)
        if connection.timestamps.enabled and segment.tsecr >= 0 and len(payload) >= receiver.segment_size:
            connection.tuning.echoed(segment.tsecr, now)
        connection.readable()
        return None
    if receiver.edge == before:
        return DropReason.TCP_ZEROWINDOW
    return None


def _fin(connection: Connection, now: int) -> None:
    """The peer's FIN has come, and all data before it."""
    connection.ack_now = True
    state = connection.state
    if state is _ESTABLISHED:
        connection.set_state(State.CLOSE_WAIT)
    elif state is _FIN_WAIT_1:
        # Were our own FIN acknowledged, the state would be FIN-WAIT-2 by now.
        connection.set_state(_CLOSING)
    elif state is _FIN_WAIT_2:
        connection.time_wait(now)
