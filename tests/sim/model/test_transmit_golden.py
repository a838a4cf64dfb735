"""What the model reads of descriptors, cuts and sums up is what the golden functions of the gateware say."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hw.descriptors import TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY, DescriptorFormat
from hw.transmit import checksum as golden_checksum
from hw.transmit import segment as golden_segment
from hw.transmit.gather import Context, PacketGatherer, PacketOptions
from sim.model.gather import Gatherer
from sim.model.segment import insert_checksums, segment_frame

_BIT = st.integers(0, 1)
_SMALL = st.one_of(st.integers(0, 70), st.sampled_from((0, 255)))


def _any(form: DescriptorFormat, **fixed: int) -> st.SearchStrategy[bytes]:
    fields = {
        name: st.just(fixed[name]) if name in fixed else st.integers(0, 2**width - 1)
        for name, (_, width) in form.fields.items()
    }
    return st.fixed_dictionaries(fields).map(lambda values: form.pack(**values))


_DESCRIPTORS = st.one_of(
    _any(TRANSMIT_LEGACY, dext=0),
    _any(TRANSMIT_DATA, dext=1, dtyp=1),
    _any(TRANSMIT_DATA, dext=1, dtyp=1, special=0),
    _any(TRANSMIT_CONTEXT, dext=1, dtyp=0),
    _any(TRANSMIT_DATA, dext=1),
)


@settings(max_examples=300)
@given(st.lists(_DESCRIPTORS, max_size=12))
def test_gatherer(descriptors: list[bytes]) -> None:
    golden, made = PacketGatherer(), Gatherer()
    for raw in descriptors * 2:
        expected, upper = golden.take(raw, b""), int.from_bytes(raw[8:], "little")
        asked = made.take(raw, upper)
        assert (asked and (asked.context, asked.options)) == (expected and (expected.context, expected.options))
        assert made.inside == (golden.begun is not None)
        if golden.begun is not None and golden.begun[1].tse:
            begun = made.asked(upper)
            assert (begun.context, begun.options) == golden.begun


_CONTEXTS = st.builds(
    Context,
    ipcss=_SMALL,
    ipcso=_SMALL,
    ipcse=st.one_of(_SMALL, st.integers(0, 0xFFFF)),
    tucss=_SMALL,
    tucso=_SMALL,
    tucse=st.one_of(_SMALL, st.integers(0, 0xFFFF)),
    paylen=st.integers(0, 600),
    mss=st.integers(1, 200),
    tcp=_BIT,
    ip=_BIT,
)


@settings(max_examples=500)
@given(
    context=_CONTEXTS,
    ixsm=_BIT,
    txsm=_BIT,
    header=st.one_of(st.binary(min_size=1, max_size=80), st.integers(1, 80).map(lambda size: b"\xff" * size)),
    piece=st.one_of(st.binary(max_size=200), st.integers(0, 200).map(bytes)),
    n=st.integers(0, 5),
    whole=st.booleans(),
)
def test_frames_of_a_cut_packet(
    context: Context, ixsm: int, txsm: int, header: bytes, piece: bytes, n: int, whole: bool
) -> None:
    paylen = context.mss * (n + 1) if whole else context.paylen
    context = replace(context, hdrlen=len(header), paylen=paylen)
    options = PacketOptions(tse=1, ixsm=ixsm, txsm=txsm)
    expected = golden_segment.segment_frame(context, options, header, piece, n)
    assert segment_frame(context, options, header, piece, n) == expected


@settings(max_examples=500)
@given(
    context=_CONTEXTS,
    options=st.builds(PacketOptions, legacy=_BIT, ixsm=_BIT, txsm=_BIT, ic=_BIT, css=_SMALL, cso=_SMALL),
    frame=st.one_of(st.binary(min_size=1, max_size=100), st.integers(1, 100).map(bytes)),
)
def test_checksums_of_a_packet(context: Context, options: PacketOptions, frame: bytes) -> None:
    expected = golden_checksum.insert_checksums(context, options, frame)
    assert insert_checksums(context, options, frame) == expected
