"""The reconciliation sublayer and its parts: pins against golden functions, clocks of any ratio, changes in traffic."""

import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.mac.fcs import PREAMBLE, PREAMBLE_BYTES, SFD
from hw.mac.loopback import Loopback
from hw.mac.mii import NIBBLE_CYCLES, MiiReceive, MiiTransmit, join_nibbles, split_octets
from hw.mac.reconciliation import Reconciliation
from hw.mac.speed import AutoSpeedDetection, Speed, detected_speed

START = bytes([PREAMBLE]) * PREAMBLE_BYTES + bytes([SFD])
MEGAHERTZ = {Speed.MEGABIT_10: 2.5, Speed.MEGABIT_100: 25.0, Speed.GIGABIT: 125.0}

frames_and_gaps = st.lists(st.tuples(st.binary(min_size=1, max_size=12), st.integers(1, 14)), min_size=1, max_size=5)


def simulate(
    component: wiring.Component,
    process: Callable[[Any], Coroutine[Any, Any, None]],
    *watches: Callable[[Any], Coroutine[Any, Any, None]],
    rx_clock: float | None = None,
    phase: float = 0.3,
) -> None:
    """Run to the end of ``process``, with RX_CLK at ``rx_clock`` MHz."""
    simulator = Simulator(component)
    simulator.add_clock(8e-9, if_exists=True)
    if rx_clock is not None:
        period = 1e-6 / rx_clock
        simulator.add_clock(period, phase=period * phase, domain="gmii_rx")
    simulator.add_testbench(process)
    for watch in watches:
        simulator.add_testbench(watch, background=True)
    simulator.run()


class Mac:
    """The MAC's transmit half: octets on ``txd``, which change with each step."""

    def __init__(self, dut: Any, step: Any, txd: Any, tx_en: Any, tx_er: Any) -> None:
        self._dut, self._step, self._txd, self._tx_en, self._tx_er = dut, step, txd, tx_en, tx_er

    async def send(self, context: Any, octets: bytes, *, gap: int, error: bool = False) -> None:
        for octet in octets:
            context.set(self._txd, octet)
            context.set(self._tx_en, 1)
            context.set(self._tx_er, error)
            await self._taken(context)
        context.set(self._tx_en, 0)
        context.set(self._tx_er, 0)
        for _ in range(gap):
            await self._taken(context)

    async def _taken(self, context: Any) -> None:
        while not context.get(self._step):
            await context.tick()
        await context.tick()


@settings(max_examples=20)
@given(frames_and_gaps, st.sampled_from(list(Speed)), st.lists(st.sampled_from(list(Speed)), min_size=5, max_size=5))
def test_transmit(frames: list[tuple[bytes, int]], first: Speed, speeds: list[Speed]) -> None:
    """Every nibble in its time, the gap too, while the speed is changed in the middle of each frame."""
    dut = MiiTransmit()
    mac = Mac(dut, dut.step, dut.octet, dut.octet_en, dut.octet_er)
    pins: list[tuple[int, int, Speed]] = []  # in each cycle with a strobe
    cycles: list[int] = []

    async def watch(context: Any) -> None:
        cycle = 0
        async for *_, en, txd, er, strobe, speed in context.tick().sample(
            dut.tx_en, dut.txd, dut.tx_er, dut.tx_strobe, dut.tx_speed
        ):
            cycle += 1
            if strobe:
                pins.append((txd if en else -1, er, Speed(speed)))
                cycles.append(cycle)

    used: list[Speed] = []

    async def process(context: Any) -> None:
        context.set(dut.speed, first)
        await mac.send(context, b"", gap=3)
        for (octets, gap), speed in zip(frames, speeds, strict=False):
            used.append(Speed(context.get(dut.tx_speed)))
            await mac.send(context, octets[:1], gap=0, error=bool(gap % 2))
            context.set(dut.speed, speed)
            await mac.send(context, octets[1:], gap=gap + 2, error=bool(gap % 2))

    simulate(dut, process, watch)
    place = 0
    for (octets, gap), speed in zip(frames, used, strict=True):
        while pins[place][0] < 0:
            place += 1
        expected = list(octets) if speed == Speed.GIGABIT else list(split_octets(octets))
        assert pins[place : place + len(expected)] == [(symbol, gap % 2, speed) for symbol in expected]
        between = cycles[place + len(expected)] - cycles[place]
        assert between == len(expected) * NIBBLE_CYCLES.get(speed, 1)
        place += len(expected)
        assert pins[place][0] < 0
        assert pins[place][2] == speed, "the far end has not yet seen the frame's end"
    assert all(nibble < 16 for nibble, _, speed in pins if speed != Speed.GIGABIT)


