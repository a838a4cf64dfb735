"""From the receive path's words to single bytes, which the wake-up filters look at one by one (manual 6.4.3)."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.mac.receive import ReceiveWord

__all__ = ["FrameByte", "OctetStream"]

FrameByte = data.StructLayout({"data": 8, "valid": 1, "begin": 1})
"""``begin`` is high in a cycle before a frame's first byte; in each cycle of ``valid`` the next byte of it goes by."""

_DRAIN_CYCLES = 9
"""What the slowest of the filters needs behind a frame's last byte, which goes by a cycle after it leaves."""


class OctetStream(wiring.Component):
    """Takes words apart. At line rate a word comes every 8 cycles on average, so one byte a cycle is enough.

    Members
    -------
    word : ``In(ReceiveWord)``, taken : ``In(1)``
        A word of a frame goes by in each cycle of ``taken``, which comes only with ``ready``.
    enable : ``In(1)``
        While low words are not looked at, and never waited for.
    hold : ``In(1)``
        No byte goes by in the next cycle.
    octet : ``Out(FrameByte)``
    ready : ``Out(1)``
        The next word may be taken; behind a frame's last: all of it has gone by, and every filter has seen it. Once
        high it stays so until a word is taken, then it is low for at least a cycle.
    """

    word: In(ReceiveWord)
    taken: In(1)
    enable: In(1)
    hold: In(1)
    octet: Out(FrameByte)
    ready: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first = Signal(init=1)  # the word that is taken next begins a frame
        held = Signal(ReceiveWord)  # the word behind the one that goes by
        holding = Signal()
        begins = Signal()  # it is a frame's first
        shift = Signal(64)
        left = Signal(4)
        drain = Signal(range(_DRAIN_CYCLES + 1))
        leaves = Signal()
        turn = Signal()
        m.d.comb += [
            leaves.eq((left != 0) & ~self.hold),
            turn.eq(holding & ((left == 0) | ((left == 1) & leaves))),
        ]
        m.d.sync += [
            self.octet.data.eq(shift[:8]),
            self.octet.valid.eq(leaves),
            self.octet.begin.eq(turn & begins),
        ]
        with m.If(leaves):
            m.d.sync += [shift.eq(shift >> 8), left.eq(left - 1), drain.eq(_DRAIN_CYCLES)]
        with m.Elif(drain != 0):
            m.d.sync += drain.eq(drain - 1)
        with m.If(turn):
            m.d.sync += [shift.eq(held.data), left.eq(held.count), holding.eq(0)]

        # From a register, since the receive path hangs on it.
        with m.If(self.taken):
            m.d.sync += [
                held.eq(self.word),
                holding.eq(self.enable),
                begins.eq(first),
                first.eq(self.word.last),
                self.ready.eq(0),
            ]
        with m.Elif(~self.ready):
            m.d.sync += self.ready.eq(~self.enable | (~holding & (~first | ((left == 0) & (drain == 0)))))
        return m
