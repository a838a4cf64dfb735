"""The laboratory of ``sim.realtime.namespace``, with failures as tests have them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sim.errors import RunFailedError, UserError
from sim.realtime.namespace import KERNEL, KERNEL6, STACK, STACK6, Namespace
from sim.realtime.namespace import require as find

__all__ = ["KERNEL", "KERNEL6", "STACK", "STACK6", "Namespace", "namespace", "require"]


def require(program: str) -> str:
    """Path of a program that the tests cannot do without: they fail if it is missing."""
    try:
        return find(program)
    except UserError as error:
        pytest.fail(str(error), pytrace=False)


@contextmanager
def namespace(folder: Path) -> Iterator[Namespace]:
    """A namespace of its own for one test or module."""
    try:
        with Namespace(folder) as made:
            yield made
    except (RunFailedError, UserError) as error:
        pytest.fail(str(error))
