"""Descriptor rings: each descriptor is fetched, handed out and written back once, in order, and none beyond the tail
(manual 3.2.3 to 3.2.6, 3.4).

The ring is small and lies across a multiple of the longest burst; what a descriptor holds is its own number.
"""

from types import ModuleType

from amaranth.hdl import Cat, Const, Mux, Signal, Value
from amaranth.lib.wiring import In

from hw.formal.bench import Bench, streams
from hw.formal.proof import Mutant, Proof
from hw.interfaces import MAX_BURST_BYTES

__all__ = ["PROOFS"]

_SIZE = 4
_BITS = 2
_BASE = 8 * MAX_BURST_BYTES - 16 * (_SIZE // 2)
_DEPTH = 2
_STATUS_BYTE = 12
_PROMPT = 14
"""Cycles within which an idle ring offers a descriptor, if memory answers at once."""
_STEP = 7
"""Cycles from one step of a write-back to the next."""


def _word(index: Value, half: Value) -> Value:
    """One half of a descriptor."""
    return Cat(half, Const(1, 3), index)


def _geometry(bench: Bench, device: object) -> None:
    bench.tie(
        device.base, _BASE, f"the ring has {_SIZE} descriptors, half of them before a multiple of the longest burst"
    )
    bench.tie(
        device.length,
        16 * _SIZE,
        f"the ring has {_SIZE} descriptors, half of them before a multiple of the longest burst",
    )


def _after(index: Value, count: Value | int = 1) -> Value:
    return (index + count)[:_BITS]


class _Memory:
    """Host memory that answers reads in order, after any time; all it holds is the ring.

    ``fresh``: the word in this cycle answers a request made since the last head write.
    """

    def __init__(self, bench: Bench, port: object, *, head_written: Value, head: Value, abandoned: Value) -> None:
        m = bench.m
        places = 4  # requests that may be unanswered here; further ones wait
        request, answer = port.read_request, port.read_data
        taken = request.valid & request.ready
        count = [Signal(2, name=f"asked_{place}") for place in range(places)]  # descriptors
        old = [Signal(name=f"old_{place}") for place in range(places)]
        number = Signal(range(places + 1), name="number")
        slot = Signal(_BITS, name="slot")  # of the ring, that is answered next
        half = Signal(name="half")
        left = count[0]
        given = bench.input(1, "given")
        last = half & (left == 1)
        valid = given & (number != 0)
        self.fresh = valid & ~old[0]
        text = "memory answers in order, at any time, with what is in the ring"
        data = Cat(Mux(old[0], Const(~0, 64), _word(slot, half)))[:64]
        bench.tie(answer.valid, valid, text)
        bench.tie(Value.cast(answer.payload), Cat(data, Const(0, 2), last), text)
        bench.assume(~request.ready | (number != places), f"memory has at most {places} requests unanswered")
        done = valid & last
        with m.If(valid):
            m.d.sync += half.eq(~half)
            with m.If(half):
                m.d.sync += count[0].eq(count[0] - 1)
                with m.If(~old[0]):
                    m.d.sync += slot.eq(_after(slot))
        with m.If(done):
            m.d.sync += [count[place].eq(count[place + 1]) for place in range(places - 1)]
            m.d.sync += [old[place].eq(old[place + 1]) for place in range(places - 1)]
        m.d.sync += number.eq(number + taken - done)
        with m.If(taken), m.Switch(number - done):
            for place in range(places):
                with m.Case(place):
                    m.d.sync += [count[place].eq(request.payload.length >> 4), old[place].eq(abandoned)]
        with m.If(head_written):
            m.d.sync += [item.eq(1) for item in old]
            m.d.sync += slot.eq(head)
        self.waiting = (number != 0) & ~given


def _prefetch(module: ModuleType) -> Bench:
    device = module.RingPrefetch(depth=_DEPTH)
    bench = Bench(device)
    m = bench.m
    _geometry(bench, device)
    head, tail = bench.input(_BITS, "head_value"), bench.input(_BITS, "tail_value")
    bench.tie(device.head, head, "head and tail lie within the ring")
    bench.tie(device.tail, tail, "head and tail lie within the ring")
    request, offered = device.memory.read_request, device.descriptors
    fetched = Signal(_BITS)  # the next to be asked for
    handed = Signal(_BITS)  # the next to be handed out
    owned = Signal(range(_SIZE))  # descriptors of the NIC's, from the next handed out to the tail
    abandoned = Signal()  # the request on offer was made before software wrote the head
    taken = request.valid & request.ready
    count = request.payload.length >> 4
    memory = _Memory(
        bench, device.memory, head_written=device.head_written, head=head, abandoned=abandoned | device.head_written
    )
    m.d.comb += owned.eq((tail - handed)[:_BITS])
    with m.If(taken):
        m.d.sync += abandoned.eq(0)
        with m.If(~abandoned):
            m.d.sync += fetched.eq(_after(fetched, count))
    with m.If(offered.valid & offered.ready):
        m.d.sync += handed.eq(_after(handed))
    with m.If(device.head_written):
        m.d.sync += [fetched.eq(head), handed.eq(head), abandoned.eq(request.valid & ~request.ready)]

    before = bench.past(tail)
    left = bench.past((owned - (offered.valid & offered.ready))[:_BITS])
    restarted = bench.past(device.head_written)
    bench.assume(~device.head_written | (tail == before), "software writes one register at a time")
    bench.assume(
        (tail == before) | (~restarted & (owned >= left)),
        "software moves the tail on, never back and never over the head",
    )

    live = request.valid & ~abandoned
    bench.promise(
        ~live | (request.payload.address == _BASE + (fetched << 4)), "requests follow one another around the ring"
    )
    bench.promise(
        ~live | ((count != 0) & (request.payload.length[:4] == 0) & (count <= (tail - fetched)[:_BITS])),
        "nothing is fetched beyond the tail",
    )
    room = MAX_BURST_BYTES - request.payload.address[:9]
    bench.promise(
        ~live | ((fetched + count <= _SIZE) & (request.payload.length <= room)),
        "no request crosses the end of the ring or a multiple of the longest burst",
    )
    bench.promise(~offered.valid | (offered.payload.index == handed), "descriptors are handed out in order, each once")
    bench.promise(
        ~offered.valid | (offered.payload.data == Cat(*_padded(handed))),
        "a descriptor is handed out as memory holds it",
    )
    bench.promise(~offered.valid | (owned != 0), "no descriptor is handed out beyond the tail")

    idle = Signal(range(_PROMPT + 2))
    slow = memory.waiting | (request.valid & ~request.ready)
    with m.If(offered.valid | (owned == 0) | slow | ~device.enable | device.head_written):
        m.d.sync += idle.eq(0)
    with m.Else():
        m.d.sync += idle.eq(idle + 1)
    bench.promise(
        idle < _PROMPT, f"none is lost: the next is offered within {_PROMPT} cycles in which memory is not slow"
    )
    return bench


def _write_back(module: ModuleType) -> Bench:
    device = module.DescriptorWriteBack(status_byte=_STATUS_BYTE, status_bytes=1)
    bench = Bench(device)
    m = bench.m
    _geometry(bench, device)
    used, request, words = device.used, device.write_request, device.write_data
    head, tail = bench.input(_BITS, "head_index"), bench.input(_BITS, "tail_index")
    report, event, prompt = (bench.input(1, name) for name in ("report", "event", "prompt"))
    came = Signal(_BITS)  # the next to be used
    inside = Signal(range(_SIZE))  # used, and not passed by the head
    reports = Signal(_SIZE)  # which of the ring's are to be written back
    written = Signal(range(_SIZE))  # descriptors of the request at work
    place = Signal(_BITS)  # of the one whose words are written now
    half = Signal()
    alone = Signal()  # only the status is written
    within = "head and tail lie within the ring"
    bench.tie(device.head_value, head, within)
    bench.tie(device.tail, tail, within)
    item = Cat(*_padded(came), came, Const(0, 16 - _BITS), report, event, prompt)
    bench.tie(Value.cast(used.payload), item, "used descriptors come in ring order")
    bench.assume(~used.valid | (inside != _SIZE - 1), "no more of them come than there are up to the tail")
    bench.assume(bench.stands(next(streams(device, flow=In))), "an offer stands until taken")
    restarted = bench.past(device.head_written)
    quiet = (inside == 0) & ~used.valid
    bench.assume(~(device.head_written | restarted) | quiet, "software writes the head while no descriptor is at work")

    status_only = request.payload.length == 1
    count = Signal(range(_SIZE + 1))
    passed = Signal(range(_SIZE))  # by the head, from the cycle before
    before = bench.past(device.head)
    taken = used.valid & used.ready
    done = words.valid & words.ready & words.payload.last
    m.d.comb += [count.eq(Mux(status_only, 1, request.payload.length >> 4))]
    m.d.comb += passed.eq(Mux(restarted, 0, (device.head - before)[:_BITS]))
    m.d.sync += inside.eq(inside + taken - passed)
    with m.If(taken):
        m.d.sync += [came.eq(_after(came)), reports.bit_select(came, 1).eq(report)]
    with m.If(request.valid & request.ready):
        m.d.sync += [written.eq(count), place.eq(device.head), half.eq(status_only), alone.eq(status_only)]
    with m.If(words.valid & words.ready):
        m.d.sync += half.eq(alone | ~half)
        with m.If(half):
            m.d.sync += place.eq(_after(place))
    with m.If(device.head_written):
        m.d.sync += came.eq(head)

    bench.promise(passed <= inside, "the head never passes a descriptor that is not used")
    skips = (passed == 0) | ((passed == 1) & ~reports.bit_select(before, 1))
    bench.promise(
        Mux(bench.past(done), passed == bench.past(written), skips),
        "the head passes what was written back, and what need not be",
    )
    place_of_head = _BASE + (device.head << 4)
    bench.promise(
        ~request.valid | (request.payload.address == place_of_head + Mux(status_only, _STATUS_BYTE, 0)),
        "descriptors are written back in order, each once",
    )
    bench.promise(~request.valid | ((count != 0) & (count <= inside)), "none is written back before it is used")
    room = MAX_BURST_BYTES - request.payload.address[:9]
    bench.promise(
        ~request.valid | ((device.head + count <= _SIZE) & (request.payload.length <= room)),
        "no request crosses the end of the ring or a multiple of the longest burst",
    )
    low, high = _padded(place)
    bench.promise(~words.valid | (words.payload.data == Mux(half, high, low)), "what is written is what was used")
    bench.promise(
        ~words.valid | (words.payload.last == (half & (place == (device.head + written - 1)[:_BITS]))),
        "each request has as many words as it needs",
    )

    idle = Signal(range(_PROMPT + 2))
    with m.If(request.valid | words.valid | taken | (passed != 0) | (inside == 0) | (device.thresholds.wthresh != 0)):
        m.d.sync += idle.eq(0)
    with m.Else():
        m.d.sync += idle.eq(idle + 1)
    bench.promise(idle < _STEP, f"at WTHRESH 0 none is lost: no {_STEP} cycles without a step towards its write-back")
    return bench


def _padded(index: Value) -> tuple[Value, Value]:
    """Both halves of a descriptor, 64 bits each."""
    low, high = _word(index, Const(0, 1)), _word(index, Const(1, 1))
    pad = Const(0, 64 - len(low))
    return Cat(low, pad), Cat(high, pad)


PROOFS = (
    Proof(
        name="rings.prefetch",
        module="hw.ring",
        build=_prefetch,
        parameters=f"depth={_DEPTH}, ring of {_SIZE}",
        depth=20,
        induction=False,
        mutant=Mutant(
            old="available.eq(Mux(end >= following, end, beyond) - following)",
            new="available.eq(beyond - following)",
            meaning="more is fetched than there is up to the tail",
            depth=14,
        ),
    ),
    Proof(
        name="rings.write_back",
        module="hw.write_back",
        build=_write_back,
        parameters=f"status_byte={_STATUS_BYTE}, status_bytes=1, ring of {_SIZE}",
        depth=20,
        induction=False,
        mutant=Mutant(
            old="with m.Elif((count != 0) & (flushing | enough | (count == ON_CHIP) | dry | gap)):",
            new="with m.Elif(flushing | ((count != 0) & (enough | (count == ON_CHIP) | dry | gap))):",
            meaning="a flush writes back what is not there",
            depth=16,
        ),
    ),
)
