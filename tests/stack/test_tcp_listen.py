"""SYN queue, accept queue and SYN cookies (RFC 9293 section 3.10.7.2, RFC 4987, listen(2))."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import TCP

from sim.engine import EventEngine
from stack.ports import FourTuple
from stack.socket import AF_INET, SOCK_STREAM
from stack.socket.stream import StreamSocket
from stack.tcp.options import Options
from stack.tcp.parameters import TcpParameters
from stack.tcp.state import State
from stack.tcp.syn_cookies import SynCookies
from tests.stack.network import SECOND, A
from tests.stack.scripted import Script

OFFER: list[Any] = [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (100, 0)), ("NOP", None), ("WScale", 5)]


def listening(backlog: int = 1, **parameters: Any) -> tuple[Script, StreamSocket]:
    script = Script(tcp=TcpParameters(**parameters))
    listener = script.stack.socket(AF_INET, SOCK_STREAM)
    script.call(listener.bind((A, 80)))
    script.call(listener.listen(backlog))
    return script, listener


def mib(script: Script, name: str) -> int:
    return script.stack.counters.mib[f"TcpExt.{name}"]


def open_from(script: Script, port: int, options: list[Any] | None = None) -> TCP:
    """A SYN from another port of the peer; its answer."""
    script.ports = (80, port)
    script.inject("S", 1000, options=options)
    return script.expect("SA", acknowledgment=1001)[TCP]


def test_a_full_syn_queue_answers_with_cookies_and_keeps_nothing() -> None:
    script, listener = listening()
    open_from(script, 4001)
    answer = open_from(script, 4002)
    assert len(script.stack.tcp.connections) == 1
    assert mib(script, "SyncookiesSent") == 1
    assert mib(script, "TCPReqQFullDoCookies") == 1
    # No state, so no repetition either.
    script.run(100 * SECOND)
    assert all(packet[TCP].dport == 4001 for _, packet in script.sent)
    script.sent.clear()
    script.inject("A", 1001, answer.seq + 1, data=b"early")
    socket, peer = script.call(listener.accept())
    assert peer[1] == 4002
    assert script.call(socket.recv(10)) == b"early"
    assert mib(script, "SyncookiesRecv") == 1


def test_a_cookie_brings_the_options_back_in_the_timestamp() -> None:
    script, listener = listening(syncookies=2)
    answer = open_from(script, 4001, OFFER)
    assert not script.stack.tcp.connections
    options = dict(answer.options)
    assert options["MSS"] == 1460
    assert "SAckOK" in options
    assert options["WScale"] == 7
    value, echo = options["Timestamp"]
    assert echo == 100
    script.inject("A", 1001, answer.seq + 1, window=1000, options=[("Timestamp", (120, value))])
    socket, _ = script.call(listener.accept())
    info = socket.tcp_info()
    # 1300 is the table's largest that is not above 1400; 12 bytes are the timestamps'.
    assert (info.sack, info.timestamps, info.snd_wscale, info.snd_mss) == (True, True, 5, 1288)
    assert info.snd_wnd == 1000 << 5
    assert info.rtt == 0 or info.min_rtt > 0
    script.call(socket.send(b"x"))
    later, _ = dict(script.expect("PA", length=1)[TCP].options)["Timestamp"]
    assert (later - value & 0xFFFFFFFF) < 1 << 31, "the clock goes on from the cookie's"


@pytest.mark.parametrize("offset", [1, -1, 1 << 21, 1 << 28])
def test_a_forged_cookie_is_answered_with_a_reset(offset: int) -> None:
    script, _ = listening(syncookies=2)
    answer = open_from(script, 4001)
    script.inject("A", 1001, answer.seq + 1 + (offset << 3))
    script.expect("R", answer.seq + 1 + (offset << 3))
    assert mib(script, "SyncookiesFailed") == 1
    assert not script.stack.tcp.connections


def test_a_cookie_is_void_after_two_minutes() -> None:
    script, _ = listening(syncookies=2)
    answer = open_from(script, 4001)
    script.run(128 * SECOND)
    open_from(script, 4002)
    script.ports = (80, 4001)
    script.inject("A", 1001, answer.seq + 1)
    script.expect("R")


def test_an_ack_from_nowhere_is_reset_while_no_cookie_is_out() -> None:
    script, _ = listening()
    script.inject("A", 1001, 5000)
    script.expect("R", 5000)
    assert mib(script, "SyncookiesFailed") == 0


def test_a_full_accept_queue_lets_nobody_in_until_someone_is_accepted() -> None:
    script, listener = listening(backlog=1)
    first = open_from(script, 4001)
    second = open_from(script, 4002)
    script.inject("A", 1001, second.seq + 1)
    # The cookie's bearer was first; the other's ACK is dropped, and its SYN-ACK comes again.
    script.ports = (80, 4001)
    script.inject("A", 1001, first.seq + 1)
    assert mib(script, "ListenOverflows") == 1
    assert [connection.state for connection in script.stack.tcp.connections.values()] == [
        State.SYN_RECEIVED,
        State.ESTABLISHED,
    ]
    script.ports = (80, 4003)
    script.inject("S", 1000)
    script.nothing()
    script.call(listener.accept())
    script.ports = (80, 4001)
    script.run(1 * SECOND)
    script.expect("SA", first.seq)
    script.inject("A", 1001, first.seq + 1)
    _, peer = script.call(listener.accept())
    assert peer[1] == 4001


def test_abort_on_overflow_resets_instead() -> None:
    script, _ = listening(backlog=1, abort_on_overflow=True)
    first = open_from(script, 4001)
    second = open_from(script, 4002)
    script.inject("A", 1001, second.seq + 1)
    script.ports = (80, 4001)
    script.inject("A", 1001, first.seq + 1)
    script.expect("RA", first.seq + 1)


def test_the_backlog_is_limited() -> None:
    script, listener = listening(backlog=100_000, somaxconn=3, syncookies=0)
    for port in range(4001, 4006):
        script.ports = (80, port)
        script.inject("S", 1000)
    assert len(script.sent) == 3
    script.call(listener.listen(1))
    assert listener._listener is not None
    assert listener._listener.backlog == 1


@given(
    key=st.tuples(*[st.integers(0, 0xFFFFFFFF), st.integers(1, 65535)] * 2),
    initial=st.integers(0, 0xFFFFFFFF),
    mss=st.integers(0, 65535),
    now=st.integers(0, 1 << 60),
    age=st.integers(0, 300 * SECOND),
)
def test_cookies_come_back_within_their_time(
    key: tuple[int, int, int, int], initial: int, mss: int, now: int, age: int
) -> None:
    cookies = SynCookies(EventEngine(seed=1).random)
    four = FourTuple(*key)
    number = cookies.number(four, initial, mss, now)
    found = cookies.check(four, number, initial, now + age)
    if (now + age) // (64 * SECOND) - now // (64 * SECOND) < 2:
        assert found is not None
        assert found <= max(mss, 536)
    else:
        assert found is None
    assert cookies.check(four, number, initial + 1 & 0xFFFFFFFF, now) is None


@given(number=st.integers(0, 0xFFFFFFFF), now=st.integers(0, 100 * SECOND))
def test_any_number_is_checked_without_harm(number: int, now: int) -> None:
    found = SynCookies(EventEngine(seed=1).random).check(FourTuple(1, 2, 3, 4), number, 5, now)
    assert found is None or found >= 536


@given(
    tsval=st.integers(0, 0xFFFFFFFF),
    scale=st.none() | st.integers(0, 14),
    sack=st.booleans(),
    ecn=st.booleans(),
)
def test_stamps_hold_the_offer(tsval: int, scale: int | None, sack: bool, ecn: bool) -> None:
    cookies = SynCookies(EventEngine(seed=1).random)
    stamped = cookies.stamp(tsval, Options(None, scale, sack), ecn=ecn)
    assert 0 <= tsval - stamped & 0xFFFFFFFF < 64
    offer, asked = cookies.offer(1300, (7, stamped))
    assert offer == Options(1300, scale, sack, (7, stamped))
    assert asked == ecn
