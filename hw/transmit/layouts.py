"""What travels between the stages of the transmit path (formats: manual 3.3.3 legacy, 3.3.6 context, 3.3.7 data)."""

from amaranth.lib import data

from ..descriptors import TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY, DescriptorFormat
from ..interfaces import PacketWord

__all__ = [
    "MAX_HEADER_BYTES",
    "MAX_PACKET_BYTES",
    "Chunk",
    "Completion",
    "ContextDescriptor",
    "ContextLayout",
    "DataDescriptor",
    "FrameControl",
    "FrameInfo",
    "FrameWord",
    "Insertion",
    "Item",
    "LegacyDescriptor",
    "PacketPlan",
    "Piece",
    "SegmentWord",
    "SumControl",
]

MAX_PACKET_BYTES = 16288
"""The longest packet the chip sends, before padding and FCS (manual 3.3.3.1)."""

MAX_HEADER_BYTES = 240
"""The longest header that segmentation replicates (manual 3.5.3)."""


def _layout(fmt: DescriptorFormat) -> data.FlexibleLayout:
    return data.FlexibleLayout(128, {name: data.Field(width, lsb) for name, (lsb, width) in fmt.fields.items()})


LegacyDescriptor = _layout(TRANSMIT_LEGACY)
ContextDescriptor = _layout(TRANSMIT_CONTEXT)
DataDescriptor = _layout(TRANSMIT_DATA)

Item = data.StructLayout({"data": 128, "index": 16, "empty": 1})
"""A descriptor on its way to the consumer. ``empty``: it transfers no bytes, so no read was asked for."""

ContextLayout = data.StructLayout(
    {
        name: TRANSMIT_CONTEXT.fields[name][1]
        for name in (
            *("ipcss", "ipcso", "ipcse", "tucss", "tucso", "tucse"),
            *("paylen", "hdrlen", "mss", "tcp", "ip"),
        )
    }
)
"""The part of a context descriptor that is kept."""

PacketPlan = data.StructLayout(
    {
        "context": ContextLayout,
        "known": 1,
        "legacy": 1,
        "tse": 1,
        "ixsm": 1,
        "txsm": 1,
        "ifcs": 1,
        "css": 8,
        "vle": 1,
        "special": 16,
    }
)
"""What a packet's first descriptor decides. ``known``: the context was given since reset."""

Chunk = data.StructLayout(
    {"data": 64, "offset": 3, "count": 4, "last": 1, "ifcs": 1, "ic": 1, "cso": 8, "vle": 1, "special": 16}
)
"""``count`` bytes (0..8) of a packet from lane ``offset`` on; 0 only to say ``last``.
``ifcs``, ``ic``, ``cso``, ``vle``, ``special`` are those of the descriptor with EOP, and count with ``last`` only."""

Piece = data.StructLayout({"data": 64, "offset": 3, "count": 4, "last": 1, "abort": 1})
"""``count`` bytes (0..8) of a frame from lane ``offset`` on. ``abort``, with ``last``: the frame must not be sent."""

SumControl = data.StructLayout({"enable": 1, "start": 8, "end": 16, "offset": 8})
"""One checksum insertion: the bytes it covers, and where its result goes."""

FrameControl = data.StructLayout(
    {"ip": SumControl, "transport": SumControl, "addend": 16, "zero_to_ones": 1, "ifcs": 1, "vle": 1, "special": 16}
)
"""How one frame is finished. ``addend`` joins the transport sum; ``zero_to_ones``: send FFFF for a result of 0."""

FrameWord = data.StructLayout({"packet": PacketWord, "abort": 1})

SegmentWord = data.StructLayout({"packet": PacketWord, "abort": 1, "control": FrameControl})
"""One word of a frame. ``start``, ``end`` and ``addend`` hold from its first word, all of ``control`` with its last."""

Insertion = data.StructLayout({"enable": 1, "offset": 8, "value": 16})
"""Two bytes to store, big-endian, at ``offset`` and ``offset`` + 1."""

FrameInfo = data.StructLayout(
    {"length": 15, "ifcs": 1, "vle": 1, "special": 16, "ip": Insertion, "transport": Insertion}
)

Completion = data.StructLayout({"data": 128, "index": 16})
"""A descriptor whose data has been taken."""
