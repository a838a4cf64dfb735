"""The wake-up unit: gateware against the golden functions, frame by frame, and its registers and pin."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

import pytest
from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.registers import BY_NAME
from hw.wake.flexible import FlexibleFilter
from hw.wake.magic import has_magic
from hw.wake.network import NetworkAddresses
from hw.wake.unit import LONGEST_LENGTH, STORED_BYTES, WakeUp, WakeUpSettings
from tests.hw.streams import words_of

WUC, WUFC, WUS, IPAV = (BY_NAME[name] for name in ("WUC", "WUFC", "WUS", "IPAV"))
NAMES = [item.name for item in WUS.fields]
OFF = FlexibleFilter(length=LONGEST_LENGTH, mask=[False] * 128, values=bytes(128))
STATION = bytes.fromhex("02ffffffffff")
ALL_PASS = {"passes": True, "broadcast": True, "exact": True, "multicast": True}


@dataclass(frozen=True, kw_only=True)
class Tables:
    """What is written to the unit's registers: golden settings, and the entries that are not valid."""

    settings: WakeUpSettings
    ip4: tuple[tuple[bytes, bool], ...] = ((bytes(4), False),) * 4
    ip6: tuple[bytes, bool] = (bytes(16), False)


class Bench:
    """Runs a process on one unit, each time from reset on; the tables keep what they had."""

    def __init__(self) -> None:
        self.dut = WakeUp()
        self.simulator = Simulator(self.dut)
        self.simulator.add_clock(8e-9)
        self.simulator.add_testbench(self._run)
        self.used = False
        self.process: Callable[[Any], Coroutine[Any, Any, None]]

    async def _run(self, context: Any) -> None:
        self.context = context
        await self.process(context)

    def run(self, process: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        self.process = process
        if self.used:
            self.simulator.reset()
        self.used = True
        self.simulator.run()

    async def write(self, name: str, value: int) -> None:
        """A register of its own."""
        member = getattr(self.dut, name.lower())
        self.context.set(member.write_data, value)
        self.context.set(member.written, 1)
        await self.context.tick()
        self.context.set(member.written, 0)
        await self.context.tick().repeat(2)  # until it is armed or not

    async def write_array(self, name: str, index: int, value: int) -> None:
        member = getattr(self.dut, name.lower())
        self.context.set(member.address, index)
        self.context.set(member.write_data, value & BY_NAME[name].writable_mask)
        self.context.set(member.write, 1)
        await self.context.tick()
        self.context.set(member.write, 0)

    async def read_array(self, name: str, index: int) -> int:
        member = getattr(self.dut, name.lower())
        self.context.set(member.address, index)
        await self.context.tick()
        return self.context.get(member.read_data)

    def read(self, name: str) -> int:
        return self.context.get(getattr(self.dut, name.lower()).hardware.as_value())

    def status(self) -> set[str]:
        return {name for name in NAMES if self.read("WUS") & WUS.mask(name)}

    async def configure(self, tables: Tables, rows: int = 128) -> None:
        """All tables (of the flexible filters' the first ``rows``), then WUFC and WUC."""
        golden = tables.settings
        self.context.set(self.dut.station, int.from_bytes(golden.station, "little"))
        self.context.set(self.dut.vet, golden.network.vet)
        for index, (address, _) in enumerate(tables.ip4):
            await self.write_array("IP4AT", index, int.from_bytes(address, "little"))
        for index in range(4):
            quarter = tables.ip6[0][4 * index : 4 * index + 4]
            await self.write_array("IP6AT", index, int.from_bytes(quarter, "little"))
        for number, item in enumerate(golden.flexible):
            await self.write_array("FFLT", number, item.length)
        for place in range(rows):  # both tables at a time, for speed
            values = sum(item.values[place] << 8 * number for number, item in enumerate(golden.flexible))
            self.context.set(self.dut.ffvt.address, place)
            self.context.set(self.dut.ffvt.write_data, values)
            self.context.set(self.dut.ffvt.write, 1)
            mask = sum(item.mask[place] << number for number, item in enumerate(golden.flexible))
            await self.write_array("FFMT", place, mask)
        self.context.set(self.dut.ffvt.write, 0)
        valid = {f"V4{index}": int(valid) for index, (_, valid) in enumerate(tables.ip4)}
        await self.write("IPAV", IPAV.value(**valid, V60=int(tables.ip6[1])))
        await self.write("WUFC", WUFC.value(**dict.fromkeys(golden.filters, 1)))
        await self.write("WUC", WUC.value(PME_EN=int(golden.pme_en), APME=int(golden.apme)))

    async def frame(self, frame: bytes, verdict: dict[str, bool] = ALL_PASS) -> None:
        """Let a frame go by as fast as the unit allows, judge it, and wait until the registers show that."""
        dut, context = self.dut, self.context
        for data, count, last in words_of(frame):
            while not context.get(dut.ready):
                await context.tick()
            for name, value in (("data", data), ("count", count), ("last", last)):
                context.set(getattr(dut.word, name), value)
            context.set(dut.taken, 1)
            await context.tick()
            context.set(dut.taken, 0)
            context.set(dut.length, len(frame))
        while not context.get(dut.ready):
            await context.tick()
        for name, value in verdict.items():
            context.set(getattr(dut.verdict, name), value)
        await context.tick().repeat(2)
        context.set(dut.judge, 1)
        await context.tick()
        context.set(dut.judge, 0)
        await context.tick()

    async def memory(self, length: int) -> bytes:
        """The first bytes of WUPM."""
        words = [await self.read_array("WUPM", index) for index in range(STORED_BYTES // 4)]
        return b"".join(word.to_bytes(4, "little") for word in words)[:length]


BENCH = Bench()


def settings_with(**changes: Any) -> WakeUpSettings:
    base = WakeUpSettings(
        pme_en=True,
        apme=False,
        filters=(),
        station=STATION,
        network=NetworkAddresses(),
        flexible=(OFF,) * 4,
    )
    return replace(base, **changes)


def magic(station: bytes, *, ones: int = 6, copies: int = 16) -> bytes:
    return b"\xff" * ones + station * copies


addresses4 = st.sampled_from([bytes.fromhex(text) for text in ("0a000001", "0a000101", "0b000001", "ffffffff")])
addresses6 = st.sampled_from([bytes.fromhex("fe80") + bytes(13) + bytes([last]) for last in (1, 2)])


@st.composite
def frames(draw: st.DrawFn, station: bytes, vet: int) -> bytes:
    """Frames that carry, or nearly carry, what the filters look for."""
    target4, target6 = draw(addresses4), draw(addresses6)
    tag = draw(st.sampled_from((b"", b"", vet.to_bytes(2, "big") + b"\x12\x34", b"\x81\x00\x00\x05")))
    snap = draw(st.sampled_from((b"", b"", b"\x00\x40" + bytes.fromhex("aaaa03000000"))))
    network = draw(
        st.sampled_from(
            (
                b"\x08\x06" + bytes.fromhex("0001080006040001") + bytes(16) + target4,
                b"\x08\x00\x45" + bytes(15) + target4,
                b"\x08\x00\x4f" + bytes(15) + target4,
                b"\x86\xdd\x60" + bytes(23) + target6,
                b"\x12\x34",
            )
        )
    )
    pattern = draw(
        st.sampled_from(
            (
                b"",
                magic(station),
                magic(station),
                magic(station, ones=5),
                magic(station, ones=9),
                magic(station, copies=15),
                magic(station, copies=3) + magic(station),
                b"\xff" * 6 + station[:1] + magic(station),
            )
        )
    )
    filler = draw(st.binary(max_size=40))
    frame = bytearray(draw(st.binary(min_size=12, max_size=12)) + tag + snap + network + filler + pattern)
    frame += draw(st.binary(max_size=12))
    frame += bytes(max(0, draw(st.sampled_from((14, 60, 64, 64, 65, 128, 135))) - len(frame)))
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(frame) - 1))
        frame[place] ^= 1 << draw(st.integers(0, 7))
    return bytes(frame)


@st.composite
def flexible_filters(draw: st.DrawFn, frame: bytes) -> FlexibleFilter:
    """One that the frame passes, or fails by a little."""
    values = bytearray(frame[:128].ljust(128, b"\0"))
    if draw(st.booleans()):
        place = draw(st.integers(0, 127))
        values[place] ^= 1 << draw(st.integers(0, 7))
    length = draw(st.sampled_from((0, 1, 13, 64, 127, 128, 129, len(frame) - 1, len(frame), len(frame) + 1, 2047)))
    density = draw(st.sampled_from((0, 1, 128)))
    places = draw(st.sets(st.integers(0, 127), max_size=density)) if density < 128 else set(range(128))
    return FlexibleFilter(length=length, mask=[place in places for place in range(128)], values=bytes(values))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tables, bytes, dict[str, bool]]:
    station = draw(st.sampled_from((STATION, bytes.fromhex("02aabbccddee"), bytes.fromhex("ffffffff0001"))))
    vet = draw(st.sampled_from((0x8100, 0x8100, 0x0000, 0x0800)))
    frame = draw(frames(station, vet))
    ip4 = tuple(draw(st.tuples(addresses4, st.booleans())) for _ in range(4))
    ip6 = (draw(addresses6), draw(st.booleans()))
    network = NetworkAddresses(
        ip4=[address for address, valid in ip4 if valid], ip6=ip6[0] if ip6[1] else None, vet=vet
    )
    golden = WakeUpSettings(
        pme_en=draw(st.sampled_from((True, True, True, False))),
        apme=draw(st.booleans()),
        filters=draw(st.sets(st.sampled_from(NAMES), min_size=6)),
        station=station,
        network=network,
        flexible=[draw(flexible_filters(frame)) for _ in range(4)],
    )
    verdict = {name: draw(st.sampled_from((True, True, False))) for name in ALL_PASS}
    return Tables(settings=golden, ip4=ip4, ip6=ip6), frame, verdict


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_gateware_is_the_golden_function(case: tuple[Tables, bytes, dict[str, bool]]) -> None:
    tables, frame, verdict = case

    async def process(context: Any) -> None:
        await BENCH.configure(tables, min(128, len(frame)))
        await BENCH.frame(frame, verdict)
        expected = tables.settings.events(frame, verdict)
        assert BENCH.status() == expected
        if expected:
            assert BENCH.read("WUPL") == len(frame)
            assert await BENCH.memory(len(frame)) == frame[:STORED_BYTES]
        acpi = tables.settings.pme_en and expected & set(tables.settings.filters)
        assert context.get(BENCH.dut.pme) == bool(acpi)
        assert bool(BENCH.read("WUC") & WUC.mask("PME_STATUS")) == bool(acpi)

    BENCH.run(process)


