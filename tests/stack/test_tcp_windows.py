"""Windows, acknowledgments, small segments and offloads, segment by segment (RFC 9293 section 3.8.6)."""

from scapy.layers.inet import IP, TCP

from stack.net_device import Features
from stack.skbuff import IpSummed
from stack.socket import TCP_NODELAY, TCP_QUICKACK
from stack.tcp.parameters import TcpParameters
from stack.tcp.tcp import IPPROTO_TCP
from tests.stack.network import OFFLOADS
from tests.stack.scripted import MS, Script

MSS = 1460


def mib(script: Script, name: str) -> int:
    return script.stack.counters.mib[name]


def test_delayed_ack_after_40_ms_and_at_every_second_segment() -> None:
    script = Script()
    socket, _ = script.accepted()
    socket.setsockopt(IPPROTO_TCP, TCP_QUICKACK, 0)
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


def test_fin_does_not_ride_beyond_the_window() -> None:
    script = Script()
    socket, iss = script.accepted(window=10)
    script.call(socket.send(b"a"))
    script.call(socket.send(b"bcdefghij"))
    script.expect("PA", length=1)
    script.call(socket.close())
    script.expect("PA", iss + 2, length=9)
    script.nothing()
    script.inject("A", 1001, iss + 11, window=10)
    script.expect("FA", iss + 11)


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
    socket.setsockopt(IPPROTO_TCP, TCP_QUICKACK, 0)
    script.inject("A", 1001, iss + 1, data=b"x" * 50, window=7000)
    script.inject("A", 1051, iss + 1, data=b"x" * 50, window=5000)
    # Sent before the data, arrived after it (RFC 9293 section 3.10.7.4: SND.WL1).
    script.inject("A", 1001, iss + 1, window=100)
    assert socket.tcp_info().snd_wnd == 5000
    # An overtaken ACK is no offence: no challenge.
    script.nothing()
    script.call(socket.send(b"y" * 50))
    script.inject("A", 1101, iss + 51, window=4000)
    script.inject("A", 1101, iss + 1, window=6000)
    assert socket.tcp_info().snd_wnd == 4000, "SND.WL2: the older ACK does not count either"


def test_receive_window_closes_and_opens() -> None:
    script = Script(tcp=TcpParameters(receive_buffer=4 * MSS, moderate_receive_buffer=False))
    socket, iss = script.accepted()
    socket.setsockopt(IPPROTO_TCP, TCP_QUICKACK, 0)
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


def test_offloads_may_be_switched_while_connected() -> None:
    script = Script(features=OFFLOADS)
    socket, iss = script.accepted()
    script.device.features = Features.NONE
    script.device.packets.clear()
    script.call(socket.send(bytes(3 * MSS)))
    assert [(len(packet.data), packet.ip_summed) for packet in script.device.packets] == [(MSS, IpSummed.NONE)] * 3
    script.device.features = OFFLOADS
    script.inject("A", 1001, iss + 1 + 3 * MSS)
    script.call(socket.send(bytes(3 * MSS)))
    assert [packet.gso_segs for packet in script.device.packets[3:]] == [3]


def test_packets_never_exceed_the_windows() -> None:
    script = Script(features=OFFLOADS)
    socket, _ = script.accepted(window=4 * MSS + 10)
    script.device.packets.clear()
    task = script.start(socket.send(bytes(300_000)))
    assert not task.done(), "the send buffer is bounded"
    assert [len(packet.data) for packet in script.device.packets] == [4 * MSS]
    assert socket.tcp_info().unacked + socket.tcp_info().notsent == 256 * 1024


def test_what_a_senders_time_goes_on() -> None:
    script = Script(tcp=TcpParameters(send_buffer=4 * MSS, send_buffer_maximum=4 * MSS))
    socket, iss = script.accepted(window=4 * MSS)
    assert socket.tcp_info().busy_time == 0
    script.call(socket.send(bytes(MSS)))
    script.run(10 * MS)
    script.inject("A", 1001, iss + 1 + MSS, window=0)
    script.run(20 * MS)
    # All is acknowledged: nothing is missing.
    assert (socket.tcp_info().busy_time, socket.tcp_info().rwnd_limited) == (10 * MS, 0)
    script.call(socket.send(bytes(MSS)))
    script.run(30 * MS)
    assert (socket.tcp_info().busy_time, socket.tcp_info().rwnd_limited) == (40 * MS, 30 * MS)
    script.inject("A", 1001, iss + 1 + MSS, window=4 * MSS)
    script.run(5 * MS)
    assert (socket.tcp_info().busy_time, socket.tcp_info().rwnd_limited) == (45 * MS, 30 * MS)
    script.engine.spawn(socket.send(bytes(8 * MSS)))
    script.run(7 * MS)
    assert socket.tcp_info().sndbuf_limited == 7 * MS
    assert socket.tcp_info().busy_time == 52 * MS


def test_a_quarter_of_the_buffer_opens_the_window_at_once() -> None:
    script = Script(tcp=TcpParameters(receive_buffer=40_000, moderate_receive_buffer=False))
    socket, iss = script.accepted()
    for number in range(12):
        script.inject("A", 1001 + number * 1000, iss + 1, data=bytes(1000))
    assert [packet[TCP].window for _, packet in script.sent][-1] == 28_000
    script.sent.clear()
    script.call(socket.recv(9_000))
    script.nothing()
    script.call(socket.recv(3_000))
    script.expect("A", iss + 1, 13_001, window=40_000)