def test_gap() -> None:
    """96 bit times are 960 ns at 100 Mb/s and 9.6 us at 10 Mb/s."""
    for speed, cycles in ((Speed.GIGABIT, 12), (Speed.MEGABIT_100, 120), (Speed.MEGABIT_10, 1200)):
        dut = MiiTransmit()
        mac = Mac(dut, dut.step, dut.octet, dut.octet_en, dut.octet_er)
        idle = [0]

        async def watch(context: Any, dut: MiiTransmit = dut, idle: list[int] = idle) -> None:
            async for *_, en in context.tick().sample(dut.tx_en):
                if en and idle[-1]:
                    idle.append(0)
                idle[-1] += not en

        async def process(context: Any, dut: MiiTransmit = dut, mac: Mac = mac, speed: Speed = speed) -> None:
            context.set(dut.speed, speed)
            await mac.send(context, b"", gap=3)
            for _ in range(3):
                await mac.send(context, b"\x55\x01", gap=12)

        simulate(dut, process, watch)
        assert idle[1:-1] == [cycles] * 2


nibbles = st.lists(st.sampled_from([0x5, 0xD, 0x5, 0x0, 0xF, 0x7]), max_size=10)
carriers = st.one_of(
    nibbles,
    st.builds(
        lambda preamble, octets, half: [5] * preamble + [0xD, *split_octets(octets), *half],
        st.integers(1, 16),
        st.binary(max_size=10),
        st.lists(st.integers(0, 15), max_size=1),
    ),
)


@settings(max_examples=60)
@given(st.lists(st.tuples(carriers, st.integers(1, 3), st.integers(-1, 30)), min_size=1, max_size=5))
@example([([5, 0xD, 1, 2, 3], 1, -1), ([5, 5, 0xD, 1, 2], 1, 4)])
def test_receive(lines: list[tuple[list[int], int, int]]) -> None:
    """Octets behind the delimiter wherever that is, RX_ER with its octet, and what is left over."""
    dut = MiiReceive()
    seen: list[tuple[list[int], bool]] = []
    errors: list[int] = []

    async def process(context: Any) -> None:
        context.set(dut.speed, Speed.MEGABIT_100)
        await context.tick("gmii_rx").repeat(5)
        for line, gap, error in lines:
            octets: list[int] = []
            for index, nibble in enumerate([*line, *[-1] * gap]):
                context.set(dut.rxd, nibble & 0xF | 0xA0)
                context.set(dut.rx_dv, nibble >= 0)
                context.set(dut.rx_er, index == error and nibble >= 0)
                if context.get(dut.step):
                    if context.get(dut.octet_dv):
                        octets.append(context.get(dut.octet))
                        if context.get(dut.octet_er):
                            errors.append(len(seen))
                    elif index == len(line):
                        seen.append((octets, bool(context.get(dut.half))))
                    else:
                        assert not context.get(dut.half)
                await context.tick("gmii_rx")

    simulate(dut, process, rx_clock=25.0)
    for number, ((line, _, error), (octets, half)) in enumerate(zip(lines, seen, strict=True)):
        expected, left_over = join_nibbles(line)
        behind = octets[octets.index(SFD) + 1 :] if SFD in octets else []
        if bytes(behind) != expected:
            # Without a preamble of fives the first delimiter may lie anywhere; the MAC ignores such a carrier.
            assert line.index(0xD) > 0
            assert any(octet not in (PREAMBLE, SFD) for octet in octets)
        assert half == left_over
        last = len(line) - (2 if left_over else 1)
        assert (number in errors) == (0 <= error <= last and len(line) > 1)