ADDRESSES = bytes(6) + bytes.fromhex("020000000009")
IP4, IP6 = bytes([10, 0, 0, 7]), bytes.fromhex("fe800000000000000000000000000007")
ARP = bytes.fromhex("0806 0001080006040001") + bytes(16) + IP4
PACKETS = {
    "ARP": ARP,
    "IPV4": b"\x08\x00\x45" + bytes(15) + IP4,
    "IPV6": b"\x86\xdd\x60" + bytes(23) + IP6,
    "MAG": b"\x12\x34" + magic(STATION),
    "FLX2": b"\x99\x99",
}
TAG, SNAP = bytes.fromhex("8100e005"), bytes.fromhex("0040aaaa03000000")


@pytest.mark.parametrize("name", PACKETS)
@pytest.mark.parametrize("before", [b"", TAG, SNAP, TAG + SNAP], ids=["plain", "tag", "snap", "both"])
def test_each_packet_wakes_by_itself(name: str, before: bytes) -> None:
    """Found behind a tag, SNAP and both, by its own filter alone; a flexible filter counts from the destination on."""
    frame = (ADDRESSES + before + PACKETS[name]).ljust(80, b"\0")
    filters = [OFF] * 4
    place = len(ADDRESSES + before)
    pattern = FlexibleFilter(
        length=64,
        mask=[place <= at < place + 2 for at in range(128)],
        values=bytes(place) + b"\x99\x99" + bytes(126 - place),
    )
    filters[2] = pattern
    golden = settings_with(filters=PACKETS, flexible=filters, network=NetworkAddresses(ip4=[IP4], ip6=IP6, vet=0x8100))
    tables = Tables(
        settings=golden, ip4=((bytes(4), False), (IP4, False), (IP4, True), (bytes(4), False)), ip6=(IP6, True)
    )

    async def process(context: Any) -> None:
        await BENCH.configure(tables)
        await BENCH.frame(frame)
        assert BENCH.status() == {name}

    BENCH.run(process)


