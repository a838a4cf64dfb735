"""Descriptor ring prefetch (8254x manual 317453, sections 3.2.4 and 3.2.6 receive, 3.4 and 3.4.1 transmit).

Used for both rings: fetches the descriptors from head up to tail, in order and in bursts, ahead of the engine that
works on them. When, the thresholds say (13.4.43, 13.4.46).
"""

from collections.abc import Iterator

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.descriptors import DESCRIPTOR_BYTES
from hw.interfaces import MAX_BURST_BYTES, Descriptor, MemoryPort
from hw.thresholds import ON_CHIP, Thresholds, in_descriptors

__all__ = ["RingPrefetch", "bursts", "fetch"]

_BURST = MAX_BURST_BYTES // DESCRIPTOR_BYTES


def fetch(*, on_chip: int, available: int, prefetch: int, host: int, depth: int = ON_CHIP) -> int:
    """How many descriptors to fetch now, 0 for none (golden function).

    ``on_chip`` have been asked for and not been taken by the engine, ``available`` lie between them and the tail;
    ``prefetch`` and ``host`` are PTHRESH and HTHRESH in descriptors. The manual's text has "at least HTHRESH", its
    figure 3-1 "more than"; the text counts.
    """
    if on_chip == 0 or (on_chip < prefetch and available >= host):
        return min(available, depth - on_chip)
    return 0


