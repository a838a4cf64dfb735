"""Every combination of flags, at every place around the window, into every state: what comes back and which state
follows, with the RFC's section beside each expectation.

The rules are tried from top to bottom; the first that matches is the expectation. RFC 9293 unless said otherwise.
"""

import errno
import ipaddress
import itertools
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from stack.checksum import checksum, store
from stack.socket import AF_INET6, MSG_DONTWAIT
from stack.socket.stream import StreamSocket
from stack.tcp.segment import ACK, CHECKSUM_OFFSET, FIN, HEADER, PSH, RST, SYN, URG
from stack.tcp.state import State
from tests.stack.invariants import check
from tests.stack.scripted import Script

S = State
IRS = 0xFFFFFFFE
"""The peer's numbers wrap within the first bytes."""
WINDOW = 65535
ETHERNET = bytes.fromhex("020000000001020000000002 0800")
IP = struct.Struct("!BBHHHBBHII")


class Place(NamedTuple):
    """Where a segment lies, as an offset from RCV.NXT, and its payload."""

    name: str
    offset: int
    payload: bytes


PLACES = (
    Place("far below", -70_000, b""),
    Place("below, with data", -10, b"old data"),
    Place("at the left edge", 0, b""),
    Place("at the left edge, with data", 0, b"new data"),
    Place("inside", 100, b""),
    Place("at the right edge", WINDOW, b""),
    Place("beyond", WINDOW + 1, b""),
    Place("beyond, with data", WINDOW + 100, b"too far"),
)
FLAGS = [sum(flags) for flags in itertools.product((0, FIN), (0, SYN), (0, RST), (0, PSH), (0, ACK), (0, URG))]
SYNCHRONISED = (
    S.ESTABLISHED,
    S.FIN_WAIT_1,
    S.FIN_WAIT_2,
    S.CLOSE_WAIT,
    S.CLOSING,
    S.LAST_ACK,
    S.TIME_WAIT,
)


class Case(NamedTuple):
    state: State
    flags: int
    place: Place

    @property
    def length(self) -> int:
        """SEG.LEN."""
        return len(self.place.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)

    @property
    def acceptable(self) -> bool:
        """Section 3.10.7.4, first check; RCV.WND is not zero here. An empty segment at the right edge is taken too, as
        in Linux: a peer that has filled the window is no offender."""
        start, end = self.place.offset, self.place.offset + self.length
        if not self.length:
            return 0 <= start <= WINDOW
        return start <= WINDOW and end > 0


class Rule(NamedTuple):
    section: str
    matches: Callable[[Case], bool]
    answer: str
    """Flags of what the stack sends: "" nothing, "A" an ACK, "RA", "R", or "*" for data of its own that may follow."""
    state: State | None = None
    """The state that follows; None: no change."""


def has(flags: int) -> Callable[[Case], bool]:
    return lambda case: case.flags & flags == flags


def fin_moves(case: Case) -> bool:
    """The FIN is next in sequence, and so is all before it."""
    start, end = case.place.offset, case.place.offset + len(case.place.payload)
    return bool(case.flags & FIN) and start <= 0 <= end


