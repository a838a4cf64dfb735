"""Timestamps and PAWS (RFC 7323), ECN (RFC 3168), keep-alive, user timeout (RFC 5482), cork, buffers that grow, small
queues, pacing, smaller paths (RFC 1191)."""

from collections import Counter
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP

from stack.net_device import Features
from stack.socket import (
    AF_INET,
    SO_KEEPALIVE,
    SO_MAX_PACING_RATE,
    SO_RCVBUF,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_CORK,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_MAXSEG,
    TCP_NODELAY,
    TCP_USER_TIMEOUT,
)
from stack.tcp.parameters import TcpParameters
from stack.tcp.progress import CaState
from stack.tcp.state import State
from stack.tcp.tcp import IPPROTO_TCP
from tests.stack.network import MS, OFFLOADS, SECOND, B, Network
from tests.stack.scripted import Script
from tests.stack.test_tcp_network import exchange

MSS = 1460


def stamp(value: int, echo: int) -> list[Any]:
    return [("NOP", None), ("NOP", None), ("Timestamp", (value, echo))]


def stamps(packet: Any) -> tuple[int, int]:
    return dict(option for option in packet[TCP].options if option[0] != "NOP")["Timestamp"]


def with_timestamps(**parameters: Any) -> tuple[Script, Any, int]:
    script = Script(tcp=TcpParameters(**parameters))
    socket, iss = script.accepted(options=[("Timestamp", (100, 0))])
    return script, socket, iss


def drops(script: Script) -> dict[str, int]:
    return {name: count for name, count in script.stack.counters.nonzero().items() if name.startswith("Drop.")}


def test_timestamps_tick_and_echo() -> None:
    script, socket, iss = with_timestamps()
    script.inject("A", 1001, iss + 1, data=b"x" * 10, options=stamp(150, 0))
    value, echo = stamps(script.expect("A", iss + 1, 1011))
    assert echo == 150
    script.run(25 * MS)
    script.call(socket.send(b"y"))
    later, echo = stamps(script.expect("PA", iss + 1, length=1))
    assert (later - value & 0xFFFFFFFF, echo) == (25, 150)


def test_the_earliest_unacknowledged_segment_is_echoed() -> None:
    """RFC 7323 section 4.3, case A: delayed ACKs make the round trip longer for the peer, not shorter."""
    script, socket, iss = with_timestamps()
    script.call(socket.send(b"reply"))
    script.sent.clear()
    # Interactive by now: the first waits for the script.
    script.inject("A", 1001, iss + 6, data=b"x" * 10, options=stamp(150, 0))
    script.sent.clear()
    script.inject("A", 1021, iss + 6, data=b"x" * 10, options=stamp(170, 0))
    # A gap: what is ahead of it sets nothing (case B).
    assert stamps(script.expect("A", acknowledgment=1011))[1] == 150
    script.inject("A", 1011, iss + 6, data=b"x" * 10, options=stamp(160, 0))
    # Case C: what fills the gap does.
    assert stamps(script.expect("A", acknowledgment=1031))[1] == 160


def test_paws_drops_old_duplicates_and_lets_resets_pass() -> None:
    script, socket, iss = with_timestamps()
    script.inject("A", 1001, iss + 1, data=b"new" * 4, options=stamp(150, 0))
    script.sent.clear()
    # RFC 7323 section 5.3, R1: dropped and acknowledged.
    script.inject("A", 1013, iss + 1, data=b"old" * 4, options=stamp(149, 0))
    script.expect("A", iss + 1, 1013)
    assert drops(script) == {"Drop.TCP_RFC7323_PAWS": 1}
    assert script.stack.counters.mib["TcpExt.PAWSEstab"] == 1
    assert script.call(socket.recv(100)) == b"new" * 4
    script.inject("RA", 1013, iss + 1, options=stamp(1, 0))
    assert socket.tcp_info().state is State.CLOSED


def test_paws_forgets_after_24_days() -> None:
    script, socket, iss = with_timestamps()
    script.inject("A", 1001, iss + 1, data=b"a", options=stamp(150, 0))
    script.run(24 * 24 * 3600 * SECOND)
    script.inject("A", 1002, iss + 1, data=b"b", options=stamp(149, 0))
    assert script.call(socket.recv(100)) == b"ab"


