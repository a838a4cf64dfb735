"""Descriptor ring prefetch (8254x manual 317453, sections 3.2.4, 3.2.6 receive and 3.4 transmit).

Used for both rings: fetches the descriptors from head up to tail, in order and in bursts, ahead of the engine that
works on them.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.descriptors import DESCRIPTOR_BYTES
from hw.interfaces import MAX_BURST_BYTES, Descriptor, MemoryPort

__all__ = ["RingPrefetch"]

_BURST = MAX_BURST_BYTES // DESCRIPTOR_BYTES


class RingPrefetch(wiring.Component):
    """Fetches descriptors into a cache and hands them out in order.

    The next descriptor to be fetched starts at the head that software wrote, and moves around the ring. There is
    something to fetch while it differs from ``tail`` and both lie within the ring; a head or tail at or beyond the end
    of the ring (so also a ring of no length) stops fetching until software writes better ones. Nothing outside
    ``base`` to ``base + length`` is ever read.

    A request takes all descriptors up to the tail, but no more than the cache has room for, and none beyond the end of
    the ring or the next multiple of ``MAX_BURST_BYTES``. It is made when the cache has room for it, or for ``batch``
    descriptors of it. One request is in flight at a time: with latency L from request to last word, up to
    ``depth`` descriptors come per L + 7 cycles or so.

    Parameters
    ----------
    depth : int
        Descriptors that the cache holds; a power of two from 2 to 1024.
    batch : int
        Room that makes a request worth its while, from 1 to ``depth``.

    Members
    -------
    base : ``In(64)``
        Address of the ring in bytes, a multiple of 16.
    length : ``In(20)``
        Length of the ring in bytes, a multiple of 16.
    tail : ``In(16)``
        Index one past the last descriptor that the NIC may use.
    enable : ``In(1)``
        While low, no new request is made and no further descriptor offered; those in the cache are kept.
    head_written : ``In(1)``
        Software writes the head register: fetching starts anew at ``head``. All that was fetched before is dropped,
        what is still to come from memory too, and ``descriptors.valid`` falls (the one exception to the rule of
        streams that an offer stands).
    head : ``In(16)``
        The head written, in units of descriptors; looked at only with ``head_written``.
    memory : ``Out(MemoryPort())``
        Its write side is unused.
    descriptors : ``Out(stream.Signature(Descriptor))``
        One every 4 cycles at most.
    """

    base: In(64)
    length: In(20)
    tail: In(16)
    enable: In(1)
    head_written: In(1)
    head: In(16)
    memory: Out(MemoryPort())
    descriptors: Out(stream.Signature(Descriptor))

    def __init__(self, *, depth: int = 32, batch: int = 8) -> None:
        if depth & (depth - 1) or not 2 <= depth <= 1024:
            raise ValueError(f"depth must be a power of two from 2 to 1024, not {depth!r}")
        if not 1 <= batch <= depth:
            raise ValueError(f"batch must be from 1 to depth, which is {depth}, not {batch!r}")
        self._depth = depth
        self._batch = batch
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Two words per descriptor. Both counters run on over the end of the cache, so that full differs from empty.
        m.submodules.cache = cache = Memory(shape=64, depth=2 * self._depth, init=[])
        stored = Signal(range(4 * self._depth))
        taken = Signal.like(stored)
        size = Signal(16)
        m.d.comb += size.eq(self.length[4:])

        self._fetch(m, cache, size, stored, taken)
        self._offer(m, cache, size, stored, taken)
        with m.If(self.head_written):
            m.d.sync += [stored.eq(0), taken.eq(0)]
        return m

    def _fetch(self, m: Module, cache: Memory, size: Signal, stored: Signal, taken: Signal) -> None:
        """From memory into the cache."""
        request = self.memory.read_request
        answer = self.memory.read_data
        following = Signal(16)
        stale = Signal()  # the request in flight was made before head was written

        write = cache.write_port()
        m.d.comb += [write.addr.eq(stored), write.data.eq(answer.payload.data)]
        with m.If(answer.valid & ~stale):
            m.d.comb += write.en.eq(1)
            m.d.sync += stored.eq(stored + 1)

        contiguous = Signal(16)
        aligned = Signal(range(_BURST + 1))
        room = Signal(range(self._depth + 1))
        wanted = Signal(range(_BURST + 1))
        count = Signal(range(min(_BURST, self._depth) + 1))
        position = Signal(range(_BURST))
        m.d.comb += position.eq(self.base[4:] + following)

        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.sync += [
                    stale.eq(0),
                    contiguous.eq(Mux(self.tail > following, self.tail, size) - following),
                    aligned.eq(_BURST - position),
                    # A descriptor that is half taken still has its place.
                    room.eq(self._depth - (stored[1:] - taken[1:])[: len(stored) - 1]),
                ]
                within = (following < size) & (self.tail < size)
                with m.If(within & (following != self.tail) & self.enable & ~self.head_written):
                    m.next = "BOUND"
            with m.State("BOUND"):
                m.d.sync += [
                    wanted.eq(Mux(contiguous < aligned, contiguous, aligned)),
                    request.payload.address.eq(self.base + Cat(Const(0, 4), following)),
                ]
                with m.If(self.head_written):
                    m.next = "WAIT"
                with m.Else():
                    m.next = "FIT"
            with m.State("FIT"):
                m.d.sync += count.eq(Mux(wanted < room, wanted, room))
                too_little = (room < self._batch) & (room < wanted)
                with m.If(self.head_written | ~self.enable | too_little):
                    m.next = "WAIT"
                with m.Else():
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += [request.valid.eq(1), request.payload.length.eq(Cat(Const(0, 4), count))]
                with m.If(request.ready):
                    with m.If(~stale):
                        m.d.sync += following.eq(Mux(following + count == size, 0, following + count))
                    m.next = "RECEIVE"
            with m.State("RECEIVE"), m.If(answer.valid & answer.payload.last):
                m.next = "WAIT"

        with m.If(self.head_written):
            m.d.sync += following.eq(self.head)
            with m.If(fsm.ongoing("REQUEST") | fsm.ongoing("RECEIVE")):
                m.d.sync += stale.eq(1)

    def _offer(self, m: Module, cache: Memory, size: Signal, stored: Signal, taken: Signal) -> None:
        """From the cache to the engine."""
        offered = self.descriptors
        index = Signal(16)
        low = Signal(64)
        high = Signal(64)
        read = cache.read_port()
        m.d.comb += [
            read.addr.eq(taken),
            offered.payload.data.eq(Cat(low, high)),
            offered.payload.index.eq(index),
        ]
        # Not an FSM: a write of the head takes every state back to the first.
        empty, low_read, high_read, offering = range(4)
        state = Signal(range(4))
        with m.Switch(state):
            with m.Case(empty), m.If(self.enable & (stored[1:] != taken[1:])):
                m.d.sync += [taken.eq(taken + 1), state.eq(low_read)]
            with m.Case(low_read):
                m.d.sync += [low.eq(read.data), taken.eq(taken + 1), state.eq(high_read)]
            with m.Case(high_read):
                m.d.sync += [high.eq(read.data), state.eq(offering)]
            with m.Case(offering):
                m.d.comb += offered.valid.eq(1)
                with m.If(offered.ready):
                    m.d.sync += [index.eq(Mux(index + 1 == size, 0, index + 1)), state.eq(empty)]
        with m.If(self.head_written):
            m.d.sync += [index.eq(self.head), state.eq(empty)]
