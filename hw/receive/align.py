"""From a packet's words to write bursts at any byte address (the rules of ``WriteData`` in ``hw.interfaces``)."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.interfaces import MAX_BURST_BYTES, PacketWord, WriteData

__all__ = ["WriteAligner", "align"]


def align(piece: bytes, address: int) -> list[tuple[int, int, bool]]:
    """``(data, strobe, last)`` of the words that put ``piece`` at ``address`` (golden function of ``WriteAligner``).

    Lanes that are not written are 0 here; in the gateware they hold anything.
    """
    words = []
    for place in range(address & ~7, address + len(piece), 8):
        lanes = [lane for lane in range(8) if 0 <= place + lane - address < len(piece)]
        data = sum(piece[place + lane - address] << 8 * lane for lane in lanes)
        end = place + 8 >= address + len(piece) or (place + 8) % MAX_BURST_BYTES == 0
        words.append((data, sum(1 << lane for lane in lanes), end))
    return words


class WriteAligner(wiring.Component):
    """Shifts words into place, one per cycle, and cuts them into bursts at multiples of ``MAX_BURST_BYTES``.

    Members
    -------
    begin : ``In(1)``, address : ``In(9)``, length : ``In(15)``
        Pulse: from now on ``length`` bytes (1 or more) go to this address, of which the lower bits are enough.
    packets : ``In(stream.Signature(PacketWord))``
        ``length`` bytes are taken from here, so all but a packet's last piece must be a multiple of 8.
    enable : ``In(1)``
        Words are taken and passed on only while high: not before ``begin``, and after ``burst_end`` not before the
        next burst is wanted.
    burst_end : ``Out(1)``
        A burst's last word is passed on to the output register in this cycle.
    output : ``Out(stream.Signature(WriteData))``
        Registered.
    """

    begin: In(1)
    address: In(9)
    length: In(15)
    packets: In(stream.Signature(PacketWord))
    enable: In(1)
    burst_end: Out(1)
    output: Out(stream.Signature(WriteData))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        offset = Signal(3)
        end = Signal(3)  # lanes of the last word that are written; 0 is all
        place = Signal(exact_log2(MAX_BURST_BYTES // 8))  # of the next word in a block of the longest burst
        words_in = Signal(12)
        words_out = Signal(12)
        first = Signal()
        carry = Signal(64)

        with m.If(self.begin):
            m.d.sync += [
                offset.eq(self.address),
                end.eq(self.address[:3] + self.length),
                place.eq(self.address[3:]),
                words_in.eq((self.length + 7) >> 3),
                words_out.eq((self.address[:3] + self.length + 7) >> 3),
                first.eq(1),
            ]

        rotated = Signal(64)
        word = self.packets.payload.data
        m.d.comb += rotated.eq(word)
        with m.Switch(offset):
            for lanes in range(1, 8):
                with m.Case(lanes):
                    m.d.comb += rotated.eq(word.rotate_left(8 * lanes))

        final = Signal()
        step = Signal()
        free = Signal()
        m.d.comb += [
            final.eq(words_out == 1),
            free.eq(~self.output.valid | self.output.ready),
            step.eq(self.enable & free & (self.packets.valid | (words_in == 0))),
            self.packets.ready.eq(self.enable & free & (words_in != 0)),
            self.burst_end.eq(step & (final | place.all())),
        ]
        with m.If(self.output.ready):
            m.d.sync += self.output.valid.eq(0)
        with m.If(step):
            lower = Signal(8)  # lanes below the offset
            upper = Signal(8)  # lanes of the last word
            m.d.comb += [lower.eq((1 << offset) - 1), upper.eq(Mux(end == 0, 0xFF, (1 << end) - 1))]
            m.d.sync += [
                self.output.valid.eq(1),
                self.output.payload.data.eq(
                    Cat(Mux(lower[lane], carry.word_select(lane, 8), rotated.word_select(lane, 8)) for lane in range(8))
                ),
                self.output.payload.strobe.eq(Mux(first, ~lower, 0xFF) & Mux(final, upper, 0xFF)),
                self.output.payload.last.eq(final | place.all()),
                carry.eq(rotated),
                first.eq(0),
                place.eq(place + 1),
                words_out.eq(words_out - 1),
                words_in.eq(Mux(words_in == 0, 0, words_in - 1)),
            ]
        return m
