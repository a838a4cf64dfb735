"""Asks host memory for the data of transmit descriptors (manual 3.3, 3.3.3, 3.3.7: transmit data fetch)."""

from amaranth import Module, Mux, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..interfaces import MAX_BURST_BYTES, Descriptor, ReadData, ReadRequest
from .layouts import DataDescriptor, Item, LegacyDescriptor

__all__ = ["TransmitRequester"]


class TransmitRequester(wiring.Component):
    """Turns descriptors into read requests, and keeps the answers in order beside their descriptors.

    Reads run ahead of their use by up to ``data_words`` words and ``items`` descriptors, which hides the latency of
    host memory. Room for an answer is taken before the request is made, since ``read_data`` is always ready.

    Legacy and data descriptors transfer data, unless their address is null or their length zero; context descriptors
    and those of a reserved DTYP transfer none. The words of one descriptor are the aligned words its buffer touches,
    whatever the bursts were.

    Members
    -------
    descriptors : In(stream of Descriptor)
    read_request, read_data : as in ``MemoryPort``
    items : Out(stream of Item), every descriptor in order
    words : Out(stream of 64 bits), the data of the items in order
    """

    def __init__(self, *, data_words: int = 512, items: int = 32) -> None:
        if data_words < 2 * MAX_BURST_BYTES // 8:
            raise ValueError(f"data_words must be at least two bursts, {MAX_BURST_BYTES // 4}, not {data_words!r}")
        if items < 2:
            raise ValueError(f"items must be at least 2, not {items!r}")
        self._data_words = data_words
        self._items = items
        super().__init__(
            {
                "descriptors": In(stream.Signature(Descriptor)),
                "read_request": Out(stream.Signature(ReadRequest)),
                "read_data": In(stream.Signature(ReadData, always_ready=True)),
                "items": Out(stream.Signature(Item)),
                "words": Out(stream.Signature(64)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.item_fifo = item_fifo = fifo.SyncFIFOBuffered(width=Item.size, depth=self._items)
        m.submodules.word_fifo = word_fifo = fifo.SyncFIFOBuffered(width=64, depth=self._data_words)

        item = Signal(Item)
        m.d.comb += [
            item_fifo.w_data.eq(item),
            self.items.payload.eq(item_fifo.r_data),
            self.items.valid.eq(item_fifo.r_rdy),
            item_fifo.r_en.eq(self.items.ready),
            word_fifo.w_data.eq(self.read_data.payload.data),
            word_fifo.w_en.eq(self.read_data.valid),
            self.words.payload.eq(word_fifo.r_data),
            self.words.valid.eq(word_fifo.r_rdy),
            word_fifo.r_en.eq(self.words.ready),
        ]

        descriptor = self.descriptors.payload
        legacy = LegacyDescriptor(descriptor.data)
        extended = DataDescriptor(descriptor.data)
        transfers = Signal()
        length = Signal(20)
        m.d.comb += [
            transfers.eq(~legacy.dext | (extended.dtyp == 1)),
            length.eq(Mux(legacy.dext, extended.dtalen, legacy.length)),
            item.data.eq(descriptor.data),
            item.index.eq(descriptor.index),
            item.empty.eq(~transfers | (length == 0) | (legacy.address == 0)),
        ]

        address = Signal(64)
        remaining = Signal(20)
        burst = Signal(range(MAX_BURST_BYTES + 1))
        burst_words = Signal(range(MAX_BURST_BYTES // 8 + 1))
        final = Signal()

        # Words that may still be asked for; those on their way and those not yet used are out of it.
        room = Signal(range(self._data_words + 1), init=self._data_words)
        asked = Signal()
        counted = Signal()  # ``asked`` of the cycle before; nobody looks at ``room`` sooner
        used = Signal()
        m.d.comb += [
            asked.eq(self.read_request.valid & self.read_request.ready),
            used.eq(self.words.valid & self.words.ready),
        ]
        m.d.sync += [counted.eq(asked), room.eq(room - Mux(counted, burst_words, 0) + used)]

        m.d.comb += [self.read_request.payload.address.eq(address), self.read_request.payload.length.eq(burst)]
        page_bits = MAX_BURST_BYTES.bit_length() - 1
        with m.FSM():
            with m.State("DESCRIPTOR"):
                m.d.comb += [
                    item_fifo.w_en.eq(self.descriptors.valid),
                    self.descriptors.ready.eq(item_fifo.w_rdy),
                ]
                m.d.sync += [address.eq(legacy.address), remaining.eq(length)]
                with m.If(self.descriptors.valid & item_fifo.w_rdy & ~item.empty):
                    m.next = "BURST"
            with m.State("BURST"):
                to_boundary = Signal(range(MAX_BURST_BYTES + 1))
                m.d.comb += to_boundary.eq(MAX_BURST_BYTES - address[:page_bits])
                m.d.sync += [final.eq(remaining <= to_boundary), burst.eq(to_boundary)]
                with m.If(remaining <= to_boundary):
                    m.d.sync += burst.eq(remaining)
                m.next = "WORDS"
            with m.State("WORDS"):
                m.d.sync += burst_words.eq((address[:3] + burst + 7) >> 3)
                m.next = "ROOM"
            with m.State("ROOM"), m.If(room >= burst_words):
                m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.read_request.valid.eq(1)
                with m.If(asked):
                    # A burst that is not the final one ends on a boundary.
                    m.d.sync += [
                        address[page_bits:].eq(address[page_bits:] + 1),
                        address[:page_bits].eq(0),
                        remaining.eq(remaining - burst),
                    ]
                    with m.If(final):
                        m.next = "DESCRIPTOR"
                    with m.Else():
                        m.next = "BURST"
        return m
