"""The throttle's decisions against vectors worked out by hand from Linux's rules."""

import itertools

import pytest

from driver.itr import (
    InterruptThrottleRate,
    LatencyRange,
    ThrottleMode,
    parse_interrupt_throttle_rate,
    ramp,
    register_value,
    simplified_rate,
    update_itr,
)

LOWEST, LOW, BULK = LatencyRange.LOWEST_LATENCY, LatencyRange.LOW_LATENCY, LatencyRange.BULK_LATENCY

VECTORS = """
0 0         lowest low bulk
1 60        lowest lowest low
1 511       lowest lowest low
1 512       lowest low low
1 513       low low low
1 1514      low low low
2 511       lowest lowest low
2 512       lowest low low
3 511       lowest low low
2 3028      low low/bulk low
4 513       low low low
5 513       lowest low low
4 6056      low low/bulk bulk
6 9084      lowest low/bulk bulk
7 10598     lowest bulk bulk
10 12000    lowest low bulk
10 12010    lowest bulk bulk
20 20000    lowest low bulk
35 36000    lowest low bulk
36 36000    lowest lowest low
36 43236    lowest bulk low
20 30280    lowest bulk bulk
36 25000    lowest lowest bulk
36 25001    lowest lowest low
35 25001    lowest low bulk
2 5999      low bulk low
4 6000      low low/bulk bulk
74 4440     lowest low/bulk low
372 22320   lowest lowest bulk
420 25200   lowest lowest low
1 8000      low bulk bulk
3 9000      low bulk bulk
1 9014      bulk bulk bulk
2 16002     bulk bulk bulk
"""
"""Packets, bytes, next class from lowest, low and bulk; ``a/b`` is Linux / the literal flow chart."""


def _rows() -> list[tuple[int, int, LatencyRange, str]]:
    rows: list[tuple[int, int, LatencyRange, str]] = []
    for line in VECTORS.split("\n"):
        if line:
            packets, size, *nexts = line.split()
            nexts_by_class = zip(LatencyRange, nexts, strict=True)
            rows += [(int(packets), int(size), current, following) for current, following in nexts_by_class]
    return rows


@pytest.mark.parametrize("literal_figure", [False, True])
@pytest.mark.parametrize(("packets", "size", "current", "following"), _rows())
def test_next_class(packets: int, size: int, current: LatencyRange, following: str, literal_figure: bool) -> None:
    name = following.split("/")[-1 if literal_figure else 0]
    expected = {"lowest": LOWEST, "low": LOW, "bulk": BULK}[name]
    assert update_itr(current, packets, size, literal_figure=literal_figure) is expected


def test_vectors_are_all_there() -> None:
    assert len(_rows()) == 34 * 3
    assert sum("/" in following for *_, following in _rows()) == 5


def test_bulk_never_goes_straight_to_lowest() -> None:
    for packets in range(1, 80):
        for size in range(60 * packets, 9014 * packets, 61 * packets):
            assert update_itr(BULK, packets, size) is not LOWEST


@pytest.mark.parametrize(
    ("rate", "value"),
    [(100_000, 39), (70_000, 55), (20_000, 195), (8_000, 488), (4_000, 976), (2_000, 1953), (100, 39062)],
)
def test_register_value(rate: int, value: int) -> None:
    assert register_value(rate) == value


@pytest.mark.parametrize(
    "steps",
    [[4000, 9000, 14000, 19000, 20000, 20000], [20000, 37500, 55000, 70000, 70000], [70000, 20000], [20000, 4000]],
)
def test_ramp(steps: list[int]) -> None:
    target = steps[-1]
    for now, following in itertools.pairwise(steps):
        assert ramp(now, target) == following


@pytest.mark.parametrize(
    ("tx_octets", "rx_octets", "rate"),
    [
        (0, 0, 8000),
        (9_999, 0, 8000),
        (1_000_000, 1_000_000, 2000),
        (2_000_000, 1_000_000, 4000),
        (1_000_000, 2_000_000, 4000),
        (3_000_000, 1_000_000, 5000),
        (9_000_000, 1_000_000, 6800),
        (1_000_000, 0, 8000),
        (0, 1_000_000, 8000),
        (15_000, 5_000, 5000),
        (10_000, 9_999, 2000),
    ],
)
def test_simplified_rate(tx_octets: int, rx_octets: int, rate: int) -> None:
    assert simplified_rate(tx_octets, rx_octets) == rate
    throttle = InterruptThrottleRate(4)
    assert throttle.set_simplified(tx_octets=tx_octets, rx_octets=rx_octets) == 1_000_000_000 // (rate * 256)
    assert throttle.rate == rate


