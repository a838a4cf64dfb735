"""Descriptors and rings of random programs: any bytes as a descriptor, and rings in odd states."""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE, TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY, DescriptorFormat
from hw.registers import BY_NAME
from tests.system.lockstep import MEMORY_BYTES
from tests.system.program_registers import field_values
from tests.system.program_steps import REST, Step, Store, Write, fields

__all__ = ["TRANSMIT_BUFFERS", "bits", "receive_rings", "short_transmit_rings", "transmit_rings"]

_TRANSMIT_RING, _RECEIVE_RING = 0x10000, 0x20000
TRANSMIT_BUFFERS, _RECEIVE_BUFFERS = 0x40000, 0x80000


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
bits = st.integers(0, 1)
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
        **dict.fromkeys(("tcp", "ip", "rs", "snap", "ide", "dd"), bits),
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
        address=_addresses(TRANSMIT_BUFFERS),
        length=lengths,
        cso=_octets,
        css=_octets,
        special=st.integers(0, 0xFFFF),
        eop=_often,
        ifcs=_often,
        rs=_often,
        **dict.fromkeys(("ic", "rps", "vle", "ide"), bits),
        **{name: st.sampled_from((0, 0, 1)) for name in ("dd", "ec", "lc")},
    )


def _data(lengths: SearchStrategy[int]) -> SearchStrategy[bytes]:
    return _descriptors(
        TRANSMIT_DATA,
        address=_addresses(TRANSMIT_BUFFERS),
        dtalen=lengths,
        dext=st.just(1),
        dtyp=st.sampled_from((1, 1, 1, 1, 1, 1, 1, 0, 2, 15)),
        eop=_often,
        ifcs=_often,
        rs=_often,
        special=st.integers(0, 0xFFFF),
        **dict.fromkeys(("tse", "vle", "ide", "ixsm", "txsm"), bits),
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
    _descriptors(RECEIVE, address=_addresses(_RECEIVE_BUFFERS), length=st.integers(0, 0xFFFF), dd=bits, eop=bits),
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

    thresholds = field_values(BY_NAME["RXDCTL" if prefix == "RD" else "TXDCTL"])
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


_receive_control = field_values(BY_NAME["RCTL"]).map(
    lambda value: Write(BY_NAME["RCTL"].offset, (value | 2) & ~BY_NAME["RCTL"].mask("LBM"))
)
_transmit_control = st.sampled_from(
    [fields("TCTL", EN=1, PSP=1), fields("TCTL", EN=1), fields("TCTL", EN=1, PSP=1, SWXOFF=1)]
)
receive_rings = _ring("RD", _RECEIVE_RING, _receive_descriptors)
transmit_rings = _ring("TD", _TRANSMIT_RING, _transmit_descriptors(_lengths, 0xFFFF))
short_transmit_rings = _ring("TD", _TRANSMIT_RING, _transmit_descriptors(_short, 0x3FF))
"""No more than the buffer holds, if there is no link."""
