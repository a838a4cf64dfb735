"""The link: serialisation, delay, faults, and the ideal device on it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine import EventEngine
from sim.host import IDEAL, HostCpu
from sim.wire import Faults, Link, fcs, fcs_is_good
from sim.wire_device import WireDevice
from stack.skbuff import SkBuff


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(64, 1522)), min_size=1, max_size=20))
def test_frames_take_their_time_and_never_overlap(frames: list[tuple[int, int]]) -> None:
    env = EventEngine(seed=1)
    link = Link(env, delay=700)
    starts: list[tuple[int, int]] = []
    arrivals: list[int] = []
    link.taps.append(lambda direction, start, frame: starts.append((start, len(frame))))
    link.a_to_b.deliver = lambda start, frame: arrivals.append(env.now)

    async def main() -> None:
        for pause, length in frames:
            await env.sleep(pause)
            asked = env.now
            link.a_to_b.send(bytes(length))
            assert starts[-1][0] >= asked
        await env.sleep(1_000_000)

    env.run(main())
    assert arrivals == [start + 8 * (8 + length) + 700 for start, length in starts]
    for (start, length), (following, _) in pairwise(starts):
        assert following >= start + 8 * (8 + length + 12)


def test_a_station_that_plays_the_bits_itself_gets_the_start() -> None:
    env = EventEngine(seed=1)
    link = Link(env, delay=500)
    seen: list[tuple[int, int]] = []
    link.b_to_a.whole = False
    link.b_to_a.deliver = lambda start, frame: seen.append((env.now, start))

    async def main() -> None:
        await env.sleep(100)
        link.b_to_a.send(bytes(1000))
        await env.sleep(10_000)

    env.run(main())
    assert seen == [(600, 600)]


def test_faults_lose_and_damage_the_share_asked_for() -> None:
    env = EventEngine(seed=3)
    link = Link(env, a_to_b=Faults(loss=0.1, corruption=0.2))
    frame = bytes(range(60))
    received: list[bytes] = []
    link.a_to_b.deliver = lambda start, data: received.append(data)

    async def main() -> None:
        for _ in range(2000):
            link.a_to_b.send(frame + fcs(frame))
        await env.sleep(10_000_000)

    env.run(main())
    damaged = sum(not fcs_is_good(data) for data in received)
    assert (len(received), damaged) == (2000 - link.a_to_b.lost, link.a_to_b.corrupted)
    assert 150 < link.a_to_b.lost < 250
    assert 300 < link.a_to_b.corrupted < 420


@pytest.mark.parametrize(("argument", "value"), [("loss", 1.5), ("corruption", -0.1)])
def test_a_probability_out_of_range_is_refused(argument: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{argument} is a probability, 0 to 1, not {value}"):
        Faults(**{argument: value})


def test_a_bit_rate_that_is_not_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="whole nanoseconds, which it does not at 3000000000"):
        Link(EventEngine(seed=1), bit_rate=3_000_000_000)


def test_ideal_devices_exchange_frames_padded_and_checked() -> None:
    env = EventEngine(seed=1)
    cpu = HostCpu(env, IDEAL)
    link = Link(env)
    a = WireDevice(env, cpu, outgoing=link.a_to_b, incoming=link.b_to_a, address=b"\x02" + bytes(5))
    b = WireDevice(env, cpu, outgoing=link.b_to_a, incoming=link.a_to_b, address=b"\x06" + bytes(5))
    received: list[bytes] = []
    b.receive = lambda skb: received.append(bytes(skb.data))

    async def main() -> None:
        await a.open()
        await b.open()
        for length in (14, 59, 60, 1514):
            a.queue_xmit(SkBuff(bytes(range(1, 15)) + bytes(length - 14)))
        await env.sleep(100_000)
        damaged = bytearray(bytes(60) + fcs(bytes(60)))
        damaged[7] ^= 1
        link.a_to_b.send(bytes(damaged))
        await env.sleep(10_000)
        await b.stop()
        a.queue_xmit(SkBuff(bytes(60)))
        await env.sleep(10_000)
        await a.stop()

    env.run(main())
    assert [len(frame) for frame in received] == [60, 60, 60, 1514]
    assert b.stats.rx_crc_errors == 1
    assert a.stats.tx_packets == 5


def test_an_ideal_device_with_an_interval_takes_what_has_come_together() -> None:
    env = EventEngine(seed=1)
    cpu = HostCpu(env, IDEAL)
    link = Link(env)
    b = WireDevice(env, cpu, outgoing=link.b_to_a, incoming=link.a_to_b, address=bytes(6), interval=50_000)
    times: list[int] = []
    b.receive = lambda skb: times.append(env.now)

    async def main() -> None:
        await b.open()
        for pause in (1_000, 20_000, 40_000):
            await env.sleep(pause)
            link.a_to_b.send(bytes(60) + fcs(bytes(60)))
        await env.sleep(200_000)
        await b.stop()

    env.run(main())
    assert times == [50_000, 50_000, 100_000]