def test_time_wait_gives_way_to_a_later_timestamp() -> None:
    """RFC 6191: although its sequence number is in the old window."""
    script, socket, iss = with_timestamps()
    script.call(socket.close())
    script.inject("FA", 1001, iss + 2, options=stamp(150, 0))
    script.sent.clear()
    script.inject("S", 900, options=[("MSS", 1460), ("Timestamp", (150, 0))])
    assert str(script.sent.pop()[1][TCP].flags) == "A"
    script.inject("S", 900, options=[("MSS", 1460), ("Timestamp", (151, 0))])
    script.expect("SA", acknowledgment=901)


def ecn_connection(**parameters: Any) -> tuple[Script, Any, int]:
    """The peer asks for ECN."""
    script = Script(tcp=TcpParameters(congestion_control="reno", **parameters))
    original = script.inject

    def inject(flags: str, *args: Any, **keywords: Any) -> None:
        original("SEC" if flags == "S" else flags, *args, **keywords)

    script.inject = inject  # type: ignore[method-assign]
    listened: list[Any] = []
    expect = script.expect

    def expecting(flags: str, *args: Any, **keywords: Any) -> Any:
        packet = expect(flags + "E" if flags == "SA" else flags, *args, **keywords)
        listened.append(packet)
        return packet

    script.expect = expecting  # type: ignore[method-assign]
    socket, iss = script.accepted()
    script.inject = original  # type: ignore[method-assign]
    script.expect = expect  # type: ignore[method-assign]
    assert listened[0][IP].tos == 0, "RFC 3168 section 6.1.1: a SYN is not ECN-capable"
    return script, socket, iss


def test_ecn_marks_new_data_only() -> None:
    script, socket, iss = ecn_connection()
    assert socket.tcp_info().ecn
    script.call(socket.send(b"data"))
    assert script.expect("PA", length=4)[IP].tos == 2
    script.run(socket.tcp_info().rto)
    # Section 6.1.5: not what is sent again, and not a pure ACK.
    assert script.expect("PA", length=4)[IP].tos == 0
    script.inject("A", 1001, iss + 5, data=b"x")
    script.run(40 * MS)
    assert script.expect("A")[IP].tos == 0


def test_ecn_echo_reduces_the_window_once_and_is_answered() -> None:
    script, socket, iss = ecn_connection()
    script.call(socket.send(bytes(20 * MSS)))
    assert len(script.sent) == 10
    script.sent.clear()
    script.inject("EA", 1001, iss + 1 + 2 * MSS)
    info = socket.tcp_info()
    assert info.ca_state is CaState.CWR
    assert info.snd_ssthresh == 5 * MSS
    script.inject("EA", 1001, iss + 1 + 4 * MSS)
    assert socket.tcp_info().snd_ssthresh == 5 * MSS, "once per round trip"
    flags = [str(packet[TCP].flags) for _, packet in script.sent]
    # Section 6.1.2: CWR on the first new segment after.
    assert "C" in flags[0]
    assert not any("C" in more for more in flags[1:])
    script.inject("A", 1001, iss + 1 + 11 * MSS)
    script.inject("A", 1001, iss + 1 + 13 * MSS)
    assert socket.tcp_info().ca_state is CaState.OPEN
    assert socket.tcp_info().total_retrans == 0


def test_ecn_receiver_echoes_until_cwr() -> None:
    script, _, iss = ecn_connection()
    arrive = script.device.arrive

    def mark(frame: bytes) -> None:
        packet = IP(frame[14:])
        packet.tos = 3
        packet.chksum = None
        arrive(frame[:14] + bytes(packet))

    script.device.arrive = mark  # type: ignore[method-assign]
    script.inject("A", 1001, iss + 1, data=b"a")
    script.device.arrive = arrive  # type: ignore[method-assign]
    assert "E" in str(script.sent.pop()[1][TCP].flags)
    script.inject("A", 1002, iss + 1, data=b"b")
    assert "E" in str(script.sent.pop()[1][TCP].flags)
    script.inject("CA", 1003, iss + 1, data=b"c")
    assert "E" not in str(script.sent.pop()[1][TCP].flags)