RULES = [
    # CLOSED
    Rule("3.10.7.1: RST is dropped", lambda c: c.state is S.CLOSED and bool(c.flags & RST), ""),
    Rule("3.10.7.1: ACK on, <SEQ=SEG.ACK><CTL=RST>", lambda c: c.state is S.CLOSED and bool(c.flags & ACK), "R"),
    Rule("3.10.7.1: ACK off, <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>", lambda c: c.state is S.CLOSED, "RA"),
    # LISTEN
    Rule("3.10.7.2: first, RST is ignored", lambda c: c.state is S.LISTEN and bool(c.flags & RST), ""),
    Rule("3.10.7.2: second, any ACK is bad", lambda c: c.state is S.LISTEN and bool(c.flags & ACK), "R"),
    Rule(
        "3.10.7.2: third, SYN; with FIN it is no connection request (Linux)",
        lambda c: c.state is S.LISTEN and c.flags & (SYN | FIN) == SYN,
        "SA",
        S.SYN_RECEIVED,
    ),
    Rule("3.10.7.2: fourth, anything else is dropped", lambda c: c.state is S.LISTEN, ""),
    # SYN-SENT; the ACK of these segments, if any, acknowledges the SYN.
    Rule(
        "3.10.7.3: second, RST with acceptable ACK",
        lambda c: c.state is S.SYN_SENT and c.flags & (RST | ACK) == RST | ACK,
        "",
        S.CLOSED,
    ),
    Rule("3.10.7.3: second, RST without ACK", lambda c: c.state is S.SYN_SENT and bool(c.flags & RST), ""),
    Rule(
        "3.10.7.3: fourth, SYN with ACK of ours",
        lambda c: c.state is S.SYN_SENT and c.flags & (SYN | ACK) == SYN | ACK,
        "A",
        S.ESTABLISHED,
    ),
    Rule(
        "3.10.7.3: fourth, SYN alone: simultaneous open",
        lambda c: c.state is S.SYN_SENT and bool(c.flags & SYN),
        "SA",
        S.SYN_RECEIVED,
    ),
    Rule("3.10.7.3: fifth, neither SYN nor RST", lambda c: c.state is S.SYN_SENT, ""),
    Rule(
        "3.10.7.4: fourth, TIME-WAIT: a SYN beyond the old numbers opens a new connection",
        lambda c: c.state is S.TIME_WAIT and c.flags & (SYN | ACK | RST | FIN) == SYN and c.place.offset > 0,
        "SA",
        S.SYN_RECEIVED,
    ),
    # All others: first, the sequence number
    Rule("3.10.7.4: first, an unacceptable RST is dropped", lambda c: not c.acceptable and bool(c.flags & RST), ""),
    Rule("3.10.7.4: first, anything else unacceptable is acknowledged", lambda c: not c.acceptable, "A"),
    # Second, RST
    Rule(
        "3.10.7.4: second, and RFC 5961 section 3.2: RST not at RCV.NXT is challenged",
        lambda c: bool(c.flags & RST) and c.place.offset != 0,
        "A",
    ),
    Rule("3.10.7.4: second, RST", has(RST), "", S.CLOSED),
    # Fourth, SYN
    Rule("3.10.7.4: fourth, and RFC 5961 section 4.2: SYN is challenged", has(SYN), "A"),
    # Fifth, ACK; it acknowledges all that was sent.
    Rule("3.10.7.4: fifth, no ACK: dropped", lambda c: not c.flags & ACK, ""),
    Rule("3.10.7.4: fifth, LAST-ACK and our FIN is acknowledged", lambda c: c.state is S.LAST_ACK, "", S.CLOSED),
    # Seventh and eighth, in the states that expect data
    Rule(
        "3.10.7.4: eighth, FIN in TIME-WAIT (inside the window it is none that was sent): acknowledge",
        lambda c: c.state is S.TIME_WAIT and bool(c.place.payload or c.flags & FIN),
        "A",
    ),
    Rule("3.10.7.4: fifth, TIME-WAIT", lambda c: c.state is S.TIME_WAIT, ""),
    Rule(
        "3.10.7.4: fifth, CLOSING and our FIN is acknowledged; data after a FIN is none (seventh)",
        lambda c: c.state is S.CLOSING and bool(c.place.payload or c.flags & FIN),
        "A",
        S.TIME_WAIT,
    ),
    Rule("3.10.7.4: fifth, CLOSING", lambda c: c.state is S.CLOSING, "", S.TIME_WAIT),
    Rule(
        "3.10.7.4: seventh, CLOSE-WAIT: a FIN was received, data is ignored",
        lambda c: c.state is S.CLOSE_WAIT and bool(c.place.payload or c.flags & FIN),
        "A",
    ),
    Rule("3.10.7.4: fifth, CLOSE-WAIT", lambda c: c.state is S.CLOSE_WAIT, ""),
    Rule(
        "3.10.7.4: fifth and eighth, FIN-WAIT-1, our FIN acknowledged, and the peer's: TIME-WAIT",
        lambda c: c.state in (S.FIN_WAIT_1, S.FIN_WAIT_2) and fin_moves(c),
        "A",
        S.TIME_WAIT,
    ),
    Rule(
        "3.10.7.4: eighth, FIN in ESTABLISHED, and in SYN-RECEIVED after its ACK",
        lambda c: c.state in (S.ESTABLISHED, S.SYN_RECEIVED) and fin_moves(c),
        "A",
        S.CLOSE_WAIT,
    ),
    Rule(
        "3.10.7.4: fifth, FIN-WAIT-1 and our FIN is acknowledged; data is taken and acknowledged (seventh)",
        lambda c: c.state in (S.FIN_WAIT_1, S.FIN_WAIT_2) and bool(c.place.payload or c.flags & FIN),
        "A",
        S.FIN_WAIT_2,
    ),
    Rule("3.10.7.4: fifth, FIN-WAIT-1", lambda c: c.state in (S.FIN_WAIT_1, S.FIN_WAIT_2), "", S.FIN_WAIT_2),
    Rule(
        "3.10.7.4: seventh, data or a FIN out of order is acknowledged",
        lambda c: bool(c.place.payload or c.flags & FIN),
        "A",
        S.ESTABLISHED,
    ),
    Rule("3.10.7.4: fifth, nothing to say", lambda c: True, "", S.ESTABLISHED),
]


def expectation(case: Case) -> Rule:
    return next(rule for rule in RULES if rule.matches(case))


