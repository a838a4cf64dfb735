"""Timeouts, fast retransmit and the congestion window (RFC 6298, RFC 5681, RFC 6582, RFC 3042)."""

import pytest

from stack.socket.stream import StreamSocket
from stack.tcp.parameters import TcpParameters
from stack.tcp.state import State
from tests.stack.network import OFFLOADS
from tests.stack.scripted import MS, Script

MSS = 1460


def state(socket: StreamSocket) -> State:
    return socket.tcp_info().state


def mib(script: Script, name: str) -> int:
    return script.stack.counters.mib[name]


def test_retransmission_timeout_backs_off_from_the_estimate() -> None:
    script = Script(tcp=TcpParameters(minimum_rto=200 * MS))
    socket, iss = script.accepted()
    script.call(socket.send(b"hello"))
    script.expect("PA", iss + 1, length=5)
    begun = script.engine.now
    rto = socket.tcp_info().rto
    assert 200 * MS < rto < 201 * MS
    moments = [begun]
    for attempt in range(5):
        moments.append(moments[-1] + rto * 2**attempt)
    script.run(moments[-1] - begun)
    for moment in moments[1:]:
        script.expect("PA", iss + 1, length=5, at=moment)
    script.nothing()
    assert socket.tcp_info().retransmits == 5
    assert socket.tcp_info().snd_cwnd == MSS
    # The ACK of a retransmitted segment is no measurement (Karn): the back-off stays, new data will end it.
    script.inject("A", 1001, iss + 6)
    assert socket.tcp_info().retransmits == 0
    assert socket.tcp_info().rto == rto * 32
    script.call(socket.send(b"again"))
    script.run(10 * MS)
    script.inject("A", 1001, iss + 11)
    assert socket.tcp_info().rto == socket.tcp_info().rtt + 200 * MS


def test_timeout_gives_up_after_the_retries() -> None:
    script = Script(tcp=TcpParameters(retries=3))
    socket, iss = script.accepted()
    script.call(socket.send(b"hello"))
    waiting = script.start(socket.recv(1))
    script.run(10_000 * MS)
    for _ in range(4):
        script.expect("PA", iss + 1, length=5)
    script.nothing()
    with pytest.raises(TimeoutError):
        waiting.result()
    assert script.call(socket.recv(1)) == b"", "the error is reported once"
    with pytest.raises(BrokenPipeError):
        script.call(socket.send(b"x"))
    assert script.engine.next_call() is None


def test_initial_window_is_ten_segments_and_slow_start_doubles() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.call(socket.send(bytes(100 * MSS)))
    for number in range(10):
        script.expect("A", iss + 1 + number * MSS, length=MSS)
    script.nothing()
    script.inject("A", 1001, iss + 1 + 2 * MSS)
    for number in range(10, 14):
        script.expect("A", iss + 1 + number * MSS, length=MSS)
    script.nothing()


def test_after_idle_the_window_starts_again() -> None:
    script = Script()
    socket, iss = script.accepted()
    for number in range(4):
        script.call(socket.send(bytes(10 * MSS)))
        script.run(10 * MS)
        script.inject("A", 1001, iss + 1 + (number + 1) * 10 * MSS)
    assert socket.tcp_info().snd_cwnd == 20 * MSS
    script.run(1_000 * MS)
    script.sent.clear()
    script.call(socket.send(bytes(15 * MSS)))
    # RFC 5681 section 4.1.
    assert len(script.sent) == 10


def test_window_does_not_grow_unused() -> None:
    script = Script()
    socket, iss = script.accepted()
    for number in range(100):
        script.call(socket.send(bytes(MSS)))
        script.inject("A", 1001, iss + 1 + (number + 1) * MSS)
    assert socket.tcp_info().snd_cwnd == 10 * MSS


def test_a_closed_window_is_no_dead_peer() -> None:
    """The window is taken back with data on its way: as long as the peer answers, the connection lives (RFC 1122
    section 4.2.2.17)."""
    script = Script(tcp=TcpParameters(retries=3))
    socket, iss = script.accepted()
    script.call(socket.send(bytes(100)))
    for _ in range(10):
        script.run(socket.tcp_info().rto)
        script.inject("A", 1001, iss + 1, window=0)
    assert state(socket) is State.ESTABLISHED
    script.run(2_000_000 * MS)
    assert state(socket) is State.CLOSED


