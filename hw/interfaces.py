"""The interfaces between the NIC's modules, and between the NIC and a bus.

Byte order everywhere: lane 0 (bits 7:0) of a 64-bit word is the byte with the lowest address, and the byte that
travels first on the wire.

The host side is a split-transaction memory port plus a register port, so that a bus is an adapter and never leaks
into the engines. Transfer rules of every stream are those of ``amaranth.lib.stream``.
"""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.mac.speed import Speed

__all__ = [
    "MAX_BURST_BYTES",
    "BufferPointers",
    "Descriptor",
    "GmiiSignature",
    "MemoryPort",
    "PacketWord",
    "ReadData",
    "ReadRequest",
    "RegisterPort",
    "RegisterRequest",
    "TransmitInfo",
    "WriteData",
    "WriteRequest",
]

MAX_BURST_BYTES = 512
"""No read or write request is longer than this, or crosses a multiple of it (so never a 4 KiB page either)."""

PacketWord = data.StructLayout({"data": 64, "count": 4, "last": 1})
"""One word of a packet: ``count`` valid bytes (1..8) from lane 0; fewer than 8 only where ``last`` is set."""

TransmitInfo = data.StructLayout({"length": 15, "ifcs": 1, "vle": 1, "special": 16})
"""What the MAC is told of a packet before its words: ``length`` in bytes without tag and FCS, whether to append the
FCS, whether to insert a VLAN tag, and its tag control information."""

Descriptor = data.StructLayout({"data": 128, "index": 16})
"""One descriptor as fetched from memory, with its place in the ring."""

BufferPointers = data.StructLayout({"head": 13, "tail": 13, "head_saved": 13, "tail_saved": 13, "packets": 13})
"""What the diagnostic registers show of a packet buffer, places in words of 64 bits: ``head`` is read next, ``tail`` is
one past the last whole packet, the saved ones are where the packet read last and the last whole packet begin; and how
many whole packets wait to be read."""

ReadRequest = data.StructLayout({"address": 64, "length": 10, "tag": 2})
"""Read ``length`` bytes (1..512) from byte ``address``."""

ReadData = data.StructLayout({"data": 64, "tag": 2, "last": 1})
"""One aligned 8-byte word of a read burst. Words of one tag come in the order of the requests; different tags may
overtake one another. Lanes outside the requested bytes hold whatever memory holds."""

WriteRequest = data.StructLayout({"address": 64, "length": 10})
"""Write ``length`` bytes (1..512) to byte ``address``; the data follows in as many aligned words as that touches."""

WriteData = data.StructLayout({"data": 64, "strobe": 8, "last": 1})
"""One aligned 8-byte word of a write burst; ``strobe`` says which lanes are written."""

RegisterRequest = data.StructLayout({"address": 17, "write": 1, "data": 32})
"""An aligned 32-bit access to the 128 KiB register window."""


class MemoryPort(wiring.Signature):
    """Host memory as its user sees it (the NIC, or one engine of it).

    Members
    -------
    read_request : ``Out(stream.Signature(ReadRequest))``
    read_data : ``In(stream.Signature(ReadData, always_ready=True))``
        Always ready: who asks has reserved the room for the answer, so no client can block another.
    write_request : ``Out(stream.Signature(WriteRequest))``
    write_data : ``Out(stream.Signature(WriteData))``
        Writes are posted. They become visible in memory in the order of their requests.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "read_request": Out(stream.Signature(ReadRequest)),
                "read_data": In(stream.Signature(ReadData, always_ready=True)),
                "write_request": Out(stream.Signature(WriteRequest)),
                "write_data": Out(stream.Signature(WriteData)),
            }
        )


class RegisterPort(wiring.Signature):
    """Register accesses as the NIC sees them: requests come in order; each read has one response, in order.

    Members
    -------
    request : ``In(stream.Signature(RegisterRequest))``
    response : ``Out(stream.Signature(32))``
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "request": In(stream.Signature(RegisterRequest)),
                "response": Out(stream.Signature(32)),
            }
        )


class GmiiSignature(wiring.Signature):
    """GMII as the MAC sees it (IEEE 802.3 clause 35), or at 10 and 100 Mb/s MII (clause 22) on the same pins. The
    transmit side runs in ``sync`` (125 MHz, which is GTX_CLK), the receive side in ``gmii_rx`` (the PHY's RX_CLK).

    Members
    -------
    txd, tx_en, tx_er : ``Out``
        Valid in cycles with ``tx_strobe``. At 10 and 100 Mb/s ``txd`` is a nibble.
    tx_strobe : ``Out(1)``
        At 1 Gb/s always 1; at 100 and 10 Mb/s 1 in one of 5 and 50 cycles.
    tx_speed : ``Out(Speed)``
        The speed of the pins. It changes between frames only.
    rxd, rx_dv, rx_er : ``In``
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "txd": Out(8),
                "tx_en": Out(1),
                "tx_er": Out(1),
                "tx_strobe": Out(1),
                "tx_speed": Out(Speed, init=Speed.GIGABIT),
                "rxd": In(8),
                "rx_dv": In(1),
                "rx_er": In(1),
            }
        )