def test_receive_gigabit() -> None:
    """Octets pass as they come; so do they after a change of speed, but not for the carrier that is there."""
    dut = MiiReceive()

    async def process(context: Any) -> None:
        context.set(dut.speed, Speed.GIGABIT)
        await context.tick("gmii_rx").repeat(5)
        for octet, dv, er in ((0x55, 1, 0), (0xA7, 1, 1), (0x13, 0, 0), (0x22, 0, 1)):
            context.set(dut.rxd, octet)
            context.set(dut.rx_dv, dv)
            context.set(dut.rx_er, er)
            got = [context.get(signal) for signal in (dut.octet, dut.octet_dv, dut.octet_er, dut.step, dut.half)]
            assert got == [octet, dv, er, 1, 0]
            await context.tick("gmii_rx")
        context.set(dut.rx_dv, 1)
        await context.tick("gmii_rx")
        context.set(dut.speed, Speed.MEGABIT_10)
        for _ in range(8):
            assert context.get(dut.step)
            await context.tick("gmii_rx")
        context.set(dut.rx_dv, 0)
        await context.tick("gmii_rx").repeat(2)
        context.set(dut.rx_dv, 1)
        assert not context.get(dut.step)

    simulate(dut, process, rx_clock=125.0)


def looped(dut: Any, seen: list[tuple[bytes, bool]]) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """Collects frames at the receiver's side: octets, and whether one had RX_ER."""

    async def watch(context: Any) -> None:
        octets, error = b"", False
        async for *_, step, dv, octet, er in context.tick("gmii_rx").sample(
            dut.rx_step, dut.rx_dv, dut.rx_octet if isinstance(dut, Loopback) else dut.rxd, dut.rx_er
        ):
            if step and dv:
                octets, error = octets + bytes([octet]), error or bool(er)
            elif step and octets:
                seen.append((octets, error))
                octets, error = b"", False

    return watch


@pytest.mark.parametrize("speed", list(Speed))
@pytest.mark.parametrize("ratio", [0.9998, 1.0, 1.0002, 3.7])
def test_loopback(speed: Speed, ratio: float) -> None:
    """Frames come back as they were, with an RX_CLK of the standard's tolerance, or one that is too fast; close-packed,
    and the longest there is."""

    class Looped(wiring.Component):
        def __init__(self) -> None:
            self.transmit, self.loop = MiiTransmit(), Loopback()
            super().__init__({})

        def elaborate(self, platform: object) -> Module:
            m = Module()
            m.submodules.transmit, m.submodules.loop = self.transmit, self.loop
            m.d.comb += [
                self.transmit.loopback.eq(1),
                self.transmit.speed.eq(speed),
                self.loop.enable.eq(self.transmit.looping),
                self.loop.step.eq(self.transmit.step),
                self.loop.octet.eq(self.transmit.octet),
                self.loop.octet_en.eq(self.transmit.octet_en),
                self.loop.octet_er.eq(self.transmit.octet_er),
            ]
            return m

    dut = Looped()
    mac = Mac(dut, dut.transmit.step, dut.transmit.octet, dut.transmit.octet_en, dut.transmit.octet_er)
    seen: list[tuple[bytes, bool]] = []
    rng = random.Random(1)
    lengths = [1, 2, 3, 64, 12, 70, *([16392] if speed == Speed.GIGABIT and ratio < 1 else [])]
    frames = [(rng.randbytes(length), length == 12) for length in lengths]

    async def process(context: Any) -> None:
        await mac.send(context, b"", gap=3)
        for octets, error in frames:
            await mac.send(context, octets, gap=12, error=error)
        await mac.send(context, b"", gap=12)

    simulate(dut, process, looped(dut.loop, seen), rx_clock=MEGAHERTZ[speed] * ratio)
    assert seen == frames


@pytest.mark.parametrize("clock", [20.0, 70.0])
def test_loopback_with_a_slow_clock(clock: float) -> None:
    """Too slow an RX_CLK loses octets, but a frame of a few octets still comes whole afterwards: nothing is stuck."""
    dut = Loopback()
    mac = Mac(dut, dut.step, dut.octet, dut.octet_en, dut.octet_er)
    seen: list[tuple[bytes, bool]] = []

    async def process(context: Any) -> None:
        context.set(dut.enable, 1)
        context.set(dut.step, 1)
        for _ in range(3):
            await mac.send(context, bytes(range(100)), gap=12)
        await mac.send(context, b"", gap=300)
        await mac.send(context, b"\x01\x02\x03", gap=300)

    simulate(dut, process, looped(dut, seen), rx_clock=clock)
    assert seen[-1] == (b"\x01\x02\x03", False)
    assert all(octets != bytes(range(100)) for octets, _ in seen)