def test_fast_retransmit_and_newreno_partial_ack() -> None:
    script = Script(tcp=TcpParameters(congestion_control="reno"))
    socket, iss = script.accepted()
    script.call(socket.send(bytes(40 * MSS)))
    for _ in range(10):
        script.expect("A", length=MSS)
    # Segments 0 and 4 are lost. Limited transmit sends two new segments on the first two duplicates (RFC 3042).
    script.inject("A", 1001, iss + 1)
    script.expect("A", iss + 1 + 10 * MSS, length=MSS)
    script.inject("A", 1001, iss + 1)
    script.expect("A", iss + 1 + 11 * MSS, length=MSS)
    script.inject("A", 1001, iss + 1)
    script.expect("A", iss + 1, length=MSS)
    info = socket.tcp_info()
    assert info.in_recovery
    assert info.snd_ssthresh == 5 * MSS, "half of the 10 segments in flight (RFC 5681 equation 4)"
    # 12 are unacknowledged, 3 have arrived, 1 was lost and is on its way again.
    assert info.snd_cwnd == 9 * MSS
    for _ in range(5):
        script.inject("A", 1001, iss + 1)
    # RFC 6937: for every two that are delivered, one may leave, retransmission included.
    script.expect("A", iss + 1 + 12 * MSS, length=MSS)
    script.nothing()
    assert socket.tcp_info().snd_cwnd == 5 * MSS
    # A partial ACK, up to segment 4: it is sent again at once (RFC 6582 step 3), and a new one, up to ssthresh in
    # flight.
    script.inject("A", 1001, iss + 1 + 4 * MSS)
    script.expect("A", iss + 1 + 4 * MSS, length=MSS)
    assert socket.tcp_info().in_recovery
    script.expect("A", iss + 1 + 13 * MSS, length=MSS)
    script.nothing()
    # The full ACK ends recovery with ssthresh (RFC 6582 step 3, option 2).
    script.inject("A", 1001, iss + 1 + 14 * MSS)
    info = socket.tcp_info()
    assert not info.in_recovery
    assert info.snd_cwnd == info.snd_ssthresh == 5 * MSS
    assert mib(script, "Tcp.RetransSegs") == 2
    assert info.total_retrans == 2
    assert mib(script, "TcpExt.TCPRenoRecovery") == 1
    assert info.delivered == 1 + 14 * MSS, "the SYN, and no segment twice"


def test_only_the_first_partial_ack_restarts_the_timer() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.call(socket.send(bytes(10 * MSS)))
    for _ in range(3):
        script.inject("A", 1001, iss + 1)
    begun = script.engine.now
    script.run(150 * MS)
    script.inject("A", 1001, iss + 1 + 2 * MSS)
    script.run(150 * MS)
    assert socket.tcp_info().retransmits == 0
    script.inject("A", 1001, iss + 1 + 4 * MSS)
    script.sent.clear()
    # RFC 6582 section 4, "impatient": many losses end in a timeout soon.
    script.run(100 * MS)
    script.expect("A", iss + 1 + 4 * MSS, length=MSS, at=begun + 150 * MS + (200 * MS + 1))
    assert socket.tcp_info().retransmits == 1


def test_duplicates_after_a_timeout_start_no_recovery() -> None:
    script = Script(tcp=TcpParameters(congestion_control="reno"))
    socket, iss = script.accepted()
    script.call(socket.send(bytes(8 * MSS)))
    script.run(socket.tcp_info().rto)
    script.sent.clear()
    for _ in range(4):
        script.inject("A", 1001, iss + 1)
    # RFC 6582 section 3.2 step 1: these may come from what the timeout sent twice.
    assert not socket.tcp_info().in_recovery
    assert socket.tcp_info().snd_ssthresh == 4 * MSS


def test_data_is_kept_while_the_device_holds_packets() -> None:
    script = Script(features=OFFLOADS)
    socket, iss = script.accepted()
    script.device.hold = True
    script.call(socket.send(b"held" * 10))
    held = [frame for _, frame in script.device.held]
    assert len(held) == 1
    # The segment has not left: a timeout must not queue it again, nor count as a loss.
    script.run(1_000 * MS)
    assert len(script.device.held) == 1
    assert socket.tcp_info().total_retrans == 0
    script.device.hold = False
    script.device.release()
    script.expect("PA", iss + 1, length=40)
    script.run(2_000 * MS)
    assert socket.tcp_info().total_retrans > 0


def test_a_burst_of_acks_does_not_hide_what_was_in_flight() -> None:
    script = Script(tcp=TcpParameters(congestion_control="reno"))
    socket, iss = script.accepted(options=[("SAckOK", b"")], window=10 * MSS)
    script.call(socket.send(bytes(30 * MSS)))
    # The receiver has not read yet, so that each ACK takes from the window what it acknowledges.
    for count in range(1, 6):
        script.inject("A", 1001, iss + 1 + count * MSS, window=(10 - count) * MSS)
    for end in (7, 8, 9):
        blocks = ("SAck", (iss + 1 + 6 * MSS, iss + 1 + end * MSS))
        script.inject("A", 1001, iss + 1 + 5 * MSS, window=5 * MSS, options=[blocks])
    info = socket.tcp_info()
    assert info.in_recovery
    # Half of the ten that were on their way, not of the five that are left (RFC 5681 equation 4).
    assert info.snd_ssthresh >= 5 * MSS
