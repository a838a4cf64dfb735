"""DMA arbiter: the NIC's engines share one memory port (8254x manual 317453, 2.2.3, DMA engine)."""

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.interfaces import MAX_BURST_BYTES, MemoryPort

__all__ = ["DmaArbiter"]

_MAX_CLIENTS = 4
"""As many as ``ReadRequest.tag`` can name."""

_MAX_WORDS = MAX_BURST_BYTES // 8


class DmaArbiter(wiring.Component):
    """Puts the requests of several clients on one memory port, each kind in turn (round robin).

    A read request gets the number of its client as tag, and its words go back by that; they are never held up. A write
    burst is passed on whole, its data before the next request's. Requests, and the words written, move at one every 2
    cycles at most, words read at one per cycle.

    The arbiter itself is not reset with its clients. When they are, ``flush`` makes it forget them: words that answer
    requests made before are swallowed, and a write burst of which a client has given only a part is ended with words
    that write nothing (no strobes). A request that is already offered to the memory stands.

    Parameters
    ----------
    clients : int
        From 1 to 4.
    outstanding : int
        Read requests of one client that may be unanswered; further ones wait. At least 1.

    Members
    -------
    clients : ``In(MemoryPort()).array(clients)``
        What a client puts into ``tag`` does not count, nor its ``last``: the length of the request tells.
    memory : ``Out(MemoryPort())``
    flush : ``In(1)``
        High in each cycle in which the clients are reset. No request is taken from them, and from the next cycle on
        they get no word that they did not ask for since.
    idle : ``Out(1)``
        No read is unanswered, no word and no write is on its way.
    """

    def __init__(self, *, clients: int, outstanding: int = 32) -> None:
        if not 1 <= clients <= _MAX_CLIENTS:
            raise ValueError(f"clients must be from 1 to {_MAX_CLIENTS}, not {clients!r}")
        if outstanding < 1:
            raise ValueError(f"outstanding must be at least 1, not {outstanding!r}")
        self._outstanding = outstanding
        super().__init__(
            {
                "clients": In(MemoryPort()).array(clients),
                "memory": Out(MemoryPort()),
                "flush": In(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        numbers = range(len(self.clients))
        unanswered = [Signal(range(self._outstanding + 1), name=f"unanswered_{number}") for number in numbers]
        full = Signal(len(numbers))  # no more may be
        asked = Signal(len(numbers))
        asked_before = Signal(len(numbers))  # a cycle late; the next request is taken two cycles later at the earliest
        m.d.sync += asked_before.eq(asked)
        self._read_requests(m, full, asked)
        self._read_data(m, unanswered, full, asked_before)
        writing = self._writes(m)
        reading = (
            Cat(*unanswered).any() | asked_before.any() | Cat(client.read_data.valid for client in self.clients).any()
        )
        m.d.comb += self.idle.eq(~(reading | writing))
        return m

    def _read_requests(self, m: Module, full: Signal, asked: Signal) -> None:
        """Sets the bits of ``asked`` of the client whose request is taken in this cycle."""
        offer = self.memory.read_request
        requests = [client.read_request for client in self.clients]
        waiting = Signal(len(requests))
        last = Signal(range(_MAX_CLIENTS))
        following = _next_in_turn(m, waiting, last)
        taking = Signal()
        for number, request in enumerate(requests):
            m.d.comb += [
                waiting[number].eq(request.valid & ~full[number]),
                asked[number].eq(taking & (following == number)),
                request.ready.eq(asked[number]),
            ]
        m.d.comb += taking.eq(~offer.valid & waiting.any() & ~self.flush)
        with m.If(taking):
            m.d.sync += [
                offer.payload.eq(Array(request.payload for request in requests)[following]),
                offer.payload.tag.eq(following),
                offer.valid.eq(1),
                last.eq(following),
            ]
        with m.Elif(offer.ready):
            m.d.sync += offer.valid.eq(0)

    def _read_data(self, m: Module, unanswered: Sequence[Signal], full: Signal, asked_before: Signal) -> None:
        word = self.memory.read_data
        for number, client in enumerate(self.clients):
            count = unanswered[number]
            stale = Signal.like(count, name=f"stale_{number}")  # of those, made before the last flush
            here = word.valid & (word.payload.tag == number)
            done = here & word.payload.last
            following = Signal.like(count, name=f"following_{number}")
            m.d.comb += following.eq(count + asked_before[number] - done)
            m.d.sync += [
                count.eq(following),
                full[number].eq(following == self._outstanding),
                client.read_data.payload.eq(word.payload),
                client.read_data.valid.eq(here & (stale == 0) & ~self.flush),
            ]
            with m.If(self.flush):
                m.d.sync += stale.eq(following)
            with m.Elif(stale != 0):
                m.d.sync += stale.eq(stale - done)

    def _writes(self, m: Module) -> Value:
        """Returns whether a write is on its way."""
        offer = self.memory.write_request
        words = self.memory.write_data
        requests = [client.write_request for client in self.clients]
        waiting = Cat(request.valid for request in requests)
        granted = Signal(range(_MAX_CLIENTS))
        following = _next_in_turn(m, waiting, granted)
        request = Array(request.payload for request in requests)[following]
        given = Array(client.write_data.payload for client in self.clients)[granted]
        remaining = Signal(range(_MAX_WORDS + 1))
        abandoned = Signal()
        sending = Signal()
        sent = Signal()  # in the cycle before; so many registers behind ``sending`` would make the way there long

        m.d.sync += sent.eq(sending)
        with m.If(sent):
            m.d.sync += remaining.eq(remaining - 1)
        with m.If(offer.ready):
            m.d.sync += offer.valid.eq(0)
        with m.If(words.ready):
            m.d.sync += words.valid.eq(0)
        with m.If(~words.valid):
            m.d.sync += [
                words.payload.data.eq(given.data),
                words.payload.strobe.eq(Mux(abandoned, 0, given.strobe)),
                words.payload.last.eq(remaining == 1),
            ]

        with m.FSM() as fsm:
            with m.State("CHOOSE"):
                m.d.sync += abandoned.eq(0)
                with m.If(waiting.any() & ~offer.valid & ~self.flush):
                    m.d.comb += Array(request.ready for request in requests)[following].eq(1)
                    m.d.sync += [
                        offer.payload.eq(request),
                        offer.valid.eq(1),
                        granted.eq(following),
                        remaining.eq((request.address[:3] + request.length + 7)[3:]),
                    ]
                    m.next = "DATA"
            with m.State("DATA"):
                source = Array(client.write_data.valid for client in self.clients)[granted]
                ready = Array(client.write_data.ready for client in self.clients)[granted]
                m.d.comb += [sending.eq(~words.valid & (abandoned | source)), ready.eq(~words.valid & ~abandoned)]
                with m.If(self.flush):
                    m.d.sync += abandoned.eq(1)
                with m.If(sending):
                    m.d.sync += words.valid.eq(1)
                    with m.If(remaining == 1):
                        m.next = "CHOOSE"
        return ~fsm.ongoing("CHOOSE") | offer.valid | words.valid


def _next_in_turn(m: Module, waiting: Value, last: Signal) -> Signal:
    """The first number after ``last``, around the circle, whose bit is set in ``waiting``."""
    count = len(waiting)
    following = Signal.like(last, name=f"after_{last.name}")
    with m.Switch(last):
        for number in range(count):
            with m.Case(number):
                for distance in range(count, 0, -1):  # the nearest is assigned last, and so wins
                    with m.If(waiting[(number + distance) % count]):
                        m.d.comb += following.eq((number + distance) % count)
    return following
