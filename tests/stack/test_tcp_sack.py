"""Selective acknowledgment, segment by segment: what is reported (RFC 2018, RFC 2883), and recovery from what is
(RFC 6675, RFC 8985, RFC 6937, RFC 5682)."""

from typing import Any

import pytest
from scapy.layers.inet import TCP

from stack.tcp.parameters import TcpParameters
from stack.tcp.progress import CaState
from tests.stack.invariants import check
from tests.stack.scripted import MS, Script

MSS = 1460
SACK_PERMITTED: list[Any] = [("SAckOK", b"")]


def mib(script: Script, name: str) -> int:
    return script.stack.counters.mib[f"TcpExt.{name}"]


def sack(*edges: int) -> list[Any]:
    return [("NOP", None), ("NOP", None), ("SAck", tuple(edge & 0xFFFFFFFF for edge in edges))]


def blocks(packet: Any) -> list[tuple[int, int]]:
    """SACK blocks of a segment that the stack has sent."""
    edges = dict(option for option in packet[TCP].options if option[0] != "NOP").get("SAck", ())
    return list(zip(edges[::2], edges[1::2], strict=True))


class Transfer:
    """A connection on a path of 10 ms with ``count`` segments on their way."""

    def __init__(self, count: int = 10, *, waiting: int = 0, **parameters: Any) -> None:
        self.script = Script(tcp=TcpParameters(congestion_control="reno", **parameters))
        self.socket, iss = self.script.accepted(options=SACK_PERMITTED, round_trip=10 * MS)
        self.first = iss + 1
        self.script.call(self.socket.send(bytes((count + waiting) * MSS)))
        self.expect_new(*range(count))
        self.script.run(10 * MS)

    def at(self, segment: int) -> int:
        return self.first + segment * MSS

    def ack(self, upto: int, *selected: tuple[int, int]) -> None:
        """The peer has all segments before ``upto``, and those in the ranges."""
        edges = [self.at(edge) for block in selected for edge in block]
        self.script.inject("A", 1001, self.at(upto), options=sack(*edges) if edges else [])
        check(self.socket._connected())

    def expect_new(self, *segments: int) -> None:
        for segment in segments:
            _, packet = self.script.sent.pop(0)
            assert packet[TCP].seq == self.at(segment) & 0xFFFFFFFF, (packet[TCP].seq - self.first) / MSS
            assert len(packet[TCP].payload) == MSS
        self.script.nothing()

    @property
    def info(self) -> Any:
        return self.socket.tcp_info()


def test_blocks_are_told_the_latest_first_and_joined() -> None:
    script = Script()
    _, iss = script.accepted(options=SACK_PERMITTED)
    for offset, expected in [
        (20, [(1021, 1031)]),
        (40, [(1041, 1051), (1021, 1031)]),
        (60, [(1061, 1071), (1041, 1051), (1021, 1031)]),
        (30, [(1021, 1051), (1061, 1071)]),
        (80, [(1081, 1091), (1021, 1051), (1061, 1071)]),
    ]:
        script.inject("A", 1001 + offset, iss + 1, data=b"x" * 10)
        assert blocks(script.expect("A", acknowledgment=1001)) == expected
    script.inject("A", 1001, iss + 1, data=b"x" * 20)
    assert blocks(script.expect("A", acknowledgment=1051)) == [(1081, 1091), (1061, 1071)]


@pytest.mark.parametrize("sacks", [True, False])
def test_without_sack_each_duplicate_tells_of_a_segment_so_none_waits(sacks: bool) -> None:
    script = Script()
    _, iss = script.accepted(options=SACK_PERMITTED if sacks else [], round_trip=10 * MS)
    for number in range(1, 8):
        script.inject("A", 1001 + number * MSS, iss + 1, data=bytes(MSS))
    assert len(script.sent) == (3 if sacks else 7)
    assert mib(script, "TCPAckCompressed") == 0, "none was saved yet"
    script.run(MS)
    assert len(script.sent) == (4 if sacks else 7)
    assert mib(script, "TCPAckCompressed") == (3 if sacks else 0)


def test_in_quick_mode_no_ack_waits() -> None:
    script = Script()
    _, iss = script.accepted(options=SACK_PERMITTED, round_trip=10 * MS)
    script.inject("A", 1001, iss + 1, data=bytes(MSS))
    for number in range(2, 20):
        script.inject("A", 1001 + number * MSS, iss + 1, data=bytes(MSS))
    assert len(script.sent) == 16


