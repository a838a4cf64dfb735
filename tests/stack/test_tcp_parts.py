"""TCP's parts by themselves: sequence numbers, wire format, RTT, congestion window, reassembly, timers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import TCP

from sim.engine import EventEngine
from stack.tcp.options import (
    Options,
    maximum_sack_blocks,
    pack_sack,
    pack_syn_options,
    pack_timestamps,
    parse_options,
)
from stack.tcp.parameters import TcpParameters
from stack.tcp.receive import Receiver, scale_for
from stack.tcp.reno import Reno
from stack.tcp.rtt import RttEstimator
from stack.tcp.scoreboard import Scoreboard, Sent
from stack.tcp.segment import parse
from stack.tcp.sequence import MASK, unwrap
from stack.tcp.timers import DeadlineTimer
from tests.stack.invariants import check_scoreboard

MS = 1_000_000


@given(reference=st.integers(0, 1 << 40), offset=st.integers(-(1 << 31), (1 << 31) - 1))
def test_unwrap_finds_the_nearest(reference: int, offset: int) -> None:
    assert unwrap((reference + offset) & MASK, reference) == reference + offset


@given(
    mss=st.none() | st.integers(0, 65535),
    scale=st.none() | st.integers(0, 14),
    sack=st.booleans(),
    timestamps=st.none() | st.tuples(st.integers(0, MASK), st.integers(0, MASK)),
)
def test_options_as_scapy_reads_them(
    mss: int | None, scale: int | None, sack: bool, timestamps: tuple[int, int] | None
) -> None:
    offer = Options(mss, scale, sack, timestamps)
    built = pack_syn_options(offer)
    assert len(built) % 4 == 0
    assert len(built) <= 40
    assert parse_options(built) == offer
    header = TCP(bytes(TCP())[:12] + bytes((5 + len(built) // 4 << 4,)) + bytes(7) + built)
    values = dict(option for option in header.options if option[0] != "NOP")
    assert values.get("MSS") == mss
    assert values.get("WScale") == scale
    assert ("SAckOK" in values) == sack
    assert values.get("Timestamp") == timestamps


@given(
    st.lists(st.tuples(st.integers(0, MASK), st.integers(0, MASK)), min_size=1, max_size=4),
    st.none() | st.tuples(st.integers(0, MASK), st.integers(0, MASK)),
)
def test_options_of_data_as_scapy_reads_them(blocks: list[tuple[int, int]], timestamps: tuple[int, int] | None) -> None:
    built = pack_timestamps(*timestamps) if timestamps else b""
    blocks = blocks[: maximum_sack_blocks(len(built))]
    assert len(blocks) <= (3 if timestamps else 4)
    built += pack_sack(blocks)
    header = bytes(TCP())[:12] + bytes((5 + len(built) // 4 << 4, 0x10)) + bytes(6) + built
    values = dict(option for option in TCP(header).options if option[0] != "NOP")
    assert values["SAck"] == tuple(edge for block in blocks for edge in block)
    assert values.get("Timestamp") == timestamps
    segment = parse(header)
    assert segment is not None
    assert segment.sack == tuple(blocks)
    assert (segment.tsval, segment.tsecr) == (timestamps or (-1, 0))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", Options()),
        (b"\x00\x02\x04\x05\xb4", Options()),
        (b"\x01\x01\x02\x04\x05\xb4", Options(1460)),
        (b"\x02", Options()),
        (b"\x02\x00\x02\x04\x05\xb4", Options()),
        (b"\x02\x05\x05\xb4", Options()),
        (b"\x02\x03\x05", Options()),
        (b"\x08\x0a12345678\x02\x04\x02\x18", Options(536, timestamps=(0x31323334, 0x35363738))),
        (b"\x04\x02\x08\x09\x00", Options(sack_permitted=True)),
        (b"\x03\x03\xff", Options(None, 14)),
    ],
)
def test_odd_options(raw: bytes, expected: Options) -> None:
    assert parse_options(raw) == expected


@given(
    source=st.integers(0, 65535),
    destination=st.integers(0, 65535),
    sequence=st.integers(0, MASK),
    acknowledgment=st.integers(0, MASK),
    flags=st.integers(0, 255),
    window=st.integers(0, 65535),
    payload=st.binary(max_size=50),
    options=st.sampled_from([b"", b"\x01\x01\x01\x01", b"\x02\x04\x05\xb4\x01\x03\x03\x07"]),
)
def test_header_as_scapy_writes_it(
    source: int,
    destination: int,
    sequence: int,
    acknowledgment: int,
    flags: int,
    window: int,
    payload: bytes,
    options: bytes,
) -> None:
    built = TCP(
        sport=source,
        dport=destination,
        seq=sequence,
        ack=acknowledgment,
        flags=flags,
        window=window,
        dataofs=5 + len(options) // 4,
        chksum=0,
    )
    segment = parse(bytes(built) + options + payload)
    assert segment is not None
    assert segment[:6] == (source, destination, sequence, acknowledgment, flags, window)
    assert bytes(segment.options) == options
    assert bytes(segment.payload) == payload


@pytest.mark.parametrize("offset", [0, 4, 6, 15])
def test_bad_data_offset(offset: int) -> None:
    header = bytearray(20)
    header[12] = offset << 4
    assert parse(bytes(header)) is None


def test_short_header() -> None:
    assert parse(bytes(19)) is None


def test_rto_by_the_numbers_of_rfc_6298() -> None:
    rtt = RttEstimator(TcpParameters(minimum_rto=1))
    assert rtt.rto == 1000 * MS
    rtt.sample(100 * MS, 0)
    # Rule 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR.
    assert (rtt.srtt, rtt.rttvar, rtt.rto) == (100 * MS, 50 * MS, 300 * MS)
    rtt.sample(140 * MS, 0)
    # Rule 2.3: RTTVAR = 3/4 * 50 + 1/4 * 40, SRTT = 7/8 * 100 + 1/8 * 140.
    assert (rtt.srtt, rtt.rttvar, rtt.rto) == (105 * MS, 47_500_000, 295 * MS)
    rtt.back_off()
    rtt.back_off()
    assert rtt.rto == 4 * 295 * MS
    rtt.sample(105 * MS, 0)
    assert rtt.rto == 105 * MS + 4 * 35_625_000


def test_rto_limits() -> None:
    parameters = TcpParameters(minimum_rto=200 * MS, maximum_rto=10_000 * MS)
    rtt = RttEstimator(parameters)
    rtt.sample(10_000, 0)
    assert rtt.rto == 200 * MS + 10_000
    for _ in range(20):
        rtt.back_off()
    assert rtt.rto == 10_000 * MS


def test_many_samples_in_a_round_weigh_as_one() -> None:
    once, often = RttEstimator(TcpParameters()), RttEstimator(TcpParameters())
    once.sample(100 * MS, 0)
    often.sample(100 * MS, 0)
    once.sample(180 * MS, 0)
    for _ in range(10):
        often.sample(180 * MS, 0, per_round=10)
    # RFC 7323 appendix G: 110 ms after one sample of weight 1/8; ten of weight 1/80 come close.
    assert once.srtt == 110 * MS
    assert abs(often.srtt - once.srtt) < 1 * MS
    # What bounds the queue in this host follows within the round trip: 180 - 80 * (7 / 8) ** 10.
    assert often.recent == pytest.approx(159 * MS, abs=1 * MS)


def test_the_least_round_trip_is_forgotten_after_five_minutes() -> None:
    rtt = RttEstimator(TcpParameters())
    rtt.sample(10 * MS, 0)
    rtt.sample(50 * MS, 299_000 * MS)
    assert rtt.min_rtt == 10 * MS
    rtt.sample(50 * MS, 301_000 * MS)
    assert rtt.min_rtt == 50 * MS


@pytest.mark.parametrize(("mss", "window"), [(1460, 14600), (536, 5360), (8960, 17920), (1000, 10000), (4000, 14600)])
def test_initial_window_of_rfc_6928(mss: int, window: int) -> None:
    assert Reno(mss, initial_segments=10).cwnd == window


@pytest.mark.parametrize(
    ("limit", "shift"), [(1, 0), (65535, 0), (65536, 1), (262144, 3), (1 << 30, 14), (1 << 40, 14)]
)
def test_window_scale(limit: int, shift: int) -> None:
    assert scale_for(limit) == shift


@given(data=st.data())
def test_reassembly_of_any_segments_in_any_order(data: st.DataObject) -> None:
    stream = bytes(range(200))
    receiver = Receiver(limit=1 << 20, mss=100)
    receiver.open(999)
    receiver.window_field()

    def limits(drawn: tuple[int, int]) -> tuple[int, int]:
        return drawn[0], min(200, sum(drawn))

    pieces = data.draw(st.lists(st.tuples(st.integers(0, 199), st.integers(1, 60)).map(limits), max_size=40))
    pieces += [(start, min(start + 50, 200)) for start in data.draw(st.permutations([0, 50, 100, 150]))]
    received = b""
    have: set[int] = set()
    for start, end in pieces:
        receiver.accept(1000 + start, stream[start:end])
        have |= set(range(start, end))
        complete = next(at for at in range(201) if at not in have)
        assert receiver.nxt == 1000 + complete
        received += receiver.read(data.draw(st.integers(0, 100)))
        assert received == stream[: len(received)]
    assert received + receiver.read(1000) == stream
    assert receiver.pieces() == 0


def test_reassembly_is_bounded() -> None:
    receiver = Receiver(limit=4096, mss=1000)
    receiver.open(0)
    receiver.window_field()
    for at in range(3, 4000, 2):
        receiver.accept(at, b"x")
    assert receiver.pieces() == 4096 // 512
    receiver.accept(1, b"yyyyyyyy" * 2000)
    # Nothing beyond the advertised edge.
    assert len(receiver.buffer) == 4096


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3000)), max_size=60), st.integers(0, 5))
def test_window_edge_never_moves_back(steps: list[tuple[bool, int]], scale: int) -> None:
    receiver = Receiver(limit=10_000, mss=1000)
    receiver.scale = scale
    receiver.open(0)
    receiver.window_field()
    for arrives, size in steps:
        edge = receiver.edge
        if arrives:
            receiver.accept(receiver.nxt, bytes(size))
        else:
            receiver.read(size)
        field = receiver.window_field()
        assert receiver.edge >= edge
        assert 0 <= receiver.edge - receiver.nxt - (field << scale) < 1 << scale
        assert len(receiver.buffer) + receiver.edge - receiver.nxt <= 10_000


def test_deadline_timer() -> None:
    engine = EventEngine(seed=1)
    fired: list[int] = []
    timer = DeadlineTimer(engine, lambda: fired.append(engine.now))
    timer.start(100)
    timer.start(250)
    engine.run_until(200)
    assert fired == []
    engine.run_until(300)
    assert fired == [250]
    timer.start(400)
    timer.start(350)
    engine.run_until(500)
    assert fired == [250, 350]
    timer.start(600)
    timer.stop()
    engine.run_until(700)
    assert fired == [250, 350]
    timer.start(800)
    timer.close()
    assert engine.next_call() is None


@pytest.mark.parametrize(
    "wrong", [{"send_buffer": 0}, {"delayed_ack": 501 * MS}, {"maximum_rto": 1}, {"time_wait": -1}]
)
def test_parameters_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        TcpParameters(**wrong)


@given(st.lists(st.tuples(st.sampled_from(("lost", "again", "sack", "ack", "resize", "spurious")), st.integers(0, 9))))
def test_scoreboard_after_any_marks(steps: list[tuple[str, int]]) -> None:
    board = Scoreboard()
    for number in range(10):
        board.add(Sent(1000 * number, 1000 * (number + 1), number, 0, 0, 0, app_limited=False))
    for now, (step, number) in enumerate(steps):
        start = 1000 * number
        found = [sent for sent in board.records if sent.start <= start < sent.end]
        waits = found and not found[0].sacked
        if step == "lost" and waits:
            board.mark_lost(found[0])
        elif step == "again" and waits:
            board.mark_retransmitted(found[0], 10 + now)
        elif step == "sack" and waits:
            for sent in board.select(((found[0].start, found[0].end),)):
                board.clear_tags(sent)
        elif step == "ack":
            board.acknowledge(start)
        elif step == "resize":
            board.resize(1000 - 50 * number)
        elif step == "spurious":
            board.forget_losses()
        check_scoreboard(board, sack=True)
