"""Opening, closing, resets: the state machine segment by segment (RFC 9293 sections 3.5, 3.6 and 3.10.7)."""

import errno

import pytest
from scapy.layers.inet import TCP

from stack.socket import AF_INET, SHUT_RD, SHUT_WR, SOCK_STREAM, TCP_QUICKACK
from stack.socket.stream import StreamSocket
from stack.tcp.parameters import TcpParameters
from stack.tcp.state import State
from stack.tcp.tcp import IPPROTO_TCP
from tests.stack.scripted import MS, A, B, Script

MSS = 1460


def state(socket: StreamSocket) -> State:
    return socket.tcp_info().state


def mib(script: Script, name: str) -> int:
    return script.stack.counters.mib[name]


def test_passive_open_negotiates_options() -> None:
    script = Script()
    listener = script.stack.socket(AF_INET, SOCK_STREAM)
    script.call(listener.bind((A, 80)))
    script.call(listener.listen())
    script.inject("S", 5000, options=[("MSS", 1000), ("NOP", None), ("WScale", 7)], window=1000)
    answer = script.expect("SA", acknowledgment=5001, window=65535)[TCP]
    # 6 MiB, to which autotuning may go, need a shift of 7.
    assert answer.options == [("MSS", 1460), ("NOP", None), ("WScale", 7)]
    script.inject("A", 5001, answer.seq + 1, window=20)
    socket, peer = script.call(listener.accept())
    assert peer == (B, 4000)
    info = socket.tcp_info()
    assert info.state is State.ESTABLISHED
    assert info.snd_mss == 1000
    assert info.snd_wnd == 20 << 7


def test_syn_without_options_gets_none_but_mss() -> None:
    script = Script()
    listener = script.stack.socket(AF_INET, SOCK_STREAM)
    script.call(listener.bind((A, 80)))
    script.call(listener.listen())
    script.inject("S", 5000)
    answer = script.expect("SA")[TCP]
    assert answer.options == [("MSS", 1460)]
    script.inject("A", 5001, answer.seq + 1, window=20)
    socket, _ = script.call(listener.accept())
    # RFC 9293 MUST-15.
    assert socket.tcp_info().snd_mss == 536
    assert socket.tcp_info().snd_wnd == 20


def test_active_open_and_refusal() -> None:
    script = Script()
    task, socket = script.connecting()
    syn = script.expect("S", acknowledgment=0)[TCP]
    # An ACK of what was never sent is answered with a RST and changes nothing (RFC 9293 section 3.10.7.3).
    script.inject("SA", 1, syn.seq + 7)
    script.expect("R", syn.seq + 7)
    script.inject("SA", 900, syn.seq + 1, options=[("MSS", 1460)])
    script.expect("A", syn.seq + 1, 901)
    assert task.done()
    assert state(socket) is State.ESTABLISHED

    second = Script(seed=2)
    task, _ = second.connecting()
    syn = second.expect("S")[TCP]
    second.inject("R", 1, syn.seq + 1)
    assert not task.done(), "a RST without ACK proves nothing in SYN-SENT"
    second.inject("RA", 0, syn.seq + 1)
    with pytest.raises(ConnectionRefusedError) as refused:
        task.result()
    assert refused.value.errno == errno.ECONNREFUSED
    assert not second.stack.tcp.connections
    second.nothing()


def test_syn_is_repeated_with_doubled_timeouts_then_given_up() -> None:
    script = Script()
    task, _ = script.connecting()
    begun = script.engine.now
    script.run(200_000 * MS)
    # RFC 6298: 1 s, then doubled each time (rule 5.5).
    for offset in (0, 1, 3, 7, 15, 31, 63):
        script.expect("S", at=begun + offset * 1000 * MS)
    script.nothing()
    with pytest.raises(TimeoutError) as timeout:
        task.result()
    assert timeout.value.errno == errno.ETIMEDOUT
    assert script.engine.next_call() is None


def test_syn_loss_starts_with_one_segment_and_three_seconds() -> None:
    script = Script()
    task, socket = script.connecting()
    script.run(1000 * MS)
    syn = script.expect("S")[TCP]
    script.expect("S", syn.seq)
    script.inject("SA", 900, syn.seq + 1, options=[("MSS", 1460)])
    script.expect("A")
    assert task.done()
    # RFC 5681 section 3.1 and RFC 6298 rule 5.7.
    assert socket.tcp_info().snd_cwnd == MSS
    assert socket.tcp_info().rto == 3000 * MS


