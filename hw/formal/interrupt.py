"""Interrupts: no cause is lost (manual 13.4.17 ICR), none comes too early or too late (13.4.18 ITR)."""

from functools import partial
from types import ModuleType

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.formal.bench import Bench
from hw.formal.proof import Mutant, Proof
from hw.interfaces import RegisterPort
from hw.interrupt import CAUSES, CYCLES_PER_UNIT, InterruptController
from hw.register_file import RegisterFile
from hw.registers import BY_NAME

__all__ = ["PROOFS"]


def _throttle(module: ModuleType, *, semantics: str) -> Bench:
    rule = module.InterruptThrottle(semantics=module.Semantics[semantics])
    gate = rule.create()
    bench = Bench(gate)
    m = bench.m
    elapsed = bench.inside("elapsed")
    longest = 1 << (len(elapsed) - 1)

    # Of the cycle in which the pin's state was decided.
    interval = bench.past(gate.interval)
    deciding = bench.past(gate.pending & ~gate.acknowledge)
    high = bench.past(gate.interrupt)
    rises = gate.interrupt & ~high

    since_rise = Signal(range(longest + 1), init=longest)  # from the last rise to this cycle; no more than longest
    waiting = Signal(range(longest + 1))  # cycles before this in which the pin was low and its rise wanted
    with m.If(rises):
        m.d.sync += since_rise.eq(1)
    with m.Elif(since_rise != longest):
        m.d.sync += since_rise.eq(since_rise + 1)
    with m.If(~(gate.pending & ~gate.acknowledge) | gate.interrupt):
        m.d.sync += waiting.eq(0)
    with m.Elif(waiting != longest):
        m.d.sync += waiting.eq(waiting + 1)

    bench.invariant(since_rise <= longest)
    gap = interval * CYCLES_PER_UNIT
    bench.promise(~rises | (since_rise >= gap), "no rise of the pin within ITR x 32 cycles of the one before")
    if semantics == "SINCE_LAST_INTERRUPT":
        due = since_rise >= gap
        bench.invariant(elapsed == Mux(rises, 1, Mux(since_rise == longest, longest, since_rise + 1)))
    else:
        due = waiting > gap
        bench.promise(~rises | due, "no rise before the cause has waited for ITR x 32 cycles")
        bench.invariant(elapsed == waiting)
        bench.invariant((waiting == 0) | (waiting < since_rise) | (since_rise == longest))
    bench.promise(
        ~(deciding & due) | gate.interrupt, "a cause that is pending raises the pin in the first cycle in which it may"
    )
    bench.promise(~(deciding & high) | gate.interrupt, "the pin stays high until it is acknowledged or masked")
    bench.promise(deciding | ~gate.interrupt, "the pin is low in the cycle after it is acknowledged or masked")
    return bench


class _Controller(wiring.Component):
    """The interrupt registers as software sees them: the register file and the controller, connected as in ``Nic``."""

    port: Out(RegisterPort())
    causes: In(CAUSES)
    interrupt: Out(1)

    def __init__(self, controller: InterruptController) -> None:
        self.controller = controller
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        names = ("ICR", "ICS", "IMS", "IMC", "ITR")
        m.submodules.registers = registers = RegisterFile(registers=[BY_NAME[name] for name in names])
        m.submodules.controller = controller = self.controller
        wiring.connect(m, wiring.flipped(self.port), registers.port)
        for name in names:
            wiring.connect(m, getattr(registers, name.lower()), getattr(controller, name.lower()))
        m.d.comb += [controller.causes.eq(self.causes), self.interrupt.eq(controller.interrupt)]
        return m


def _controller(module: ModuleType) -> Bench:
    controller = module.InterruptController(throttle=module.InterruptThrottle())
    device = _Controller(controller)
    bench = Bench(device)
    m = bench.m
    request, response = device.port.request, device.port.response

    number = bench.constant(range(CAUSES), "number")
    bench.assume(number < CAUSES, "any one bit of ICR is looked at")
    icr = Value.cast(controller.icr.hardware)
    cause = device.causes.bit_select(number, 1)
    bit = icr.bit_select(number, 1)

    # The access at work, by what was asked at the port.
    asked = Signal.like(request.payload, name="asked")
    asked_icr = asked.address == BY_NAME["ICR"].offset
    asked_ics = asked.address == BY_NAME["ICS"].offset
    answering = Signal()
    with m.If(request.valid & request.ready):
        m.d.sync += [asked.eq(request.payload), answering.eq(~request.payload.write)]
    with m.Elif(response.valid & response.ready):
        m.d.sync += answering.eq(0)

    # What software has not been told of yet, nor cleared itself.
    owed = Signal()
    told = Signal()  # the answer on its way must have the bit
    chosen = (asked.data >> number)[0]
    set_by_software = controller.ics.written & chosen
    cleared = controller.icr.written & chosen
    m.d.sync += owed.eq(cause | set_by_software | (owed & ~controller.icr.read & ~cleared))
    with m.If(controller.icr.read):
        m.d.sync += told.eq(owed)

    bench.promise(
        bit == owed,
        "ICR has a cause until software reads ICR or writes a 1 to it, and one that comes in that cycle still after it",
    )
    bench.promise(
        ~(response.valid & asked_icr & answering) | ((response.payload >> number)[0] == told),
        "a read of ICR is answered with exactly the causes that it cleared",
    )
    bench.invariant(~controller.icr.read | (asked_icr & answering))
    bench.invariant(~controller.icr.written | (asked_icr & ~answering))
    bench.invariant(~controller.ics.written | (asked_ics & ~answering))
    return bench


PROOFS = (
    Proof(
        name="interrupt.since_last",
        module="hw.interrupt",
        build=partial(_throttle, semantics="SINCE_LAST_INTERRUPT"),
        parameters="interval_bits=16",
        depth=2,
        induction=True,
        mutant=Mutant(
            old="            first = 1\n",
            new="            first = 0\n",
            meaning="the interval is 33 cycles for each unit of the first",
            depth=40,
        ),
    ),
    Proof(
        name="interrupt.hold_off",
        module="hw.interrupt",
        build=partial(_throttle, semantics="HOLD_OFF"),
        parameters="interval_bits=16",
        depth=2,
        induction=True,
        mutant=Mutant(
            old="            restart = ~deciding | self.interrupt\n",
            new="            restart = self.interrupt\n",
            meaning="the hold-off goes on while nothing is pending",
            depth=40,
        ),
    ),
    Proof(
        name="interrupt.causes",
        module="hw.interrupt",
        build=_controller,
        parameters="all 17 causes, ITR of 16 bits",
        depth=8,
        induction=True,
        mutant=Mutant(
            old="cause.eq(kept | self.causes | bits(self.ics)),",
            new="cause.eq(kept | Mux(self.icr.read, 0, self.causes) | bits(self.ics)),",
            meaning="a cause in the cycle of a read of ICR is dropped",
        ),
    ),
)