@pytest.mark.parametrize(
    ("setting", "mode", "rate", "register"),
    [
        (0, ThrottleMode.OFF, 0, None),
        (1, ThrottleMode.DYNAMIC, 20000, 195),
        (3, ThrottleMode.CONSERVATIVE, 20000, 195),
        (4, ThrottleMode.SIMPLIFIED, 8000, 488),
        (100, ThrottleMode.FIXED, 100, 39062),
        (101, ThrottleMode.FIXED, 101, 38675),
        (100_000, ThrottleMode.FIXED, 100_000, 39),
    ],
)
def test_mode(setting: int, mode: ThrottleMode, rate: int, register: int | None) -> None:
    assert parse_interrupt_throttle_rate(setting) == (mode, rate)
    assert InterruptThrottleRate(setting).configure() == register


@pytest.mark.parametrize("setting", [-1, 2, 5, 99, 100_001, 2**40])
def test_mode_refused(setting: int) -> None:
    with pytest.raises(ValueError, match=rf"InterruptThrottleRate takes .*, not {setting}$") as caught:
        InterruptThrottleRate(setting)
    assert "\n" not in str(caught.value)


def _poll(
    throttle: InterruptThrottleRate, *, tx: tuple[int, int], rx: tuple[int, int], speed: int = 1000
) -> int | None:
    return throttle.set_itr(link_speed=speed, tx_packets=tx[0], tx_bytes=tx[1], rx_packets=rx[0], rx_bytes=rx[1])


def test_first_interrupts_after_open() -> None:
    """The values a Linux kernel was seen to write: link speed unknown first, then up again in steps."""
    throttle = InterruptThrottleRate(3)
    written = [_poll(throttle, tx=(0, 0), rx=(0, 0), speed=0)]
    written += [_poll(throttle, tx=(1, 60), rx=(1, 60)) for _ in range(5)]
    assert written == [976, 434, 279, 205, 195, None]


def test_dynamic_reaches_lowest_and_conservative_does_not() -> None:
    small = (1, 60)
    dynamic, conservative = InterruptThrottleRate(1), InterruptThrottleRate(3)
    assert [_poll(dynamic, tx=small, rx=small) for _ in range(4)] == [104, 71, 55, None]
    assert [_poll(conservative, tx=small, rx=small) for _ in range(4)] == [None] * 4
    assert (dynamic.rx_class, conservative.rx_class) == (LOWEST, LOW)


def test_the_bulkier_direction_counts() -> None:
    for tx, rx in (((1, 60), (20, 30280)), ((20, 30280), (1, 60))):
        throttle = InterruptThrottleRate(3)
        _poll(throttle, tx=tx, rx=rx)
        assert _poll(throttle, tx=tx, rx=rx) == 976
        assert {throttle.tx_class, throttle.rx_class} == {LOW, BULK}


def test_an_idle_direction_keeps_its_class() -> None:
    throttle = InterruptThrottleRate(3)
    for _ in range(2):
        _poll(throttle, tx=(20, 30280), rx=(20, 30280))
    _poll(throttle, tx=(0, 0), rx=(1, 60))
    assert (throttle.tx_class, throttle.rx_class) == (BULK, LOW)
    assert throttle.rate == 4000


def test_literal_figure_reaches_the_decision() -> None:
    for literal_figure, rate in ((False, 20000), (True, 4000)):
        throttle = InterruptThrottleRate(3, literal_figure=literal_figure)
        for _ in range(2):
            _poll(throttle, tx=(0, 0), rx=(4, 6056))
        assert throttle.rate == rate


@pytest.mark.parametrize("setting", [0, 4, 8000])
def test_other_modes_do_not_follow_the_traffic(setting: int) -> None:
    with pytest.raises(ValueError, match="does not follow the traffic"):
        _poll(InterruptThrottleRate(setting), tx=(1, 60), rx=(1, 60))


@pytest.mark.parametrize("setting", [0, 1, 3, 8000])
def test_other_modes_do_not_follow_the_balance(setting: int) -> None:
    with pytest.raises(ValueError, match="balance of octets"):
        InterruptThrottleRate(setting).set_simplified(tx_octets=1, rx_octets=1)
