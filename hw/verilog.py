"""Verilog (IEEE 1364-2005) of a component."""

from amaranth.back import verilog
from amaranth.hdl import Signal, Value, ValueCastable
from amaranth.lib.wiring import Component

__all__ = ["convert"]


def convert(component: Component, *, name: str) -> str:
    """The Verilog text of a component, as a module of this name.

    Its ports are the members of the component's signature, path joined by two underscores, and a clock and a reset for
    each domain that the component uses but does not declare (``clk`` and ``rst`` for ``sync``). Members that are
    constants, as ``ready`` of a stream that is always ready, are no ports; Amaranth's own ``convert`` refuses those.
    """
    ports = []
    for path, _, member in component.signature.flatten(component):
        value = Value.cast(member) if isinstance(member, ValueCastable) else member
        if isinstance(value, Signal):
            ports.append(("__".join(str(part) for part in path), value, None))
    return verilog.convert(component, name=name, ports=ports, emit_src=False)
