"""Registers for random programs: any value in any register, EEPROM and PHY accesses.

What takes long has bounds: timers are short, rings are small, and the link stays at 1 Gb/s, since the far end in the
bench knows no other speed.
"""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hw.mdio import READ, WRITE
from hw.phy import PHY_ADDRESS
from hw.registers import BY_NAME, REGISTERS, WINDOW_BYTES, Register
from tests.system.program_steps import REST, Read, Step, Write, eeprom_write, fields, microwire

__all__ = [
    "eeprom_accesses",
    "eeprom_reads",
    "field_values",
    "hole_accesses",
    "phy_accesses",
    "register_reads",
    "register_writes",
    "resets",
    "writes_of",
]

_TIMERS = {"ITR": 0xFFFF, "RDTR": 0xFFFF, "RADV": 0xFFFF, "TIDV": 0xFFFF, "TADV": 0xFFFF, "FCTTV": 0xFFFF}
"""Bits that say how long something is to take."""
_LONGEST = 0x3F


def _words() -> SearchStrategy[int]:
    return st.one_of(
        st.sampled_from((0, 0xFFFFFFFF, 0x5A5A5A5A, 0xA5A5A5A5)),
        st.integers(0, 31).map(lambda bit: 1 << bit),
        st.integers(0, 0xFFFFFFFF),
    )


def _tame(register: Register | None, value: int) -> int:
    """The value, or one near it that keeps a program short."""
    name = register.name if register else ""
    if name in _TIMERS:
        # An XOFF frame with a time is sent again and again as long as the buffer is full.
        return value & ~_TIMERS[name] | (0 if name == "FCTTV" else value & _LONGEST)
    if name in ("RDLEN", "TDLEN"):
        return value & ~0xFFFFF | value & 0x7FF
    if name == "CTRL":
        # A forced speed is 1 Gb/s.
        return value | BY_NAME["CTRL"].value(SPEED=0b10)
    if name == "MDIC" and BY_NAME["MDIC"]["OP"].get(value) == WRITE:
        return _tame_phy(value)
    return value


def _tame_phy(value: int) -> int:
    """A link of the PHY is one of 1 Gb/s."""
    number = BY_NAME["MDIC"]["REG"].get(value)
    if number == 0:
        return value & ~(1 << 13) | 1 << 6
    return value | 1 << 9 if number == 9 else value


def _at(offset: int) -> Register | None:
    return next((register for register in REGISTERS if offset in register.offsets()), None)


def _write(register: Register, offset: int, value: int) -> Write:
    return Write(offset, _tame(register, value))


def field_values(register: Register) -> SearchStrategy[int]:
    """A value made of fields, each of which is 0, all ones or anything."""
    return st.tuples(
        *(
            st.one_of(st.just(0), st.just((1 << item.width) - 1), st.integers(0, (1 << item.width) - 1))
            for item in register.fields
        )
    ).map(lambda values: sum(item.put(value) for item, value in zip(register.fields, values, strict=True)))


def writes_of(name: str) -> SearchStrategy[list[Step]]:
    register = BY_NAME[name]
    return st.builds(
        lambda offset, value: [_write(register, offset, value), REST],
        st.sampled_from([*register.offsets()]),
        st.one_of(_words(), field_values(register)),
    )


_NAMES = [register.name for register in REGISTERS]

register_writes = st.sampled_from([name for name in _NAMES if name != "EECD"]).flatmap(writes_of)
register_reads = (
    st.sampled_from(_NAMES)
    .flatmap(lambda name: st.sampled_from([*BY_NAME[name].offsets()]))
    .map(lambda offset: [Read(offset)])
)
_holes = st.integers(0, WINDOW_BYTES // 4 - 1).map(lambda word: 4 * word).filter(lambda offset: _at(offset) is None)
hole_accesses = st.builds(lambda offset, value: [Write(offset, value), REST, Read(offset)], _holes, _words())


resets = st.just([fields("CTRL", RST=1), REST])

phy_accesses = st.builds(
    lambda operation, phy, number, data, interrupt, after: [
        _write(
            BY_NAME["MDIC"],
            BY_NAME["MDIC"].offset,
            BY_NAME["MDIC"].value(OP=operation, PHY=phy, REG=number, DATA=data, INT_EN=interrupt),
        ),
        REST,
        Read(BY_NAME["MDIC"].offset),
    ],
    st.sampled_from((READ, READ, WRITE, WRITE, 0, 3)),
    st.sampled_from((PHY_ADDRESS, PHY_ADDRESS, PHY_ADDRESS, 0, 31)),
    st.one_of(st.sampled_from((0, 1, 4, 9, 17)), st.integers(0, 31)),
    st.one_of(st.sampled_from((0x1140, 0x4140, 0x0940, 0x1340, 0x8000, 0x0140, 0x0040)), st.integers(0, 0xFFFF)),
    st.integers(0, 1),
    st.none(),
)

eeprom_reads = st.builds(
    lambda word, more: [
        Write(BY_NAME["EERD"].offset, BY_NAME["EERD"].value(START=1, ADDR=word) | more),
        REST,
        Read(BY_NAME["EERD"].offset),
    ],
    st.integers(0, 255),
    st.sampled_from((0, 0, 0xFFFF0010)),
)

eeprom_accesses = st.one_of(
    st.integers(0, 63).map(lambda word: [*microwire(f"110{word:06b}", clocks=18)]),
    st.builds(
        lambda word, value: [*eeprom_write(word, value)],
        st.one_of(st.sampled_from((0, 1, 2, 0xA, 0xF, 0x24)), st.integers(0, 63)),
        st.integers(0, 0xFFFF),
    ),
    st.text("01", min_size=1, max_size=30).map(lambda bits: [*microwire(bits, clocks=2)]),
    st.integers(0, 0xFF).map(lambda value: [Write(BY_NAME["EECD"].offset, value)] * 2 + [Read(BY_NAME["EECD"].offset)]),
)