@pytest.mark.parametrize(("ecn", "flags"), [(1, "SEC"), (2, "S"), (0, "S")])
def test_ecn_is_asked_for_once_and_only_if_wanted(ecn: int, flags: str) -> None:
    script = Script(tcp=TcpParameters(ecn=ecn))
    script.connecting()
    script.expect(flags)
    script.run(SECOND)
    # Section 6.1.1.1: who drops such a SYN does not drop the next.
    script.expect("S")


def test_keep_alive_asks_and_gives_up() -> None:
    script = Script()
    socket, iss = script.accepted()
    for option, value in ((TCP_KEEPIDLE, 60), (TCP_KEEPINTVL, 5), (TCP_KEEPCNT, 3)):
        socket.setsockopt(IPPROTO_TCP, option, value)
    socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
    waiting = script.start(socket.recv(1))
    begun = script.engine.now
    script.run(60 * SECOND)
    # RFC 9293 section 3.8.4: an old number, so that the peer must answer.
    script.expect("A", iss, 1001, at=begun + 60 * SECOND)
    script.inject("A", 1001, iss + 1)
    script.nothing()
    answered = script.engine.now
    script.run(80 * SECOND)
    for offset in (60, 65, 70):
        script.expect("A", iss, 1001, at=answered + offset * SECOND)
    script.expect("RA")
    with pytest.raises(TimeoutError):
        waiting.result()
    assert script.stack.counters.mib["TcpExt.TCPKeepAlive"] == 4
    assert script.engine.next_call() is None


def test_without_keep_alive_silence_lasts_for_ever() -> None:
    script = Script()
    script.accepted()
    script.run(100_000 * SECOND)
    script.nothing()


def test_user_timeout_ends_the_wait_for_an_ack() -> None:
    script = Script()
    socket, _ = script.accepted()
    socket.setsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT, 2_000)
    script.run(10 * SECOND)
    script.call(socket.send(b"hello"))
    waiting = script.start(socket.recv(1))
    script.run(2 * SECOND - MS)
    assert not waiting.done()
    script.run(MS)
    with pytest.raises(TimeoutError):
        waiting.result()


def test_cork_holds_what_is_not_full() -> None:
    script = Script()
    socket, iss = script.accepted()
    socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    socket.setsockopt(IPPROTO_TCP, TCP_CORK, 1)
    script.call(socket.send(bytes(MSS + 100)))
    script.expect("A", iss + 1, length=MSS)
    script.nothing()
    script.call(socket.send(bytes(MSS)))
    script.expect("A", iss + 1 + MSS, length=MSS)
    script.nothing()
    socket.setsockopt(IPPROTO_TCP, TCP_CORK, 0)
    script.expect("PA", iss + 1 + 2 * MSS, length=100)


def test_cork_lasts_no_longer_than_200_ms() -> None:
    script = Script()
    socket, iss = script.accepted()
    socket.setsockopt(IPPROTO_TCP, TCP_CORK, 1)
    script.call(socket.send(b"held"))
    script.nothing()
    script.run(201 * MS)
    # tcp(7); the timer is the retransmission timer's
    script.expect("PA", iss + 1, length=4, at=socket.tcp_info().rto)


def test_maximum_segment_size_is_advertised_and_kept() -> None:
    script = Script()
    socket = script.stack.socket(AF_INET, SOCK_STREAM)
    socket.setsockopt(IPPROTO_TCP, TCP_MAXSEG, 600)
    script.start(socket.connect((B, script.ports[1])))
    script.ports = (socket.getsockname()[1], script.ports[1])
    syn = script.expect("S")[TCP]
    assert ("MSS", 600) in syn.options
    script.inject("SA", 900, syn.seq + 1, options=[("MSS", 1460)])
    script.expect("A")
    script.call(socket.send(bytes(700)))
    script.expect("A", length=600)