@pytest.mark.parametrize(
    ("verdict", "events"),
    [
        ({}, set()),
        ({"broadcast": True}, {"MAG"}),
        ({"passes": True}, {"MAG", "FLX0"}),
        ({"passes": True, "broadcast": True}, {"MAG", "BC", "FLX0"}),
        ({"passes": True, "exact": True}, {"MAG", "EX", "FLX0"}),
        ({"passes": True, "multicast": True}, {"MAG", "MC", "FLX0"}),
    ],
)
def test_the_receive_filter_decides(verdict: dict[str, bool], events: set[str]) -> None:
    """A broadcast with a magic packet needs no RCTL.BAM."""
    filters = (FlexibleFilter(length=60, mask=[False] * 128, values=bytes(128)), *(OFF,) * 3)
    tables = Tables(settings=settings_with(filters=NAMES, flexible=filters))

    async def process(context: Any) -> None:
        await BENCH.configure(tables)
        await BENCH.frame(ADDRESSES + magic(STATION), dict.fromkeys(ALL_PASS, False) | verdict)
        assert BENCH.status() == events

    BENCH.run(process)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 127, 128, 129, 200, 201])
def test_flexible_lengths(length: int) -> None:
    """A frame passes if it has the length and no byte before that, or before 128, differs; all behind is ignored."""
    frame = bytes(range(200))
    fails_at = [length - 1, length, 127, 128]
    filters = []
    for place in fails_at:
        values = bytearray(frame[:128])
        if 0 <= place < 128:
            values[place] ^= 0x80
        filters.append(FlexibleFilter(length=length, mask=[True] * 128, values=bytes(values)))
    expected = {
        f"FLX{number}"
        for number, place in enumerate(fails_at)
        if length <= len(frame) and not 0 <= place < min(length, 128)
    }

    async def process(context: Any) -> None:
        await BENCH.configure(Tables(settings=settings_with(filters=NAMES, flexible=filters)))
        await BENCH.frame(frame, dict.fromkeys(ALL_PASS, False) | {"passes": True})
        assert BENCH.status() == expected

    BENCH.run(process)


