"""TCP segment by segment, against a scripted peer: RFC 9293 and the RFCs that it names."""

import errno

import pytest
from scapy.layers.inet import IP, TCP

from stack.socket import AF_INET, SHUT_RD, SHUT_WR, SOCK_STREAM, TCP_NODELAY
from stack.stream_socket import StreamSocket
from stack.tcp.parameters import TcpParameters
from stack.tcp.state import State
from stack.tcp.tcp import IPPROTO_TCP
from tests.stack.network import OFFLOADS
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
    # 256 KiB need a shift of 3: 262144 >> 2 is one more than fits 16 bits.
    assert answer.options == [("MSS", 1460), ("NOP", None), ("WScale", 3)]
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


def test_delayed_ack_after_40_ms_and_at_every_second_segment() -> None:
    script = Script()
    socket, _ = script.accepted()
    begun = script.engine.now
    script.inject("A", 1001, data=b"x" * MSS, acknowledgment=socket._connected().sender.una)
    script.nothing()
    script.run(40 * MS)
    script.expect("A", acknowledgment=1001 + MSS, at=begun + 40 * MS)
    script.inject("A", 1001 + MSS, data=b"x" * MSS, acknowledgment=socket._connected().sender.una)
    script.nothing()
    script.inject("A", 1001 + 2 * MSS, data=b"x" * MSS, acknowledgment=socket._connected().sender.una)
    script.expect("A", acknowledgment=1001 + 3 * MSS)
    script.run(100 * MS)
    script.nothing()
    assert mib(script, "TcpExt.DelayedACKs") == 1


def test_reassembly_acknowledges_gaps_at_once() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.inject("A", 1011, iss + 1, data=b"bbbbbbbbbb")
    script.expect("A", acknowledgment=1001)
    script.inject("A", 1031, iss + 1, data=b"dddddddddd")
    script.expect("A", acknowledgment=1001)
    # Overlaps both neighbours: what came first stays.
    script.inject("A", 1015, iss + 1, data=b"C" * 20)
    script.expect("A", acknowledgment=1001)
    script.inject("A", 1001, iss + 1, data=b"a" * 10)
    script.expect("A", acknowledgment=1041)
    assert script.call(socket.recv(100)) == b"a" * 10 + b"b" * 10 + b"C" * 10 + b"d" * 10
    # Old data is acknowledged again, and not delivered twice.
    script.inject("A", 1001, iss + 1, data=b"z" * 10)
    script.expect("A", acknowledgment=1041)
    assert script.stack.counters.nonzero()["Drop.TCP_OLD_DATA"] == 1


def test_sequence_numbers_wrap_both_ways() -> None:
    script = Script()
    script.set_initial(0xFFFFFFF0)
    socket, iss = script.accepted(initial=0xFFFFFFFA)
    assert iss == 0xFFFFFFF0
    script.call(socket.send(b"0123456789" * 4))
    script.expect("PA", iss + 1, 0xFFFFFFFB, length=40)
    script.inject("A", 0xFFFFFFFB, iss + 41, data=b"wrapping around")
    script.run(40 * MS)
    script.expect("A", 25, 10)
    assert script.call(socket.recv(100)) == b"wrapping around"
    assert socket.tcp_info().unacked == 0


def test_retransmission_timeout_backs_off_from_the_estimate() -> None:
    script = Script(tcp=TcpParameters(minimum_rto=200 * MS))
    socket, iss = script.accepted()
    script.call(socket.send(b"hello"))
    script.expect("PA", iss + 1, length=5)
    begun = script.engine.now
    rto = 200 * MS
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
    assert socket.tcp_info().rto == rto


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


