"""One TCP connection: its state, and the calls of its user (RFC 9293 sections 3.10.1 to 3.10.6).

What arrives is handled in ``stack.tcp.input``, how segments are built in ``stack.tcp.transmit``.
"""

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from stack.ports import FourTuple
from stack.tcp import transmit
from stack.tcp.autotune import ReceiveTuning
from stack.tcp.delayed_ack import DelayedAck
from stack.tcp.keepalive import KeepAlive
from stack.tcp.network import Path
from stack.tcp.offloads import Offloads
from stack.tcp.parameters import UNLIMITED, SocketOptions
from stack.tcp.persist import probe_window
from stack.tcp.receive import Receiver
from stack.tcp.segment import ACK, RST
from stack.tcp.send import Sender
from stack.tcp.state import State
from stack.tcp.timers import DeadlineTimer
from stack.tcp.timestamps import Timestamps
from stack.tcp.transmit_timestamps import TransmitTimestamps
from stack.tcp.zero_copy import ZeroCopy

if TYPE_CHECKING:
    from stack.tcp.active_open import ActiveFastOpen
    from stack.tcp.handshake import Handshake
    from stack.tcp.listener import Listener
    from stack.tcp.tcp import Tcp

__all__ = ["Connection"]

_COUNTED: Final = (State.ESTABLISHED, State.CLOSE_WAIT)
"""RFC 4022's tcpCurrEstab."""


_WRITES: Final = _COUNTED
_READS: Final = (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)


def _nothing() -> None:
    """What a connection without a socket does when it changes."""


