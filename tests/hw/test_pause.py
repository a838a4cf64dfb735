"""Flow control at the MAC: the pause timer and the requests against their golden classes, and pause frames among others
on the wire.
"""

from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out, connect
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.interfaces import TransmitInfo
from hw.mac.flow_control import FlowControl
from hw.mac.pause import PAUSE_FRAME_BYTES, QUANTUM_BYTES, Pause, PauseTimer, pause_frame
from hw.mac.pause_request import PauseRequester, PauseRequests
from hw.mac.transmit import GAP_OFFSET, MacTransmit, line_bytes
from tests.hw.streams import words_of

FLOW_CONTROL = bytes.fromhex("0180c2000001")
OWN = bytes.fromhex("02aabbccddee")
FCT = 0x8808

Process = Callable[[Any], Coroutine[Any, Any, None]]


def run(component: wiring.Component, process: Process) -> None:
    simulator = Simulator(component)
    simulator.add_clock(8e-9)
    simulator.add_testbench(process)
    simulator.run()


def test_frame_by_hand() -> None:
    """802.3 annex 31B: destination, source, 8808, 0001, time, zeros up to 60 bytes."""
    frame = pause_frame(destination=FLOW_CONTROL, source=OWN, fct=FCT, quanta=0x1234)
    assert frame == bytes.fromhex("0180c2000001 02aabbccddee 8808 0001 1234") + bytes(42)
    assert len(frame) == PAUSE_FRAME_BYTES


@pytest.mark.slow
@settings(max_examples=40)
@given(
    events=st.lists(
        st.tuples(
            st.integers(0, 90),
            st.sampled_from(("enable", "disable", "busy", "free", 0, 1, 1, 2, 0xFFFF)),
        ),
        max_size=12,
    ),
    period=st.sampled_from((1, 1, 3)),
)
def test_timer_is_as_golden(events: list[tuple[int, str | int]], period: int) -> None:
    """Pause frames, changes of CTRL.RFCE and frames being sent in any order; a byte time of one and of three cycles."""
    dut, model = PauseTimer(), Pause()

    async def process(context: Any) -> None:
        inputs = {"enable": True, "busy": False}
        at: dict[int, str | int] = {}
        cycle = 0
        for distance, event in events:
            cycle += distance
            at[cycle] = event
        for now in range(cycle + 3 * QUANTUM_BYTES * period):
            event = at.get(now)
            quanta = event if isinstance(event, int) else None
            if isinstance(event, str):
                inputs |= {"enable": event == "enable"} if event.endswith("able") else {"busy": event == "busy"}
            tick = now % period == 0
            for name, value in (
                *inputs.items(),
                ("tick", tick),
                ("pause", quanta is not None),
                ("quanta", quanta or 0),
            ):
                context.set(getattr(dut, name), value)
            await context.tick()
            model.cycle(**inputs, quanta=quanta, tick=tick)
            assert context.get(dut.paused) == model.paused, now

    run(dut, process)


@pytest.mark.parametrize("quanta", [1, 2, 300, 0xFFFF])
def test_pause_time(quanta: int) -> None:
    """By hand: 512 bit times for each unit, once the frame on the wire has ended."""
    dut = PauseTimer()
    cycles = 0

    async def process(context: Any) -> None:
        nonlocal cycles
        context.set(dut.enable, 1)
        context.set(dut.tick, 1)
        context.set(dut.busy, 1)
        context.set(dut.quanta, quanta)
        context.set(dut.pause, 1)
        await context.tick()
        context.set(dut.pause, 0)
        await context.tick().repeat(100)
        assert context.get(dut.paused)
        context.set(dut.busy, 0)
        await context.tick()
        if quanta > 1000:  # all but the end at once
            context.set(dut.tick, 0)
            await context.tick().repeat(10)
            assert context.get(dut.paused)
            return
        while context.get(dut.paused):
            cycles += 1
            await context.tick()
        assert cycles == quanta * 64

    run(dut, process)


