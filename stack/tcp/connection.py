"""One TCP connection: its state, the calls of its user (RFC 9293 section 3.10.1 to 3.10.6), its timers and its output.

What arrives is handled in ``stack.tcp.input``.
"""

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from stack.checksum import checksum, fold, pseudo_header, store
from stack.environment import Cause
from stack.ipv4 import HEADER_BYTES as IP_HEADER_BYTES
from stack.ipv4 import Path
from stack.net_device import Features
from stack.skbuff import GsoType, IpSummed, SkBuff
from stack.tcp.parameters import FourTuple, SocketOptions
from stack.tcp.receive import Receiver, scale_for
from stack.tcp.segment import ACK, CHECKSUM_OFFSET, FIN, HEADER, HEADER_BYTES, RST, SYN, Options, build_options
from stack.tcp.send import Sender
from stack.tcp.sequence import MASK
from stack.tcp.state import State
from stack.tcp.timers import DeadlineTimer

if TYPE_CHECKING:
    from stack.tcp.listener import Listener
    from stack.tcp.tcp import Tcp

__all__ = ["Connection"]

_DEFAULT_SEND_MSS = 536
"""RFC 9293 MUST-15: for a peer that names no maximum segment size."""
_MINIMUM_SEND_MSS = 48
"""Linux's TCP_MIN_SND_MSS: a smaller offer would only serve to make work."""
_CHECKSUM_START = 14 + IP_HEADER_BYTES
_IP_MAXIMUM = 0xFFFF
_SEGMENTATION = Features.TSO | Features.HW_CSUM


def _nothing() -> None:
    """What a connection without a socket does when it changes."""


