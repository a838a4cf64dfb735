"""Verilog (IEEE 1364-2005) of a component."""

import re

from amaranth.back import verilog
from amaranth.hdl import Signal, Value, ValueCastable
from amaranth.lib.wiring import Component

__all__ = ["convert", "mend"]

_CONSTANT_PROCESS = re.compile(r"always @\*\n +(.+ = \d+'h[0-9a-f]+;)")
_TRIGGER = re.compile(r"^  reg (\S+) += 0;$", re.MULTILINE)


def _wake(module: str) -> str:
    """Processes that only assign constants wait for ever, since nothing that they read changes: simulators leave the
    bits at 0 or x. Yosys gives its other processes a variable to look at; this gives it to those, too.
    """
    trigger = _TRIGGER.search(module)
    if trigger is None:
        return module
    look = trigger[1]
    return _CONSTANT_PROCESS.sub(lambda found: f"always @* begin if ({look} ) begin end {found[1]} end", module)


def mend(text: str) -> str:
    """Verilog as Yosys writes it, for simulators: no process waits for ever."""
    return "endmodule".join(map(_wake, text.split("endmodule")))


def convert(component: Component, *, name: str, sources: bool = False) -> str:
    """The Verilog text of a component, as a module of this name.

    Its ports are the members of the component's signature, path joined by two underscores, and a clock and a reset for
    each domain that the component uses but does not declare (``clk`` and ``rst`` for ``sync``). Members that are
    constants, as ``ready`` of a stream that is always ready, are no ports; Amaranth's own ``convert`` refuses those.

    With ``sources`` the text tells by attributes ``src`` which line of Python each part comes from.
    """
    ports = []
    for path, _, member in component.signature.flatten(component):
        value = Value.cast(member) if isinstance(member, ValueCastable) else member
        if isinstance(value, Signal):
            ports.append(("__".join(str(part) for part in path), value, None))
    return mend(verilog.convert(component, name=name, ports=ports, emit_src=sources))