def test_memory_is_written_while_a_frame_goes_by() -> None:
    """Software's words go to what it sees, and none of the frame's bytes is lost."""
    frame = bytes(range(100, 200))

    async def process(context: Any) -> None:
        dut = BENCH.dut
        await BENCH.configure(Tables(settings=settings_with(filters=("EX",))))
        for data, count, last in words_of(frame):
            for name, value in (("data", data), ("count", count), ("last", last)):
                context.set(getattr(dut.word, name), value)
            context.set(dut.taken, 1)
            await context.tick()
            context.set(dut.taken, 0)
            while not context.get(dut.ready):
                await BENCH.write_array("WUPM", 3, data & 0xFFFF_FFFF)
                await context.tick()
        assert await BENCH.read_array("WUPM", 3) == int.from_bytes(frame[96:], "little")
        context.set(dut.verdict.exact, 1)
        context.set(dut.length, len(frame))
        await context.tick().repeat(2)
        context.set(dut.judge, 1)
        await context.tick()
        context.set(dut.judge, 0)
        await context.tick()
        assert BENCH.status() == {"EX"}
        assert await BENCH.memory(100) == frame

    BENCH.run(process)


def test_status_is_kept_until_cleared() -> None:
    """The first frame's bits, length and bytes stay; only then the next one counts. A frame that goes by while WUS is
    being cleared does not."""
    tables = Tables(settings=settings_with(filters=("EX", "BC")))
    exact = {"passes": True, "broadcast": False, "exact": True, "multicast": False}
    broadcast = {"passes": True, "broadcast": True, "exact": False, "multicast": False}
    first, second = bytes(range(100)), bytes(range(255, 0, -1)) * 10

    async def process(context: Any) -> None:
        await BENCH.configure(tables)
        await BENCH.frame(first, exact)
        await BENCH.frame(second, broadcast)
        assert BENCH.status() == {"EX"}
        assert BENCH.read("WUPL") == 100
        assert await BENCH.memory(100) == first
        await BENCH.write("WUS", WUS.mask("BC"))
        await BENCH.frame(second, broadcast)
        assert BENCH.status() == {"EX"}
        assert context.get(BENCH.dut.pme)
        await BENCH.write("WUS", 0xFFFF_FFFF)
        assert BENCH.status() == set()
        assert context.get(BENCH.dut.pme), "it is PME_STATUS that PME# follows"
        assert (BENCH.read("WUPL"), await BENCH.memory(100)) == (100, first)
        await BENCH.frame(second, broadcast)
        assert BENCH.status() == {"BC"}
        assert BENCH.read("WUPL") == LONGEST_LENGTH
        assert await BENCH.memory(STORED_BYTES) == second[:STORED_BYTES]
        for index in (0, 31):
            await BENCH.write_array("WUPM", index, 0x1234_5678 + index)
            await context.tick()  # the register file's next access is some cycles away
            assert await BENCH.read_array("WUPM", index) == 0x1234_5678 + index
        await BENCH.write("WUPL", 0xFFFF_FABC)
        assert BENCH.read("WUPL") == 0xABC

    BENCH.run(process)


