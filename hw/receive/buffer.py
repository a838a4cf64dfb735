"""The receive packet buffer (manual 13.4.19, PBA: 48 KiB): a frame is in it whole, or not at all.

A frame lies in the memory as one word of ``ReceiveInfo`` followed by its data. The word of information is written
last, when the fate of the frame is known.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.interfaces import PacketWord
from hw.receive.layouts import ReceiveInfo

__all__ = ["ReceiveBuffer"]


class ReceiveBuffer(wiring.Component):
    """A queue of frames.

    Parameters
    ----------
    words : int
        Size in words of 64 bits, at least 16.

    Members
    -------
    write : ``In(1)``, word : ``In(64)``
        Appends a word to the frame that comes in, unless there is no room.
    overflowed : ``Out(1)``
        A word of the frame that comes in found no room.
    commit : ``In(1)``, info : ``In(ReceiveInfo)``, drop_last : ``In(1)``
        The frame is complete; its data is ``info.length`` bytes in the words written, with ``drop_last`` in all but
        the last of them. Not together with ``write``, not if ``overflowed``.
    rewind : ``In(1)``
        The frame is forgotten. Not together with ``write``.
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
    frames: Out(stream.Signature(ReceiveInfo))
    packets: Out(stream.Signature(PacketWord))

    def __init__(self, *, words: int = 6144) -> None:
        if words < 16:
            raise ValueError(f"words is at least 16, not {words!r}")
        self._words = words
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=64, depth=self._words, init=[])
        # A location is never read and written at once: the reader stays behind ``start``.
        start = Signal(range(self._words))  # of the frame that comes in: the place of its information
        reading = Signal(range(self._words))
        self._write(m, memory, start, reading)
        self._read(m, memory, start, reading)
        return m

    def _after(self, place: Signal) -> Value:
        return Mux(place == self._words - 1, 0, place + 1)

    def _write(self, m: Module, memory: Memory, start: Signal, reading: Signal) -> None:
        port = memory.write_port()
        place = Signal(range(self._words), init=1)
        before = Signal(range(self._words))
        full = Signal()
        # One word always stays free: equal pointers mean empty.
        m.d.sync += full.eq((place == reading) | (self._after(place) == reading))
        append = Signal()
        m.d.comb += [
            append.eq(self.write & ~full & ~self.overflowed),
            port.addr.eq(place),
            port.data.eq(self.word),
            port.en.eq(append),
        ]
        with m.If(append):
            m.d.sync += [place.eq(self._after(place)), before.eq(place)]
        with m.If(self.write & full):
            m.d.sync += self.overflowed.eq(1)

        following = Signal(range(self._words))
        m.d.comb += following.eq(Mux(self.drop_last, before, place))
        with m.If(self.commit):
            m.d.comb += [port.addr.eq(start), port.data.eq(self.info), port.en.eq(1)]
            m.d.sync += [start.eq(following), place.eq(self._after(following))]
        with m.If(self.rewind):
            m.d.sync += [place.eq(self._after(start)), self.overflowed.eq(0)]

    def _read(self, m: Module, memory: Memory, start: Signal, reading: Signal) -> None:
        """Two registers behind the address: the memory's own, and one since large memories are slow."""
        port = memory.read_port()
        fetch = Signal()
        tag = {"valid": Signal(), "is_info": Signal(), "count": Signal(4), "last": Signal()}
        fetched = {name: Signal.like(signal, name=f"fetched_{name}") for name, signal in tag.items()}
        offered = {name: Signal.like(signal, name=f"offered_{name}") for name, signal in tag.items()}
        word = Signal(64)
        advance = Signal()
        m.d.comb += [
            advance.eq(~offered["valid"] | Mux(offered["is_info"], self.frames.ready, self.packets.ready)),
            port.addr.eq(reading),
            port.en.eq(advance),
            tag["valid"].eq(fetch),
            self.frames.valid.eq(offered["valid"] & offered["is_info"]),
            self.frames.payload.eq(word),
            self.packets.valid.eq(offered["valid"] & ~offered["is_info"]),
            self.packets.payload.data.eq(word),
            self.packets.payload.count.eq(offered["count"]),
            self.packets.payload.last.eq(offered["last"]),
        ]
        with m.If(advance):
            m.d.sync += word.eq(port.data)
            for name in tag:
                m.d.sync += [fetched[name].eq(tag[name]), offered[name].eq(fetched[name])]
            with m.If(fetch):
                m.d.sync += reading.eq(self._after(reading))

        left = Signal(13)  # a length of 15 bits, in words
        rest = Signal(3)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [fetch.eq(reading != start), tag["is_info"].eq(1)]
                with m.If(fetch & advance):
                    m.next = "INFORMATION"
            with m.State("INFORMATION"), m.If(self.frames.valid & self.frames.ready):
                length = self.frames.payload.length
                m.d.sync += [left.eq((length + 7) >> 3), rest.eq(length)]
                m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += [
                    fetch.eq(left != 0),
                    tag["last"].eq(left == 1),
                    tag["count"].eq(Mux(tag["last"], Cat(rest, rest == 0), 8)),
                ]
                with m.If(advance):
                    m.d.sync += left.eq(left - 1)
                    with m.If(left <= 1):
                        m.next = "IDLE"
