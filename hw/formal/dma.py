"""The DMA arbiter: words go to who asked, a flush drops them, and nobody waits for ever."""

from types import ModuleType

from amaranth.hdl import Array, Cat, Signal, Value
from amaranth.lib.wiring import Component

from hw.formal.bench import Bench
from hw.formal.proof import Mutant, Proof

__all__ = ["PROOFS"]

_CLIENTS = 3
_OUTSTANDING = 3
_SLOWEST = 2
"""Cycles for which memory may let a read request wait."""
_BURST_WORDS = 2
_WRITE_WAIT = 11


def _reads(module: ModuleType) -> Bench:
    arbiter = module.DmaArbiter(clients=_CLIENTS, outstanding=_OUTSTANDING)
    bench = Bench(arbiter)
    m = bench.m
    memory = arbiter.memory
    number = bench.constant(range(_CLIENTS), "number")
    bench.assume(number < _CLIENTS, "any one client is looked at")
    client = Array(arbiter.clients)[number]

    # Of this client: requests at the memory, at the arbiter, and those of both that were made before the last flush.
    word = memory.read_data
    at_memory = [Signal(range(_OUTSTANDING + 1), name=f"at_memory_{index}") for index in range(_CLIENTS)]
    for index, count in enumerate(at_memory):
        asked = memory.read_request.valid & memory.read_request.ready & (memory.read_request.payload.tag == index)
        answered = word.valid & word.payload.last & (word.payload.tag == index)
        m.d.sync += count.eq(count + asked - answered)
    bench.assume(
        ~word.valid | ((word.payload.tag < _CLIENTS) & Array(at_memory)[word.payload.tag].any()),
        "memory answers only what it was asked",
    )
    mine = word.valid & (word.payload.tag == number)
    taken = client.read_request.valid & client.read_request.ready
    done = mine & word.payload.last
    forgotten = Signal(range(_OUTSTANDING + 1))
    wanted = Signal(range(_OUTSTANDING + 1))
    with m.If(arbiter.flush):
        m.d.sync += [wanted.eq(0), forgotten.eq(forgotten + wanted - done)]
    with m.Elif(forgotten != 0):
        m.d.sync += [wanted.eq(wanted + taken), forgotten.eq(forgotten - done)]
    with m.Else():
        m.d.sync += wanted.eq(wanted + taken - done)

    given = client.read_data
    due = bench.past(mine & (forgotten == 0) & ~arbiter.flush)
    bench.promise(given.valid == due, "a client gets the words that it asked for since the last flush, and no others")
    bench.promise(~due | (given.payload.data == bench.past(word.payload.data)), "it gets them as memory gave them")
    bench.promise(~due | (given.payload.last == bench.past(word.payload.last)), "with the end of each answer")
    bench.promise(~(arbiter.flush & taken), "no request is taken during a flush")
    offer = memory.read_request
    bench.promise(~offer.valid | (offer.payload.tag < _CLIENTS), "requests have the number of their client as tag")
    fresh = bench.past(taken)
    bench.promise(
        ~fresh
        | (
            offer.valid
            & (offer.payload.tag == number)
            & (offer.payload.address == bench.past(client.read_request.payload.address))
            & (offer.payload.length == bench.past(client.read_request.payload.length))
        ),
        "a request taken is the next that memory is asked",
    )

    bench.invariant(bench.inside("last") < _CLIENTS)
    for index in range(_CLIENTS):
        counted = bench.inside(f"unanswered_{index}") + bench.inside("asked_before")[index]
        bench.invariant(counted <= _OUTSTANDING)
        bench.invariant(counted == at_memory[index] + (offer.valid & (offer.payload.tag == index)))
    stale = Array(bench.inside(f"stale_{index}") for index in range(_CLIENTS))[number]
    unanswered = Array(bench.inside(f"unanswered_{index}") for index in range(_CLIENTS))[number]
    bench.invariant(stale == forgotten)
    asked_before = bench.inside("asked_before").bit_select(number, 1)
    bench.invariant(unanswered + asked_before == forgotten + wanted)
    bench.invariant((bench.inside("asked_before") == 0) | offer.valid)
    return bench