class Connection:
    """A connection that is not listening. ``readable`` and ``writable`` are called when a waiting user should look."""

    __slots__ = (
        "_delayed_ack",
        "_identification",
        "_pseudo",
        "_state_timer",
        "_syn_lost",
        "ack_now",
        "challenges",
        "error",
        "key",
        "listener",
        "opened_by_peer",
        "orphan",
        "path",
        "read_shut",
        "readable",
        "receiver",
        "sender",
        "state",
        "tcp",
        "window_scaling",
        "writable",
    )

    def __init__(self, tcp: "Tcp", key: FourTuple, path: Path, options: SocketOptions) -> None:
        self.tcp = tcp
        self.key = key
        self.path = path
        self.state = State.CLOSED
        self.error = 0
        """errno that the next call reports."""
        self.orphan = False
        """The program has closed the socket."""
        self.read_shut = False
        self.listener: Listener | None = None
        self.opened_by_peer = False
        self.window_scaling = tcp.parameters.window_scaling
        self.ack_now = False
        self.challenges = (0, 0)
        """Challenge ACKs: (count, since when)."""
        self.readable: Callable[[], None] = _nothing
        self.writable: Callable[[], None] = _nothing
        self._pseudo = pseudo_header(key.local, key.remote, path.protocol, 0)
        self._syn_lost = False
        self._identification = tcp.env.random.getrandbits(16)
        self._delayed_ack = DeadlineTimer(tcp.env, self._delayed_ack_expired)
        self._state_timer = DeadlineTimer(tcp.env, self._state_timer_expired)
        mss = path.mtu - IP_HEADER_BYTES - HEADER_BYTES
        self.receiver = Receiver(limit=options.receive_buffer, mss=mss)
        self.sender = Sender(
            self,
            DeadlineTimer(tcp.env, self._retransmission_expired),
            tcp.parameters,
            tcp.counters,
            # RFC 6528 asks for a number that nobody can guess.
            initial=tcp.env.random.getrandbits(32),
            mss=mss,
            limit=options.send_buffer,
        )
        self.sender.nodelay = options.nodelay

    # Opening

    def connect(self) -> None:
        """Active open (RFC 9293 section 3.10.1)."""
        self.set_state(State.SYN_SENT)
        self.tcp.counters.mib["Tcp.ActiveOpens"] += 1
        self.send_syn()

    def send_syn(self) -> None:
        """Send SYN, or in SYN-RECEIVED SYN and ACK, for the first time or again."""
        answer = self.state is State.SYN_RECEIVED
        sender = self.sender
        first = sender.maximum == sender.initial
        scale = scale_for(self.receiver.limit) if self.window_scaling else None
        options = build_options(Options(self.receiver.mss, scale))
        sender.sent_syn(self.tcp.cpu.now)
        flags = SYN | ACK if answer else SYN
        self.transmit(sender.initial, b"", flags, options=options, retransmission=not first)

    def negotiate(self, offer: Options) -> None:
        """Take over what the peer's SYN offers (RFC 9293 section 3.7.1, RFC 7323 section 2.2)."""
        offered = max(offer.maximum_segment_size or _DEFAULT_SEND_MSS, _MINIMUM_SEND_MSS)
        self.sender.set_segment_size(min(offered, self.path.mtu - IP_HEADER_BYTES - HEADER_BYTES))
        self.window_scaling = self.window_scaling and offer.window_scale is not None
        if self.window_scaling:
            self.sender.scale = offer.window_scale or 0
            self.receiver.scale = scale_for(self.receiver.limit)

    def established(self, now: int) -> None:
        """The handshake is complete."""
        if self._syn_lost:
            self.sender.rtt.syn_was_lost()
            self.sender.congestion.syn_was_lost()
        self.set_state(State.ESTABLISHED)
        if self.listener is not None:
            self.listener.established(self)
        self.writable()

    # User calls

    def write(self, data: memoryview) -> None:
        """Queue data, for which there must be room, and send what may be sent."""
        self.sender.write(data)
        self.sender.output(self.tcp.cpu.now)

    def read(self, size: int) -> bytes:
        """Take at most ``size`` bytes of what has arrived; b"" if there is nothing."""
        data = self.receiver.read(size)
        if data and self.can_receive() and self.receiver.update_due():
            self.send_ack()
        return data

    def closed(self) -> bool:
        """The connection exists no more."""
        return self.state is State.CLOSED

    def can_send(self) -> bool:
        """The program may still write."""
        return self.state in (State.ESTABLISHED, State.CLOSE_WAIT)

    def can_receive(self) -> bool:
        """The peer may still send."""
        return self.state in (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)

    def shutdown_write(self) -> None:
        """No more data will come from the program: queue a FIN (RFC 9293 section 3.10.4)."""
        if self.state is State.ESTABLISHED:
            self.set_state(State.FIN_WAIT_1)
        elif self.state is State.CLOSE_WAIT:
            self.set_state(State.LAST_ACK)
        else:
            return
        self.sender.fin_queued = True
        self.sender.output(self.tcp.cpu.now)

    def close(self) -> None:
        """The program has let go of the connection.

        Data that it has not read is lost, and the peer must learn that: it gets a RST (RFC 2525 section 2.17).
        """
        if self.state is State.CLOSED:
            return
        self.orphan = True
        self.readable = self.writable = _nothing
        if self.state in (State.SYN_SENT, State.SYN_RECEIVED):
            self.abort(0)
        elif self.receiver.buffer:
            self.tcp.counters.mib["TcpExt.TCPAbortOnClose"] += 1
            self.abort(0)
        else:
            self.shutdown_write()
            if self.state is State.FIN_WAIT_2:
                self.await_fin()

    def abort(self, error: int) -> None:
        """Reset the connection (RFC 9293 section 3.10.5)."""
        if self.state not in (State.CLOSED, State.SYN_SENT, State.TIME_WAIT):
            self.transmit(self.sender.maximum, b"", RST | ACK)
            self.tcp.counters.mib["Tcp.OutRsts"] += 1
        self.finish(error)

    # Output

    def chunk(self) -> int:
        """Payload of the largest packet that the device may be given: a multiple of a segment with segmentation
        offload, else one segment."""
        mss = self.sender.mss
        if self.path.interface.device.features & _SEGMENTATION == _SEGMENTATION:
            return (_IP_MAXIMUM - IP_HEADER_BYTES - HEADER_BYTES) // mss * mss
        return mss

    def transmit(
        self, sequence: int, payload: bytes, flags: int, *, options: bytes = b"", retransmission: bool = False
    ) -> None:
        """Send one segment, or with segmentation offload several that follow each other."""
        tcp = self.tcp
        receiver = self.receiver
        sender = self.sender
        key = self.key
        acknowledgment = 0
        window = receiver.window_field(scaled=not flags & SYN)
        if flags & ACK:
            acknowledgment = receiver.nxt & MASK
            receiver.acknowledged = receiver.nxt
            self.ack_now = False
            self._delayed_ack.deadline = None
        size = len(payload)
        length = HEADER_BYTES + len(options) + size
        offset_flags = length - size << 10 | flags
        device = self.path.interface.device
        skb = SkBuff(payload)
        value = 0
        if device.features & Features.HW_CSUM:
            skb.ip_summed = IpSummed.PARTIAL
            skb.csum_start = _CHECKSUM_START
            skb.csum_offset = CHECKSUM_OFFSET
            value = fold(self._pseudo + length)
        header = (
            HEADER.pack(
                key.local_port, key.remote_port, sequence & MASK, acknowledgment, offset_flags, window, value, 0
            )
            + options
        )
        if skb.ip_summed is not IpSummed.PARTIAL:
            tcp.cpu.charge(Cause.CHECKSUM, size=length)
            value = checksum(payload, fold(self._pseudo + length + int.from_bytes(header, "big")))
            header = store(header, CHECKSUM_OFFSET, value)
        skb.head = header
        segments = 1
        if size > sender.mss:
            segments = -(-size // sender.mss)
            skb.gso_size = sender.mss
            skb.gso_segs = segments
            skb.gso_type = GsoType.TCPV4
        if size or flags & FIN:
            skb.cb = sequence + size + (flags & FIN)
            skb.destructor = sender.departed
        tcp.counters.mib["Tcp.RetransSegs" if retransmission else "Tcp.OutSegs"] += segments
        identification = self._identification
        self._identification = identification + segments & 0xFFFF
        self.path.send(skb, identification)

    def send_ack(self) -> None:
        """Send an ACK without data."""
        self.transmit(self.sender.maximum, b"", ACK)

    def acknowledge_soon(self, now: int) -> None:
        """Data in order has come: ACK at least every second full segment, or after the delay (RFC 9293 section
        3.8.6.3)."""
        receiver = self.receiver
        if receiver.nxt - receiver.acknowledged >= 2 * receiver.segment_size:
            self.ack_now = True
        elif self._delayed_ack.deadline is None:
            self._delayed_ack.start(now + self.tcp.parameters.delayed_ack)

    # State and timers

    def set_state(self, state: State) -> None:
        """Change the state, and the count of established connections with it (RFC 4022)."""
        counted = (State.ESTABLISHED, State.CLOSE_WAIT)
        self.tcp.counters.mib["Tcp.CurrEstab"] += (state in counted) - (self.state in counted)
        self.state = state

    def time_wait(self, now: int) -> None:
        """Enter TIME-WAIT, or stay in it for another 2 MSL."""
        if self.state is not State.TIME_WAIT:
            self.set_state(State.TIME_WAIT)
            self.sender.timer.close()
            self.tcp.counters.mib["TcpExt.TW"] += 1
        self._state_timer.start(now + self.tcp.parameters.time_wait)
        self.writable()
        self.readable()

    def await_fin(self) -> None:
        """In FIN-WAIT-2 without a socket: do not wait for ever."""
        self._state_timer.start(self.tcp.cpu.now + self.tcp.parameters.fin_timeout)

    def finish(self, error: int) -> None:
        """The connection exists no more. Wakes all who wait."""
        if self.state is State.CLOSED:
            return
        if self.state in (State.SYN_SENT, State.SYN_RECEIVED):
            self.tcp.counters.mib["Tcp.AttemptFails"] += 1
        elif error and self.can_send():
            self.tcp.counters.mib["Tcp.EstabResets"] += 1
        self.set_state(State.CLOSED)
        self.error = error
        self.sender.discard()
        self.sender.timer.close()
        self._delayed_ack.close()
        self._state_timer.close()
        if self.listener is not None:
            self.listener.finished(self)
        self.tcp.forget(self)
        self.readable()
        self.writable()

    def timed_out(self) -> None:
        """The peer does not answer any more."""
        self.tcp.counters.mib["TcpExt.TCPAbortOnTimeout"] += 1
        self.finish(errno.ETIMEDOUT)

    def _retransmission_expired(self) -> None:
        now = self.tcp.cpu.now
        sender = self.sender
        if self.state is not State.SYN_SENT and self.state is not State.SYN_RECEIVED:
            sender.expired(now)
            return
        parameters = self.tcp.parameters
        sender.retransmits += 1
        if sender.retransmits > (parameters.synack_retries if self.opened_by_peer else parameters.syn_retries):
            self.timed_out()
            return
        self.tcp.counters.mib["TcpExt.TCPTimeouts"] += 1
        sender.rtt.back_off()
        self._syn_lost = True
        self.send_syn()

    def _delayed_ack_expired(self) -> None:
        self.tcp.counters.mib["TcpExt.DelayedACKs"] += 1
        self.send_ack()

    def _state_timer_expired(self) -> None:
        self.finish(0)
