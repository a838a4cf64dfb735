"""Workloads on the model: each keeps its promises, and livelock is to be seen where it must be, and only there."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from sim.model.launch import simulate
from sim.outputs import Outputs
from sim.pcapng import PcapngWriter
from sim.results import Row
from sim.run import Run
from sim.wire import fcs_is_good
from sim.workloads.arrivals import Arrivals, gaps
from sim.workloads.datagrams import Imix, OnOff
from sim.workloads.generator import UdpFrames, sequence_number


def run(folder: Path, workload: dict[str, Any], *, seed: int = 1, **driver: Any) -> Row:
    content = {"warm_up": 200_000, "duration": 1_000_000} if workload["kind"] != "replay" else {}
    specification = Run.model_validate(
        {"backend": "model", "workload": content | workload, "driver": driver, "seed": seed, "time_limit": 50_000_000}
    )
    [row] = simulate(specification, folder, Outputs())
    assert sum(row.cpu.values()) == pytest.approx(1)
    assert min(row.cpu.values()) > -1e-9
    return row


@pytest.mark.parametrize("process", [*Arrivals])
def test_arrivals_have_their_mean_rate(process: Arrivals) -> None:
    stream = gaps(process, rate=50_000, burst=8, burst_gap=700, random=random.Random(3))
    count = 20_000
    assert sum(next(stream) for _ in range(count)) / count == pytest.approx(20_000, rel=0.05)


def test_bursts_are_of_their_length() -> None:
    stream = gaps(Arrivals.ON_OFF, rate=10_000, burst=16, burst_gap=672, random=random.Random(5))
    drawn = [next(stream) for _ in range(40_000)]
    assert 40_000 / sum(gap != 672 for gap in drawn) == pytest.approx(16, rel=0.05)
    with pytest.raises(ValueError, match="do not reach"):
        next(gaps(Arrivals.ON_OFF, rate=2_000_000, burst=16, burst_gap=672, random=random.Random(5)))


@settings(max_examples=50)
@given(st.integers(64, 1518), st.integers(1, 2**20))
def test_generated_frames_are_good_udp(size: int, number: int) -> None:
    frames = UdpFrames(
        source=bytes(5) + b"\x01", destination=bytes(5) + b"\x02", from_address="192.0.2.2", to_address="192.0.2.1"
    )
    frames.count = number
    frame = frames.next(size)
    assert len(frame) == size
    assert fcs_is_good(frame)
    packet = Ether(frame[:-4])
    assert sequence_number(bytes(packet[UDP].payload)) == number
    claimed = (packet[IP].chksum, packet[UDP].chksum)
    del packet[IP].chksum, packet[UDP].chksum
    again = Ether(bytes(packet))
    assert claimed == (again[IP].chksum, again[UDP].chksum)


def test_imix_is_seven_four_one() -> None:
    sizes = Imix(rate=1000).sizes(random.Random(1))
    drawn = [next(sizes) for _ in range(12_000)]
    assert [drawn.count(size) / 1000 for size in (64, 594, 1518)] == pytest.approx([7, 4, 1], rel=0.1)
    assert OnOff(rate=1000).burst(8) == (16, 84 * 8)


@pytest.mark.parametrize("way", ["send", "receive", "both"])
def test_bulk_fills_the_wire(tmp_path: Path, way: str) -> None:
    # Alone a way fills the wire within 1 ms. Both ways need 15 ms: A's acknowledgments stand behind its own data in its
    # transmit ring, some 4 ms long (a millisecond of the pacing rate, which in slow start is four times what the wire
    # takes), until the window from the other side, which grows once per round trip, covers these.
    row = run(tmp_path, {"kind": "bulk", "way": way, "warm_up": 20_000_000 if way == "both" else 1_000_000})
    for direction, goodput in (("send", row.send_goodput), ("receive", row.receive_goodput)):
        # Both ways share the wire with each other's acknowledgments.
        assert (goodput > 900e6) == (way in (direction, "both"))
    assert row.retransmissions == 0
    assert sum(row.drops.values()) == 0
    assert row.cpu["idle"] > 0.5


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_round_trips_at_a_fixed_rate_take_an_interval(tmp_path: Path, transport: str) -> None:
    row = run(tmp_path, {"kind": "ping-pong", "transport": transport}, interrupt_throttle_rate=8000)
    assert row.latency_of == "round trip"
    assert row.latency_p50 == pytest.approx(488 * 256e-9, rel=0.01)
    assert row.transactions == pytest.approx(8, abs=1)


def test_outstanding_requests_share_an_interval(tmp_path: Path) -> None:
    one, eight = (
        run(tmp_path, {"kind": "ping-pong", "outstanding": count}, interrupt_throttle_rate=8000) for count in (1, 8)
    )
    assert eight.transactions >= 6 * one.transactions


@pytest.mark.parametrize("kind", ["poisson", "on-off", "imix", "flood"])
def test_datagrams_arrive_once_each(tmp_path: Path, kind: str) -> None:
    row = run(tmp_path, {"kind": kind, "rate": 60_000.0})
    assert row.latency_of == "delivery"
    assert 30 <= row.frames_received <= 100
    # Those on their way at either end of the phase are the difference.
    assert abs(row.transactions - row.frames_received) <= 20
    assert sum(row.drops.values()) == 0


def test_modes_meet_the_same_arrivals(tmp_path: Path) -> None:
    rows = [run(tmp_path, {"kind": "poisson", "rate": 60_000.0}, interrupt_throttle_rate=mode) for mode in (0, 8000)]
    assert abs(rows[0].frames_received - rows[1].frames_received) <= 1
    other = run(tmp_path, {"kind": "poisson", "rate": 60_000.0}, seed=2, interrupt_throttle_rate=0)
    assert other.latencies != rows[0].latencies


def test_mixed_and_incast_measure_their_requests(tmp_path: Path) -> None:
    mixed = run(tmp_path, {"kind": "mixed"})
    assert mixed.transactions >= 5
    assert mixed.receive_goodput > 200e6
    incast = run(tmp_path, {"kind": "incast", "senders": 4, "block": 8192})
    assert incast.transactions >= 2
    assert incast.load == 4


def test_incast_of_many_overruns_the_switch(tmp_path: Path) -> None:
    row = run(tmp_path, {"kind": "incast", "senders": 24, "block": 30_000, "duration": 3_000_000})
    assert row.drops["switch"] > 0
    assert row.drops["fifo"] == 0


def test_the_traditional_path_collapses_and_napi_does_not(tmp_path: Path) -> None:
    # A softirq has 2 ms before ksoftirqd lets a program in.
    flood = {"kind": "flood", "rate": 1_000_000.0, "warm_up": 3_000_000, "duration": 3_000_000}
    rows = {napi: run(tmp_path, flood, napi=napi, interrupt_throttle_rate=0) for napi in (True, False)}
    fair = run(tmp_path, {"kind": "flood", "rate": 50_000.0}, napi=False, interrupt_throttle_rate=0)
    assert fair.transactions == pytest.approx(50, abs=3)
    assert rows[False].transactions < 0.1 * rows[True].transactions
    assert rows[False].drops["backlog"] > 500
    assert rows[True].drops["backlog"] == 0
    assert rows[False].busy == pytest.approx(1)


def test_replay_keeps_the_times_of_the_capture(tmp_path: Path) -> None:
    times = [0, 40_000, 41_000, 300_000]
    capture = tmp_path / "mine.pcapng"
    with PcapngWriter(capture, interface="eth0") as writer:
        for time in times:
            writer.write(10**18 + time, bytes.fromhex("020000000099") + bytes(6) + b"\x08\x00" + bytes(50))
    arrivals: list[int] = []
    for speed in (1.0, 2.0):
        row = run(tmp_path, {"kind": "replay", "file": capture, "speed": speed}, interrupt_throttle_rate=0)
        assert row.frames_received == row.latency_count == 4
        assert row.drops["stack"] == 4  # they are for nobody here
        arrivals.append(round((row.duration - 2e-3) * 1e9))
    assert arrivals[0] == pytest.approx(300_000, abs=3_000)
    assert arrivals[1] == pytest.approx(150_000, abs=3_000)