requests = st.lists(
    st.tuples(
        st.sampled_from(("fill", "fill", "fill", "fill", "overflow", "software", "tfce")),
        st.integers(0, 12),
        st.sampled_from((1, 1, 2, 5, 40, 200)),
    ),
    max_size=25,
)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    steps=requests,
    rtl=st.integers(0, 8),
    rth=st.sampled_from((0, 5, 8, 10)),
    xone=st.integers(0, 1),
    ttv=st.sampled_from((0, 1, 2)),
    sending=st.sampled_from((2, 30)),
    waiting=st.sampled_from((1, 7, 70)),
)
def test_requests_are_as_golden(
    steps: list[tuple[str, int, int]], rtl: int, rth: int, xone: int, ttv: int, sending: int, waiting: int
) -> None:
    """Any course of the fill, overflow, software and CTRL.TFCE; frames wait for ``waiting`` cycles, and take
    ``sending``.
    """
    dut, model = PauseRequester(), PauseRequests()
    control = {"tfce": 1, "xone": xone, "rtl": rtl, "rth": rth, "ttv": ttv}

    async def process(context: Any) -> None:
        fill, wait, left = 0, 0, 0
        for kind, value, duration in (*steps, ("none", 0, 300)):
            fill = value if kind == "fill" else fill
            if kind == "tfce":
                control["tfce"] = value & 1
            for name, field in control.items():
                context.set(dut.control[name], field)
            for cycle in range(duration):
                wanted = context.get(dut.wanted)
                wait = wait + 1 if wanted and not left else 0
                taken, sent = wait > waiting, left == 1
                left = sending if taken else max(left - 1, 0)
                inputs = {
                    "overflow": kind == "overflow" and cycle == 0,
                    "software": kind == "software" and cycle == 0,
                    "taken": taken,
                    "sent": sent,
                    "tick": True,
                    "fill": fill,
                }
                for name, level in inputs.items():
                    context.set(getattr(dut, name), level)
                await context.tick()
                model.cycle(control=control, **inputs)
                got = context.get(dut.quanta) if context.get(dut.wanted) else None
                assert got == model.wanted

    run(dut, process)


def course(
    fills: list[tuple[int, int]], *, ttv: int = 100, overflow_at: int = -1, **control: int
) -> list[tuple[int, int]]:
    """The cycles in which ``PauseRequester`` asks for a frame (which is sent at once), and the time it asks for; the
    fill takes each of these values for so many cycles."""
    dut = PauseRequester()
    seen = []

    async def process(context: Any) -> None:
        for name, value in ({"tfce": 1, "xone": 1, "rtl": 10, "rth": 20, "ttv": ttv} | control).items():
            context.set(dut.control[name], value)
        context.set(dut.tick, 1)
        cycle = 0
        for fill, cycles in fills:
            context.set(dut.fill, fill)
            for _ in range(cycles):
                wanted = context.get(dut.wanted)
                if wanted:
                    seen.append((cycle, context.get(dut.quanta)))
                context.set(dut.sent, context.get(dut.taken))
                context.set(dut.taken, wanted)
                context.set(dut.overflow, cycle == overflow_at)
                await context.tick()
                cycle += 1

    run(dut, process)
    return seen


def test_requests_by_hand() -> None:
    """Manual 8.7.5, and the refresh at half of the time."""
    assert [quanta for _, quanta in course([(19, 50), (20, 50), (11, 50), (10, 50)])] == [100, 0]
    assert [quanta for _, quanta in course([(20, 50), (11, 50), (10, 50)], xone=0)] == [100]
    assert course([(20, 50), (10, 50)], tfce=0) == course([(20, 50), (10, 50)], rth=0) == []
    # Each time FCRTH is reached; XON only after that.
    assert [quanta for _, quanta in course([(20, 50), (19, 50), (20, 50), (5, 50), (12, 50), (5, 50)])] == [100, 100, 0]
    assert [quanta for _, quanta in course([(20, 50), (20, 50)], overflow_at=60)] == [100, 100]
    assert course([(15, 100)], overflow_at=60) == []
    cycles = [cycle for cycle, _ in course([(20, 3 * 3200 + 100)])]
    assert len(cycles) == 4
    assert all(3200 <= after - before < 3205 for before, after in pairwise(cycles))
    assert [quanta for _, quanta in course([(20, 10000)], ttv=0)] == [0]