@settings(max_examples=12)
@given(st.randoms(use_true_random=False), st.sampled_from([124.97, 125.0, 125.03]))
def test_changes_in_traffic(rng: random.Random, clock: float) -> None:
    """Loopback and speed changed at any moment while frames go both ways: what arrives, at the receiver and at the
    pins, is a frame that was sent, from its preamble to its end. (RX_CLK stays; frames of another speed are noise.)
    """
    dut = Reconciliation()
    mac = Mac(dut, dut.tx_step, dut.txd, dut.tx_en, dut.tx_er)
    received: list[tuple[bytes, bool]] = []
    at_pins: list[bytes] = []
    sent, put = ({START + bytes([mark, *rng.randbytes(rng.randrange(5, 30))]) for _ in range(12)} for mark in (1, 2))

    async def partner(context: Any) -> None:
        while True:
            for octets in sorted(put):
                for octet in octets:
                    context.set(dut.gmii.rxd, octet)
                    context.set(dut.gmii.rx_dv, 1)
                    await context.tick("gmii_rx")
                context.set(dut.gmii.rx_dv, 0)
                for _ in range(1 + len(octets) % 12):
                    await context.tick("gmii_rx")

    async def pins(context: Any) -> None:
        symbols: list[int] = []
        speed = Speed.GIGABIT
        async for *_, strobe, en, txd, now in context.tick().sample(
            dut.gmii.tx_strobe, dut.gmii.tx_en, dut.gmii.txd, dut.gmii.tx_speed
        ):
            if strobe and en:
                assert not symbols or now == speed, "the speed changes in a frame"
                speed = Speed(now)
                symbols.append(txd)
            elif strobe and symbols:
                pairs = zip(symbols[::2], symbols[1::2], strict=True)
                at_pins.append(bytes(symbols if speed == Speed.GIGABIT else [low | high << 4 for low, high in pairs]))
                symbols = []

    async def changes(context: Any) -> None:
        while True:
            context.set(dut.loopback, rng.random() < 0.5)
            context.set(dut.speed, rng.choice([Speed.GIGABIT, Speed.GIGABIT, Speed.MEGABIT_100]))
            for _ in range(rng.randrange(1, 700)):
                await context.tick()

    async def process(context: Any) -> None:
        context.set(dut.speed, Speed.GIGABIT)
        for octets in sorted(sent) * 3:
            await mac.send(context, octets, gap=12)

    simulate(dut, process, partner, pins, changes, looped(dut, received), rx_clock=clock)
    assert set(at_pins) <= sent
    framed = {octets for octets, _ in received if octets.lstrip(bytes([PREAMBLE]))[:1] == bytes([SFD])}
    assert framed <= sent | put
    assert at_pins or received


@pytest.mark.parametrize(
    ("frequency", "speed"),
    [
        (2.5, Speed.MEGABIT_10),
        (7.0, Speed.MEGABIT_10),
        (9.0, Speed.MEGABIT_100),
        (25.0, Speed.MEGABIT_100),
        (50.0, Speed.MEGABIT_100),
        (80.0, Speed.GIGABIT),
        (125.0, Speed.GIGABIT),
    ],
)
def test_auto_speed_detection(frequency: float, speed: Speed) -> None:
    dut = AutoSpeedDetection()

    async def process(context: Any) -> None:
        await context.tick().repeat(1300)
        for _ in range(1000):
            assert context.get(dut.speed) == detected_speed(frequency) == speed
            await context.tick()

    simulate(dut, process, rx_clock=frequency)


def test_speeds_of_the_standard() -> None:
    """100 ppm away, and far from any limit."""
    for speed, megahertz in MEGAHERTZ.items():
        assert detected_speed(megahertz * 0.9999) == detected_speed(megahertz * 1.0001) == speed


def test_golden_by_hand() -> None:
    assert list(split_octets(b"\x5d\xa1")) == [0xD, 0x5, 0x1, 0xA]
    assert join_nibbles([5, 5, 5, 0xD, 1, 0xA]) == (b"\xa1", False)
    assert join_nibbles([5, 5, 0xD, 1, 0xA, 7]) == (b"\xa1", True)
    assert join_nibbles([0xD, 5, 5]) == (b"", False)
