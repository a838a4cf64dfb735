"""The DMA arbiter: words go to who asked, a flush drops them, and nobody waits for ever."""

from types import ModuleType

from amaranth.hdl import Array, Signal, Value

from hw.formal.bench import Bench
from hw.formal.proof import Mutant, Proof

__all__ = ["PROOFS"]

_CLIENTS = 3
_OUTSTANDING = 3
_SLOWEST = 2
"""Cycles that the memory, or a client that has started a burst, may let the arbiter wait."""


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
        ~fresh | (offer.valid & (offer.payload.tag == number)
        & (offer.payload.address == bench.past(client.read_request.payload.address))
        & (offer.payload.length == bench.past(client.read_request.payload.length))),
        "a request taken is the next that memory is asked",
    )

    bench.invariant(bench.inside("last") < _CLIENTS)
    for index in range(_CLIENTS):
        counted = bench.inside(f"unanswered_{index}")
        bench.invariant(counted <= _OUTSTANDING)
        bench.invariant(counted == at_memory[index] + (offer.valid & (offer.payload.tag == index)))
    stale = Array(bench.inside(f"stale_{index}") for index in range(_CLIENTS))[number]
    unanswered = Array(bench.inside(f"unanswered_{index}") for index in range(_CLIENTS))[number]
    bench.invariant(stale == forgotten)
    bench.invariant(unanswered == forgotten + wanted)
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
    eligible = request.valid & (unanswered != _OUTSTANDING) & ~arbiter.flush
    bound = _CLIENTS * (_SLOWEST + 2) - 1
    wait = _Wait(bench, eligible & ~request.ready, limit=bound, name="wait")
    bench.promise(
        wait.within,
        "a read request that is not one too many waits for at most the others' turns, "
        f"clients x (memory's delay + 2) - 1 = {bound} cycles",
    )
    bench.invariant(bench.inside("last") < _CLIENTS)
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
            old="m.d.sync += stale.eq(count - done)",
            new="m.d.sync += stale.eq(count)",
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
)
