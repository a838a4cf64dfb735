"""Gathers descriptors into packets (manual 3.3.3, 3.3.6, 3.3.7: transmit descriptors; 3.5.2: the two contexts).

Which descriptor decides what, with the cases the manual leaves open:

- The first legacy or data descriptor after a packet's end begins a packet and decides its kind. For a data
  descriptor, TSE, IXSM, TXSM and, with TSE, IFCS, VLE and the special field are taken from it, and the context is the
  one its TSE names, as it stands then. For a legacy descriptor, CSS is.
- Every later legacy or data descriptor up to the one with EOP adds its bytes, whatever its kind.
- The descriptor with EOP decides IFCS, VLE and the special field (without TSE), and IC and CSO when it and the first
  one are legacy.
- A null address or a length of 0 adds no bytes, but EOP and RS count. A packet may have no bytes: nothing is sent.
- A context descriptor may stand anywhere; inside a packet it serves the next one.
- A packet that names a context not given since reset has no insertions; with TSE nothing is sent.
- A reserved DTYP (2 to 15) is passed over, EOP included; it completes like any other.
"""

from dataclasses import dataclass, field

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..descriptors import TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY
from .layouts import Chunk, Completion, ContextDescriptor, ContextLayout, DataDescriptor, Item, LegacyDescriptor
from .layouts import PacketPlan as PacketPlanLayout

__all__ = ["Context", "Packet", "PacketGatherer", "PacketOptions", "TransmitGather"]


@dataclass(frozen=True, kw_only=True)
class Context:
    """The kept part of a context descriptor (manual 3.3.6). Offsets and lengths in bytes."""

    ipcss: int = 0
    ipcso: int = 0
    ipcse: int = 0
    tucss: int = 0
    tucso: int = 0
    tucse: int = 0
    paylen: int = 0
    hdrlen: int = 0
    mss: int = 0
    tcp: int = 0
    ip: int = 0


@dataclass(frozen=True, kw_only=True)
class PacketOptions:
    """What a packet's descriptors ask for besides its bytes; each is 0 or 1, but the byte offsets ``css``, ``cso``,
    and ``special``, the tag control information that VLE inserts."""

    legacy: int = 0
    tse: int = 0
    ixsm: int = 0
    txsm: int = 0
    ic: int = 0
    css: int = 0
    cso: int = 0
    ifcs: int = 0
    vle: int = 0
    special: int = 0


@dataclass(frozen=True, kw_only=True)
class Packet:
    """A packet as its descriptors gave it, before segmentation and checksum insertion."""

    context: Context
    options: PacketOptions
    data: bytes


@dataclass
class PacketGatherer:
    """Golden model of ``TransmitGather``: descriptors in, packets out."""

    contexts: dict[int, Context] = field(default_factory=dict)
    """By TSE."""
    _context: Context = field(default_factory=Context)
    _options: PacketOptions | None = None
    _data: bytearray = field(default_factory=bytearray)

    @property
    def begun(self) -> tuple[Context, PacketOptions] | None:
        """What the first descriptor of a packet that has not ended has decided."""
        return None if self._options is None else (self._context, self._options)

    @staticmethod
    def buffer(raw: bytes) -> tuple[int, int]:
        """Address and length of the bytes that a 16-byte descriptor transfers; length 0 if none."""
        values = TRANSMIT_DATA.unpack(raw)
        if not values["dext"]:
            values = TRANSMIT_LEGACY.unpack(raw)
            length = values["length"]
        else:
            length = values["dtalen"] if values["dtyp"] == 1 else 0
        return values["address"], length if values["address"] else 0

    def take(self, raw: bytes, data: bytes) -> Packet | None:
        """Takes one 16-byte descriptor with the bytes of its buffer; returns the packet that it ends, if any."""
        extended = TRANSMIT_DATA.unpack(raw)
        legacy = TRANSMIT_LEGACY.unpack(raw)
        if extended["dext"] and extended["dtyp"] == 0:
            values = TRANSMIT_CONTEXT.unpack(raw)
            kept = {name: values[name] for name in Context.__dataclass_fields__}
            self.contexts[values["tse"]] = Context(**kept)
            return None
        if extended["dext"] and extended["dtyp"] != 1:
            return None
        if self._options is None:
            if extended["dext"]:
                self._context = self.contexts.get(extended["tse"], Context())
                known = int(extended["tse"] in self.contexts)
                self._options = PacketOptions(
                    tse=extended["tse"],
                    ixsm=extended["ixsm"] & known,
                    txsm=extended["txsm"] & known,
                    ifcs=extended["ifcs"],
                    vle=extended["vle"],
                    special=extended["special"],
                )
            else:
                self._options = PacketOptions(legacy=1, css=legacy["css"])
                self._context = Context()
        self._data += data
        if not legacy["eop"]:
            return None
        options = self._options
        if not options.tse:
            ic = int(options.legacy and not legacy["dext"] and legacy["ic"])
            options = PacketOptions(
                legacy=options.legacy,
                ixsm=options.ixsm,
                txsm=options.txsm,
                ic=ic,
                css=options.css,
                cso=legacy["cso"] if ic else 0,
                ifcs=legacy["ifcs"],
                vle=legacy["vle"],
                special=legacy["special"],
            )
        packet = Packet(context=self._context, options=options, data=bytes(self._data))
        self._options = None
        self._data = bytearray()
        return packet