class _Wait:
    """Counts the cycles for which something has been so until now, up to ``limit``."""

    def __init__(self, bench: Bench, condition: Value, *, limit: int, name: str) -> None:
        count = Signal(range(limit + 2), name=name)
        with bench.m.If(~condition):
            bench.m.d.sync += count.eq(0)
        with bench.m.Elif(count <= limit):
            bench.m.d.sync += count.eq(count + 1)
        self.within = ~condition | (count < limit)
        """It has been so for no more than ``limit`` cycles, this one included."""


def _fair_reads(module: ModuleType) -> Bench:
    arbiter = module.DmaArbiter(clients=_CLIENTS, outstanding=_OUTSTANDING)
    bench = Bench(arbiter)
    number = bench.constant(range(_CLIENTS), "number")
    bench.assume(number < _CLIENTS, "any one client is looked at")
    request = Array(arbiter.clients)[number].read_request
    offer = arbiter.memory.read_request
    slow = _Wait(bench, offer.valid & ~offer.ready, limit=_SLOWEST, name="slow")
    bench.assume(slow.within, f"memory lets a read request wait for no more than {_SLOWEST} cycles")
    unanswered = Array(bench.inside(f"unanswered_{index}") for index in range(_CLIENTS))[number]
    asked_before = bench.inside("asked_before").bit_select(number, 1)
    eligible = request.valid & (unanswered + asked_before != _OUTSTANDING) & ~arbiter.flush
    bound = _CLIENTS * (_SLOWEST + 2) - 1
    wait = _Wait(bench, eligible & ~request.ready, limit=bound, name="wait")
    bench.promise(
        wait.within,
        "a read request that is not one too many waits for at most the others' turns, "
        f"clients x (memory's delay + 2) - 1 = {bound} cycles",
    )
    bench.invariant(bench.inside("last") < _CLIENTS)
    return bench


def _client_writes(bench: Bench, arbiter: Component) -> None:
    """What clients keep to: the rule of streams, but for a flush, and short bursts."""
    for client in arbiter.clients:
        for offer in (client.write_request, client.write_data):
            payload = Value.cast(offer.payload)
            waited = bench.past(offer.valid & ~offer.ready & ~arbiter.flush)
            stands = offer.valid & (payload == bench.past(payload))
            bench.assume(~waited | stands, "a client's offer stands until taken, or a flush")
        request = client.write_request.payload
        bench.assume(
            (request.length != 0) & (request.address[:3] + request.length <= 8 * _BURST_WORDS),
            f"bursts are of 1 to {_BURST_WORDS} words",
        )


def _writes(module: ModuleType) -> Bench:
    arbiter = module.DmaArbiter(clients=_CLIENTS, outstanding=1)
    bench = Bench(arbiter)
    m = bench.m
    _client_writes(bench, arbiter)
    request, words = arbiter.memory.write_request, arbiter.memory.write_data
    new = Signal()  # a word is shown to memory for the first time
    m.d.comb += new.eq(words.valid & ~bench.past(words.valid & ~words.ready))
    left = Signal(range(_BURST_WORDS + 1))  # words of the burst at work that memory has not been shown
    owner = Signal(range(_CLIENTS))  # whose burst it is
    cut = Signal()  # a flush has come since it began
    m.d.sync += [left.eq(left - new), cut.eq(cut | arbiter.flush)]
    given = []
    for number, client in enumerate(arbiter.clients):
        asked = client.write_request.valid & client.write_request.ready
        gave = client.write_data.valid & client.write_data.ready
        given.append(gave)
        wanted = client.write_request.payload
        with m.If(asked):
            m.d.sync += [left.eq((wanted.address[:3] + wanted.length + 7) >> 3), owner.eq(number), cut.eq(0)]
        passed = request.payload.as_value() == bench.past(wanted.as_value())
        bench.promise(~bench.past(asked) | (request.valid & passed), "a request taken is the next that memory is asked")
        bench.promise(~asked | (left == new), "no request is taken before all data of the one before")
        bench.promise(~(asked & arbiter.flush), "no request is taken during a flush")
        bench.promise(
            ~gave | ((owner == number) & (left != new) & ~cut), "data is taken from who asked last, no more than that"
        )
        word = client.write_data.payload
        shown = Cat(words.payload.data, words.payload.strobe)
        same = shown == bench.past(Cat(word.data, word.strobe))
        bench.promise(~bench.past(gave) | (new & same), "a word taken is the next that memory gets")
    padding = new & ~bench.past(Cat(given).any())
    bench.promise(~new | (words.payload.last == (left == 1)), "memory gets as many words as the request touches")
    bench.promise(
        ~padding | (cut & (words.payload.strobe == 0)),
        "a burst that a flush cuts short is filled up with words that write nothing",
    )
    open_ = bench.ongoing("DATA")
    bench.invariant(open_ == (left != new))
    bench.invariant(~open_ | (bench.inside("remaining") == left))
    bench.invariant(bench.inside("sent") == new)
    bench.invariant(~open_ | ((bench.inside("granted") == owner) & (bench.inside("abandoned") == cut)))
    bench.invariant(bench.inside("granted") < _CLIENTS)
    bench.invariant(~new | (left != 0))
    return bench