def test_simultaneous_open() -> None:
    script = Script()
    task, socket = script.connecting()
    syn = script.expect("S")[TCP]
    script.inject("S", 300, options=[("MSS", 1460)])
    script.expect("SA", syn.seq, 301)
    script.inject("SA", 300, syn.seq + 1)
    # RFC 9293 figure 8: the SYN in the peer's answer is old, its ACK is answered.
    script.expect("A", syn.seq + 1, 301)
    script.inject("A", 301, syn.seq + 1)
    script.nothing()
    assert task.done()
    assert state(socket) is State.ESTABLISHED


def test_synack_is_repeated_for_a_repeated_syn() -> None:
    script = Script()
    listener = script.stack.socket(AF_INET, SOCK_STREAM)
    script.call(listener.bind((A, 80)))
    script.call(listener.listen())
    script.inject("S", 5000)
    first = script.expect("SA")[TCP]
    script.inject("S", 5000)
    script.expect("SA", first.seq, 5001)
    script.run(1000 * MS)
    script.expect("SA", first.seq, 5001)


@pytest.mark.parametrize(
    ("flags", "answer", "sequence", "acknowledgment"),
    [("S", "RA", 0, 101), ("A", "R", 777, 0), ("FA", "R", 777, 0), ("F", "RA", 0, 101), ("", "RA", 0, 100)],
)
def test_reset_for_a_closed_port(flags: str, answer: str, sequence: int, acknowledgment: int) -> None:
    script = Script()
    script.inject(flags, 100, 777 if "A" in flags else 0)
    script.expect(answer, sequence, acknowledgment)
    script.inject("R", 100)
    script.nothing()


def test_half_close_lets_data_come_in() -> None:
    script = Script()
    socket, iss = script.accepted()
    socket.setsockopt(IPPROTO_TCP, TCP_QUICKACK, 0)
    script.call(socket.shutdown(SHUT_WR))
    script.expect("FA", iss + 1, 1001)
    with pytest.raises(BrokenPipeError):
        script.call(socket.send(b"x"))
    script.inject("A", 1001, iss + 2)
    assert state(socket) is State.FIN_WAIT_2
    script.inject("A", 1001, iss + 2, data=b"still here")
    assert script.call(socket.recv(100)) == b"still here"
    script.inject("FA", 1011, iss + 2)
    script.expect("A", iss + 2, 1012)
    assert state(socket) is State.TIME_WAIT
    assert script.call(socket.recv(100)) == b""
    # The peer's FIN again: our ACK was lost, and 2 MSL start anew.
    script.run(30_000 * MS)
    script.inject("FA", 1011, iss + 2)
    script.expect("A", iss + 2, 1012)
    script.run(59_000 * MS)
    assert script.stack.tcp.connections
    script.run(1_000 * MS)
    assert not script.stack.tcp.connections
    assert state(socket) is State.CLOSED


def test_passive_close_and_last_ack() -> None:
    script = Script()
    socket, iss = script.accepted()
    waiting = script.start(socket.recv(10))
    script.inject("FA", 1001, iss + 1)
    script.expect("A", iss + 1, 1002)
    assert waiting.result() == b""
    assert state(socket) is State.CLOSE_WAIT
    script.call(socket.send(b"bye"))
    script.expect("PA", iss + 1, length=3)
    script.call(socket.close())
    script.expect("FA", iss + 4, 1002)
    script.inject("A", 1002, iss + 5)
    assert not script.stack.tcp.connections
    script.nothing()


def test_fin_rides_on_the_last_data_and_is_retransmitted() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.call(socket.send(b"a"))
    script.call(socket.send(b"b"))
    script.expect("PA", length=1)
    script.call(socket.shutdown(SHUT_WR))
    script.expect("FPA", iss + 2, length=1)
    script.inject("A", 1001, iss + 2)
    script.run(200 * MS)
    script.expect("FPA", iss + 2, length=1)
    script.inject("A", 1001, iss + 4)
    assert state(socket) is State.FIN_WAIT_2


def test_simultaneous_close() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.call(socket.close())
    script.expect("FA", iss + 1, 1001)
    script.inject("FA", 1001, iss + 1)
    script.expect("A", iss + 2, 1002)
    (connection,) = script.stack.tcp.connections.values()
    assert connection.state is State.CLOSING
    script.inject("A", 1002, iss + 2)
    assert connection.state is State.TIME_WAIT
    script.run(60_000 * MS)
    assert not script.stack.tcp.connections


