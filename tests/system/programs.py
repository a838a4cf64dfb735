"""Programs that no driver would run, for Hypothesis to draw: any value in any register, and any bytes as a descriptor.

What takes long has bounds: timers are short, rings are small, and the link stays at 1 Gb/s, since the far end in the
bench knows no other speed.
"""

import random
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE, TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY, DescriptorFormat
from hw.mac.fcs import append_fcs
from hw.mac.pause import pause_frame
from hw.mdio import READ, WRITE
from hw.phy import PHY_ADDRESS
from hw.registers import BY_NAME, REGISTERS, WINDOW_BYTES, Register
from sim.model.nic import MAC_ADDRESS
from tests.hw.frames import make_packet, spoil
from tests.system.lockstep import (
    MEMORY_BYTES,
    REST,
    Arrive,
    Program,
    Read,
    Step,
    Store,
    Write,
    eeprom_write,
    fields,
    microwire,
)

__all__ = ["descriptor_programs", "register_programs"]

_TRANSMIT_RING, _RECEIVE_RING = 0x10000, 0x20000
_TRANSMIT_BUFFERS, _RECEIVE_BUFFERS = 0x40000, 0x80000
_MULTICAST, _OTHER = bytes.fromhex("01005e000001"), bytes.fromhex("020000000003")
_PAUSE_ADDRESS = bytes.fromhex("0180c2000001")
_PAUSE_TYPE, _VET = 0x8808, 0x8100

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


def _fields(register: Register) -> SearchStrategy[int]:
    """A value made of fields, each of which is 0, all ones or anything."""
    return st.tuples(
        *(
            st.one_of(st.just(0), st.just((1 << item.width) - 1), st.integers(0, (1 << item.width) - 1))
            for item in register.fields
        )
    ).map(lambda values: sum(item.put(value) for item, value in zip(register.fields, values, strict=True)))


def _writes_of(name: str) -> SearchStrategy[list[Step]]:
    register = BY_NAME[name]
    return st.builds(
        lambda offset, value: [_write(register, offset, value), REST],
        st.sampled_from([*register.offsets()]),
        st.one_of(_words(), _fields(register)),
    )


_NAMES = [register.name for register in REGISTERS]

