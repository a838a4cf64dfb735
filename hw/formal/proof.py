"""A proof by its name: what is proven, how, and the fault that it must find."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from hw.formal.bench import Bench

__all__ = ["Mutant", "Proof"]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A fault: ``old``, which stands once in the module's source, becomes ``new``.

    ``meaning`` says it in words. It must be found within ``depth`` cycles after reset; 0 is the depth of the proof.
    """

    old: str
    new: str
    meaning: str
    depth: int = 0


@dataclass(frozen=True, kw_only=True)
class Proof:
    """One promise of one component.

    Parameters
    ----------
    name : str
        Family and component, as ``interrupt.throttle``; names the folder in ``build/formal``.
    module : str
        Where the component is.
    build : function
        Given that module, or its mutant, returns the bench.
    parameters : str
        The constructor arguments that it is proven for.
    depth : int
        Cycles. With ``induction`` that many in a row are taken as good to prove the next; without, only the first
        ``depth`` cycles after reset are looked at.
    induction : bool
    mutant : Mutant
    """

    name: str
    module: str
    build: Callable[[ModuleType], Bench]
    parameters: str
    depth: int
    induction: bool
    mutant: Mutant

    @property
    def method(self) -> str:
        return "induction" if self.induction else "bounded"

    def bench(self, *, mutated: bool = False) -> Bench:
        """The bench. Raises ``ValueError`` if the source has no such place to mutate."""
        module = import_module(self.module)
        return self.build(_mutated(module, self.mutant) if mutated else module)


def _mutated(module: ModuleType, mutant: Mutant) -> ModuleType:
    """A second, faulty copy of a module, which nothing else sees."""
    source = Path(str(module.__file__)).read_text()
    if (count := source.count(mutant.old)) != 1:
        raise ValueError(f"{mutant.old!r} is {count} times in {module.__name__}, not once")
    copy = ModuleType(module.__name__)
    copy.__package__ = module.__package__
    copy.__file__ = module.__file__
    exec(compile(source.replace(mutant.old, mutant.new), copy.__file__ or "", "exec"), copy.__dict__)
    return copy