def test_a_smaller_path_splits_what_is_on_its_way() -> None:
    script = Script()
    socket, _ = script.accepted()
    script.call(socket.send(bytes(2 * MSS)))
    script.sent.clear()
    script.device.mtu = 1000
    socket._connected().mtu_reduced()
    # RFC 1191 section 6.5: sent again at once in smaller pieces, and no sign of congestion.
    lengths = [len(packet[TCP].payload) for _, packet in script.sent]
    assert lengths == [960, 500, 960, 500]
    assert socket.tcp_info().snd_mss == 960
    assert socket.tcp_info().snd_cwnd == 10 * MSS


def test_receive_buffer_grows_with_its_reader() -> None:
    network = Network(delay=20 * MS)
    exchange(network, bytes(6_000_000))
    fast = network.engine.now
    fixed = Network(delay=20 * MS, tcp=TcpParameters(moderate_receive_buffer=False))
    exchange(fixed, bytes(6_000_000))
    # 256 KiB per 40 ms are 23 round trips.
    assert fixed.engine.now > 23 * 40 * MS
    assert fast < fixed.engine.now * 2 // 3


def test_the_receivers_round_trip_follows_a_path_that_grows() -> None:
    script, socket, iss = with_timestamps()
    for number in range(32):
        script.sent.clear()
        script.call(socket.send(b"x"))
        value, _ = stamps(script.sent[-1][1])
        script.run(50 * MS)
        # A window has come within a millisecond before; only the echo tells that the path is longer now.
        data = bytes(MSS - 12)
        script.inject("A", 1001 + number * len(data), iss + 2 + number, data=data, options=stamp(150 + number, value))
    assert socket.tcp_info().rcv_rtt == pytest.approx(50 * MS, rel=0.05)


def test_a_receive_buffer_that_was_set_stays() -> None:
    script = Script()
    socket, iss = script.accepted()
    socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 30_000)
    for number in range(40):
        script.inject("A", 1001 + number * 1000, iss + 1, data=bytes(1000))
        script.run(10 * MS)
        script.call(socket.recv(100_000))
    assert socket.tcp_info().rcv_space == 30_000


@pytest.mark.parametrize("features", [Features.NONE, OFFLOADS])
def test_small_queues_bound_what_waits_in_this_host(features: Features) -> None:
    script = Script(features=features, tcp=TcpParameters(limit_output_bytes=5 * MSS, initial_window_segments=150))
    socket, _ = script.accepted(options=[("NOP", None), ("WScale", 7)])
    script.device.hold = True
    script.call(socket.send(bytes(170 * MSS)))
    # A packet may be begun while there is room for a byte; without segmentation offload too it counts as one.
    held = sum(len(skb.data) for skb, _ in script.device.held)
    assert held == socket._connected().chunk() > 5 * MSS
    script.device.hold = False
    script.device.release()
    script.run(0)
    # What has left makes room for more. What the congestion window holds beside three whole packets is less than a
    # third of it, and waits for an ACK (tcp_tso_should_defer).
    assert socket.tcp_info().unacked == 3 * socket._connected().chunk()


def test_pacing_spreads_packets() -> None:
    script = Script(tcp=TcpParameters(initial_window_segments=18))
    socket, _ = script.accepted()
    socket.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 292_000)
    script.call(socket.send(bytes(18 * MSS)))
    script.run(60 * MS)
    moments = [time for time, _ in script.sent]
    # The first ten are not paced. Two segments per packet at least (tcp_min_tso_segs), 10 ms each at 292 kB/s.
    assert moments == [0] * 12 + [10 * MS, 10 * MS, 20 * MS, 20 * MS, 30 * MS, 30 * MS]


def test_pacing_by_the_window() -> None:
    largest = []
    for pacing in (True, False):
        network = Network(delay=10 * MS, tcp=TcpParameters(pacing=pacing))
        exchange(network, bytes(300_000))
        moments = Counter(time for time, sender, frame in network.wire.frames if sender == "a" and len(frame) > 1000)
        # The first window goes before any round trip is known.
        largest.append(max(count for time, count in moments.items() if time > 50 * MS))
    paced, bursty = largest
    # A packet is a millisecond of the rate, which in slow start is twice the window (113 segments at the end) per round
    # trip of 20 ms.
    assert paced <= 11
    assert bursty > 4 * paced
