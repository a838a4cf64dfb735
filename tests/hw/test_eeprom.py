"""The EEPROM: the part against its golden model, the NIC's own reading, and what the image holds."""

import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw.eeprom import CHECKSUM_WORD, CONTROL_1, CONTROL_2, CONTROL_3, SUM, WORDS, Eeprom, Microwire, image
from hw.eeprom_read import EepromReader, defaults

OWN = bytes.fromhex("02aabbccddee")
WORDS_BEFORE = [(index * 0x3A7B + 0x55) & 0xFFFF for index in range(WORDS)]
CYCLES = 4
"""The part's inputs stay as they are for this long."""

Pins = tuple[int, int, int]
"""CS, SK, DI."""


class Bench:
    """Runs a process on one part, each time from power-up on."""

    def __init__(self) -> None:
        self.dut = Eeprom(words=WORDS_BEFORE)
        self.simulator = Simulator(self.dut)
        self.simulator.add_clock(8e-9)
        self.simulator.add_testbench(self._run)
        self.used = False
        self.process: Callable[[Any], Coroutine[Any, Any, None]]

    async def _run(self, context: Any) -> None:
        await self.process(context)

    def run(self, process: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
        self.process = process
        if self.used:
            self.simulator.reset()
        self.used = True
        self.simulator.run()

    async def pins(self, context: Any, pins: Pins) -> int:
        for name, value in zip(("cs", "sk", "di"), pins, strict=True):
            context.set(getattr(self.dut, name), value)
        await context.tick().repeat(CYCLES)
        return context.get(self.dut.do)

    async def word(self, context: Any, address: int) -> int:
        """The NIC's own way; fails if that takes more than 3 cycles."""
        context.set(self.dut.address, address)
        context.set(self.dut.read, 1)
        for _ in range(3):
            await context.tick()
            if context.get(self.dut.valid):
                context.set(self.dut.read, 0)
                return context.get(self.dut.data)
        raise AssertionError("no word")


BENCH = Bench()


def clocked(bits: str) -> list[Pins]:
    """Each bit on DI, then SK up and down."""
    return [(1, sk, int(bit)) for bit in bits for sk in (0, 1, 0)]


def transaction(bits: str) -> list[Pins]:
    """CS up, bits, CS down."""
    return [(0, 0, 0), (1, 0, 0), *clocked(bits), (0, 0, 0)]


ENABLE = "10011" + "0101"
DISABLE = "10000" + "1010"

addresses = st.sampled_from((0, 1, 7, 42, 63)).map(lambda address: f"{address:06b}")
data = st.integers(0, 0xFFFF).map(lambda word: f"{word:016b}")
free_bits = st.text("01", max_size=30)
instructions = st.one_of(
    st.just(ENABLE),
    st.just(DISABLE),
    st.builds("110{}{}".format, addresses, st.text("01", max_size=20)),
    st.builds("101{}{}{}".format, addresses, data, st.text("01", max_size=2)),
    st.builds("101{}{}".format, addresses, free_bits),
    st.builds("111{}{}".format, addresses, st.text("01", max_size=2)),
    st.builds("100{}{}".format, addresses, st.text("01", max_size=2)),
    free_bits,
)
transactions = st.builds(lambda zeros, bits: transaction("0" * zeros + bits), st.integers(0, 2), instructions)
random_pins = st.lists(st.tuples(st.sampled_from((1, 1, 1, 0)), st.integers(0, 1), st.integers(0, 1)), max_size=60)
histories = st.lists(st.one_of(transactions, transactions, transactions, random_pins), min_size=1, max_size=12)
WRITE = transaction("101" + "101010" + "1100101011110001")


@settings(max_examples=120)
@given(histories)
@example([WRITE, transaction(ENABLE), WRITE, transaction("110" + "101010" + "0" * 20)])
@example([transaction(ENABLE), transaction("111" + "000001"), transaction("110" + "000001" + "0" * 16)])
@example([transaction(ENABLE), transaction(DISABLE), WRITE])
@example([[(0, 0, 0), (1, 1, 1), (1, 0, 0), *clocked("10" + "000101" + "0" * 18)]])  # SK rises with CS: no start bit
@example([transaction(ENABLE), WRITE[:-4] + WRITE[-1:]])  # one bit short
@example([transaction("10001" + "0000"), WRITE])  # "write all" does not enable writing
def test_gateware_against_golden(history: list[list[Pins]]) -> None:

    async def process(context: Any) -> None:
        golden = Microwire(WORDS_BEFORE)
        for number, pins in enumerate(itertools.chain(*history)):
            expected = golden.pins(cs=pins[0], sk=pins[1], di=pins[2])
            assert await BENCH.pins(context, pins) == expected, number
        await BENCH.pins(context, (0, 0, 0))
        golden.pins(cs=0, sk=0, di=0)
        assert [await BENCH.word(context, address) for address in range(WORDS)] == golden.words

    BENCH.run(process)


def test_instructions() -> None:
    """What the golden model does with each instruction, by hand."""
    part = Microwire(WORDS_BEFORE)

    def do(bits: str) -> str:
        """DO after each rise of SK, CS then falling."""
        seen = "".join(str(part.pins(cs=cs, sk=sk, di=di)) for cs, sk, di in transaction(bits)[1:-1])
        part.pins(cs=0, sk=0, di=0)
        return seen[2::3]

    assert do("110" + "000101" + "0" * 18) == "1" * 8 + "0" + f"{WORDS_BEFORE[5]:016b}" + "11"
    assert do("000110" + "000101" + "0" * 16) == "1" * 11 + "0" + f"{WORDS_BEFORE[5]:016b}"
    do("101" + "000101" + f"{0x1234:016b}")
    assert part.words == WORDS_BEFORE, "write-protected at power-up"
    do(ENABLE)
    do("101" + "000101" + f"{0x1234:016b}")
    do("111" + "000110")
    assert part.words == [*WORDS_BEFORE[:5], 0x1234, 0xFFFF, *WORDS_BEFORE[7:]]
    do("101" + "000111" + f"{0x1234:016b}"[:15])
    do("10010" + "0000")
    do("10001" + "0000" + "1" * 16)
    assert part.words[7:] == WORDS_BEFORE[7:], "one bit short, and functions that the part lacks"
    do(DISABLE)
    do("111" + "000000")
    assert part.words[0] == WORDS_BEFORE[0]


@settings(max_examples=20)
@given(st.integers(0, 63), st.integers(0, 63), st.integers(1, 12))
def test_both_ways_at_once(serial: int, parallel: int, phase: int) -> None:
    """The NIC reads in any cycle around the one in which the part fetches a word for its pins: both get theirs."""

    async def process(context: Any) -> None:
        await BENCH.pins(context, (0, 0, 0))
        for pins in [(1, 0, 0), *clocked(f"110{serial:06b}")[:-2]]:
            await BENCH.pins(context, pins)
        context.set(BENCH.dut.sk, 1)
        await context.tick().repeat(phase)
        assert await BENCH.word(context, parallel) == WORDS_BEFORE[parallel]
        await context.tick().repeat(CYCLES)
        word = ""
        for pins in clocked("0" * 16):
            bit = await BENCH.pins(context, pins)
            word += str(bit) if pins[1] else ""
        assert int(word, 2) == WORDS_BEFORE[serial]

    BENCH.run(process)


def test_image() -> None:
    words = image(OWN)
    assert len(words) == WORDS
    assert words[:3] == [0xAA02, 0xCCBB, 0xEEDD]
    assert sum(words) & 0xFFFF == SUM == 0xBABA
    assert all(0 <= word <= 0xFFFF for word in words)
    assert words[CHECKSUM_WORD] != image(bytes.fromhex("02aabbccddef"))[CHECKSUM_WORD]


@pytest.mark.parametrize("address", [b"", bytes(5), b"\x01\0\0\0\0\0"])
def test_mac_address_is_checked(address: bytes) -> None:
    with pytest.raises(ValueError, match="mac_address is 6 bytes of a unicast address, not"):
        image(address)


@pytest.mark.parametrize("words", [[], [0] * 63, [0x10000] * 64, [-1] * 64])
def test_words_are_checked(words: list[int]) -> None:
    with pytest.raises(ValueError, match="words must be 64"):
        Eeprom(words=words)


control_words = st.tuples(
    st.integers(0, 0xFFFF).map(lambda word: word & 0x3FFF | 0x4000) | st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF),
)


