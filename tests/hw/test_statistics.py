"""Statistics counters: gateware against the golden class, saturation, pairs, reset, and the watches of both ways."""

from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.frame_records import (
    Received,
    ReceiveWatch,
    Transmitted,
    TransmitWatch,
    receive_increments,
    transmit_increments,
)
from hw.mac.transmit import line_bytes
from hw.receive.layouts import Drops, MacControl
from hw.registers import BY_NAME, STATISTICS
from hw.statistics import PAIRS, Counters, Statistics

NAMES = [register.name for register in STATISTICS]
LENGTHS = st.sampled_from([1, 63, 64, 65, 127, 128, 255, 256, 511, 512, 1023, 1024, 1518, 1522, 1523, 16384, 16392])
SWEEP_CYCLES = 70
LONGEST_WALK = 20
QUEUED = 8 * LONGEST_WALK
"""Cycles after which nothing waits any more."""


def one_of(*names: str) -> st.SearchStrategy[dict[str, bool]]:
    """None of these flags, or one."""
    return st.sampled_from([{}, {}, *({name: True} for name in names)])


RECEIVED = st.builds(
    lambda control, **fields: Received(**fields, **control),
    one_of(*MacControl.members),
    length=LENGTHS | st.integers(1, 0x7FFF),
    **{name: st.booleans() for name in ("crc_error", "alignment", "rx_error", "long", "kept", "lost", "no_buffer")},
    unwanted=st.booleans(),
    **{name: st.booleans() for name in ("broadcast", "multicast")},
)
TRANSMITTED = st.builds(
    lambda control, **fields: Transmitted(**fields, **control),
    one_of("xon", "xoff"),
    length=LENGTHS | st.integers(1, 0x7FFF),
    **{name: st.booleans() for name in ("error", "broadcast", "multicast")},
)
Event = Received | Transmitted | str
"""A frame, ``segmented`` or ``cut_short``, or the name of a register that is read."""

PULSES = st.sampled_from(["segmented", "cut_short"])
EVENTS = st.lists(RECEIVED | TRANSMITTED | PULSES | st.sampled_from(NAMES), max_size=16)


