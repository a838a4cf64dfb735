"""Receive filter: gateware against golden function, the limits, and software's access to the address table."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from hw.receive.address_table import TABLE_ENTRIES
from hw.receive.bit_table import address_hash
from hw.receive.filter import (
    LONGEST,
    LONGEST_JUMBO,
    SHORTEST,
    FilterSettings,
    ReceiveFilter,
    control_frame,
    drop_reason,
    is_inexact,
    wake_verdict,
)
from hw.receive.layouts import Drops, MacControl, ReceiveControl
from hw.vlan import tag_of
from tests.hw.streams import words_of

OWN = bytes.fromhex("02aabbccddee")
BROADCAST = b"\xff" * 6
FLOW_CONTROL = bytes.fromhex("0180c2000001")
VET, FCT = 0x8100, 0x8808
INFORMATION = (0x0000, 0x0005, 0x0006, 0x1005, 0xEFFF, 0xFFFF)
ADDRESSES = (
    OWN,
    bytes.fromhex("02aabbccddef"),
    bytes.fromhex("03aabbccddee"),
    bytes.fromhex("82aabbccddee"),
    bytes.fromhex("ddeeccbb02aa"),
    bytes.fromhex("333300000001"),
    bytes(6),
    BROADCAST,
    FLOW_CONTROL,
    FLOW_CONTROL,
)
LENGTHS = (
    1,
    5,
    6,
    7,
    8,
    15,
    16,
    17,
    SHORTEST - 1,
    SHORTEST,
    100,
    LONGEST,
    LONGEST + 1,
    LONGEST_JUMBO,
    LONGEST_JUMBO + 1,
    16500,
)
FLAGS = [name for name, layout in ReceiveControl if layout.width == 1 and name not in ("en", "bsex", "secrc")]

Case = dict[str, Any]


class Bench:
    """Sets the table, then lets frames go by and notes ``(reason, keep, length, ce, rxe)``."""

    def __init__(self) -> None:
        self.dut = ReceiveFilter()
        self.simulator = Simulator(self.dut)
        self.simulator.add_clock(8e-9)
        self.used = False
        self.simulator.add_testbench(self._run)
        self.process: Callable[[Any], Coroutine[Any, Any, None]]
        self.pauses: list[int] = []
        """The quanta of the last frame, if it was a pause frame."""

    async def _run(self, context: Any) -> None:
        await self.process(context)

    def run(self, process: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        """Run from reset on."""
        self.process = process
        if self.used:
            self.simulator.reset()
        self.used = True
        self.simulator.run()

    async def write(self, context: Any, index: int, address: bytes, select: int, valid: bool) -> None:
        """RAL and RAH of one entry."""
        high = int.from_bytes(address[4:], "little") | select << 16 | valid << 31
        for port, value in ((self.dut.ral, int.from_bytes(address[:4], "little")), (self.dut.rah, high)):
            context.set(port.address, index)
            context.set(port.write_data, value)
            context.set(port.write, 1)
            await context.tick()
            context.set(port.write, 0)

    async def write_tables(self, context: Any, multicast: dict[int, int], vlan: dict[int, int]) -> None:
        """Registers of MTA and VFTA by index, all others 0."""
        for port, words in ((self.dut.mta, multicast), (self.dut.vfta, vlan)):
            context.set(port.write, 1)
            for index in range(128):
                context.set(port.address, index)
                context.set(port.write_data, words.get(index, 0))
                await context.tick()
            context.set(port.write, 0)

    async def read(self, context: Any, index: int) -> tuple[int, int]:
        context.set(self.dut.ral.address, index)
        context.set(self.dut.rah.address, index)
        await context.tick()
        return context.get(self.dut.ral.read_data), context.get(self.dut.rah.read_data)

    async def frame(self, context: Any, case: Case) -> tuple[str | None, bool, int, int, int]:
        dut = self.dut
        context.set(dut.link, case.get("link", 1))
        for name, value in case["rctl"].items():
            context.set(getattr(dut.rctl, name), value)
        for name, value in case.get("types", {}).items():
            context.set(getattr(dut.types, name), value)
        words = words_of(bytes_of(case))
        left = case["length"]
        context.set(dut.taken, 1)
        while left > 0:
            data, count, last = next(words)
            word = {"data": data, "count": count, "last": last}
            if last:
                word |= {name: case[name] for name in ("crc_error", "rx_error", "overrun")}
            for name in ("data", "count", "last", "crc_error", "rx_error", "overrun"):
                context.set(getattr(dut.word, name), word.get(name, 0))
            await context.tick()
            left -= 8
        context.set(dut.taken, 0)
        for _ in range(23):
            if context.get(dut.decided):
                break
            await context.tick()
        self.pauses = [context.get(dut.quanta)] if context.get(dut.pause) else []
        drops = context.get(dut.drops)
        reasons = [name for name, _ in Drops if drops[name]]
        assert len(reasons) <= 1
        await context.tick()
        assert not context.get(dut.drops.as_value())
        assert not context.get(dut.pause)
        assert context.get(dut.decided)
        values = (bool(context.get(dut.keep)), *(context.get(getattr(dut, name)) for name in ("length", "ce", "rxe")))
        return (reasons[0] if reasons else None, *values)


BENCH = Bench()


def shown_control(context: Any) -> str | None:
    """What the filter says of a frame as MAC control frame."""
    control = context.get(BENCH.dut.control)
    kinds = [name for name, _ in MacControl if control[name]]
    assert len(kinds) <= 1
    return kinds[0] if kinds else None


def bytes_of(case: Case) -> bytes:
    """The frame: ``kind``, ``information`` and ``quanta`` are what stands behind the addresses, of which ``source`` is
    one."""
    behind = b"".join(case.get(name, 0x5A5A).to_bytes(2, "big") for name in ("kind", "information", "quanta"))
    frame = bytes(case["address"]).ljust(6, b"\x5a") + case.get("source", b"\x5a" * 6) + behind
    return frame[: case["length"]].ljust(case["length"], b"\x5a")


def words_to_bits(bits: set[int]) -> dict[int, int]:
    """Registers of a table of 4096 bits in which these are set."""
    words: dict[int, int] = {}
    for bit in bits:
        words[bit >> 5] = words.get(bit >> 5, 0) | 1 << (bit & 31)
    return words


cases = st.fixed_dictionaries(
    {
        "address": st.sampled_from(ADDRESSES),
        "source": st.sampled_from((*ADDRESSES[:5], b"\x5a" * 6, b"\x5a" * 6)),
        "length": st.sampled_from((*(64,) * 12, *LENGTHS[:-3])),
        "crc_error": st.sampled_from((0, 0, 1)),
        "rx_error": st.sampled_from((0, 0, 0, 1)),
        "overrun": st.sampled_from((0, 0, 0, 0, 1)),
        "kind": st.sampled_from((VET, VET, FCT, FCT, 0x0800, 0)),
        "information": st.sampled_from((*INFORMATION, 1, 1, 1)),
        "quanta": st.sampled_from((0, 1, 0x100, 0x1234)),
        "rctl": st.fixed_dictionaries(
            {name: st.integers(0, 1) for name in FLAGS} | {"mo": st.integers(0, 3), "en": st.just(1)}
        ),
    }
)
types = st.fixed_dictionaries(
    {
        "vme": st.integers(0, 1),
        "rfce": st.sampled_from((1, 1, 0)),
        "vet": st.sampled_from((VET, VET, VET, FCT, 0)),
        "fct": st.sampled_from((FCT, FCT, 0)),
        "fca": st.just(int.from_bytes(FLOW_CONTROL, "little")),
    }
)
hashes = st.sets(st.sampled_from(sorted({address_hash(address, mo) for address in ADDRESSES for mo in range(4)})))
identifiers = st.sets(st.sampled_from(sorted({information & 0xFFF for information in INFORMATION})))
tables = st.lists(
    st.tuples(st.sampled_from(ADDRESSES), st.sampled_from((0, 0, 0, 1, 2, 3)), st.sampled_from((True, True, False))),
    min_size=TABLE_ENTRIES,
    max_size=TABLE_ENTRIES,
)


@pytest.mark.slow
@settings(max_examples=40)
@given(tables, types, hashes, identifiers, st.lists(cases, min_size=10, max_size=25))
def test_gateware_against_golden(
    table: list[tuple[bytes, int, bool]],
    types: dict[str, int],
    hashes: set[int],
    identifiers: set[int],
    frames: list[Case],
) -> None:
    multicast, vlan = words_to_bits(hashes), words_to_bits(identifiers)

    async def process(context: Any) -> None:
        await context.tick()
        await BENCH.write_tables(context, multicast, vlan)
        for index, entry in enumerate(table):
            await BENCH.write(context, index, *entry)
        for case in frames:
            reason, keep, length, ce, rxe = await BENCH.frame(context, case | {"types": types})
            registers = FilterSettings(
                rctl=case["rctl"],
                table=table,
                multicast=[multicast.get(index, 0) for index in range(128)],
                vlan=[vlan.get(index, 0) for index in range(128)],
                vet=types["vet"],
                rfce=bool(types["rfce"]),
                fct=types["fct"],
                fca=FLOW_CONTROL,
            )
            errors = {name: bool(case[name]) for name in ("crc_error", "rx_error")}
            frame = bytes_of(case)
            assert reason == drop_reason(frame, **errors, overrun=bool(case["overrun"]), settings=registers), case
            verdict = context.get(BENCH.dut.verdict)
            wanted = wake_verdict(frame, **errors, overrun=bool(case["overrun"]), settings=registers)
            assert {name: bool(verdict[name]) for name in wanted} == wanted, case
            assert keep == (reason is None)
            control = None if case["overrun"] else control_frame(frame, **errors, settings=registers)
            assert shown_control(context) == (control.kind if control else None)
            assert BENCH.pauses == ([control.quanta] if control and control.kind != "unsupported" else [])
            if keep:
                assert (length, ce, rxe) == (case["length"], case["crc_error"], case["rx_error"])
                tag = tag_of(frame, types["vet"]) if types["vme"] else None
                shown = (context.get(BENCH.dut.vp), context.get(BENCH.dut.tag))
                assert shown == (int(tag is not None), tag or 0)
                assert context.get(BENCH.dut.pif) == is_inexact(frame, **errors, settings=registers)

    BENCH.run(process)


@pytest.mark.parametrize(("offset", "value"), [*enumerate((0x563, 0xAC6, 0x58D, 0x634))])
def test_hash(offset: int, value: int) -> None:
    """The manual's example (13.5.1), as golden function and in the gateware: with this one bit set the address passes,
    and is marked; without it, or if it is unicast, it does not.
    """
    group = bytes.fromhex("01aa00123456")
    assert address_hash(group, offset) == value
    case: Case = {"length": 64, "crc_error": 0, "rx_error": 0, "overrun": 0, "address": group}
    case["rctl"] = dict.fromkeys(FLAGS, 0) | {"en": 1, "mo": offset}

    async def process(context: Any) -> None:
        await context.tick()
        await BENCH.write_tables(context, words_to_bits({value}), {})
        assert (await BENCH.frame(context, case))[:2] == (None, True)
        assert context.get(BENCH.dut.pif)
        assert (await BENCH.frame(context, case | {"address": b"\0" + group[1:]}))[0] == "no_match"
        await BENCH.write_tables(context, words_to_bits(set(range(4096)) - {value}), {})
        assert (await BENCH.frame(context, case))[0] == "no_match"
        await BENCH.write_tables(context, words_to_bits({value}), {})
        await BENCH.write(context, 3, group, 0, True)
        assert (await BENCH.frame(context, case))[:2] == (None, True)
        assert not context.get(BENCH.dut.pif)

    BENCH.run(process)


def test_tables_read_back() -> None:
    """MTA and VFTA are two tables, and software sees what it wrote."""

    async def process(context: Any) -> None:
        await BENCH.write_tables(
            context,
            {index: 0x0201_0001 * index for index in range(128)},
            {index: ~index & 0xFFFF_FFFF for index in range(128)},
        )
        for index in range(128):
            context.set(BENCH.dut.mta.address, index)
            context.set(BENCH.dut.vfta.address, index)
            await context.tick()
            assert context.get(BENCH.dut.mta.read_data) == 0x0201_0001 * index
            assert context.get(BENCH.dut.vfta.read_data) == ~index & 0xFFFF_FFFF

    BENCH.run(process)


@pytest.mark.parametrize("place", range(TABLE_ENTRIES))
def test_every_entry(place: int) -> None:
    """An address is found wherever it stands; each of its bits counts (a quarter of them at each place); an entry that
    was taken out does not.
    """
    address = bytes.fromhex("0612345678f1")
    case = {"length": 64, "crc_error": 0, "rx_error": 0, "overrun": 0}
    case["rctl"] = dict.fromkeys(FLAGS, 0) | {"en": 1}

    async def process(context: Any) -> None:
        await context.tick()
        await BENCH.write(context, 0, OWN, 0, False)
        await BENCH.write(context, place, address, 0, True)
        for bit in range(place % 4, 48, 4):
            other = (int.from_bytes(address, "little") ^ 1 << bit).to_bytes(6, "little")
            assert await BENCH.frame(context, case | {"address": other}) == ("no_match", False, 64, 0, 0)
            assert (await BENCH.frame(context, case | {"address": address}))[:2] == (None, True)
        await BENCH.write(context, place, address, 0, False)
        assert (await BENCH.frame(context, case | {"address": address}))[0] == "no_match"

    BENCH.run(process)


def test_source_address() -> None:
    """RAH.AS = 1: the entry is for the source, each bit of which counts, and no more for the destination; a frame that
    ends in it has none. AS = 2 and 3 are for nothing. Such a frame is not one that only the hash lets in.
    """
    case: Case = {"length": 64, "crc_error": 0, "rx_error": 0, "overrun": 0, "address": FLOW_CONTROL}
    case["rctl"] = dict.fromkeys(FLAGS, 0) | {"en": 1, "sbp": 1}

    async def process(context: Any) -> None:
        await context.tick()
        for select in range(4):
            await BENCH.write(context, 5, OWN, select, True)
            reason = None if select == 1 else "no_match"
            assert (await BENCH.frame(context, case | {"source": OWN}))[0] == reason
            assert not context.get(BENCH.dut.verdict.exact)
            assert (await BENCH.frame(context, case | {"address": OWN}))[0] == (None if select == 0 else "no_match")
        round_ = OWN[:2] + bytes(4)
        await BENCH.write(context, 5, round_, 1, True)
        for length, reason in ((12, None), (13, None), (64, None), (8, "no_match"), (11, "no_match"), (9, "no_match")):
            assert (await BENCH.frame(context, case | {"source": round_, "length": length}))[0] == reason
        await BENCH.write(context, 5, OWN, 1, True)
        await BENCH.write_tables(context, words_to_bits({address_hash(FLOW_CONTROL, 0)}), {})
        assert (await BENCH.frame(context, case | {"source": OWN}))[0] is None
        assert not context.get(BENCH.dut.pif)
        await BENCH.write_tables(context, {}, {})
        for bit in range(48):
            other = (int.from_bytes(OWN, "little") ^ 1 << bit).to_bytes(6, "little")
            assert (await BENCH.frame(context, case | {"source": other}))[0] == "no_match"

    BENCH.run(process)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("lpe", [0, 1])
def test_lengths(length: int, lpe: int) -> None:
    case: Case = {"address": OWN, "length": length, "rx_error": 0, "overrun": 0}
    shortest, longest = 64, 16384 if lpe else 1522

    async def process(context: Any) -> None:
        for crc_error in (0, 1):
            for sbp in (0, 1):
                rctl = dict.fromkeys(FLAGS, 0) | {"en": 1, "lpe": lpe, "sbp": sbp, "upe": 1}
                reason, keep, *_ = await BENCH.frame(context, case | {"rctl": rctl, "crc_error": crc_error})
                if length > longest:
                    wanted = "jabber" if crc_error else "oversize"
                elif sbp:
                    wanted = None
                elif length < shortest:
                    wanted = "fragment" if crc_error else "undersize"
                else:
                    wanted = "crc_error" if crc_error else None
                assert (reason, keep) == (wanted, wanted is None)

    BENCH.run(process)


def test_off() -> None:
    """Without RCTL.EN or the link nothing is kept and nothing is counted."""
    good: Case = {"address": OWN, "length": 64, "crc_error": 0, "rx_error": 0, "overrun": 0}

    async def process(context: Any) -> None:
        await BENCH.write(context, 0, OWN, 0, True)
        on = dict.fromkeys(FLAGS, 0) | {"en": 1}
        for case in (
            good | {"rctl": on, "link": 0},
            good | {"rctl": on | {"en": 0}},
            good | {"rctl": on | {"en": 0}, "crc_error": 1},
            good | {"rctl": on | {"en": 0}, "length": 2000},
        ):
            assert (await BENCH.frame(context, case))[:2] == (None, False)
        assert (await BENCH.frame(context, good | {"rctl": on | {"en": 0}}))[:2] == (None, False)
        assert context.get(BENCH.dut.verdict.exact), "a wake-up needs no receiver"
        assert (await BENCH.frame(context, good | {"rctl": on}))[:2] == (None, True)

    BENCH.run(process)


def test_table_access() -> None:
    """Reset leaves no entry valid; all fields read back."""

    async def process(context: Any) -> None:
        await context.tick()
        for index in range(TABLE_ENTRIES):
            assert not (await BENCH.read(context, index))[1] >> 31
        for index in range(TABLE_ENTRIES):
            await BENCH.write(context, index, bytes(range(index, index + 6)), index & 3, bool(index & 1))
        for index in range(TABLE_ENTRIES):
            low, high = await BENCH.read(context, index)
            assert low == int.from_bytes(bytes(range(index, index + 4)), "little")
            assert high == index + 4 | index + 5 << 8 | (index & 3) << 16 | (index & 1) << 31

    BENCH.run(process)