class Connection:
    """A connection that is not listening. ``readable`` and ``writable`` are called when a waiting user should look."""

    __slots__ = (
        "_state_timer",
        "ack_now",
        "challenges",
        "delayed_ack",
        "error",
        "fast_open",
        "handshake",
        "identification",
        "keepalive",
        "kept",
        "key",
        "listener",
        "no_space",
        "offloads",
        "opened_by_peer",
        "options",
        "orphan",
        "path",
        "pseudo_sum",
        "read_shut",
        "readable",
        "receiver",
        "sender",
        "state",
        "syn_data_acked",
        "syn_lost",
        "tcp",
        "timestamps",
        "transmit_timestamps",
        "tuning",
        "window_scaling",
        "writable",
        "write_pending",
        "zero_copy",
    )

    def __init__(
        self, tcp: "Tcp", key: FourTuple, path: Path, options: SocketOptions, *, initial: int | None = None
    ) -> None:
        env = tcp.env
        parameters = tcp.parameters
        self.tcp = tcp
        self.key = key
        self.path = path
        self.options = options
        self.state = State.CLOSED
        self.error = 0
        """errno that the next call reports."""
        self.orphan = False
        """The program has closed the socket."""
        self.read_shut = False
        self.listener: Listener | None = None
        self.opened_by_peer = False
        self.handshake: Handshake | None = None
        """Of a connection that the peer has opened fast: what is left of it."""
        self.fast_open: ActiveFastOpen | None = None
        """Of a connection that is to be opened fast."""
        self.syn_data_acked = False
        """The data of the SYN was taken, by whichever end."""
        self.write_pending = False
        """A program waits with data for the connection to open: it takes the ACK of the peer's SYN along."""
        self.window_scaling = parameters.window_scaling
        self.timestamps = Timestamps(env.random.getrandbits(31))
        self.kept = 0
        """Bytes in buffers, as the host's sum has them."""
        self.ack_now = False
        self.challenges = (0, 0)
        """Challenge ACKs: (count, since when)."""
        self.readable: Callable[[], None] = _nothing
        self.writable: Callable[[], None] = _nothing
        self.no_space = False
        """The program was told to wait before it writes on (SOCK_NOSPACE), so it is to hear when it may."""
        self.zero_copy: ZeroCopy | None = None
        """Once MSG_ZEROCOPY was used."""
        self.transmit_timestamps: TransmitTimestamps | None = None
        """Once SO_TIMESTAMPING was used."""
        self.pseudo_sum = path.pseudo_sum
        self.offloads = Offloads(path)
        self.syn_lost = False
        self.identification = env.random.getrandbits(16)
        self.delayed_ack = DelayedAck(self)
        self.keepalive = KeepAlive(self)
        self._state_timer = DeadlineTimer(env, self._state_timer_expired)
        mss = transmit.advertised_mss(self)
        self.receiver = Receiver(limit=options.receive_buffer or parameters.receive_buffer, mss=mss)
        self.tuning = ReceiveTuning(self)
        self.sender = Sender(
            self,
            DeadlineTimer(env, self._timer_expired),
            DeadlineTimer(env, self._output),
            parameters,
            tcp.counters,
            # RFC 6528 asks for a number that nobody can guess.
            initial=env.random.getrandbits(32) if initial is None else initial,
            mss=mss,
            limit=options.send_buffer or parameters.send_buffer,
            autotune=options.send_buffer is None,
            congestion_control=options.congestion_control or parameters.congestion_control,
        )
        self.apply_options()

    def apply_options(self) -> None:
        """Take over what ``setsockopt`` has set."""
        options, sender = self.options, self.sender
        sender.nodelay = options.nodelay
        sender.cork = options.cork
        sender.user_timeout = options.user_timeout
        sender.pacing.limit = options.max_pacing_rate
        self.delayed_ack.quick_allowed = options.quickack
        self.keepalive.schedule()

    # Opening

    def connect(self) -> None:
        """Active open (RFC 9293 section 3.10.1)."""
        self.set_state(State.SYN_SENT)
        self.timestamps.first = self.timestamps.value(self.tcp.cpu.now)
        self.tcp.counters.mib["Tcp.ActiveOpens"] += 1
        if self.fast_open is None:
            transmit.send_syn(self)

    def deferred(self) -> bool:
        """The program has connected, and its SYN waits for data (TCP_FASTOPEN_CONNECT)."""
        return self.state is State.SYN_SENT and self.sender.nxt == self.sender.initial

    def opening(self) -> bool:
        """The program has to wait for the handshake."""
        return self.state is State.SYN_SENT or (self.state is State.SYN_RECEIVED and self.handshake is None)

    def established(self, now: int) -> None:
        """The handshake is complete."""
        handshake, state = self.handshake, self.state
        if self.syn_lost:
            self.sender.rtt.syn_was_lost()
            self.sender.congestion.syn_was_lost()
        if handshake is not None:
            handshake.complete(now)
        if state in (State.SYN_SENT, State.SYN_RECEIVED):
            # Else the program has closed a fast opened connection meanwhile.
            self.set_state(State.ESTABLISHED)
        self.tuning.start(now)
        self.keepalive.schedule()
        if self.listener is not None:
            self.listener.established(self)
        self.writable()

    # User calls

    def write(self, data: "memoryview | bytes") -> None:
        """Queue data, for which there must be room, and send what may be sent."""
        self.sender.write(data)
        self.account()
        self.sender.output(self.tcp.cpu.now)

    def sent_zero_copy(self) -> None:
        """All that is queued now is what a call with MSG_ZEROCOPY has sent, or before."""
        self.zero_copy = self.zero_copy or ZeroCopy()
        self.zero_copy.sent(self.sender.end)
        self.told(self.zero_copy.abandon() if self.closed() else self.zero_copy.acknowledged(self.sender.una))

    def stamp(self, end: int) -> None:
        """A call queues bytes up to this number, and its program wants to know what becomes of the last."""
        if self.transmit_timestamps is not None:
            self.transmit_timestamps.ask(end)

    def told(self, news: bool) -> None:
        """There is something in the error queue of the socket (sk_error_report)."""
        if news:
            self.readable()

    def write_urgent(self, data: "memoryview | bytes") -> None:
        """Queue data of which the last byte is urgent (RFC 9293 section 3.10.2): the peer learns so at once, even if
        its window is closed."""
        sender = self.sender
        sender.write(data)
        self.account()
        sender.urgent = sender.end
        sender.output(self.tcp.cpu.now)
        if sender.nxt < sender.end:
            self.send_ack()

    def read(self, size: int, *, inline: bool = False) -> bytes:
        """Take at most ``size`` bytes of what has arrived; b"" if there is nothing. ``inline``: urgent bytes too."""
        receiver = self.receiver
        data = receiver.read(size, inline=inline)
        if data:
            self.account()
            self.tuning.copied(self.tcp.cpu.now)
            if self.can_receive() and self.handshake is None and receiver.update_due():
                self.send_ack()
        return data

    def account(self) -> None:
        """Tell the host how much is in the buffers; a connection that is no more has none."""
        kept = 0 if self.state is State.CLOSED else self.sender.kept + self.receiver.kept
        if kept != self.kept:
            delta, self.kept = kept - self.kept, kept
            tcp = self.tcp
            tcp.memory.change(delta, tcp.parameters)
            self.receiver.pressed = tcp.memory.pressure

    @property
    def room(self) -> int:
        """Bytes that the program may write now."""
        room, lowat = self._buffer_room(), self.notsent_lowat
        return room if lowat == UNLIMITED else min(room, self.sender.unsent_room(lowat))

    def _buffer_room(self) -> int:
        tcp = self.tcp
        return 0 if tcp.memory.refuses(self.sender.kept, tcp.parameters) else max(self.sender.room, 0)

    @property
    def notsent_lowat(self) -> int:
        """Unsent bytes above which the program has to wait."""
        return self.options.notsent_lowat or self.tcp.parameters.notsent_lowat

    def may_write(self) -> bool:
        """Whether to call the program, which then can write more than a trifle (Linux's sk_stream_is_writeable)."""
        sender, lowat = self.sender, self.notsent_lowat
        if self._buffer_room() * 3 < sender.limit:
            return False
        return lowat == UNLIMITED or 2 * (sender.end - sender.nxt) < lowat

    def write_space(self) -> None:
        """There may be room for a program that waits for some (sk_stream_write_space)."""
        if self.no_space and self.may_write():
            self.no_space = False
            self.writable()

    def closed(self) -> bool:
        """The connection exists no more."""
        return self.state is State.CLOSED

    def can_send(self) -> bool:
        """The program may still write."""
        return self.state in _WRITES or (self.state is State.SYN_RECEIVED and self.handshake is not None)

    def can_receive(self) -> bool:
        """The peer may still send."""
        return self.state in _READS or (self.state is State.SYN_RECEIVED and self.handshake is not None)

    def shutdown_write(self) -> None:
        """No more data will come from the program: queue a FIN (RFC 9293 section 3.10.4)."""
        if self.state is State.ESTABLISHED or (self.state is State.SYN_RECEIVED and self.handshake is not None):
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
        if self.opening():
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
            self.transmit(self.sender.nxt, b"", RST | ACK)
            self.tcp.counters.mib["Tcp.OutRsts"] += 1
        self.finish(error)

    # Output, as the sender wants it

    def chunk(self) -> int:
        """See ``SegmentOutput``."""
        return transmit.chunk(self)

    def paced(self) -> bool:
        """See ``SegmentOutput``."""
        return self.path.interface.device.qdisc.paces

    def transmit(self, sequence: int, payload: bytes, flags: int, *, retransmission: bool = False) -> bool:
        """See ``SegmentOutput``."""
        return transmit.send_packet(self, sequence, payload, flags, retransmission=retransmission)

    def timed_out(self) -> None:
        """The peer does not answer any more."""
        self.tcp.counters.mib["TcpExt.TCPAbortOnTimeout"] += 1
        self.finish(errno.ETIMEDOUT)

    def call_soon(self) -> None:
        """See ``SegmentOutput``."""
        self.tcp.env.call_at(self.tcp.env.now, self._output)

    def _output(self) -> None:
        if self.state is not State.CLOSED:
            self.sender.recovery.retransmit(self.tcp.cpu.now)
            self.sender.output(self.tcp.cpu.now)

    def send_ack(self) -> None:
        """Send an ACK without data."""
        self.transmit(self.sender.nxt, b"", ACK)

    def mtu_reduced(self) -> None:
        """The path carries smaller packets than before (RFC 1191, RFC 8201)."""
        if self.fast_open is not None and self.state is State.SYN_SENT:
            # The data may have made the SYN too large.
            self.receiver.mss = transmit.advertised_mss(self)
            transmit.send_syn(self)
        elif self.state is not State.CLOSED:
            self.sender.shrink_segment_size(transmit.send_mss(self, self.sender.mss), self.tcp.cpu.now)

    # State and timers

    def set_state(self, state: State) -> None:
        """Change the state, and the count of established connections with it (RFC 4022)."""
        self.tcp.counters.mib["Tcp.CurrEstab"] += (state in _COUNTED) - (self.state in _COUNTED)
        self.state = state

    def time_wait(self, now: int) -> None:
        """Enter TIME-WAIT, or stay in it for another 2 MSL."""
        if self.state is not State.TIME_WAIT:
            self.set_state(State.TIME_WAIT)
            self.sender.timer.close()
            self.keepalive.close()
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
        if self.handshake is not None:
            self.handshake.end()
        if self.state in (State.SYN_SENT, State.SYN_RECEIVED):
            self.tcp.counters.mib["Tcp.AttemptFails"] += 1
        elif error and self.can_send():
            self.tcp.counters.mib["Tcp.EstabResets"] += 1
        self.set_state(State.CLOSED)
        self.error = error
        self.sender.discard()
        if self.zero_copy is not None:
            self.zero_copy.abandon()
        self.account()
        self.delayed_ack.close()
        self.keepalive.close()
        self._state_timer.close()
        if self.listener is not None:
            self.listener.finished(self)
        self.tcp.forget(self)
        self.readable()
        self.writable()

    def _timer_expired(self) -> None:
        now = self.tcp.cpu.now
        sender = self.sender
        if self.handshake is not None:
            # Nothing else is sent again before the peer has seen our SYN.
            sender.timer.start(now + sender.rtt.rto)
        elif self.state is State.SYN_SENT or self.state is State.SYN_RECEIVED:
            self._syn_expired()
        elif sender.una < sender.nxt:
            sender.loss_timer.expired(now)
            if self.fast_open is not None:
                self.fast_open.watch(now=now, expired=self.state is State.CLOSED)
        elif sender.nxt < sender.end + sender.fin_queued:
            probe_window(sender, now)

    def _syn_expired(self) -> None:
        parameters = self.tcp.parameters
        sender = self.sender
        sender.retransmits += 1
        retries = (
            parameters.synack_retries if self.opened_by_peer else self.options.syn_retries or parameters.syn_retries
        )
        expired = sender.retransmits > retries
        if self.fast_open is not None:
            self.fast_open.watch(now=self.tcp.cpu.now, expired=expired)
        if expired:
            self.timed_out()
            return
        self.tcp.counters.mib["TcpExt.TCPTimeouts"] += 1
        sender.rtt.back_off()
        self.syn_lost = True
        transmit.send_syn(self)

    def _state_timer_expired(self) -> None:
        self.finish(0)
