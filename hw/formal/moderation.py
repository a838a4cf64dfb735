"""Delay timers: what is to be told is told in time, and not before (manual 13.4.30, 13.4.31, 13.4.41, 13.4.44)."""

from types import ModuleType

from amaranth.hdl import Cat, Const, Signal

from hw.formal.bench import Bench
from hw.formal.proof import Mutant, Proof
from hw.moderation import CYCLES_PER_UNIT

__all__ = ["PROOFS"]

_UNIT_BITS = CYCLES_PER_UNIT.bit_length() - 1


def _delays(module: ModuleType) -> Bench:
    timers = module.InterruptDelay().create()
    bench = Bench(timers)
    m = bench.m
    cycles = len(timers.packet_delay) + _UNIT_BITS

    def in_cycles(delay: Signal) -> Signal:
        return Cat(Const(0, _UNIT_BITS), delay)

    told = timers.expired
    event = timers.event & timers.packet_delay.any()  # one that is to wait
    waiting = Signal()
    since_last = Signal(cycles + 1)  # cycles from the last event
    packet_delay = Signal(cycles)  # as it was then
    bounded = Signal()  # the absolute timer runs
    since_first = Signal(cycles + 1)  # cycles from the first event that started it
    absolute_delay = Signal(cycles)  # as it was then
    m.d.sync += [since_last.eq(since_last + 1), since_first.eq(since_first + 1)]
    with m.If(told):
        m.d.sync += [waiting.eq(0), bounded.eq(0)]
    with m.If(event):
        m.d.sync += [waiting.eq(1), since_last.eq(1), packet_delay.eq(in_cycles(timers.packet_delay))]
        with m.If(told | ~bounded):
            m.d.sync += [
                bounded.eq(timers.absolute_delay.any()),
                since_first.eq(1),
                absolute_delay.eq(in_cycles(timers.absolute_delay)),
            ]

    due = waiting & ((since_last == packet_delay) | (bounded & (since_first == absolute_delay)))
    at_once = timers.expire | (timers.event & ~timers.packet_delay.any())
    bench.promise(
        ~(waiting & bounded) | (since_first < absolute_delay) | ((since_first == absolute_delay) & told),
        "told no later than RADV or TADV x 128 cycles after the first event",
    )
    bench.promise(
        ~waiting | (since_last < packet_delay) | ((since_last == packet_delay) & told),
        "told no later than RDTR or TIDV x 128 cycles after the last event",
    )
    bench.promise(~at_once | told, "told in the same cycle if it must not wait")
    bench.promise(~told | due | at_once, "told at no other time")

    for name, runs, since, delay in (
        ("packet", waiting, since_last, packet_delay),
        ("absolute", bounded, since_first, absolute_delay),
    ):
        running = bench.inside("running", of=name)
        left = bench.inside("left", of=name)
        bench.invariant(running == runs)
        bench.invariant(~runs | ((left == (delay - since + 1)[:cycles]) & (since != 0) & (delay != 0)))
    bench.invariant(~bounded | waiting)
    return bench


PROOFS = (
    Proof(
        name="moderation.delays",
        module="hw.moderation",
        build=_delays,
        parameters="delay_bits=16",
        depth=2,
        induction=True,
        mutant=Mutant(
            old="startable = 1 if self._restarts else ~running | self.stop | self.expired",
            new="startable = 1",
            meaning="each event restarts the absolute timer, too",
            depth=4,
        ),
    ),
)