def _fair_writes(module: ModuleType) -> Bench:
    arbiter = module.DmaArbiter(clients=2, outstanding=1)
    bench = Bench(arbiter)
    _client_writes(bench, arbiter)
    number = bench.constant(range(2), "number")
    memory = arbiter.memory
    for offer, name in ((memory.write_request, "request"), (memory.write_data, "word")):
        slow = _Wait(bench, offer.valid & ~offer.ready, limit=1, name=f"slow_{name}")
        bench.assume(slow.within, "memory lets a request or a word wait for no more than 1 cycle")
    granted = bench.inside("granted")
    data = Array(client.write_data for client in arbiter.clients)[granted]
    late = _Wait(bench, bench.ongoing("DATA") & ~data.valid, limit=1, name="late")
    bench.assume(late.within, "a client that has asked is late with a word by no more than 1 cycle")
    request = Array(arbiter.clients)[number].write_request
    eligible = request.valid & ~arbiter.flush
    wait = _Wait(bench, eligible & ~request.ready, limit=_WRITE_WAIT, name="wait")
    bench.promise(wait.within, f"a write request waits for at most {_WRITE_WAIT} cycles, with one other client")
    bench.invariant(granted < 2)
    bench.invariant(
        ~bench.ongoing("DATA") | ((bench.inside("remaining") != 0) & (bench.inside("remaining") <= _BURST_WORDS))
    )
    return bench


PROOFS = (
    Proof(
        name="dma.reads",
        module="hw.dma",
        build=_reads,
        parameters=f"clients={_CLIENTS}, outstanding={_OUTSTANDING}",
        depth=2,
        induction=True,
        mutant=Mutant(
            old="m.d.sync += stale.eq(following)",
            new="m.d.sync += stale.eq(following + done)",
            meaning="an answer that ends in the cycle of a flush is waited for again",
            depth=12,
        ),
    ),
    Proof(
        name="dma.fair_reads",
        module="hw.dma",
        build=_fair_reads,
        parameters=f"clients={_CLIENTS}, outstanding={_OUTSTANDING}",
        depth=_CLIENTS * (_SLOWEST + 2) + 2,
        induction=True,
        mutant=Mutant(
            old="                last.eq(following),\n",
            new="                last.eq(0),\n",
            meaning="the turn of reads does not move on",
            depth=20,
        ),
    ),
    Proof(
        name="dma.writes",
        module="hw.dma",
        build=_writes,
        parameters=f"clients={_CLIENTS}",
        depth=2,
        induction=True,
        mutant=Mutant(
            old="words.payload.strobe.eq(Mux(abandoned, 0, given.strobe))",
            new="words.payload.strobe.eq(given.strobe)",
            meaning="what fills up a burst after a flush is written",
            depth=8,
        ),
    ),
    Proof(
        name="dma.fair_writes",
        module="hw.dma",
        build=_fair_writes,
        parameters="clients=2",
        depth=_WRITE_WAIT + 4,
        induction=True,
        mutant=Mutant(
            old="                        granted.eq(following),\n",
            new="                        granted.eq(0),\n",
            meaning="the turn of writes does not move on",
            depth=24,
        ),
    ),
)