class Bench:
    """Runs a process against one component, from reset on."""

    def __init__(self) -> None:
        self.reset = Signal()
        self.dut = Statistics()
        self.simulator = Simulator(ResetInserter(self.reset)(self.dut))
        self.simulator.add_clock(8e-9)
        self.used = False
        self.simulator.add_testbench(self._run)
        self.process: Callable[[Any], Coroutine[Any, Any, None]]

    async def _run(self, context: Any) -> None:
        await self.process(context)

    def run(self, process: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        self.process = process
        if self.used:
            self.simulator.reset()
        self.used = True
        self.simulator.run()

    async def frame(self, context: Any, frame: Received | Transmitted) -> None:
        port = self.dut.received if isinstance(frame, Received) else self.dut.transmitted
        context.set(port.payload, asdict(frame))
        context.set(port.valid, 1)
        await context.tick()
        context.set(port.valid, 0)

    async def pulse(self, context: Any, name: str) -> None:
        context.set(getattr(self.dut, name), 1)
        await context.tick()
        context.set(getattr(self.dut, name), 0)

    async def read(self, context: Any, name: str) -> int:
        """As the register file does it."""
        port = self.dut.port
        context.set(port.address, (BY_NAME[name].offset - 0x4000) // 4)
        context.set(port.request, 1)
        for _ in range(200):
            acknowledged, value = context.get(port.acknowledge), context.get(port.read_data)
            await context.tick()
            if acknowledged:
                context.set(port.request, 0)
                return int(value)
        raise AssertionError(f"{name} is not answered")

    def preset(self, context: Any, counters: Counters) -> None:
        """Put the counters of the golden class into the memory."""
        for name, value in counters.words.items():
            context.set(self.dut._memory.data[(BY_NAME[name].offset - 0x4000) // 4], value)


BENCH = Bench()


def count(counters: Counters, event: Event) -> int | None:
    """What an event does to the golden class, and what a read returns."""
    match event:
        case Received():
            counters.add(receive_increments(event))
        case Transmitted():
            counters.add(transmit_increments(event))
        case "segmented":
            counters.add({"TSCTC": 1})
        case "cut_short":
            counters.add({"TSCTFC": 1})
        case name:
            return counters.read(name)
    return None


def check(events: list[Event], *, start: int, gap: int) -> None:
    """Play events, ``gap`` cycles after one another, on counters that begin at ``start``; then read them all."""

    async def process(context: Any) -> None:
        counters = Counters()
        await context.tick().repeat(SWEEP_CYCLES)
        counters.words = dict.fromkeys(NAMES, start)
        BENCH.preset(context, counters)
        for event in events:
            expected = count(counters, event)
            if isinstance(event, Received | Transmitted):
                await BENCH.frame(context, event)
            elif expected is None:
                await BENCH.pulse(context, event)
            else:
                # What came before is counted before the read: records are short of waiting, reads are not.
                await context.tick().repeat(QUEUED)
                assert await BENCH.read(context, event) == expected, event
            await context.tick().repeat(gap)
        await context.tick().repeat(QUEUED)
        for name in NAMES:
            assert await BENCH.read(context, name) == counters.read(name), name
        for name in ("CRCERRS", "TORL", "TORH", "TSCTFC"):
            assert await BENCH.read(context, name) == 0, name

    BENCH.run(process)


NEAR = [0xFFFF_FFFF - back for back in (0, 1, 2, 64, 1522)]


@settings(max_examples=25)
@given(events=EVENTS, start=st.sampled_from([0, 0x8000_0000, *NEAR]), gap=st.integers(18, 24))
@example(events=[Received(length=64, kept=True)] * 3, start=0xFFFF_FFFE, gap=24)
@example(events=["TORL", "TORH", "TORL", "GOTCH", "GOTCL"], start=0x8000_0000, gap=24)
def test_against_golden(events: list[Event], start: int, gap: int) -> None:
    check(events, start=start, gap=gap)


def test_line_rate_both_ways_with_reads() -> None:
    """Frames of 64 bytes both ways, 84 cycles apart, while software reads as fast as it can: none is lost."""
    cycles = 84 * 120
    totals = dict.fromkeys(("TPR", "TPT", "GORCL", "GOTCL", "TSCTC"), 0)

    async def process(context: Any) -> None:
        await context.tick().repeat(SWEEP_CYCLES)
        dut = BENCH.dut
        context.set(dut.received.payload, asdict(Received(length=64, kept=True)))
        context.set(dut.transmitted.payload, asdict(Transmitted(length=64)))
        wanted = list(totals)
        turn = 0
        pause = 0
        for cycle in range(cycles + 400):
            context.set(dut.received.valid, cycle < cycles and cycle % 84 == 0)
            context.set(dut.transmitted.valid, cycle < cycles and cycle % 84 == 3)
            context.set(dut.segmented, cycle < cycles and cycle % 84 == 7)
            context.set(dut.port.address, (BY_NAME[wanted[turn]].offset - 0x4000) // 4)
            context.set(dut.port.request, pause == 0)
            pause -= pause > 0
            acknowledged, value = context.get(dut.port.acknowledge), int(context.get(dut.port.read_data))
            await context.tick()
            if acknowledged:
                if wanted[turn] in ("GORCL", "GOTCL"):
                    totals[wanted[turn]] = value
                else:
                    totals[wanted[turn]] += value
                turn = (turn + 1) % len(wanted)
                pause = 6  # to merge, respond, take the next request, decode and perform it

    BENCH.run(process)
    assert totals == {"TPR": 120, "TPT": 120, "GORCL": 64 * 120, "GOTCL": 64 * 120, "TSCTC": 120}


@pytest.mark.parametrize(("event", "name"), [("received", "TPR"), ("transmitted", "TPT"), ("cut_short", "TSCTFC")])
def test_read_in_any_phase(event: str, name: str) -> None:
    """A read at whatever distance from an event counts it, or leaves it for the next read."""
    frames = {"received": Received(length=64), "transmitted": Transmitted(length=64)}

    async def process(context: Any) -> None:
        await context.tick().repeat(SWEEP_CYCLES)
        for phase in range(2 * LONGEST_WALK):
            if event in frames:
                await BENCH.frame(context, frames[event])
            else:
                await BENCH.pulse(context, event)
            for _ in range(phase):
                await context.tick()
            early = await BENCH.read(context, name)
            await context.tick().repeat(2 * LONGEST_WALK)
            assert early + await BENCH.read(context, name) == 1, phase

    BENCH.run(process)


def test_shortest_distance() -> None:
    """Decisions of the filter every 24 cycles, and frames sent of 64 bytes."""
    frames = 300

    async def process(context: Any) -> None:
        await context.tick().repeat(SWEEP_CYCLES)
        dut = BENCH.dut
        context.set(dut.received.payload, asdict(Received(length=1, crc_error=True)))
        context.set(dut.transmitted.payload, asdict(Transmitted(length=64)))
        sent = 0
        for cycle in range(24 * frames):
            context.set(dut.received.valid, cycle % 24 == 0)
            context.set(dut.transmitted.valid, cycle % 84 == 0)
            sent += cycle % 84 == 0
            await context.tick()
        context.set(dut.received.valid, 0)
        context.set(dut.transmitted.valid, 0)
        await context.tick().repeat(QUEUED)
        for name, value in (("RFC", frames), ("RLEC", frames), ("TPR", frames), ("TORL", frames), ("TPT", sent)):
            assert await BENCH.read(context, name) == value, name

    BENCH.run(process)


@pytest.mark.parametrize("pair", PAIRS)
def test_pair_carries_and_sticks(pair: str) -> None:
    frame: Received | Transmitted = (
        Received(length=64, kept=True) if pair in ("GORC", "TOR") else Transmitted(length=64)
    )

    async def process(context: Any) -> None:
        for high, low, expected in (
            (5, 0xFFFF_FFF0, (6, 0x30)),
            (0xFFFF_FFFF, 0xFFFF_FF00, (0xFFFF_FFFF, 0xFFFF_FF40)),
            (0xFFFF_FFFF, 0xFFFF_FFF0, (0xFFFF_FFFF, 0xFFFF_FFFF)),
            (0xFFFF_FFFF, 0xFFFF_FFFF, (0xFFFF_FFFF, 0xFFFF_FFFF)),
        ):
            await context.tick().repeat(SWEEP_CYCLES)
            counters = Counters()
            counters.words |= {f"{pair}H": high, f"{pair}L": low}
            BENCH.preset(context, counters)
            await BENCH.frame(context, frame)
            await context.tick().repeat(2 * LONGEST_WALK)
            for _ in range(2):
                assert await BENCH.read(context, f"{pair}L") == expected[1], "the low word's read clears nothing"
            assert await BENCH.read(context, f"{pair}H") == expected[0]
            assert await BENCH.read(context, f"{pair}L") == 0, "the high word's read clears both"
            assert await BENCH.read(context, f"{pair}H") == 0

    BENCH.run(process)


def test_reset() -> None:
    """Reset clears all counters and what waits; a read waits for the end of the sweep, and records are kept."""

    async def process(context: Any) -> None:
        await context.tick().repeat(SWEEP_CYCLES)
        counters = Counters()
        counters.words = dict.fromkeys(NAMES, 0xFFFF_FFFF)
        BENCH.preset(context, counters)
        await BENCH.frame(context, Received(length=64, kept=True))
        context.set(BENCH.reset, 1)
        await context.tick().repeat(16)
        context.set(BENCH.reset, 0)
        await BENCH.frame(context, Received(length=100, kept=True))
        counters = Counters()
        counters.add(receive_increments(Received(length=100, kept=True)))
        assert await BENCH.read(context, "MPC") == 0
        await context.tick().repeat(2 * LONGEST_WALK)
        for name in NAMES:
            assert await BENCH.read(context, name) == counters.read(name), name

    BENCH.run(process)


def test_receive_rules() -> None:
    """The rules by hand."""
    good = {"TPR": 1, "TOR": 64, "GPRC": 1, "GORC": 64, "PRC64": 1}
    assert receive_increments(Received(length=64, kept=True)) == good
    assert receive_increments(Received(length=64, kept=True, multicast=True)) == good | {"MPRC": 1}
    assert receive_increments(Received(length=64, kept=True, broadcast=True)) == good | {"BPRC": 1}
    assert receive_increments(Received(length=64, kept=True, no_buffer=True)) == good | {"RNBC": 1}
    assert receive_increments(Received(length=64)) == {"TPR": 1, "TOR": 64}
    assert receive_increments(Received(length=64, lost=True)) == {"TPR": 1, "TOR": 64, "MPC": 1}
    short = {"TPR": 1, "TOR": 63, "RLEC": 1}
    assert receive_increments(Received(length=63)) == short | {"RUC": 1}
    assert receive_increments(Received(length=63, crc_error=True, kept=True)) == short | {"RFC": 1}
    long = {"TPR": 1, "TOR": 1523, "RLEC": 1}
    assert receive_increments(Received(length=1523, long=True)) == long | {"ROC": 1}
    assert receive_increments(Received(length=1523, long=True, crc_error=True)) == long | {"RJC": 1, "CRCERRS": 1}
    for fields in ({"crc_error": True}, {"rx_error": True}, {"long": True}):
        assert receive_increments(Received(length=2000, unwanted=True, **fields)) == {"TPR": 1, "TOR": 2000}
    for kind, name in (("xon", "XONRXC"), ("xoff", "XOFFRXC"), ("unsupported", "FCRUC")):
        counts = {"TPR": 1, "TOR": 64, name: 1}
        for kept in (False, True):
            frame = Received(length=64, kept=kept, no_buffer=True, multicast=True, **{kind: True})
            assert receive_increments(frame) == counts
        assert receive_increments(Received(length=64, lost=True, **{kind: True})) == counts | {"MPC": 1}
        assert receive_increments(Received(length=64, unwanted=True, **{kind: True})) == counts
    for kind, name in (("xon", "XONTXC"), ("xoff", "XOFFTXC")):
        sent = Transmitted(length=64, multicast=True, **{kind: True})
        assert transmit_increments(sent) == {"TPT": 1, "TOT": 64, name: 1}
    both = receive_increments(Received(length=80, crc_error=True, rx_error=True, kept=True))
    assert both == {"TPR": 1, "TOR": 80, "CRCERRS": 1, "RXERRC": 1}
    half = receive_increments(Received(length=80, crc_error=True, alignment=True))
    assert half == {"TPR": 1, "TOR": 80, "ALGNERRC": 1}
    for length, name in ((65, 127), (127, 127), (128, 255), (512, 1023), (1024, 1522), (1522, 1522), (9018, 1522)):
        assert f"PRC{name}" in receive_increments(Received(length=length, kept=True))
        assert f"PTC{name}" in transmit_increments(Transmitted(length=length))
    assert transmit_increments(Transmitted(length=63)) == {"TPT": 1, "TOT": 63}
    assert transmit_increments(Transmitted(length=64, error=True, broadcast=True)) == {"TPT": 1, "TOT": 64}


ADDRESSES = [
    bytes.fromhex(text) for text in ("020000000001", "03" + "00" * 5, "ff" * 6, "ff" * 5 + "7f", "fe" + "ff" * 5)
]


@settings(max_examples=30)
@given(
    frames=st.lists(
        st.tuples(
            st.sampled_from(ADDRESSES),
            st.sampled_from([0, 1, 40, 90]),
            st.booleans(),
            st.integers(4, 12),
            one_of("xon", "xoff"),
        ),
        min_size=1,
        max_size=6,
    ),
    pace=st.sampled_from([1, 10]),
)
def test_transmit_watch(frames: list[tuple[bytes, int, bool, int, dict[str, bool]]], pace: int) -> None:
    """Every frame on the wire gives its record, however close the next one is, and at any speed."""
    dut = TransmitWatch()
    seen: list[Transmitted] = []
    expected = []

    async def process(context: Any) -> None:
        context.set(dut.step, 1)
        await context.tick()
        for address, rest, error, gap, control in frames:
            octets = line_bytes(address + bytes(rest), pad=rest > 1, fcs=True)
            for name in ("xon", "xoff"):
                context.set(getattr(dut, name), control.get(name, 0))
            for index, octet in enumerate(octets + bytes(gap)):
                running = index < len(octets)
                context.set(dut.tx_en, running)
                context.set(dut.txd, octet)
                context.set(dut.tx_er, error and index == len(octets) - 1)
                for cycle in range(pace):
                    context.set(dut.step, cycle == pace - 1)
                    if context.get(dut.records.valid):
                        record = context.get(dut.records.payload)
                        seen.append(Transmitted(**{name: int(record[name]) for name, _ in record.shape()}))
                    await context.tick()
            expected.append(
                Transmitted(
                    length=len(octets) - 8,
                    error=error,
                    broadcast=address == b"\xff" * 6,
                    multicast=bool(address[0] & 1) and address != b"\xff" * 6,
                    **control,
                )
            )

    simulator = Simulator(dut)
    simulator.add_clock(8e-9)
    simulator.add_testbench(process)
    simulator.run()
    assert seen == expected


@pytest.mark.parametrize("fate", ["kept", "lost", *(name for name, _ in Drops)])
@pytest.mark.parametrize("address", ADDRESSES, ids=bytes.hex)
def test_receive_watch(fate: str, address: bytes) -> None:
    dut = ReceiveWatch()
    seen = []

    async def process(context: Any) -> None:
        for number, data in enumerate((address + bytes(2), b"\xff" * 8)):
            context.set(dut.word, {"data": int.from_bytes(data, "little"), "count": 8, "last": number})
            context.set(dut.taken, 1)
            await context.tick()
        context.set(dut.taken, 0)
        context.set(dut.length, 16)
        context.set(dut.crc_error, 1)
        context.set(dut.alignment, 1)
        context.set(dut.no_buffer, 1)
        context.set(dut.control.xoff, 1)
        await context.tick()
        pulse = getattr(dut, fate) if fate in ("kept", "lost") else dut.drops[fate]
        context.set(pulse, 1)
        await context.tick()
        context.set(pulse, 0)
        for _ in range(3):
            if context.get(dut.records.valid):
                record = context.get(dut.records.payload)
                seen.append(Received(**{name: int(record[name]) for name, _ in record.shape()}))
            await context.tick()

    simulator = Simulator(dut)
    simulator.add_clock(8e-9)
    simulator.add_testbench(process)
    simulator.run()
    assert seen == [
        Received(
            length=16,
            crc_error=True,
            alignment=True,
            long=fate in ("oversize", "jabber"),
            kept=fate == "kept",
            lost=fate in ("lost", "overrun"),
            no_buffer=fate in ("kept", "lost"),
            unwanted=fate in ("vlan", "no_match"),
            xoff=True,
            broadcast=address == b"\xff" * 6,
            multicast=bool(address[0] & 1) and address != b"\xff" * 6,
        )
    ]
