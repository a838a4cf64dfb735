"""What a proof is made of: one component, what its environment may do, and what must always hold.

Nothing is added to the component. Its inputs are free in every cycle but for the assumptions; its own registers can be
looked at by their names, for statements that tie them to the model (without those, induction starts in states that the
component never reaches).
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from amaranth.asserts import AnyConst
from amaranth.back import rtlil
from amaranth.hdl import (
    Assert,
    Assume,
    Cat,
    ClockDomain,
    DomainRenamer,
    Fragment,
    Module,
    ResetInserter,
    Shape,
    ShapeLike,
    Signal,
    Value,
    ValueLike,
)
from amaranth.lib.wiring import Component, Flow, In

__all__ = ["TOP", "Bench", "Stream", "streams"]

TOP = "top"
"""Name of the module in what ``Bench.rtlil`` returns."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One stream of a component, by its name there."""

    name: str
    payload: Value
    valid: Value
    ready: Value


def streams(device: Component, *, flow: Flow) -> Iterator[Stream]:
    """The streams that go into a component, or out of it, and the channels of its AXI ports, which keep to the same
    rule (Arm IHI 0022H, A3.2.1). Those that are always ready are left out: nothing waits.

    A channel ``aw`` has ``awvalid``, ``awready``, and all that begins with ``aw`` as its payload.
    """
    members = {path: (member.flow, Value.cast(value)) for path, member, value in device.signature.flatten(device)}
    for (*path, last), (direction, valid) in members.items():
        if direction is not flow or not str(last).endswith("valid"):
            continue
        channel = str(last).removesuffix("valid")
        beside = {str(name): value for (*where, name), (_, value) in members.items() if where == path}
        ready = beside.get(f"{channel}ready")
        payload = [name for name in beside if (name.startswith(channel) if channel else name == "payload")]
        payload = [name for name in payload if name not in (f"{channel}valid", f"{channel}ready")]
        if isinstance(ready, Signal) and payload:
            name = ".".join(map(str, [*path, channel] if channel else path))
            yield Stream(name=name, payload=Cat(beside[item] for item in payload), valid=valid, ready=ready)


class Bench:
    """One component under proof.

    Parameters
    ----------
    device : Component
        A fresh one: it is elaborated here. All its clock domains become one.
    reset : bool
        Whether the environment may reset the device (``self.reset``) in any cycle. It starts reset in any case.

    Attributes
    ----------
    m : Module
        For the model's logic, in the domain ``sync``; its registers are not reset.
    assumptions, promises : list of str
        What was said with ``assume`` and ``promise``.
    """

    def __init__(self, device: Component, *, reset: bool = False) -> None:
        self.assumptions: list[str] = []
        self.promises: list[str] = []
        self.reset = Signal(name="reset")
        self.m = Module()
        self.m.domains.sync = sync = ClockDomain(reset_less=True)
        self._ports: dict[str, Signal] = {"clk": sync.clk}
        self._pasts = 0
        for path, member, item in device.signature.flatten(device):
            value = Value.cast(item)
            if member.flow is In and isinstance(value, Signal):
                self._ports["__".join(map(str, path))] = value
        self._fragment = Fragment.get(device, None)
        inner = DomainRenamer({"gmii_rx": "sync"})(self._fragment)
        if reset:
            inner = ResetInserter(self.reset)(inner)
            self._ports["reset"] = self.reset
        self.m.submodules.device = inner
        self.first = Signal(init=1, name="first")
        self.m.d.sync += self.first.eq(0)

    def input(self, shape: ShapeLike, name: str) -> Signal:
        """A value that the environment chooses anew in every cycle. Raises ``ValueError`` if the name is taken."""
        if name in self._ports:
            raise ValueError(f"{name!r} is an input of the device")
        self._ports[name] = signal = Signal(shape, name=name)
        return signal

    def tie(self, port: Signal, value: ValueLike, text: str) -> None:
        """An input of the device is not free, but this. The solver has less to think of than with an assumption."""
        (name,) = (name for name, signal in self._ports.items() if signal is port)
        del self._ports[name]
        self.m.d.comb += port.eq(value)
        self._say(self.assumptions, text)

    def constant(self, shape: ShapeLike, name: str) -> Signal:
        """A value that the environment chooses once: what is proven holds for each."""
        signal = Signal(shape, name=name)
        self.m.d.comb += Value.cast(signal).eq(AnyConst(Shape.cast(shape).width))
        return signal

    def past(self, value: ValueLike, *, init: int = 0) -> Signal:
        """What ``value`` was in the cycle before; ``init`` in the first."""
        self._pasts += 1
        value = Value.cast(value)
        signal = Signal(value.shape(), init=init, name=f"past_{self._pasts}")
        self.m.d.sync += signal.eq(value)
        return signal

    def inside(self, name: str, *, of: str = "") -> Signal:
        """A register or wire of the device by its name; ``of`` names submodules, joined by dots.

        Raises ``LookupError`` unless there is exactly one.
        """
        fragment = self._fragment
        for part in filter(None, of.split(".")):
            (fragment,) = (inner for inner, inner_name, _ in fragment.subfragments if inner_name == part)
        found = {
            id(signal): signal
            for statements in fragment.statements.values()
            for signal in statements._lhs_signals()
            if signal.name == name
        }
        if len(found) != 1:
            raise LookupError(f"{len(found)} signals are named {name!r} in {of or 'the device'}, not one")
        return next(iter(found.values()))

    def ongoing(self, *states: str, fsm: str = "fsm", of: str = "") -> Value:
        """Whether the device's FSM of this name is in one of the states. Raises ``LookupError`` if it has none such."""
        signal = self.inside(f"{fsm}_state", of=of)
        numbers = {}
        for number in range(1 << len(signal)):
            with suppress(KeyError):  # of a number that no state has
                numbers[signal.decoder(number).rpartition("/")[0]] = number
        if unknown := set(states) - set(numbers):
            raise LookupError(f"no state {', '.join(sorted(unknown))}; there are {', '.join(numbers)}")
        return signal.matches(*(numbers[state] for state in states))

    def assume(self, condition: ValueLike, text: str) -> None:
        """The environment keeps to this in every cycle."""
        self.m.d.comb += Assume(condition)
        self._say(self.assumptions, text)

    def promise(self, condition: ValueLike, text: str) -> None:
        """The device keeps to this in every cycle."""
        self.m.d.comb += Assert(condition)
        self._say(self.promises, text)

    def invariant(self, condition: ValueLike) -> None:
        """Is proven as the promises are, but only serves to tie the device's state to the model's."""
        self.m.d.comb += Assert(condition)

    def stands(self, stream: Stream, *, payload: ValueLike | None = None) -> Value:
        """The rule of ``amaranth.lib.stream``: an offer that was not taken is still there, with the same payload.

        ``payload`` is what counts of the stream's payload, all of it by default.
        """
        payload = Value.cast(stream.payload if payload is None else payload)
        waited = self.past(stream.valid & ~stream.ready)
        same = self.past(payload) == payload
        return ~waited | (stream.valid & same)

    @staticmethod
    def _say(texts: list[str], text: str) -> None:
        if text not in texts:
            texts.append(text)

    def rtlil(self) -> str:
        """The whole as RTLIL, a module named ``TOP``."""
        ports = [(name, signal, None) for name, signal in self._ports.items()]
        return rtlil.convert(self.m, name=TOP, ports=ports, emit_src=False)