def frame(script: Script, sequence: int, acknowledgment: int, flags: int, payload: bytes) -> bytes:
    """Written here, not by the stack; scapy would take a minute for them all."""
    header = HEADER.pack(
        script.ports[1],
        script.ports[0],
        sequence & 0xFFFFFFFF,
        acknowledgment & 0xFFFFFFFF,
        5 << 12 | flags,
        65535,
        0,
        0,
    )
    length = len(header) + len(payload)
    source, destination = ipaddress.ip_address(script.peer), ipaddress.ip_address(script.host)
    pseudo = source.packed + destination.packed + struct.pack("!II", length, 6)
    total = int.from_bytes(pseudo + header, "big") % 0xFFFF
    header = store(header, CHECKSUM_OFFSET, checksum(payload, total))
    if script.family == AF_INET6:
        ip = struct.pack("!IHBB", 6 << 28, length, 6, 64) + source.packed + destination.packed
        return ETHERNET[:12] + b"\x86\xdd" + ip + header + payload
    ip = IP.pack(0x45, 0, 20 + length, 1, 0, 64, 6, 0, int(source), int(destination))
    return ETHERNET + store(ip, 10, checksum(ip)) + header + payload


class Bench:
    """A stack with a connection in a state, reached as a peer would bring it there."""

    def __init__(self, state: State, *, ipv6: bool = False) -> None:
        self.script = script = Script(ipv6=ipv6)
        self.socket: StreamSocket | None = None
        self.nxt = IRS + 1
        self.ack = 0
        self.connection = None
        if state is S.CLOSED:
            return
        if state is S.SYN_SENT:
            _, self.socket = script.connecting()
            self.ack = script.sent[-1][1].seq + 1
        else:
            self._listen(state)
        self.connection = next(iter(script.stack.tcp.connections.values()), None)
        script.sent.clear()

    def _listen(self, state: State) -> None:
        script = self.script
        listener = self.socket = script.stack.socket(script.family, 1)
        script.call(listener.bind((script.host, 80)))
        script.call(listener.listen())
        if state is S.LISTEN:
            return
        self.inject(SYN, IRS, b"")
        self.ack = script.sent[-1][1].seq + 1
        if state is S.SYN_RECEIVED:
            return
        self.inject(ACK, self.nxt, b"")
        socket, _ = script.call(listener.accept())
        self.socket = socket
        if state in (S.CLOSE_WAIT, S.LAST_ACK):
            self._peer_closes()
        if state in (S.FIN_WAIT_1, S.FIN_WAIT_2, S.CLOSING, S.LAST_ACK, S.TIME_WAIT):
            script.call(socket.shutdown(1))
            if state is S.CLOSING:
                self._peer_closes()
            self.ack += 1
            if state in (S.FIN_WAIT_2, S.TIME_WAIT):
                self.inject(ACK, self.nxt, b"")
            if state is S.TIME_WAIT:
                self._peer_closes()

    def _peer_closes(self) -> None:
        self.inject(FIN | ACK, self.nxt, b"")
        self.nxt += 1

    def inject(self, flags: int, sequence: int, payload: bytes) -> None:
        self.script.device.arrive(frame(self.script, sequence, self.ack if flags & ACK else 0, flags, payload))
        self.script.run(0)

    def state(self) -> State:
        connections = self.script.stack.tcp.connections
        if connections:
            return next(iter(connections.values())).state
        return S.LISTEN if self.script.stack.tcp.ports.wild and self.connection is None else S.CLOSED


def cases(state: State) -> Iterator[Case]:
    for flags, place in itertools.product(FLAGS, PLACES):
        yield Case(state, flags, place)


@pytest.mark.slow
@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("state", list(State), ids=lambda state: state.value)
def test_every_segment(state: State, ipv6: bool) -> None:
    bench = Bench(state, ipv6=ipv6)
    assert bench.state() is state
    wrong: list[str] = []
    for case in cases(state):
        rule = expectation(case)
        bench = Bench(state, ipv6=ipv6)
        bench.inject(case.flags, bench.nxt + case.place.offset, case.place.payload)
        answers = ["".join(sorted(str(packet["TCP"].flags))) for _, packet in bench.script.sent]
        expected_state = rule.state or state
        if answers != (["".join(sorted(rule.answer))] if rule.answer else []) or bench.state() is not expected_state:
            names = "".join(name for bit, name in enumerate("FSRPAU") if case.flags >> bit & 1) or "none"
            wrong.append(
                f"{names} {case.place.name}: expected {rule.answer or 'nothing'} and {expected_state.value} "
                f"({rule.section}), got {answers} and {bench.state().value}"
            )
        if bench.connection is not None:
            check(bench.connection)
    assert not wrong, f"{len(wrong)} of {len(FLAGS) * len(PLACES)}:\n" + "\n".join(wrong[:25])