class Wire(wiring.Component):
    """``FlowControl`` before ``MacTransmit``."""

    txd: Out(8)
    tx_en: Out(1)
    tx_er: Out(1)

    def __init__(self) -> None:
        self.flow = FlowControl()
        self.mac = MacTransmit()
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.flow = flow = self.flow
        m.submodules.mac = mac = self.mac
        connect(m, flow.mac_info, mac.info)
        connect(m, flow.mac_packets, mac.packets)
        m.d.comb += [flow.idle.eq(mac.idle), flow.sent.eq(mac.sent)]
        m.d.comb += [getattr(self, name).eq(getattr(mac, name)) for name in ("txd", "tx_en", "tx_er")]
        return m


class Traffic:
    """Frames back to back through ``Wire``, which takes an octet in ``pace`` cycles; notes what is on the wire as
    ``(first octet time, octets)``."""

    def __init__(self, frames: list[bytes], *, pace: int = 1) -> None:
        self.dut = Wire()
        self.pace = pace
        self.frames = frames
        self.words = [word for frame in frames for word in words_of(frame)]
        self.seen: list[tuple[int, bytes]] = []
        self.now = 0

    async def start(self, context: Any) -> None:
        flow = self.dut.flow
        for name, value in (
            ("destination", int.from_bytes(FLOW_CONTROL, "little")),
            ("source", int.from_bytes(OWN, "little")),
            ("fct", FCT),
            ("rfce", 1),
            ("enable", 1),
        ):
            context.set(getattr(flow, name), value)
        context.set(self.dut.mac.enable, 1)
        context.set(self.dut.mac.gap, 12 - GAP_OFFSET)

    async def cycles(self, context: Any, count: int) -> None:
        """Let this many octet times pass."""
        flow = self.dut.flow
        for cycle in range(self.pace * count):
            step = cycle % self.pace == self.pace - 1
            context.set(self.dut.mac.step, step)
            context.set(flow.tick, step)
            context.set(flow.info.valid, bool(self.frames))
            if self.frames:
                context.set(flow.info.payload, TransmitInfo.const({"length": len(self.frames[0]), "ifcs": 1}))
            context.set(flow.packets.valid, bool(self.words))
            if self.words:
                data, length, last = self.words[0]
                context.set(flow.packets.payload, {"data": data, "count": length, "last": last})
            if context.get(flow.info.valid) and context.get(flow.info.ready):
                self.frames = self.frames[1:]
            if context.get(flow.packets.valid) and context.get(flow.packets.ready):
                self.words = self.words[1:]
            await context.tick()
            if not step:
                continue
            assert not context.get(self.dut.tx_er)
            if context.get(self.dut.tx_en):
                if not self.running:
                    self.seen.append((self.now, b""))
                self.seen[-1] = (self.seen[-1][0], self.seen[-1][1] + bytes([context.get(self.dut.txd)]))
            self.running = bool(context.get(self.dut.tx_en))
            self.now += 1

    running = False

    async def pulse(self, context: Any, name: str) -> None:
        """One cycle, in which the wire takes an octet."""
        pace, self.pace = self.pace, 1
        context.set(getattr(self.dut.flow, name), 1)
        await self.cycles(context, 1)
        context.set(getattr(self.dut.flow, name), 0)
        self.pace = pace


FRAMES = [bytes([number]) * length for number, length in enumerate((60, 61, 100, 200, 60, 60))]


def on_wire(frame: bytes) -> bytes:
    return line_bytes(frame, pad=False, fcs=True)


