"""The receive packet buffer (manual 13.4.16, PBA: 48 KiB): a frame is in it whole, or not at all.

A frame lies in the memory as one word of ``ReceiveInfo`` followed by its data. The word of information is written
last, when the fate of the frame is known.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.interfaces import BufferPointers, PacketWord
from hw.receive.layouts import ReceiveInfo

__all__ = ["ReceiveBuffer"]


class ReceiveBuffer(wiring.Component):
    """A queue of frames.

    Parameters
    ----------
    words : int
        Size in words of 64 bits, at least 16.
    bank_words : int
        The memory is made of banks of this size, a power of two: block RAM is slow, so the output of each bank has a
        register of its own in front of the multiplexer.

    Members
    -------
    write : ``In(1)``, word : ``In(64)``
        Appends a word to the frame that comes in, unless there is no room.
    overflowed : ``Out(1)``
        A word of the frame that comes in found no room.
    commit : ``In(1)``, info : ``In(ReceiveInfo)``, drop_last : ``In(1)``
        The frame is complete; its data is ``info.length`` bytes in the words written, at least one, with ``drop_last``
        in all but the last of them. Not together with ``write``, not if ``overflowed``.
    rewind : ``In(1)``
        The frame is forgotten. Not together with ``write``.
    fill : ``Out(13)``
        Words in use, the word of information of each frame among them, and those of the frame that comes in; three
        cycles behind.
    pointers : ``Out(BufferPointers)``
    frames : ``Out(stream.Signature(ReceiveInfo))``
        Frames in order; after each one taken its words come from ``packets``.
    packets : ``Out(stream.Signature(PacketWord))``
        Up to one word per cycle. A frame of length 0 has none.

    Between ``write``, ``commit`` and ``rewind`` in any order there has to be one cycle without any of them, since room
    is reckoned a cycle behind.
    """

    write: In(1)
    word: In(64)
    overflowed: Out(1)
    commit: In(1)
    info: In(ReceiveInfo)
    drop_last: In(1)
    rewind: In(1)
    fill: Out(13)
    pointers: Out(BufferPointers)
    frames: Out(stream.Signature(ReceiveInfo))
    packets: Out(stream.Signature(PacketWord))

    def __init__(self, *, words: int = 6144, bank_words: int = 2048) -> None:
        if not 16 <= words <= 1 << 13:
            raise ValueError(f"words is 16 to 8192, not {words!r}")
        if bank_words < 1 or bank_words & (bank_words - 1):
            raise ValueError(f"bank_words is a power of two, not {bank_words!r}")
        self._words = words
        self._bank_words = bank_words
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A location is never read and written at once: the reader stays behind ``start``.
        banks = []
        for first in range(0, self._words, self._bank_words):
            bank = Memory(shape=64, depth=min(self._bank_words, self._words - first), init=[])
            m.submodules[f"bank_{len(banks)}"] = bank
            banks.append(bank)
        start = Signal(range(self._words))  # of the frame that comes in: the place of its information
        reading = Signal(range(self._words))
        self._write(m, banks, start, reading)
        begins = self._read(m, banks, start, reading)
        pointers = self.pointers
        # All a cycle late: who reads them does not mind.
        committed, begun = Signal(), Signal()
        m.d.sync += [
            committed.eq(self.commit),
            begun.eq(begins),
            pointers.head.eq(reading),
            pointers.tail.eq(start),
            pointers.packets.eq(pointers.packets + committed - begun),
        ]
        with m.If(committed):
            m.d.sync += pointers.tail_saved.eq(pointers.tail)
        with m.If(begun):
            m.d.sync += pointers.head_saved.eq(pointers.head)
        return m

    def _split(self, place: Signal) -> tuple[Value, Value]:
        """The bank, and the place in it."""
        bits = exact_log2(self._bank_words)
        return place[bits:], place[:bits]

    def _after(self, place: Signal) -> Value:
        return Mux(place == self._words - 1, 0, place + 1)

    def _write(self, m: Module, banks: list[Memory], start: Signal, reading: Signal) -> None:
        address = Signal(range(self._words))
        word = Signal(64)
        enable = Signal()
        bank, within = self._split(address)
        for number, memory in enumerate(banks):
            port = memory.write_port()
            m.d.comb += [port.addr.eq(within), port.data.eq(word), port.en.eq(enable & (bank == number))]

        place = Signal(range(self._words), init=1)
        before = Signal(range(self._words))
        full = Signal()
        # One word always stays free: equal pointers mean empty.
        m.d.sync += full.eq((place == reading) | (self._after(place) == reading))
        # ``place`` is past the word of information that comes last; that one is not in use yet.
        ahead = Signal(signed(len(place) + 1))
        m.d.sync += [
            ahead.eq(place - reading),
            self.fill.eq(ahead + Mux(ahead < 0, self._words - 1, -1)),
        ]
        append = Signal()
        m.d.comb += [
            append.eq(self.write & ~full),
            address.eq(place),
            word.eq(self.word),
            enable.eq(append),
        ]
        with m.If(append):
            m.d.sync += [place.eq(self._after(place)), before.eq(place)]
        with m.If(self.write & full):
            m.d.sync += self.overflowed.eq(1)

        following = Signal(range(self._words))
        m.d.comb += following.eq(Mux(self.drop_last, before, place))
        with m.If(self.commit):
            m.d.comb += [address.eq(start), word.eq(self.info), enable.eq(1)]
            m.d.sync += [start.eq(following), place.eq(self._after(following))]
        with m.If(self.rewind):
            m.d.sync += [place.eq(self._after(start)), self.overflowed.eq(0)]

    def _read(self, m: Module, banks: list[Memory], start: Signal, reading: Signal) -> Signal:
        """Three registers behind the address: the memories' own, those behind the banks, and the output. Returns
        whether the next packet begins to be read in this cycle.
        """
        begins = Signal()
        fetch = Signal()
        bank, within = self._split(reading)
        tag = Signal(data.StructLayout({"valid": 1, "bank": len(bank), "is_info": 1, "count": 4, "last": 1}))
        fetched, registered, offered = (Signal.like(tag, name=name) for name in ("fetched", "registered", "offered"))
        word = Signal(64)
        advance = Signal()
        m.d.comb += [
            advance.eq(~offered.valid | Mux(offered.is_info, self.frames.ready, self.packets.ready)),
            tag.valid.eq(fetch),
            tag.bank.eq(bank),
            self.frames.valid.eq(offered.valid & offered.is_info),
            self.frames.payload.eq(word),
            self.packets.valid.eq(offered.valid & ~offered.is_info),
            self.packets.payload.data.eq(word),
            self.packets.payload.count.eq(offered.count),
            self.packets.payload.last.eq(offered.last),
        ]
        outputs = Array(Signal(64, name=f"output_{number}") for number in range(len(banks)))
        for memory, output in zip(banks, outputs, strict=True):
            port = memory.read_port()
            m.d.comb += [port.addr.eq(within), port.en.eq(advance)]
            with m.If(advance):
                m.d.sync += output.eq(port.data)
        with m.If(advance):
            m.d.sync += [
                fetched.eq(tag),
                registered.eq(fetched),
                offered.eq(registered),
                word.eq(outputs[registered.bank]),
            ]
            with m.If(fetch):
                m.d.sync += reading.eq(self._after(reading))

        left = Signal(13)  # a length of 15 bits, in words
        rest = Signal(3)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [fetch.eq(reading != start), tag.is_info.eq(1)]
                with m.If(fetch & advance):
                    m.d.comb += begins.eq(1)
                    m.next = "INFORMATION"
            with m.State("INFORMATION"), m.If(self.frames.valid & self.frames.ready):
                length = self.frames.payload.length
                m.d.sync += [left.eq((length + 7) >> 3), rest.eq(length)]
                m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += [
                    fetch.eq(left != 0),
                    tag.last.eq(left == 1),
                    tag.count.eq(Mux(tag.last, Cat(rest, rest == 0), 8)),
                ]
                with m.If(advance):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left <= 1):
                        m.next = "IDLE"
        return begins
