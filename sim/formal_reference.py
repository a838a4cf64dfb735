"""Writes the list of proofs from the proofs themselves: ``python -m sim.formal_reference > docs/formal.md``."""

import warnings
from collections.abc import Iterator

from amaranth.hdl import UnusedElaboratable

from hw.formal.proof import Proof
from hw.formal.proofs import PROOFS
from hw.formal.streams import COMPOSED

__all__ = ["markdown"]

_INTRODUCTION = """# What is proven

Made by `python -m sim.formal_reference` from `hw/formal/`. `make formal` runs the proofs, and for each a mutant: the
component with one fault, which must be refuted by a trace from reset; a proof whose mutant is not refuted proves
nothing. `make formal ONLY=buffers` runs one family or proof. Traces (VCD) are in `build/formal/<proof>/`.

How: **by induction** holds in every cycle, for ever: what holds in as many cycles in a row as the number says holds in
the next, and it holds in the first ones after reset. **Bounded** holds in that many cycles after reset, whatever the
inputs do; later faults are not excluded. Parameters are those of the constructor, small where a proof would take too
long otherwise. The clock of GMII reception is taken to be that of the rest: crossings are not looked at.

Inputs are free but for the assumptions listed. Promises and assumptions are quoted from the code.
"""


def _how(proof: Proof) -> str:
    return f"by induction, {proof.depth}" if proof.induction else f"bounded, {proof.depth} cycles"


def _details(proof: Proof) -> Iterator[str]:
    bench = proof.bench()
    yield f"### {proof.name}"
    yield ""
    yield f"`{proof.module}`, {_how(proof)}. Parameters: {proof.parameters}."
    yield ""
    for title, texts in (("Promises", bench.promises), ("Assumptions", bench.assumptions)):
        if texts:
            yield f"{title}:"
            yield ""
            yield from (f"- {text}" for text in texts)
            yield ""
    yield f"Mutant: {proof.mutant.meaning}."
    yield ""


def markdown() -> str:
    """The whole document."""
    lines = [_INTRODUCTION, "| proof | module | how | mutant |", "| --- | --- | --- | --- |"]
    for proof in PROOFS:
        name = f"[{proof.name}](#{proof.name.lower().replace('.', '')})"
        lines.append(f"| {name} | `{proof.module}` | {_how(proof)} | {proof.mutant.meaning} |")
    lines += ["", "Components whose streams all come from others:", ""]
    lines += [f"- `{component}`: {source}" for component, source in COMPOSED.items()]
    lines += ["", "## Proofs", ""]
    for proof in PROOFS:
        lines += _details(proof)
    return "\n".join(lines)


if __name__ == "__main__":
    warnings.simplefilter("ignore", UnusedElaboratable)  # benches are asked what they say, and not built
    print(markdown(), end="")