def gaps(seen: list[tuple[int, bytes]]) -> list[int]:
    return [later - earlier - len(octets) for (earlier, octets), (later, _) in pairwise(seen)]


@pytest.mark.parametrize("xon_after", [None, 100])
@pytest.mark.parametrize("at", [0, 20, 71, 72, 76, 83, 85])
def test_pause_between_frames(at: int, xon_after: int | None) -> None:
    """A pause at any moment: the frame on the wire is finished, the rest wait for it to end, or for XON; nothing is
    lost, and where there is no pause the gap stays 12."""
    traffic = Traffic(list(FRAMES))

    async def process(context: Any) -> None:
        flow = traffic.dut.flow
        await traffic.start(context)
        await traffic.cycles(context, at)
        context.set(flow.quanta, 50 if xon_after else 3)
        await traffic.pulse(context, "pause")
        assert context.get(flow.paused)
        if xon_after:
            await traffic.cycles(context, xon_after)
            assert context.get(flow.paused)
            context.set(flow.quanta, 0)
            await traffic.pulse(context, "pause")
            assert not context.get(flow.paused)
        await traffic.cycles(context, 1500)

    run(traffic.dut, process)
    assert [octets for _, octets in traffic.seen] == [on_wire(frame) for frame in FRAMES]
    (longer,) = (gap for gap in gaps(traffic.seen) if gap != 12)
    # A pause that comes in a gap is counted from there.
    assert xon_after or 3 * 64 <= longer <= 3 * 64 + 12 + 4


@pytest.mark.parametrize("pace", [2, 10])
def test_pause_at_lower_speeds(pace: int) -> None:
    """The time of a pause, the gap and the place of a pause frame are the same in octet times."""

    def course(pace: int) -> list[tuple[int, bytes]]:
        traffic = Traffic(list(FRAMES), pace=pace)

        async def process(context: Any) -> None:
            flow = traffic.dut.flow
            await traffic.start(context)
            context.set(flow.control.ttv, 0x1234)
            await traffic.cycles(context, 30)
            context.set(flow.quanta, 4)
            await traffic.pulse(context, "pause")
            await traffic.cycles(context, 120)
            await traffic.pulse(context, "software")
            await traffic.cycles(context, 1200)

        run(traffic.dut, process)
        return traffic.seen

    fast, slow = course(1), course(pace)
    assert len(slow) == len(FRAMES) + 1
    assert [octets for _, octets in slow] == [octets for _, octets in fast]
    assert all(abs(here - there) <= 1 for here, there in zip(gaps(slow), gaps(fast), strict=True))
    assert sum(gap == 12 for gap in gaps(slow)) == len(FRAMES) - 2


@pytest.mark.parametrize("pause", [0, 10])
@pytest.mark.parametrize("at", [0, 5, 80, 84, 100])
def test_pause_frame_among_others(at: int, pause: int) -> None:
    """A pause frame goes out between frames, before those that wait, and even during a pause."""
    traffic = Traffic(list(FRAMES))

    async def process(context: Any) -> None:
        flow = traffic.dut.flow
        await traffic.start(context)
        context.set(flow.control.ttv, 0x1234)
        await traffic.cycles(context, at)
        context.set(flow.quanta, pause)
        await traffic.pulse(context, "pause")
        await traffic.pulse(context, "software")
        await traffic.cycles(context, 2000)
        assert not context.get(flow.software_waits)

    run(traffic.dut, process)
    extra = on_wire(pause_frame(destination=FLOW_CONTROL, source=OWN, fct=FCT, quanta=0x1234))
    sent = [octets for _, octets in traffic.seen]
    place = sent.index(extra)
    assert all(start <= at + 4 for start, _ in traffic.seen[:place])
    assert sent[:place] + sent[place + 1 :] == [on_wire(frame) for frame in FRAMES]
    assert sum(gap != 12 for gap in gaps(traffic.seen)) == bool(pause)