_register_writes = st.sampled_from([name for name in _NAMES if name != "EECD"]).flatmap(_writes_of)
_reads = (
    st.sampled_from(_NAMES)
    .flatmap(lambda name: st.sampled_from([*BY_NAME[name].offsets()]))
    .map(lambda offset: [Read(offset)])
)
_holes = st.integers(0, WINDOW_BYTES // 4 - 1).map(lambda word: 4 * word).filter(lambda offset: _at(offset) is None)
_hole_accesses = st.builds(lambda offset, value: [Write(offset, value), REST, Read(offset)], _holes, _words())


_resets = st.just([fields("CTRL", RST=1), REST])

_phy = st.builds(
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

_eerd = st.builds(
    lambda word, more: [
        Write(BY_NAME["EERD"].offset, BY_NAME["EERD"].value(START=1, ADDR=word) | more),
        REST,
        Read(BY_NAME["EERD"].offset),
    ],
    st.integers(0, 255),
    st.sampled_from((0, 0, 0xFFFF0010)),
)

_eeprom = st.one_of(
    st.integers(0, 63).map(lambda word: [*microwire(f"110{word:06b}", clocks=18)]),
    st.builds(
        lambda word, value: [*eeprom_write(word, value)],
        st.one_of(st.sampled_from((0, 1, 2, 0xA, 0xF, 0x24)), st.integers(0, 63)),
        st.integers(0, 0xFFFF),
    ),
    st.text("01", min_size=1, max_size=30).map(lambda bits: [*microwire(bits, clocks=2)]),
    st.integers(0, 0xFF).map(lambda value: [Write(BY_NAME["EECD"].offset, value)] * 2 + [Read(BY_NAME["EECD"].offset)]),
)


def _frame(kind: str, length: int, seed: int, good: bool) -> bytes:
    """A frame with FCS of about that length."""
    rng = random.Random(seed)
    filling = rng.randbytes(length)
    if kind == "packet":
        frame = bytes(make_packet(rng))
    elif kind == "spoilt":
        frame = spoil(rng, bytes(make_packet(rng)))
    elif kind == "tagged":
        packet = bytes(make_packet(rng))
        frame = packet[:12] + _VET.to_bytes(2, "big") + rng.randbytes(2) + packet[12:]
    elif kind == "pause":
        frame = pause_frame(
            destination=rng.choice((_PAUSE_ADDRESS, MAC_ADDRESS)),
            source=_OTHER,
            fct=_PAUSE_TYPE,
            quanta=rng.choice((0, 1, 3, 20)),
        )
        if rng.randrange(4) == 0:
            frame = frame[:14] + rng.randbytes(2) + frame[16:]
    elif kind == "anything":
        frame = filling
    else:
        destination = {"own": MAC_ADDRESS, "broadcast": b"\xff" * 6, "multicast": _MULTICAST, "other": _OTHER}[kind]
        frame = destination + _OTHER + rng.choice((b"\x88\xb5", b"\x08\x00", b"\x86\xdd")) + filling
    if kind != "anything" and rng.randrange(4):
        frame = frame.ljust(60, b"\0")
    whole: bytes = append_fcs(frame)
    return whole if good else whole[:-1] + bytes([whole[-1] ^ 0x10])


_KINDS = ("own", "own", "broadcast", "multicast", "other", "packet", "packet", "spoilt", "tagged", "pause", "anything")
frames = st.builds(
    _frame,
    st.sampled_from(_KINDS),
    st.one_of(st.sampled_from((0, 1, 40, 45, 46, 47, 50, 100, 1500, 1504, 1505, 4000)), st.integers(0, 300)),
    st.integers(0, 0xFFFF),
    st.sampled_from((True, True, True, True, False)),
)
_arrivals = st.lists(frames, min_size=1, max_size=4).map(lambda several: [*map(Arrive, several), REST])


_floods = st.builds(
    lambda kind, length, seed, count: [Arrive(_frame(kind, length, seed, True)), REST] * count,
    st.sampled_from(("own", "broadcast", "packet")),
    st.sampled_from((46, 300, 1500, 1500, 9000)),
    st.integers(0, 0xFFFF),
    st.integers(5, 60),
)
"""More than the buffer holds, if nobody takes it from there; which is lost would else be a matter of cycles."""


def _addresses(first: int) -> SearchStrategy[int]:
    """Where a buffer may lie: near a place, nowhere, at the end of memory, beyond it, at the end of all addresses."""
    return st.one_of(
        st.integers(first, first + 0x3000),
        st.integers(first, first + 0x3000),
        st.integers(0, 15).map(lambda line: first + 0x800 * line),
        st.just(0),
        st.integers(MEMORY_BYTES - 300, MEMORY_BYTES),
        st.sampled_from((1 << 32, 0xFEDCBA9876543210, (1 << 64) - 8, (1 << 64) - 60)),
    )


_short = st.one_of(st.sampled_from((0, 1, 7, 8, 9, 16, 59, 60, 64, 100)), st.integers(0, 1000))
_lengths = st.one_of(
    _short,
    st.sampled_from((1514, 1518, 2048)),
    st.sampled_from((4096, 9000, 16287, 16288, 16289, 0x4FFF)),
)
_bits = st.integers(0, 1)
_octets = st.one_of(st.sampled_from((0, 12, 13, 14, 24, 34, 40, 50, 54, 255)), st.integers(0, 255))
_ends = st.one_of(st.just(0), st.integers(0, 120), st.integers(0, 0xFFFF))
_often = st.sampled_from((1, 1, 1, 0))


def _descriptors(form: DescriptorFormat, **drawn: SearchStrategy[int]) -> SearchStrategy[bytes]:
    return st.fixed_dictionaries(drawn).map(lambda values: form.pack(**values))


def _contexts(paylen: SearchStrategy[int], mss: SearchStrategy[int]) -> SearchStrategy[bytes]:
    return _descriptors(
        TRANSMIT_CONTEXT,
        dext=st.just(1),
        ipcss=_octets,
        ipcso=_octets,
        ipcse=_ends,
        tucss=_octets,
        tucso=_octets,
        tucse=_ends,
        paylen=paylen,
        hdrlen=st.one_of(st.sampled_from((0, 1, 7, 8, 54, 54, 66, 239, 240, 241, 255)), st.integers(0, 255)),
        mss=mss,
        **dict.fromkeys(("tcp", "ip", "rs", "snap", "ide", "dd"), _bits),
        tse=_often,
    )


_context = st.one_of(
    _contexts(
        st.one_of(st.integers(0, 400), st.integers(0, 6000), st.just(0xFFFFF)),
        st.one_of(st.sampled_from((0, 100, 536, 1460, 16000, 0xFFFF)), st.integers(60, 400)),
    ),
    _contexts(st.integers(0, 60), st.integers(1, 8)),
)


def _legacy(lengths: SearchStrategy[int]) -> SearchStrategy[bytes]:
    return _descriptors(
        TRANSMIT_LEGACY,
        address=_addresses(_TRANSMIT_BUFFERS),
        length=lengths,
        cso=_octets,
        css=_octets,
        special=st.integers(0, 0xFFFF),
        eop=_often,
        ifcs=_often,
        rs=_often,
        **dict.fromkeys(("ic", "rps", "vle", "ide"), _bits),
        **{name: st.sampled_from((0, 0, 1)) for name in ("dd", "ec", "lc")},
    )


def _data(lengths: SearchStrategy[int]) -> SearchStrategy[bytes]:
    return _descriptors(
        TRANSMIT_DATA,
        address=_addresses(_TRANSMIT_BUFFERS),
        dtalen=lengths,
        dext=st.just(1),
        dtyp=st.sampled_from((1, 1, 1, 1, 1, 1, 1, 0, 2, 15)),
        eop=_often,
        ifcs=_often,
        rs=_often,
        special=st.integers(0, 0xFFFF),
        **dict.fromkeys(("tse", "vle", "ide", "ixsm", "txsm"), _bits),
        **{name: st.sampled_from((0, 0, 1)) for name in ("dd", "ec", "lc")},
    )


def _any(longest: int) -> SearchStrategy[bytes]:
    """Any bytes, but that the buffer's length is cut."""
    return st.binary(min_size=DESCRIPTOR_BYTES, max_size=DESCRIPTOR_BYTES).map(
        lambda raw: raw[:9] + bytes([raw[9] & longest >> 8, raw[10] & 0xF0]) + raw[11:]
    )


def _transmit_descriptors(lengths: SearchStrategy[int], longest: int) -> SearchStrategy[bytes]:
    return st.one_of(_legacy(lengths), _context, _data(lengths), _data(lengths), _any(longest))


_receive_descriptors = st.one_of(
    _descriptors(RECEIVE, address=_addresses(_RECEIVE_BUFFERS), length=st.integers(0, 0xFFFF), dd=_bits, eop=_bits),
    _any(0xFFFF),
)


_BEHIND = -1
"""A tail: right behind the descriptors."""


def _stores(items: list[tuple[int, bytes]]) -> list[Step]:
    return [Store(address, data) for address, data in items if address + len(data) <= MEMORY_BYTES]


def _ring(prefix: str, base: int, descriptors: SearchStrategy[bytes]) -> SearchStrategy[list[Step]]:
    """Set a ring up and fill it; the engine is off meanwhile, and the tail is written last."""
    control = "RCTL" if prefix == "RD" else "TCTL"

    def steps(
        head: int, tail: int, length: int, place: int, raw: list[bytes], enabled: Write, thresholds: int
    ) -> list[Step]:
        size = max(length // DESCRIPTOR_BYTES, 1)
        return [
            Write(BY_NAME[control].offset, 0),
            *_stores([(place + DESCRIPTOR_BYTES * ((head + number) % size), item) for number, item in enumerate(raw)]),
            fields(f"{prefix}BAL", BASE=place >> 4),
            fields(f"{prefix}BAH"),
            Write(BY_NAME[f"{prefix}LEN"].offset, length),
            fields(f"{prefix}H", HEAD=head),
            fields(f"{prefix}T", TAIL=head),
            Write(BY_NAME["RXDCTL" if prefix == "RD" else "TXDCTL"].offset, thresholds),
            REST,
            enabled,
            fields(f"{prefix}T", TAIL=(head + len(raw)) % size if tail == _BEHIND else tail),
            REST,
        ]

    thresholds = _fields(BY_NAME["RXDCTL" if prefix == "RD" else "TXDCTL"])
    common = {
        "raw": st.lists(descriptors, min_size=1, max_size=12),
        "enabled": _receive_control if prefix == "RD" else _transmit_control,
        "thresholds": st.one_of(st.just(0), thresholds),
    }
    sane = st.builds(
        steps,
        head=st.integers(0, 15),
        tail=st.just(_BEHIND),
        length=st.sampled_from((0x100, 0x100, 0x800)),
        place=st.integers(0, 63).map(lambda line: base + 16 * line),
        **common,
    )
    odd = st.builds(
        steps,
        head=st.one_of(st.integers(0, 15), st.sampled_from((127, 128, 0xFFFF))),
        tail=st.one_of(st.just(_BEHIND), st.integers(0, 15), st.sampled_from((128, 200, 0xFFFF))),
        length=st.sampled_from((0, 0x80, 0x100, 0x800)),
        place=st.sampled_from((base, base + 0x70, MEMORY_BYTES - 0x80)),
        **common,
    )
    return st.one_of(sane, sane, odd)


_receive_control = _fields(BY_NAME["RCTL"]).map(
    lambda value: Write(BY_NAME["RCTL"].offset, (value | 2) & ~BY_NAME["RCTL"].mask("LBM"))
)
_transmit_control = st.sampled_from(
    [fields("TCTL", EN=1, PSP=1), fields("TCTL", EN=1), fields("TCTL", EN=1, PSP=1, SWXOFF=1)]
)
_link_up = [
    fields("CTRL", SLU=1, FD=1, SPEED=2),
    REST,
]
_controls = st.sampled_from(
    [
        fields("CTRL", SLU=1, FD=1, SPEED=2),
        fields("CTRL", SLU=1, FD=1, SPEED=2, VME=1),
        fields("CTRL", SLU=1, FD=1, SPEED=2, RFCE=1),
        fields("CTRL", SLU=1, FD=1, SPEED=2, VME=1, RFCE=1, TFCE=1),
    ]
)
_receive_rings = _ring("RD", _RECEIVE_RING, _receive_descriptors)
_transmit_rings = _ring("TD", _TRANSMIT_RING, _transmit_descriptors(_lengths, 0xFFFF))
_short_transmit_rings = _ring("TD", _TRANSMIT_RING, _transmit_descriptors(_short, 0x3FF))
"""No more than the buffer holds, if there is no link."""


def _program(parts: list[list[Step]], handler: bool, latencies: tuple[int, int], width: int, seed: int) -> Program:
    filling = random.Random(seed).randbytes(0x8000)
    return Program(
        [Store(_TRANSMIT_BUFFERS, filling), *(step for part in parts for step in part)],
        handler=handler,
        read_latency=latencies[0],
        write_latency=latencies[1],
        width=width,
    )


def _programs(parts: SearchStrategy[list[list[Step]]]) -> SearchStrategy[Program]:
    return st.builds(
        _program,
        parts,
        st.booleans(),
        st.sampled_from(((160, 80), (160, 80), (8, 8), (800, 300), (4000, 2000))),
        st.sampled_from((8, 8, 8, 4, 1)),
        st.integers(0, 0xFFFF),
    )


_part: Callable[..., SearchStrategy[list[Step]]] = st.one_of

register_programs = _programs(
    st.lists(
        _part(
            _register_writes,
            _register_writes,
            _register_writes,
            _register_writes,
            _reads,
            _reads,
            _hole_accesses,
            _resets,
            _phy,
            _eerd,
            _eeprom,
            _arrivals,
            _controls.map(lambda write: [write, REST]),
            _receive_rings,
            _short_transmit_rings,
            _short_transmit_rings,
        ),
        min_size=5,
        max_size=30,
    )
)
"""Random registers, with a few frames between."""

_flow_control = st.builds(
    lambda low, high, xon, time: [
        fields("FCAL", VALUE=0x00C28001),
        fields("FCAH", VALUE=0x100),
        fields("FCT", VALUE=_PAUSE_TYPE),
        fields("FCTTV", TTV=0 if high else time),
        fields("FCRTL", RTL=low, XONE=xon),
        fields("FCRTH", RTH=high),  # what follows from it happens at once
        REST,
    ],
    low=st.integers(0, 300),
    high=st.one_of(st.just(0), st.integers(0, 30), st.integers(0, 600)),
    xon=_bits,
    time=st.integers(0, 3),
)
_tweaks = st.sampled_from(
    (
        "RDTR",
        "RADV",
        "RSRPD",
        "TIDV",
        "TADV",
        "ITR",
        "IMS",
        "RXCSUM",
        "VET",
        "TIPG",
        "FCRTL",
        "FCRTH",
        "FCT",
        "RDT",
        "TDT",
        "RDH",
        "TDH",
        "RXDCTL",
        "TXDCTL",
        "RCTL",
        "TCTL",
    )
).flatmap(_writes_of)

descriptor_programs = _programs(
    st.builds(
        lambda control, more, parts: [[control, REST, *more], *parts],
        _controls,
        st.sampled_from([[], [fields("IMS", TXDW=1, TXQE=1, RXT0=1, RXDMT0=1, RXO=1, TXD_LOW=1, SRPD=1)]]),
        st.lists(
            _part(
                _receive_rings,
                _transmit_rings,
                _transmit_rings,
                _arrivals,
                _arrivals,
                _floods,
                _tweaks,
                _reads,
                _flow_control,
            ),
            min_size=2,
            max_size=15,
        ),
    )
)
"""Random descriptors and rings in odd states, with frames both ways."""