def test_a_connection_that_ends_leaves_no_ack_behind() -> None:
    script = Script()
    socket, iss = script.accepted(options=SACK_PERMITTED, round_trip=10 * MS)
    for number in range(1, 6):
        script.inject("A", 1001 + number * MSS, iss + 1, data=bytes(MSS))
    assert len(script.sent) == 3
    script.inject("R", 1001, 0)
    assert socket._connected().closed()
    script.run(MS)
    assert len(script.sent) == 3


def test_at_most_four_blocks_and_three_with_timestamps() -> None:
    for options, most in ((SACK_PERMITTED, 4), ([*SACK_PERMITTED, ("Timestamp", (5, 0))], 3)):
        script = Script()
        _, iss = script.accepted(options=options)
        for offset in range(10, 120, 20):
            script.inject("A", 1001 + offset, iss + 1, data=b"x" * 10)
            told = blocks(script.sent.pop()[1])
        assert told == [(1001 + offset, 1011 + offset) for offset in range(110, 110 - 20 * most, -20)]


def test_duplicates_are_told_once_and_first() -> None:
    script = Script()
    _, iss = script.accepted(options=SACK_PERMITTED)
    script.inject("A", 1001, iss + 1, data=b"x" * 20)
    script.expect("A", acknowledgment=1021)
    # RFC 2883 section 4.1.1: below the acknowledgment.
    script.inject("A", 1001, iss + 1, data=b"x" * 10)
    assert blocks(script.expect("A", acknowledgment=1021)) == [(1001, 1011)]
    script.inject("A", 1031, iss + 1, data=b"x" * 20)
    assert blocks(script.expect("A", acknowledgment=1021)) == [(1031, 1051)]
    # Section 4.2.1: within a block above it, which follows.
    script.inject("A", 1036, iss + 1, data=b"x" * 10)
    assert blocks(script.expect("A", acknowledgment=1021)) == [(1036, 1046), (1031, 1051)]
    # New in its first part only.
    script.inject("A", 1026, iss + 1, data=b"x" * 15)
    assert blocks(script.expect("A", acknowledgment=1021)) == [(1031, 1041), (1026, 1051)]
    # Section 4.1.3: old in its first part only.
    script.inject("A", 1011, iss + 1, data=b"x" * 13)
    assert blocks(script.expect("A", acknowledgment=1024)) == [(1011, 1021), (1026, 1051)]


def test_nothing_is_told_without_permission() -> None:
    script = Script()
    _, iss = script.accepted()
    script.inject("A", 1011, iss + 1, data=b"x" * 10)
    assert blocks(script.expect("A", acknowledgment=1001)) == []


def test_three_selected_segments_start_recovery() -> None:
    transfer = Transfer(10, waiting=20)
    # Limited transmit (RFC 3042).
    transfer.ack(0, (1, 2))
    transfer.expect_new(10)
    assert transfer.info.ca_state is CaState.DISORDER
    transfer.ack(0, (1, 3))
    transfer.expect_new(11)
    transfer.ack(0, (1, 4))
    transfer.expect_new(0)
    info = transfer.info
    assert info.ca_state is CaState.RECOVERY
    assert info.snd_ssthresh == 5 * MSS
    assert (info.sacked, info.lost, info.retrans) == (3 * MSS, MSS, MSS)
    assert mib(transfer.script, "TCPSackRecovery") == 1


def test_all_holes_are_known_at_once_and_filled_by_proportion() -> None:
    transfer = Transfer(20, waiting=20, initial_window_segments=20)
    # 0, 1, 5 and 9 are lost; one ACK tells of the rest.
    transfer.ack(0, (2, 5), (6, 9), (10, 20))
    # RFC 6937: nothing is in flight any more, and 16 are delivered: up to ssthresh may leave. The four holes go first.
    assert transfer.info.ca_state is CaState.RECOVERY
    transfer.expect_new(0, 1, 5, 9, *range(20, 26))
    assert transfer.info.snd_cwnd == 10 * MSS
    # Partial ACK: one more is delivered, one more may leave.
    transfer.ack(1, (2, 5), (6, 9), (10, 20))
    transfer.expect_new(26)
    transfer.ack(27)
    info = transfer.info
    assert info.ca_state is CaState.OPEN
    assert info.snd_cwnd == info.snd_ssthresh == 10 * MSS
    assert info.total_retrans == 4