def bursts(index: int, count: int, *, base: int, size: int) -> Iterator[tuple[int, int]]:
    """The ``(address, bytes)`` of ``count`` descriptors from ``index`` on in a ring of ``size`` (golden function).

    None crosses the end of the ring or a multiple of ``MAX_BURST_BYTES``.
    """
    while count:
        address = base + DESCRIPTOR_BYTES * index
        now = min(count, size - index, (MAX_BURST_BYTES - address % MAX_BURST_BYTES) // DESCRIPTOR_BYTES)
        yield address, DESCRIPTOR_BYTES * now
        index = (index + now) % size
        count -= now


class RingPrefetch(wiring.Component):
    """Fetches descriptors into a cache and hands them out in order.

    The next descriptor to be fetched starts at the head that software wrote, and moves around the ring. There is
    something to fetch while it differs from ``tail`` and both lie within the ring; a head or tail at or beyond the end
    of the ring (so also a ring of no length) stops fetching until software writes better ones. Nothing outside
    ``base`` to ``base + length`` is ever read.

    ``fetch`` says when and how many, ``bursts`` in which requests. These do not wait for one another's answers, so a
    fetch takes one latency of memory, however many there are.

    Parameters
    ----------
    depth : int
        Descriptors that the cache holds; a power of two from 2 to 1024.

    Members
    -------
    base : ``In(64)``
        Address of the ring in bytes, a multiple of 16.
    length : ``In(20)``
        Length of the ring in bytes, a multiple of 16.
    tail : ``In(16)``
        Index one past the last descriptor that the NIC may use.
    thresholds : ``In(Thresholds)``
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
    thresholds: In(Thresholds)
    enable: In(1)
    head_written: In(1)
    head: In(16)
    memory: Out(MemoryPort())
    descriptors: Out(stream.Signature(Descriptor))

    def __init__(self, *, depth: int = ON_CHIP) -> None:
        if depth & (depth - 1) or not 2 <= depth <= 1024:
            raise ValueError(f"depth must be a power of two from 2 to 1024, not {depth!r}")
        self._depth = depth
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Two words per descriptor. Both counters run on over the end of the cache, so that full differs from empty.
        m.submodules.cache = cache = Memory(shape=64, depth=2 * self._depth, init=[])
        stored = Signal(range(4 * self._depth))
        taken = Signal.like(stored)
        size = Signal(16)
        m.d.comb += size.eq(self.length[4:])

        asking = Signal()  # a request is offered from the next cycle on
        unanswered = Signal(range(self._depth + 1))
        self._fetch(m, size, asking, unanswered)
        self._store(m, cache, stored, asking, unanswered)
        self._offer(m, cache, size, stored, taken)
        with m.If(self.head_written):
            m.d.sync += [stored.eq(0), taken.eq(0)]
        return m

    def _fetch(self, m: Module, size: Signal, asking: Signal, unanswered: Signal) -> None:
        """Makes the requests."""
        request = self.memory.read_request
        following = Signal(16)
        on_chip = Signal(range(self._depth + 1))
        advance = Signal()
        handed = Signal()

        end = Signal(16)
        beyond = Signal(17)  # the same, counted on from this round of the ring
        available = Signal(16)
        room = Signal.like(on_chip)
        planned = Signal.like(on_chip)
        count = Signal(range(min(_BURST, self._depth) + 1))
        contiguous = Signal(16)
        aligned = Signal(range(_BURST + 1))
        position = Signal(range(_BURST))
        abandoned = Signal()  # the request on offer was made before head was written
        empty = Signal()
        below = Signal()
        # Of the same cycle as what ``below`` is reckoned with: a write changes all thresholds at once.
        host = in_descriptors(self.thresholds.hthresh, gran=self.thresholds.gran)
        host_threshold = Signal.like(host)
        m.d.comb += position.eq(self.base[4:] + following)

        with m.FSM() as fsm:
            with m.State("WATCH"):
                m.d.sync += [
                    abandoned.eq(0),
                    available.eq(Mux(end >= following, end, beyond) - following),
                    room.eq(self._depth - on_chip),
                    empty.eq(on_chip == 0),
                    below.eq(on_chip < in_descriptors(self.thresholds.pthresh, gran=self.thresholds.gran)),
                    host_threshold.eq(host),
                ]
                within = (following < size) & (end < size)
                with m.If(within & (following != end) & self.enable & ~self.head_written):
                    m.next = "DECIDE"
            with m.State("DECIDE"):
                m.d.sync += planned.eq(Mux(available < room, available, room))
                m.next = "WATCH"
                with m.If((empty | (below & (available >= host_threshold))) & (room != 0) & ~self.head_written):
                    m.next = "BOUND"
            with m.State("BOUND"):
                m.d.sync += [contiguous.eq(size - following), aligned.eq(_BURST - position)]
                m.next = "FIT"
                with m.If(self.head_written | ~self.enable):
                    m.next = "WATCH"
            with m.State("FIT"):
                most = Mux(contiguous < aligned, contiguous, aligned)
                m.d.sync += [
                    count.eq(Mux(planned < most, planned, most)),
                    request.payload.address.eq(self.base + Cat(Const(0, 4), following)),
                ]
                with m.If(self.head_written):
                    m.next = "WATCH"
                with m.Elif(unanswered != self._depth):
                    m.d.comb += asking.eq(1)
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += [request.valid.eq(1), request.payload.length.eq(Cat(Const(0, 4), count))]
                with m.If(request.ready):
                    m.d.comb += advance.eq(~abandoned)
                    m.next = "WATCH"
                    with m.If((planned != count) & ~abandoned & ~self.head_written):
                        m.next = "BOUND"

        m.d.comb += handed.eq(self.descriptors.valid & self.descriptors.ready)
        m.d.sync += [
            end.eq(self.tail),
            beyond.eq(self.tail + size),
            on_chip.eq(on_chip + Mux(advance, count, 0) - handed),
        ]
        with m.If(advance):
            m.d.sync += [
                following.eq(Mux(following + count == size, 0, following + count)),
                planned.eq(planned - count),
            ]
        with m.If(self.head_written):
            m.d.sync += [following.eq(self.head), on_chip.eq(0), abandoned.eq(fsm.ongoing("REQUEST"))]

    def _store(self, m: Module, cache: Memory, stored: Signal, asking: Signal, unanswered: Signal) -> None:
        """From memory into the cache.

        Answers come in the order of their requests, so the next ``stale`` ones are those that a head write made
        useless.
        """
        answer = self.memory.read_data
        stale = Signal.like(unanswered)
        done = Signal()
        write = cache.write_port()
        m.d.comb += [
            done.eq(answer.valid & answer.payload.last),
            write.addr.eq(stored),
            write.data.eq(answer.payload.data),
            write.en.eq(answer.valid & (stale == 0)),
        ]
        with m.If(write.en):
            m.d.sync += stored.eq(stored + 1)
        m.d.sync += unanswered.eq(unanswered + asking - done)
        with m.If(self.head_written):
            m.d.sync += stale.eq(unanswered - done)
        with m.Elif(stale != 0):
            m.d.sync += stale.eq(stale - done)

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