def test_out_of_order_fin_waits_for_the_data_before_it() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.inject("FA", 1004, iss + 1, data=b"def")
    script.expect("A", iss + 1, 1001)
    assert state(socket) is State.ESTABLISHED
    script.inject("A", 1001, iss + 1, data=b"abc")
    script.expect("A", iss + 1, 1008)
    assert state(socket) is State.CLOSE_WAIT
    assert script.call(socket.recv(10)) == b"abcdef"
    assert script.call(socket.recv(10)) == b""


def test_reset_must_hit_the_next_number() -> None:
    script = Script()
    socket, iss = script.accepted()
    waiting = script.start(socket.recv(1))
    script.inject("R", 1001 + 70000)
    script.nothing()
    # In the window, but not exact: challenged (RFC 5961 section 3.2).
    script.inject("R", 1011)
    script.expect("A", iss + 1, 1001)
    assert state(socket) is State.ESTABLISHED
    script.inject("R", 1001)
    with pytest.raises(ConnectionResetError):
        waiting.result()
    assert not script.stack.tcp.connections
    assert mib(script, "Tcp.EstabResets") == 1


def test_syn_in_a_synchronised_state_is_challenged() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.inject("S", 1001)
    script.expect("A", iss + 1, 1001)
    assert state(socket) is State.ESTABLISHED
    for _ in range(50):
        script.inject("S", 1001)
    # RFC 5961 section 7: 10 in 5 s.
    assert len(script.sent) == 9


@pytest.mark.parametrize("offset", [2, 2**20, 2**31 - 1])
def test_ack_of_unsent_data_is_challenged(offset: int) -> None:
    script = Script()
    _, iss = script.accepted()
    script.inject("A", 1001, iss + offset, data=b"x")
    script.expect("A", iss + 1, 1001)
    assert script.stack.counters.nonzero()["Drop.TCP_ACK_UNSENT_DATA"] == 1


def test_close_with_unread_data_resets() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.inject("A", 1001, iss + 1, data=b"unread")
    script.expect("A", iss + 1, 1007)
    script.call(socket.close())
    script.expect("RA", iss + 1, 1007)
    assert not script.stack.tcp.connections
    assert mib(script, "TcpExt.TCPAbortOnClose") == 1


def test_data_after_close_resets() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.call(socket.close())
    script.expect("FA", iss + 1)
    script.inject("A", 1001, iss + 2)
    script.inject("A", 1001, iss + 2, data=b"too late")
    script.expect("R", iss + 2)
    assert not script.stack.tcp.connections
    assert mib(script, "TcpExt.TCPAbortOnData") == 1


def test_orphan_in_fin_wait_2_ends() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.call(socket.close())
    script.inject("A", 1001, iss + 2)
    script.run(59_999 * MS)
    assert script.stack.tcp.connections
    script.run(1 * MS)
    assert not script.stack.tcp.connections
    assert script.engine.next_call() is None


def test_time_wait_gives_way_to_a_new_syn() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.call(socket.close())
    script.inject("FA", 1001, iss + 2)
    script.sent.clear()
    (connection,) = script.stack.tcp.connections.values()
    assert connection.state is State.TIME_WAIT
    script.inject("S", 900)
    script.expect("A", iss + 2, 1002)
    script.inject("S", 5000)
    script.expect("SA", acknowledgment=5001)


def test_backlog_drops_what_does_not_fit() -> None:
    script = Script(tcp=TcpParameters(syncookies=0))
    listener = script.stack.socket(AF_INET, SOCK_STREAM)
    script.call(listener.bind((A, 80)))
    script.call(listener.listen(2))
    for port in (4001, 4002, 4003):
        script.ports = (80, port)
        script.inject("S", 100)
    assert len(script.sent) == 2
    assert mib(script, "TcpExt.TCPReqQFullDrop") == 1
    assert mib(script, "TcpExt.ListenDrops") == 1
    script.sent.clear()
    script.call(listener.close())
    assert [str(packet[TCP].flags) for _, packet in script.sent] == ["RA", "RA"]
    assert not script.stack.tcp.connections


def test_shutdown_read_ends_a_waiting_recv() -> None:
    script = Script()
    socket, _ = script.accepted()
    waiting = script.start(socket.recv(1))
    assert not waiting.done()
    script.call(socket.shutdown(SHUT_RD))
    assert waiting.result() == b""