def test_a_lost_retransmission_is_sent_again() -> None:
    """RFC 8985 section 6: what was sent after it has arrived, so it is lost too. RFC 6675 waits for the timeout."""
    transfer = Transfer(10, waiting=20)
    transfer.ack(0, (1, 4))
    # In the order of sending: the hole, then new data.
    transfer.expect_new(0)
    transfer.ack(0, (1, 10))
    transfer.expect_new(10, 11, 12, 13)
    transfer.script.run(10 * MS)
    transfer.ack(0, (1, 12))
    assert mib(transfer.script, "TCPLostRetransmit") == 1
    _, packet = transfer.script.sent.pop(0)
    assert packet[TCP].seq == transfer.at(0)
    assert transfer.info.total_retrans == 2
    assert mib(transfer.script, "TCPTimeouts") == 0


def test_reordering_is_waited_for_once_it_was_seen() -> None:
    transfer = Transfer(10, waiting=40)
    # 0 arrives after 1: reordering, no loss.
    transfer.ack(0, (1, 2))
    transfer.ack(2)
    assert transfer.info.reord_seen
    transfer.script.sent.clear()
    transfer.ack(2, (3, 6))
    assert transfer.info.lost == 0, "a quarter of the least round trip is allowed for"
    begun = transfer.script.engine.now
    transfer.script.sent.clear()
    transfer.script.run(5 * MS)
    # Sent 10 ms ago with a round trip of 10 ms: lost 2.5 ms later (RFC 8985 section 6.2, step 5).
    time, packet = transfer.script.sent[0]
    assert packet[TCP].seq == transfer.at(2)
    assert time - begun == 2_500_000


def test_duplicate_sack_undoes_the_reduction() -> None:
    transfer = Transfer(10)
    transfer.ack(0, (1, 4))
    transfer.expect_new(0)
    assert transfer.info.snd_cwnd < 10 * MSS
    transfer.ack(4)
    # The original had been late: the copy arrives too, and is told (RFC 2883, RFC 3708).
    transfer.script.inject("A", 1001, transfer.at(4), options=sack(transfer.at(0), transfer.at(1)))
    info = transfer.info
    assert info.snd_cwnd == 10 * MSS
    assert info.ca_state is CaState.OPEN
    assert mib(transfer.script, "TCPDSACKUndo") == 1


def test_tail_loss_probe_sends_the_last_segment_again() -> None:
    transfer = Transfer(4)
    begun = transfer.script.engine.now
    transfer.script.run(40 * MS)
    # RFC 8985 section 7.2: two round trips after the last was sent, and Linux's 2 ms.
    time, packet = transfer.script.sent.pop(0)
    assert packet[TCP].seq == transfer.at(3)
    assert time == begun - 10 * MS + 2 * transfer.info.rtt + 2 * MS
    assert mib(transfer.script, "TCPLossProbes") == 1
    # Its SACK tells of the holes before it: fast recovery instead of a timeout.
    transfer.ack(0, (3, 4))
    transfer.expect_new(0)
    assert transfer.info.lost == 3 * MSS
    assert transfer.info.ca_state is CaState.RECOVERY
    assert mib(transfer.script, "TCPTimeouts") == 0


def test_tail_loss_probe_prefers_new_data() -> None:
    transfer = Transfer(10, waiting=1)
    transfer.script.run(30 * MS)
    transfer.expect_new(10)


def test_tail_loss_probe_that_repairs_a_loss_reduces_the_window() -> None:
    transfer = Transfer(4, waiting=0)
    before = transfer.info.snd_cwnd
    transfer.script.run(30 * MS)
    transfer.expect_new(3)
    transfer.script.call(transfer.socket.send(bytes(MSS)))
    transfer.expect_new(4)
    transfer.ack(5)
    # Section 7.4: no duplicate was told, so the last original was lost, and the probe took its place.
    assert mib(transfer.script, "TCPLossProbeRecovery") == 1
    assert transfer.info.snd_cwnd < before
    assert transfer.info.ca_state is CaState.OPEN


def test_single_segment_waits_for_a_delayed_ack_before_the_probe() -> None:
    transfer = Transfer(1)
    transfer.script.run(100 * MS)
    transfer.script.nothing()
    transfer.script.run(200 * MS)
    assert transfer.script.sent