def test_every_rule_is_met() -> None:
    """No expectation stands there for nothing."""
    met = {expectation(case).section for state in State for case in cases(state)}
    assert met == {rule.section for rule in RULES}


CALLS: dict[str, tuple[Callable[[Bench], Any], dict[State, int | State | Any]]] = {
    # Call: what it gives in each state: an errno, the state that follows, or a value. RFC 9293 section 3.10; POSIX.
    "connect": (
        lambda bench: bench.socket.connect((bench.script.peer, 9)),
        {
            S.LISTEN: errno.EISCONN,
            S.SYN_SENT: errno.EALREADY,
            S.SYN_RECEIVED: errno.EISCONN,
            **dict.fromkeys(SYNCHRONISED, errno.EISCONN),
        },
    ),
    "listen": (
        lambda bench: bench.socket.listen(),
        {
            S.LISTEN: S.LISTEN,
            S.SYN_SENT: errno.EINVAL,
            S.SYN_RECEIVED: S.SYN_RECEIVED,
            **dict.fromkeys(SYNCHRONISED, errno.EINVAL),
        },
    ),
    "accept": (
        lambda bench: bench.socket.accept(MSG_DONTWAIT),
        {
            S.LISTEN: errno.EAGAIN,
            S.SYN_SENT: errno.EINVAL,
            S.SYN_RECEIVED: errno.EAGAIN,
            **dict.fromkeys(SYNCHRONISED, errno.EINVAL),
        },
    ),
    "send": (
        lambda bench: bench.socket.send(b"data", MSG_DONTWAIT),
        {
            S.LISTEN: errno.ENOTCONN,
            S.SYN_SENT: errno.EAGAIN,
            S.SYN_RECEIVED: errno.ENOTCONN,
            S.ESTABLISHED: S.ESTABLISHED,
            S.CLOSE_WAIT: S.CLOSE_WAIT,
            **dict.fromkeys((S.FIN_WAIT_1, S.FIN_WAIT_2, S.CLOSING, S.LAST_ACK, S.TIME_WAIT), errno.EPIPE),
        },
    ),
    "recv": (
        lambda bench: bench.socket.recv(10, MSG_DONTWAIT),
        {
            S.LISTEN: errno.ENOTCONN,
            S.SYN_SENT: errno.EAGAIN,
            S.SYN_RECEIVED: errno.ENOTCONN,
            S.ESTABLISHED: errno.EAGAIN,
            S.FIN_WAIT_1: errno.EAGAIN,
            S.FIN_WAIT_2: errno.EAGAIN,
            # The peer's FIN is the end of the stream.
            **dict.fromkeys((S.CLOSE_WAIT, S.CLOSING, S.LAST_ACK, S.TIME_WAIT), b""),
        },
    ),
    "shutdown": (
        lambda bench: bench.socket.shutdown(1),
        {
            S.LISTEN: errno.ENOTCONN,
            S.SYN_SENT: S.SYN_SENT,
            S.SYN_RECEIVED: errno.ENOTCONN,
            S.ESTABLISHED: S.FIN_WAIT_1,
            S.CLOSE_WAIT: S.LAST_ACK,
            S.FIN_WAIT_1: S.FIN_WAIT_1,
            S.FIN_WAIT_2: S.FIN_WAIT_2,
            S.CLOSING: S.CLOSING,
            S.LAST_ACK: S.LAST_ACK,
            S.TIME_WAIT: errno.ENOTCONN,
        },
    ),
    "close": (
        lambda bench: bench.socket.close(),
        {
            S.LISTEN: S.CLOSED,
            S.SYN_SENT: S.CLOSED,
            # The listener goes, and what opens with it.
            S.SYN_RECEIVED: S.CLOSED,
            S.ESTABLISHED: S.FIN_WAIT_1,
            S.CLOSE_WAIT: S.LAST_ACK,
            S.FIN_WAIT_1: S.FIN_WAIT_1,
            S.FIN_WAIT_2: S.FIN_WAIT_2,
            S.CLOSING: S.CLOSING,
            S.LAST_ACK: S.LAST_ACK,
            S.TIME_WAIT: S.TIME_WAIT,
        },
    ),
}


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("name", list(CALLS))
def test_every_call(name: str, ipv6: bool) -> None:
    call, expected = CALLS[name]
    wrong = []
    for state in State:
        if state is S.CLOSED:
            continue
        bench = Bench(state, ipv6=ipv6)
        outcome: Any
        try:
            value = bench.script.call(call(bench))
            outcome = value if isinstance(value, bytes) else bench.state()
        except OSError as error:
            outcome = error.errno
        if outcome != expected[state]:
            wrong.append(f"{name} in {state.value}: expected {expected[state]}, got {outcome}")
        if bench.connection is not None:
            check(bench.connection)
    assert not wrong, "\n".join(wrong)