class TransmitGather(wiring.Component):
    """Walks the items, keeps the contexts, and hands on each packet as one plan and its bytes.

    A descriptor is completed when its last byte has left host memory and been handed on.

    Members
    -------
    items, words : In, from ``TransmitRequester``
    plans : Out(stream of PacketPlan)
        One per packet. It appears with the packet's first chunk; the receiver takes it when it is done with the
        packet, and so can read it until then. The next packet waits for that.
    chunks : Out(stream of Chunk), the bytes of the packet
    completions : Out(stream of Completion), one per descriptor, in order
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "items": In(stream.Signature(Item)),
                "words": In(stream.Signature(64)),
                "plans": Out(stream.Signature(PacketPlanLayout)),
                "chunks": Out(stream.Signature(Chunk)),
                "completions": Out(stream.Signature(Completion)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        item = self.items.payload
        legacy = LegacyDescriptor(item.data)
        context = ContextDescriptor(item.data)
        extended = DataDescriptor(item.data)

        # The read port's register holds the context of the packet at hand, whatever is written meanwhile.
        m.submodules.contexts = contexts = memory.Memory(shape=ContextLayout, depth=2, init=[])
        context_write = contexts.write_port()
        context_read = contexts.read_port()
        kept = Signal(ContextLayout)
        given = Signal(2)
        known = Signal()
        m.d.comb += [
            *(kept[name].eq(context[name]) for name in ContextLayout.members),
            context_write.addr.eq(context.tse),
            context_write.data.eq(kept),
            context_read.addr.eq(extended.tse),
            context_read.en.eq(0),
            known.eq(given.bit_select(extended.tse, 1)),
        ]

        plan = self.plans.payload
        m.d.comb += plan.context.eq(context_read.data)

        opened = Signal()
        offset = Signal(3)
        length = Signal(20)
        words_left = Signal(18)
        tail = Signal(4)
        first = Signal()
        count = Signal(4)
        with m.If(words_left == 0):
            m.d.comb += count.eq(Mux(first, length, tail))
        with m.Else():
            m.d.comb += count.eq(Mux(first, 8 - offset, 8))

        chunk = self.chunks.payload
        m.d.comb += [
            chunk.data.eq(self.words.payload),
            chunk.offset.eq(Mux(first, offset, 0)),
            chunk.ifcs.eq(legacy.ifcs),
            chunk.ic.eq(legacy.ic & ~legacy.dext),
            chunk.cso.eq(legacy.cso),
            chunk.vle.eq(legacy.vle),
            chunk.special.eq(legacy.special),
            self.completions.payload.data.eq(item.data),
            self.completions.payload.index.eq(item.index),
        ]

        with m.If(self.plans.valid & self.plans.ready):
            m.d.sync += self.plans.valid.eq(0)

        with m.FSM():
            with m.State("DESCRIPTOR"):
                m.d.sync += [offset.eq(legacy.address[:3]), first.eq(1)]
                m.d.sync += length.eq(Mux(legacy.dext, extended.dtalen, legacy.length))
                with m.If(self.items.valid):
                    with m.If(legacy.dext & (extended.dtyp != 1)):
                        with m.If(extended.dtyp == 0):
                            m.d.comb += context_write.en.eq(1)
                            m.d.sync += given.bit_select(context.tse, 1).eq(1)
                        m.next = "COMPLETE"
                    with m.Elif(opened):
                        m.next = "MEASURE"
                    with m.Elif(~self.plans.valid):
                        m.d.comb += context_read.en.eq(1)
                        m.d.sync += [
                            opened.eq(1),
                            self.plans.valid.eq(1),
                            plan.legacy.eq(~legacy.dext),
                            plan.tse.eq(legacy.dext & extended.tse),
                            plan.known.eq(known),
                            plan.ixsm.eq(legacy.dext & extended.ixsm & known),
                            plan.txsm.eq(legacy.dext & extended.txsm & known),
                            plan.ifcs.eq(extended.ifcs),
                            plan.css.eq(legacy.css),
                            plan.vle.eq(extended.vle),
                            plan.special.eq(extended.special),
                        ]
                        m.next = "MEASURE"
            with m.State("MEASURE"):
                end = Signal(21)
                m.d.comb += end.eq(offset + length - 1)
                m.d.sync += [words_left.eq(end[3:]), tail.eq(end[:3] + 1)]
                with m.If(~item.empty):
                    m.next = "WORDS"
                with m.Elif(legacy.eop):
                    m.next = "END"
                with m.Else():
                    m.next = "COMPLETE"
            with m.State("WORDS"):
                m.d.comb += [
                    self.chunks.valid.eq(self.words.valid),
                    self.words.ready.eq(self.chunks.ready),
                    chunk.count.eq(count),
                    chunk.last.eq(legacy.eop & (words_left == 0)),
                ]
                with m.If(self.words.valid & self.chunks.ready):
                    m.d.sync += [first.eq(0), words_left.eq(words_left - 1)]
                    with m.If(words_left == 0):
                        with m.If(legacy.eop):
                            m.d.sync += opened.eq(0)
                        m.next = "COMPLETE"
            with m.State("END"):
                m.d.comb += [self.chunks.valid.eq(1), chunk.last.eq(1)]
                with m.If(self.chunks.ready):
                    m.d.sync += opened.eq(0)
                    m.next = "COMPLETE"
            with m.State("COMPLETE"):
                m.d.comb += [self.completions.valid.eq(1), self.items.ready.eq(self.completions.ready)]
                with m.If(self.completions.ready):
                    m.next = "DESCRIPTOR"
        return m