def test_fin_waits_for_the_window() -> None:
    script = Script()
    socket, iss = script.accepted(window=10)
    script.call(socket.send(bytes(10)))
    script.call(socket.close())
    script.expect("PA", iss + 1, length=10)
    script.nothing()
    script.inject("A", 1001, iss + 11, window=0)
    script.nothing()
    script.run(200 * MS)
    script.expect("A", iss + 10)
    script.inject("A", 1001, iss + 11, window=1)
    script.expect("FA", iss + 11)


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
    script = Script()
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
    assert info.snd_cwnd == 8 * MSS
    for _ in range(5):
        script.inject("A", 1001, iss + 1)
    # cwnd is 13 segments now, 12 are on their way.
    script.expect("A", iss + 1 + 12 * MSS, length=MSS)
    script.nothing()
    # A partial ACK, up to segment 4: it is sent again at once (RFC 6582 step 3).
    script.inject("A", 1001, iss + 1 + 4 * MSS)
    script.expect("A", iss + 1 + 4 * MSS, length=MSS)
    assert socket.tcp_info().in_recovery
    # The window slides: 13 - 4 + 1 = 10 segments from segment 4 on, of which 9 are on their way.
    script.expect("A", iss + 1 + 13 * MSS, length=MSS)
    script.nothing()
    # The full ACK ends recovery with ssthresh (RFC 6582 step 3, option 1).
    script.inject("A", 1001, iss + 1 + 14 * MSS)
    info = socket.tcp_info()
    assert not info.in_recovery
    assert info.snd_cwnd == min(info.snd_ssthresh, 2 * MSS)
    assert mib(script, "Tcp.RetransSegs") == 2
    assert info.total_retrans == 2
    assert mib(script, "TcpExt.TCPRenoRecovery") == 1


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
    script.expect("A", iss + 1 + 4 * MSS, length=MSS, at=begun + 350 * MS)
    assert socket.tcp_info().retransmits == 1


def test_duplicates_after_a_timeout_start_no_recovery() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.call(socket.send(bytes(8 * MSS)))
    script.run(200 * MS)
    script.sent.clear()
    for _ in range(4):
        script.inject("A", 1001, iss + 1)
    # RFC 6582 section 3.2 step 1: these may come from what the timeout sent twice.
    assert not socket.tcp_info().in_recovery
    assert socket.tcp_info().snd_ssthresh == 4 * MSS


def test_nagle_holds_the_second_small_segment() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.call(socket.send(b"a"))
    script.expect("PA", iss + 1, length=1)
    script.call(socket.send(b"b"))
    script.call(socket.send(b"c"))
    script.nothing()
    script.inject("A", 1001, iss + 2)
    script.expect("PA", iss + 2, length=2)
    socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    script.call(socket.send(b"d"))
    script.expect("PA", iss + 4, length=1)
    assert socket.getsockopt(IPPROTO_TCP, TCP_NODELAY) == 1


def test_zero_window_is_probed_with_doubled_intervals() -> None:
    script = Script()
    socket, iss = script.accepted(window=3000)
    task = script.start(socket.send(bytes(5000)))
    assert task.done()
    script.expect("A", iss + 1, length=MSS)
    script.expect("A", iss + 1 + MSS, length=MSS)
    script.inject("A", 1001, iss + 1 + 2 * MSS, window=0)
    begun = script.engine.now
    moment = begun
    rto = socket.tcp_info().rto
    for attempt in range(3):
        moment += rto << attempt
        script.run(moment - script.engine.now)
        # The probe's number is old, so that the peer must answer.
        script.expect("A", iss + 2 * MSS, at=moment)
        script.inject("A", 1001, iss + 1 + 2 * MSS, window=0)
    script.nothing()
    script.inject("A", 1001, iss + 1 + 2 * MSS, window=5000)
    script.expect("A", iss + 1 + 2 * MSS, length=MSS)
    script.expect("PA", iss + 1 + 3 * MSS, length=5000 - 3 * MSS)
    assert mib(script, "TcpExt.TCPWinProbe") == 3


def test_small_window_is_used_by_the_probe_only() -> None:
    script = Script()
    socket, iss = script.accepted(window=4000)
    script.call(socket.send(bytes(MSS)))
    script.expect("PA", length=MSS)
    script.inject("A", 1001, iss + 1 + MSS, window=100)
    script.call(socket.send(bytes(MSS)))
    # RFC 9293 section 3.8.6.2.1: neither a full segment nor half of the largest window.
    script.nothing()
    script.run(socket.tcp_info().rto)
    script.expect("A", iss + 1 + MSS, length=100)