def test_pme_pin() -> None:
    """Up with an event; down when software clears PME_STATUS or PME_EN. APM needs APMPME for it."""
    tables = Tables(settings=settings_with(filters=("EX",)))
    frame = ADDRESSES + magic(STATION)

    async def process(context: Any) -> None:
        pme = BENCH.dut.pme
        await BENCH.configure(tables)
        await BENCH.frame(frame)
        assert context.get(pme)
        await BENCH.write("WUC", WUC.value(PME_EN=1))
        assert context.get(pme)
        await BENCH.write("WUC", WUC.value(PME_EN=1, PME_STATUS=1))
        assert not context.get(pme)
        assert BENCH.read("WUC") == WUC.value(PME_EN=1)
        await BENCH.write("WUS", 0xFFFF_FFFF)
        await BENCH.frame(frame)
        assert context.get(pme)
        await BENCH.write("WUC", 0)
        assert not context.get(pme)
        assert BENCH.read("WUC") == WUC.value(PME_STATUS=1)
        await BENCH.write("WUC", WUC.value(PME_STATUS=1))
        for apmpme in (0, 1):
            await BENCH.write("WUS", 0xFFFF_FFFF)
            context.set(BENCH.dut.apme, 1)
            context.set(BENCH.dut.apmpme, apmpme)
            context.set(BENCH.dut.load, 1)
            await context.tick()
            context.set(BENCH.dut.load, 0)
            await BENCH.frame(bytes(100))
            assert BENCH.status() == set()
            await BENCH.frame(frame)
            assert BENCH.status() == {"MAG"}
            assert context.get(pme) == apmpme
            assert BENCH.read("WUC") == WUC.value(APME=1, APMPME=apmpme, PME_STATUS=apmpme)

    BENCH.run(process)


def test_link_change() -> None:
    """Each change, unless the last one is not cleared yet; it does not keep frames from waking, nor they it."""
    tables = Tables(settings=settings_with(filters=("LNKC", "EX")))

    async def process(context: Any) -> None:
        async def link(up: int) -> None:
            context.set(BENCH.dut.link, up)
            await context.tick().repeat(2)

        await link(1)
        await link(0)
        assert BENCH.status() == set(), "not armed"
        await BENCH.configure(tables)
        for up in (1, 0):
            await link(up)
            assert BENCH.status() == {"LNKC"}
            assert context.get(BENCH.dut.pme)
            await BENCH.write("WUC", WUC.value(PME_EN=1, PME_STATUS=1))
            await link(1 - up)
            assert not context.get(BENCH.dut.pme)
            await link(up)
            await BENCH.write("WUS", WUS.mask("LNKC"))
        await link(1)
        await BENCH.frame(bytes(64))
        assert BENCH.status() == {"LNKC", "EX"}
        await BENCH.write("WUS", WUS.mask("LNKC"))
        await link(0)
        assert BENCH.status() == {"LNKC", "EX"}

    BENCH.run(process)


def test_armed_in_mid_frame() -> None:
    """The frame that goes by then is not looked at, nor is one that a reset cuts; the next is, whole."""
    tables = Tables(settings=settings_with(filters=("EX", "FLX0"), flexible=(replace(OFF, length=0), *(OFF,) * 3)))
    frame = bytes(range(64))

    async def process(context: Any) -> None:
        async def begin() -> None:
            data, count, _ = next(words_of(frame))
            context.set(BENCH.dut.word.data, data)
            context.set(BENCH.dut.word.count, count)
            context.set(BENCH.dut.word.last, 0)
            context.set(BENCH.dut.taken, 1)
            await context.tick()
            context.set(BENCH.dut.taken, 0)

        await BENCH.configure(tables)
        await BENCH.write("WUC", 0)
        await begin()
        await BENCH.write("WUC", WUC.value(PME_EN=1))
        await BENCH.frame(frame[8:])
        assert BENCH.status() == set()
        await BENCH.frame(frame)
        assert BENCH.status() == {"EX", "FLX0"}
        await BENCH.write("WUS", 0xFFFF_FFFF)
        await begin()
        context.set(BENCH.dut.reset, 1)
        await context.tick().repeat(3)
        context.set(BENCH.dut.reset, 0)
        await BENCH.frame(frame)
        assert BENCH.status() == {"EX", "FLX0"}
        assert BENCH.read("WUPL") == 64
        assert await BENCH.memory(64) == frame

    BENCH.run(process)


@given(
    prefix=st.binary(max_size=30),
    ones=st.integers(4, 9),
    copies=st.integers(14, 18),
    station=st.binary(min_size=6, max_size=6),
)
@example(prefix=b"", ones=6, copies=16, station=STATION)
def test_what_a_magic_packet_is(prefix: bytes, ones: int, copies: int, station: bytes) -> None:
    """Said another way: six FFs or more, then sixteen copies or more, and the first byte of none of these is FF."""
    frame = prefix.replace(b"\xff", b"\xfe") + magic(station, ones=ones, copies=copies)
    assert has_magic(frame, station) == (ones >= 6 and copies >= 16 and station[0] != 0xFF)
