"""SYN-SENT: the answer to a SYN of ours (RFC 9293 section 3.10.7.3), and SYN with data (RFC 7413 section 4.2.1)."""

import errno
from typing import TYPE_CHECKING, Final

from stack.counters import DropReason
from stack.tcp.acknowledgment import acknowledge
from stack.tcp.options import MAXIMUM_OPTION_BYTES, FastOpenOption, Options, parse_options
from stack.tcp.segment import ACK, RST, SYN, Segment
from stack.tcp.sequence import unwrap
from stack.tcp.state import State
from stack.tcp.transmit import advertised_mss, negotiate, send_syn

if TYPE_CHECKING:
    from stack.tcp.connection import Connection

__all__ = ["ActiveFastOpen", "answer_arrives"]

_BLACKHOLE_TIMEOUTS: Final = 2
"""So many in a row, of any segment, make a path suspect."""


class ActiveFastOpen:
    """One connection that is to be opened fast."""

    __slots__ = ("_connection", "_option", "_sent")

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._option: FastOpenOption | None = None
        """What the SYN carried."""
        self._sent = 0
        """Bytes of data in the SYN."""

    def possible(self) -> bool:
        """Whether the SYN may carry data."""
        connection = self._connection
        tcp = connection.tcp
        return tcp.fast_open.request(connection.key, tcp.parameters, connection.options, tcp.cpu.now)[1]

    def send(self, data: "memoryview | bytes") -> int:
        """Send the SYN, with as much of the data as it may carry. Returns how much that is."""
        connection = self._connection
        tcp = connection.tcp
        fast_open = tcp.fast_open
        key, options = connection.key, connection.options
        self._option, may_carry = fast_open.request(key, tcp.parameters, options, tcp.cpu.now)
        if may_carry:
            mss = min(fast_open.mss(key) or connection.receiver.mss, advertised_mss(connection))
            # Room for all options, lest a middlebox that adds some finds none (tcp_send_syn_data).
            self._sent = min(max(mss - MAXIMUM_OPTION_BYTES, 0), len(data))
        connection.sender.write(data[: self._sent])
        connection.account()
        send_syn(connection, fast_open=self._option, data=self._sent)
        return self._sent

    def answered(self, offer: Options, now: int) -> None:
        """The SYN is acknowledged, with or without its data (tcp_rcv_fastopen_synack)."""
        connection = self._connection
        sender, tcp = connection.sender, connection.tcp
        option = offer.fast_open
        tried = 0
        if self._option is None:
            # RFC 7413 section 4.1.3: nobody has asked for this cookie.
            option = None
        elif option is None and not self._sent and not sender.total_retransmits:
            tried = 2 if self._option.experimental else 1
        tcp.fast_open.learn(connection.key, offer.maximum_segment_size or connection.receiver.mss, option, tried)
        if not self._sent:
            return
        if sender.una < sender.initial + 1 + self._sent:
            # Section 4.2.1: what was not taken is sent at once, as ordinary data.
            tcp.counters.mib["TcpExt.TCPFastOpenActiveFail"] += 1
            sender.send_all_again(now)
            return
        connection.syn_data_acked = True
        tcp.counters.mib["TcpExt.TCPFastOpenActive"] += 1
        tcp.fast_open.succeeded()
        # SYN and data are one segment.
        sender.rate.segments -= 1

    def watch(self, *, now: int, expired: bool) -> None:
        """A timeout; ``expired``: the last (tcp_fastopen_active_detect_blackhole)."""
        timeouts = self._connection.sender.retransmits
        if timeouts == _BLACKHOLE_TIMEOUTS or (timeouts < _BLACKHOLE_TIMEOUTS and expired):
            tcp = self._connection.tcp
            tcp.counters.mib["TcpExt.TCPFastOpenBlackhole"] += 1
            tcp.fast_open.pause(tcp.parameters, now)


def answer_arrives(connection: "Connection", segment: Segment, now: int) -> DropReason | None:
    """A segment in SYN-SENT. Returns why it was dropped, if it was; ``ack_now`` tells whether an ACK is due."""
    flags = segment.flags
    sender = connection.sender
    acceptable = False
    if flags & ACK:
        ack = unwrap(segment.acknowledgment, sender.una)
        acceptable = sender.una < ack <= sender.nxt
        if not acceptable:
            if not flags & RST:
                connection.tcp.reset(connection.path, connection.key, segment)
            return DropReason.TCP_FLAGS
        if segment.tsval >= 0 and not connection.timestamps.echoes(segment.tsecr, now):
            # An answer to somebody else's SYN, from before perhaps.
            connection.tcp.counters.mib["TcpExt.PAWSActive"] += 1
            connection.tcp.reset(connection.path, connection.key, segment)
            return DropReason.TCP_RFC7323_PAWS
    if flags & RST:
        if not acceptable:
            return DropReason.TCP_RESET
        connection.finish(errno.ECONNREFUSED)
        return None
    if not flags & SYN:
        return DropReason.TCP_FLAGS
    offer = parse_options(segment.options)
    connection.receiver.open(segment.sequence)
    negotiate(connection, offer, flags, now)
    # The window of a SYN is not scaled (RFC 7323 section 2.2).
    sender.window = sender.maximum_window = segment.window
    sender.wl1 = segment.sequence
    if not acceptable:
        connection.set_state(State.SYN_RECEIVED)
        send_syn(connection)
        return None
    sender.wl2 = ack
    acknowledge(
        sender,
        ack,
        now,
        sack=(),
        tsecr=segment.tsecr if segment.tsval >= 0 else None,
        pure=False,
        ece=False,
        timestamps=connection.timestamps,
    )
    if connection.zero_copy is not None:
        connection.told(connection.zero_copy.acknowledged(sender.una))
    connection.established(now)
    if connection.write_pending:
        connection.delayed_ack.leave_to_program(now)
    else:
        connection.ack_now = True
    if connection.fast_open is not None:
        # The window that our SYN has promised holds for what its answer carries.
        connection.receiver.window_field(scaled=False)
        connection.fast_open.answered(offer, now)
    return None
