"""Congestion control by the numbers of its RFCs: Reno (5681), CUBIC (9438), HyStart++ (9406), PRR (6937), the delivery
rate; and that any algorithm can be plugged in."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.tcp.algorithms import ALGORITHMS
from stack.tcp.congestion import CongestionControl, CongestionEvent
from stack.tcp.cubic import Cubic
from stack.tcp.hystart import HyStart
from stack.tcp.parameters import TcpParameters
from stack.tcp.prr import ProportionalRateReduction
from stack.tcp.rate import DeliveryRate, RateSample
from stack.tcp.reno import Reno
from stack.tcp.scoreboard import Sent
from tests.stack.network import MS, SECOND, Network
from tests.stack.test_tcp_network import exchange

MSS = 1000


def sample(acked: int, now: int = 0, *, rtt: int | None = None, una: int = 0, nxt: int = 0) -> RateSample:
    return RateSample(now, acked, acked, 0, rtt, 0, 0, una, nxt, True)


def test_reno_grows_as_rfc_5681_says() -> None:
    reno = Reno(MSS, initial_segments=10)
    reno.ssthresh = 20_000
    for _ in range(5):
        reno.on_ack(sample(2000))
    assert reno.cwnd == 20_000
    # Congestion avoidance: a segment per window.
    for _ in range(20):
        reno.on_ack(sample(MSS))
    assert reno.cwnd == 21_000
    assert reno.threshold(21_000, 0) == 10_500
    assert reno.threshold(3_000, 0) == 2_000, "two segments at least (equation 4)"


def test_slow_start_stops_at_the_threshold() -> None:
    reno = Reno(MSS, initial_segments=10)
    reno.ssthresh = 12_500
    reno.on_ack(sample(10_000))
    assert reno.cwnd == 12_500 + (7_500 // 12_500) * MSS


def cubic_after_loss(window: int) -> Cubic:
    cubic = Cubic(MSS, initial_segments=10)
    cubic.cwnd = window * MSS
    cubic.ssthresh = cubic.threshold(cubic.cwnd, 0)
    cubic.cwnd = cubic.ssthresh
    return cubic


def rounds(cubic: Cubic, rtt: int, until: int) -> Iterator[tuple[int, float]]:
    """(time, window in segments) while every round trip acknowledges a window, one ACK per two segments."""
    now = 0
    while now < until:
        now += rtt
        for _ in range(cubic.cwnd // (2 * MSS)):
            entry = sample(2 * MSS, now, rtt=rtt)
            cubic.on_sample(entry)
            cubic.on_ack(entry)
        yield now, cubic.cwnd / MSS


def test_cubic_reduces_to_seven_tenths_and_converges_fast() -> None:
    cubic = cubic_after_loss(100)
    assert cubic.ssthresh == 70 * MSS
    # RFC 9438 section 4.7: a second loss below the old plateau gives up some of it.
    assert cubic.threshold(70 * MSS, 0) == 49 * MSS
    assert cubic._w_max == pytest.approx(70 * (1 + 0.7) / 2)


@pytest.mark.parametrize(("window", "plateau"), [(50 * MSS + MSS // 4, 50.25), (50 * MSS - 1, 0.85 * 50)])
def test_a_part_of_a_segment_is_no_smaller_window(window: int, plateau: float) -> None:
    """As in Linux, which counts whole ones: fast convergence is for what another flow has taken."""
    cubic = cubic_after_loss(50)
    cubic._w_max = 50.75
    cubic.cwnd = window
    cubic.threshold(window, 0)
    assert cubic._w_max == pytest.approx(plateau, abs=0.01)


def test_cubic_follows_its_curve() -> None:
    """Where Reno would be slower: 100 ms and 400 segments. W_cubic(t) = C (t - K)^3 + W_max (figure 1)."""
    cubic = cubic_after_loss(400)
    k = (400 * 0.3 / 0.4) ** (1 / 3)
    begun: int | None = None
    errors = []
    for now, window in rounds(cubic, 100 * MS, 14 * SECOND):
        begun = now if begun is None else begun
        # The target is that of one round trip ahead, and reached within the next.
        expected = 0.4 * ((now - begun) / SECOND - k) ** 3 + 400
        errors.append(abs(window - expected) / expected)
    assert max(errors) < 0.03
    assert window > 400, "past the plateau by now: K is 6.7 s"


def test_cubic_is_no_slower_than_reno() -> None:
    """Section 4.3: on a short path the Reno-friendly estimate, alpha = 3 (1 - beta) / (1 + beta) per round trip."""
    cubic = cubic_after_loss(20)
    last = 0.0
    for count, (_, window) in enumerate(rounds(cubic, 5 * MS, 60 * MS), start=1):
        assert window == pytest.approx(14 + 0.529 * count, abs=1.5)
        last = window
    assert last > 19


def test_cubic_average_window_is_that_of_rfc_9438() -> None:
    """Section 5.1: with a loss after every 1/p segments, (C (3 + beta) / (4 (1 - beta)))^(1/4) RTT^(3/4) / p^(3/4);
    here for RTT = 0.1 s and p = 1e-4. The formula knows no fast convergence (section 4.7)."""
    cubic = cubic_after_loss(50)
    rtt, period = 100 * MS, 10_000
    sent = weighted = total = 0.0
    now = 0
    for number in range(4_000):
        now += rtt
        acked = cubic.cwnd // MSS
        for _ in range(acked // 2):
            cubic.on_ack(sample(2 * MSS, now, rtt=rtt))
        sent += acked
        if sent >= period:
            sent -= period
            cubic.ssthresh = cubic.threshold(cubic.cwnd, now)
            cubic.cwnd = cubic.ssthresh
            cubic._w_max = cubic._cwnd_prior
        if number > 500:
            weighted += acked
            total += 1
    expected = (0.4 * 3.7 / 1.2) ** 0.25 * 0.1**0.75 / 1e-4**0.75
    assert weighted / total == pytest.approx(expected, rel=0.1)


def test_cubic_undoes_a_loss_that_was_none() -> None:
    cubic = cubic_after_loss(100)
    before = (cubic._w_max, cubic._cwnd_prior)
    cubic.threshold(70 * MSS, 0)
    assert cubic.undo_window(70 * MSS) == 70 * MSS
    assert (cubic._w_max, cubic._cwnd_prior) == before


def test_idle_time_is_no_time_on_the_curve() -> None:
    busy, idle = cubic_after_loss(400), cubic_after_loss(400)
    for _ in rounds(busy, 100 * MS, SECOND):
        pass
    for _ in rounds(idle, 100 * MS, SECOND):
        pass
    # The program sends little for 10 s, so that the window is not in use (section 5.8).
    idle.on_sample(RateSample(SECOND, MSS, MSS, 0, None, 0, 0, 0, 0, False))
    for _ in range(150):
        busy.on_ack(sample(2 * MSS, SECOND + 100 * MS))
        idle.on_ack(sample(2 * MSS, 11 * SECOND))
    assert idle.cwnd <= busy.cwnd + MSS
    # With those 10 s on the curve it would be near its plateau.
    assert idle.cwnd < 380 * MSS


def hystart_round(hystart: HyStart, rtt: int, una: int) -> int:
    """One round of 10 ACKs. Returns how much the window grows for 10,000 bytes."""
    grown = 0
    for number in range(10):
        grown += hystart.growth(MSS, rtt, una + (number + 1) * MSS, una + 20 * MSS)
    return grown


def test_hystart_leaves_slow_start_when_the_round_trip_grows() -> None:
    hystart = HyStart()
    una = 0
    for _ in range(3):
        assert hystart_round(hystart, 40 * MS, una) == 10 * MSS
        una += 20 * MSS
    # RFC 9406 section 4.2: by an eighth of the last round's, within 4 to 16 ms.
    hystart_round(hystart, 44 * MS, una)
    assert not hystart.in_css
    una += 20 * MSS
    hystart_round(hystart, 52 * MS, una)
    assert hystart.in_css
    rounds_in_css = 0
    while not hystart.done:
        una += 20 * MSS
        assert hystart_round(hystart, 52 * MS, una) == 10 * MSS // 4
        rounds_in_css += 1
    assert rounds_in_css == 5


def test_hystart_returns_after_a_spike() -> None:
    hystart = HyStart()
    hystart_round(hystart, 40 * MS, 0)
    hystart_round(hystart, 60 * MS, 20 * MSS)
    assert hystart.in_css
    hystart_round(hystart, 40 * MS, 40 * MSS)
    assert not hystart.in_css
    assert not hystart.done


def test_hystart_ends_slow_start_in_cubic() -> None:
    cubic = Cubic(MSS, initial_segments=10)
    una = 0
    for number in range(40):
        for _ in range(10):
            una += MSS
            cubic.on_ack(sample(MSS, 0, rtt=(10 + 6 * number) * MS, una=una, nxt=una + 10 * MSS))
        if cubic.ssthresh < 1 << 40:
            break
    assert cubic.hystart.done
    assert cubic.ssthresh <= cubic.cwnd
    assert cubic.cwnd < 400 * MSS


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=60), st.integers(4, 60))
def test_prr_never_sends_more_than_is_delivered_beyond_one(steps: list[tuple[int, bool]], window: int) -> None:
    """RFC 6937 section 3: at the end about ssthresh is in flight, and never is more sent than was delivered, but for
    the slow start of one segment per ACK."""
    prr = ProportionalRateReduction()
    prr.start(window * MSS)
    ssthresh = max(window // 2, 2) * MSS
    in_flight = (window - 1) * MSS
    delivered = 0
    for count, progress in steps:
        size = min(count * MSS, in_flight)
        if not size:
            break
        delivered += size
        in_flight -= size
        allowed = prr.window(delivered=size, ssthresh=ssthresh, in_flight=in_flight, mss=MSS, progress=progress)
        assert allowed is not None
        room = max(allowed - in_flight, 0) // MSS * MSS
        prr.sent += room
        in_flight += room
        assert prr.sent <= delivered + MSS * len(steps)
        assert in_flight <= max(ssthresh, (window - 1) * MSS)
    assert prr.window(delivered=0, ssthresh=ssthresh, in_flight=in_flight, mss=MSS, progress=True) is None


def test_delivery_rate_of_a_steady_stream() -> None:
    rate = DeliveryRate()
    now = 0
    rate.on_send(now, idle=True)
    flying: list[Sent] = []
    for number in range(50):
        rate.on_send(now, idle=False)
        flying.append(Sent(number, number + 1, now, rate.delivered, rate.delivered_at, rate.first_sent_at, False))
        if now >= 10 * MS:
            rate.on_delivered(flying.pop(0), MSS, now)
            taken, limited = rate.take(10 * MS)
            assert not limited
            if number > 30:
                # A segment each millisecond.
                assert taken == pytest.approx(1_000_000, rel=0.01)
        now += MS
    assert rate.rate == pytest.approx(1_000_000, rel=0.01)


def test_another_algorithm_sees_acks_losses_and_samples() -> None:
    log: list[str] = []

    class Probe(CongestionControl):
        name = "probe"

        def threshold(self, flight: int, now: int) -> int:
            log.append("threshold")
            return max(flight // 2, 2 * self.mss)

        def on_ack(self, sample: RateSample) -> None:
            log.append("ack")
            self.slow_start(sample.acked)

        def on_sample(self, sample: RateSample) -> None:
            assert sample.delivered >= 0
            log.append("rate" if sample.rate else "sample")

        def on_event(self, event: CongestionEvent, now: int) -> None:
            log.append(event.name)

    ALGORITHMS[Probe.name] = Probe
    try:
        network = Network(tcp=TcpParameters(congestion_control="probe"))
        counted = 0

        def drop(sender: str, frame: bytes) -> bool:
            nonlocal counted
            counted += sender == "a" and len(frame) > 1500
            return counted == 40

        network.wire.drop = drop
        exchange(network, bytes(200_000))
    finally:
        del ALGORITHMS["probe"]
    assert {"threshold", "ack", "rate", "TX_START", "COMPLETE_CWR"} <= set(log)


def test_unknown_algorithm_is_refused() -> None:
    with pytest.raises(ValueError, match="vegas"):
        Network(tcp=TcpParameters(congestion_control="vegas"))