def test_timeout_marks_all_lost_and_starts_with_one() -> None:
    transfer = Transfer(10, tail_loss_probe=False)
    transfer.script.run(200 * MS)
    transfer.expect_new(0)
    info = transfer.info
    assert info.ca_state is CaState.LOSS
    assert (info.lost, info.retrans, info.snd_cwnd, info.snd_ssthresh) == (10 * MSS, MSS, MSS, 5 * MSS)
    # Without new data F-RTO cannot tell: conventional slow start.
    transfer.ack(1)
    transfer.expect_new(1, 2)
    transfer.ack(3)
    transfer.expect_new(3, 4, 5, 6)
    transfer.ack(10)
    assert transfer.info.ca_state is CaState.OPEN


def test_frto_finds_a_spurious_timeout() -> None:
    transfer = Transfer(10, waiting=10, tail_loss_probe=False)
    transfer.script.run(200 * MS)
    transfer.expect_new(0)
    # RFC 5682 section 3.1: the first ACK moves the window; new data goes out instead of a second retransmission.
    transfer.ack(1)
    transfer.expect_new(10, 11)
    # The second acknowledges what was never sent again: the timeout was spurious.
    transfer.ack(2)
    info = transfer.info
    assert mib(transfer.script, "TCPSpuriousRTOs") == 1
    assert info.ca_state is CaState.OPEN
    assert info.lost == 0
    assert info.snd_cwnd >= 10 * MSS
    assert info.backoff == 0


def test_frto_finds_a_real_timeout() -> None:
    transfer = Transfer(10, waiting=10, tail_loss_probe=False)
    transfer.script.run(200 * MS)
    transfer.expect_new(0)
    transfer.ack(1)
    transfer.expect_new(10, 11)
    # Step 3a: a duplicate, with SACK only of what was sent after the timeout.
    transfer.ack(1, (10, 11))
    _, packet = transfer.script.sent.pop(0)
    assert packet[TCP].seq == transfer.at(1)
    assert transfer.info.ca_state is CaState.LOSS
    assert mib(transfer.script, "TCPSpuriousRTOs") == 0


def test_reneging_is_found_by_the_timeout() -> None:
    transfer = Transfer(10, tail_loss_probe=False)
    transfer.ack(0, (1, 10))
    transfer.expect_new(0)
    # The receiver takes segment 0, and has dropped 1 to 9, which it had reported (RFC 2018 section 8).
    transfer.ack(1)
    transfer.script.run(transfer.info.rto)
    transfer.expect_new(1)
    assert mib(transfer.script, "TCPSACKReneging") == 1
    assert transfer.info.sacked == 0


@pytest.mark.parametrize(
    "wrong", [(20, 21), (-5, -4), (3, 3), (4, 2), (-3, 2), (2, 1 << 20)], ids=lambda wrong: f"{wrong[0]}-{wrong[1]}"
)
def test_impossible_blocks_are_ignored(wrong: tuple[int, int]) -> None:
    transfer = Transfer(10)
    transfer.ack(0, wrong)
    assert transfer.info.sacked == 0
    assert transfer.info.lost == 0
    check(transfer.socket._connected())


def test_eifel_detection_by_timestamps_undoes_a_timeout() -> None:
    script = Script(tcp=TcpParameters(tail_loss_probe=False, frto=False))
    socket, iss = script.accepted(options=[*SACK_PERMITTED, ("Timestamp", (100, 0))])
    script.run(50 * MS)
    script.call(socket.send(bytes(4 * 1448)))
    first = dict(script.sent[0][1][TCP].options)["Timestamp"][0]
    script.run(1500 * MS)
    info = socket.tcp_info()
    assert info.ca_state is CaState.LOSS
    assert info.snd_cwnd <= 2 * 1448
    # The ACK echoes the original's timestamp, not the copy's (RFC 3522, RFC 4015).
    script.inject("A", 1001, iss + 1 + 1448, options=[("NOP", None), ("NOP", None), ("Timestamp", (101, first))])
    info = socket.tcp_info()
    assert info.ca_state is CaState.OPEN
    assert info.snd_cwnd == 10 * 1448
    assert info.backoff == 0
    assert mib(script, "TCPLossUndo") == 1
