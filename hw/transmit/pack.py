"""Packs pieces of any length and lane into the 64-bit words of a frame (manual 3.3: buffers have any alignment)."""

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.ahead import take_ahead

from .layouts import FrameWord, Piece

__all__ = ["TransmitPacker"]


class TransmitPacker(wiring.Component):
    """Joins the pieces of a frame without gaps, 8 bytes per cycle.

    A word is held until a further byte or ``last`` comes, so an empty piece can end a frame. A frame without any
    byte gives no word at all.

    Members
    -------
    pieces : In(stream of Piece)
    words : Out(stream of FrameWord)
    idle : Out(1), nothing is inside: every frame given so far has been handed on whole
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "pieces": In(stream.Signature(Piece)),
                "words": Out(stream.Signature(FrameWord)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        piece = Signal(Piece)
        waiting = Signal()
        held = Signal(64)
        fill = Signal(range(9))
        ending = Signal()
        aborted = Signal()

        word = self.words.payload
        advance = Signal()
        packed = Signal()
        m.d.comb += [
            advance.eq(~self.words.valid | self.words.ready),
            packed.eq(waiting & advance & ~ending),
            self.idle.eq(~waiting & ~ending & (fill == 0) & ~self.words.valid),
        ]
        take_ahead(m, self.pieces, item=piece, present=waiting, taken=packed)

        # The piece's first lane meets the first free lane; what goes over the top comes round to the bottom.
        turn = Signal(3)
        m.d.comb += turn.eq(fill - piece.offset)
        turned = piece.data.rotate_left(0)
        for bit in range(3):
            turned = Mux(turn[bit], turned.rotate_left(8 << bit), turned)
        incoming = Signal(64)
        m.d.comb += incoming.eq(turned)

        total = Signal(range(17))
        over = Signal()
        m.d.comb += [total.eq(fill + piece.count), over.eq(total > 8)]

        with m.If(advance):
            m.d.sync += self.words.valid.eq(0)
            with m.If(ending):
                m.d.sync += [
                    self.words.valid.eq(1),
                    word.packet.data.eq(held),
                    word.packet.count.eq(fill),
                    word.packet.last.eq(1),
                    word.abort.eq(aborted),
                    fill.eq(0),
                    ending.eq(0),
                ]
            with m.Elif(waiting):
                merged = Cat(
                    Mux(lane < fill, held.word_select(lane, 8), incoming.word_select(lane, 8)) for lane in range(8)
                )
                m.d.sync += [
                    self.words.valid.eq(over | (piece.last & (total != 0))),
                    word.packet.data.eq(merged),
                    word.packet.count.eq(Mux(over, 8, total)),
                    word.packet.last.eq(piece.last & ~over),
                    word.abort.eq(piece.abort),
                    fill.eq(Mux(over, total - 8, Mux(piece.last, 0, total))),
                    ending.eq(piece.last & over),
                    aborted.eq(piece.abort),
                ]
                for lane in range(8):
                    with m.If(over | (lane >= fill)):
                        m.d.sync += held.word_select(lane, 8).eq(incoming.word_select(lane, 8))
        return m
