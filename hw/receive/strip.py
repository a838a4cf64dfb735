"""Takes VLAN tags out of received frames (manual 9.2.2 and 3.2.3, VP; golden function: ``hw.vlan.strip``)."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.mac.fcs import FCS_BYTES
from hw.mac.receive import ReceiveWord
from hw.receive.layouts import TypeControl
from hw.vlan import TAG_BYTES

__all__ = ["TagStripper"]

_HALF = 8 * TAG_BYTES  # bits of a tag, which is the second half of a frame's second word


class TagStripper(wiring.Component):
    """Turns the words of a frame with a tag into those of the frame without it, if CTRL.VME says so.

    Members
    -------
    word : ``In(ReceiveWord)``, taken : ``In(1)``
        A word goes by in each cycle of ``taken``. It has been there in the cycle before, and in the two cycles after
        it none goes by.
    types : ``In(TypeControl)``
    output : ``Out(64)``, write : ``Out(1)``
        The frame's words, at the latest two cycles after the last has gone by.
    stripped : ``Out(1)``
        The tag was taken out. Holds from a frame's second word until the next frame's first.
    short_tail : ``Out(1)``
        The last word written holds nothing but FCS. Holds from a frame's last word until the next frame's.
    """

    word: In(ReceiveWord)
    taken: In(1)
    types: In(TypeControl)
    output: Out(64)
    write: Out(1)
    stripped: Out(1)
    short_tail: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first = Signal(init=1)
        second = Signal()
        matches = Signal()  # looks at the word a cycle before it goes by
        kind = Cat(self.word.data[40:48], self.word.data[32:40])
        m.d.sync += matches.eq(
            self.types.vme & (self.types.vet != 0) & (kind == self.types.vet) & (self.word.count == 8)
        )

        held = Signal(_HALF)
        flush = Signal(2)  # what is held is all that is left
        begins = Signal()
        behind = Signal()  # the tag has gone by in this frame
        shifted = Signal()
        long_tail = Signal()
        m.d.comb += [
            begins.eq(second & matches),
            behind.eq(self.stripped & ~first),
            shifted.eq(begins | behind),
            long_tail.eq(self.word.count > TAG_BYTES),
            self.output.eq(Mux(behind | flush[1], Cat(held, self.word.data[:_HALF]), self.word.data)),
            self.write.eq((self.taken & ~begins) | flush[1]),
        ]
        m.d.sync += flush.eq(Cat(self.taken & self.word.last & shifted & long_tail, flush))
        with m.If(self.taken):
            m.d.sync += [
                first.eq(self.word.last),
                second.eq(first & ~self.word.last),
                held.eq(Mux(begins, self.word.data[:_HALF], self.word.data[_HALF:])),
                self.stripped.eq(shifted),
                self.short_tail.eq(Mux(shifted, long_tail, self.word.count <= FCS_BYTES)),
            ]
        return m