def test_an_overtaken_segment_does_not_set_the_window() -> None:
    script = Script()
    socket, iss = script.accepted()
    script.inject("A", 1001, iss + 1, data=b"x" * 50, window=7000)
    script.inject("A", 1051, iss + 1, data=b"x" * 50, window=5000)
    # Sent before the data, arrived after it (RFC 9293 section 3.10.7.4: SND.WL1).
    script.inject("A", 1001, iss + 1, window=100)
    assert socket.tcp_info().snd_wnd == 5000
    script.call(socket.send(b"y" * 50))
    script.inject("A", 1101, iss + 51, window=4000)
    script.inject("A", 1101, iss + 1, window=6000)
    assert socket.tcp_info().snd_wnd == 4000, "SND.WL2: the older ACK does not count either"


def test_receive_window_closes_and_opens() -> None:
    script = Script(tcp=TcpParameters(receive_buffer=4 * MSS))
    socket, iss = script.accepted()
    sequence = 1001
    for number in range(4):
        script.inject("A", sequence, iss + 1, data=bytes((number,)) * MSS)
        sequence += MSS
    assert [packet[TCP].window for _, packet in script.sent] == [2 * MSS, 0]
    script.sent.clear()
    # A probe beyond the closed window is answered and dropped.
    script.inject("A", sequence, iss + 1, data=b"!")
    script.expect("A", acknowledgment=sequence, window=0)
    assert script.stack.counters.nonzero()["Drop.TCP_ZEROWINDOW"] == 1
    # Reading a little opens nothing (silly window), reading half does.
    assert len(script.call(socket.recv(100))) == 100
    script.nothing()
    assert len(script.call(socket.recv(2 * MSS))) == 2 * MSS
    script.expect("A", acknowledgment=sequence, window=2 * MSS + 100)


def test_half_close_lets_data_come_in() -> None:
    script = Script()
    socket, iss = script.accepted()
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
    script.expect("RA", iss + 2)
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
    script = Script()
    listener = script.stack.socket(AF_INET, SOCK_STREAM)
    script.call(listener.bind((A, 80)))
    script.call(listener.listen(2))
    for port in (4001, 4002, 4003):
        script.ports = (80, port)
        script.inject("S", 100)
    assert len(script.sent) == 2
    assert mib(script, "TcpExt.ListenOverflows") == 1
    script.sent.clear()
    script.call(listener.close())
    assert [str(packet[TCP].flags) for _, packet in script.sent] == ["RA", "RA"]
    assert not script.stack.tcp.connections


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


def test_offload_marks_packets_for_the_device() -> None:
    script = Script(features=OFFLOADS)
    socket, _ = script.accepted()
    script.device.packets.clear()
    script.call(socket.send(bytes(9 * MSS + 100)))
    (packet,) = script.device.packets
    assert (packet.gso_size, packet.gso_segs) == (MSS, 10)
    assert (packet.csum_start, packet.csum_offset) == (34, 16)
    # The pseudo-header sum with the packet's own TCP length, as Linux leaves it.
    frame = packet.frame()
    pseudo = sum(int.from_bytes(frame[at : at + 2], "big") for at in (26, 28, 30, 32)) + 6 + 20 + 9 * MSS + 100
    assert int.from_bytes(frame[50:52], "big") == (pseudo & 0xFFFF) + (pseudo >> 16)
    assert IP(frame[14:]).len == 40 + 9 * MSS + 100


def test_packets_never_exceed_the_windows() -> None:
    script = Script(features=OFFLOADS)
    socket, _ = script.accepted(window=4 * MSS + 10)
    script.device.packets.clear()
    task = script.start(socket.send(bytes(300_000)))
    assert not task.done(), "the send buffer is bounded"
    assert [len(packet.data) for packet in script.device.packets] == [4 * MSS]
    assert socket.tcp_info().unacked + socket.tcp_info().notsent == 256 * 1024


def test_shutdown_read_ends_a_waiting_recv() -> None:
    script = Script()
    socket, _ = script.accepted()
    waiting = script.start(socket.recv(1))
    assert not waiting.done()
    script.call(socket.shutdown(SHUT_RD))
    assert waiting.result() == b""