@settings(max_examples=30)
@given(control_words, st.integers(0, 12))
@example((0x4E00, 0xC000, 0x0400), 0)
@example((0x8E00, 0xC000, 0x0400), 0)
def test_what_is_loaded(words: tuple[int, int, int], late: int) -> None:
    """After reset, and again when asked to, even if EERD is just reading: the defaults of registers, and the station's
    address, once; without the signature no address, and defaults of 0."""
    contents = [*image(OWN)]
    contents[CONTROL_1], contents[CONTROL_2], contents[CONTROL_3] = words
    m = Module()
    m.submodules.part = part = Eeprom(words=contents)
    m.submodules.reader = reader = EepromReader()
    m.d.comb += [
        part.read.eq(reader.read),
        part.address.eq(reader.address),
        reader.valid.eq(part.valid),
        reader.data.eq(part.data),
    ]
    simulator = Simulator(m)
    simulator.add_clock(8e-9)
    valid = words[0] >> 14 == 1

    async def loading(context: Any) -> None:
        low, high, loads = [], [], []
        while context.get(reader.loading):
            if context.get(reader.ral.write):
                low.append((context.get(reader.ral.address), context.get(reader.ral.write_data)))
            if context.get(reader.rah.write):
                high.append((context.get(reader.rah.address), context.get(reader.rah.write_data)))
            if context.get(reader.load):
                loads.append({name: context.get(reader.defaults[name]) for name in defaults(contents)})
            await context.tick()
        assert low == ([(0, int.from_bytes(OWN[:4], "little"))] if valid else [])
        assert high == ([(0, int.from_bytes(OWN[4:], "little") | 1 << 31)] if valid else [])
        assert loads == [defaults(contents)]

    async def testbench(context: Any) -> None:
        await loading(context)
        context.set(reader.eerd.value.addr, 0x3F)
        context.set(reader.eerd.value.start, 1)
        await context.tick()
        context.set(reader.eerd.value.start, 0)
        await context.tick().repeat(late + 1)
        context.set(reader.restart, 1)
        await context.tick()
        context.set(reader.restart, 0)
        assert context.get(reader.loading)
        await loading(context)
        await context.tick().repeat(5)
        assert not context.get(reader.eerd.hardware.done)
        assert not context.get(reader.eerd.hardware.data)

    simulator.add_testbench(testbench)
    simulator.run()
    if not valid:
        assert not any(defaults(contents).values())


def test_defaults_of_the_image() -> None:
    """Full duplex; neither wake-up nor anything forced."""
    assert defaults(image(OWN)) == {"fd": 1, "lrst": 0, "frcspd": 0, "asde": 0, "apmpme": 0, "apme": 0}
