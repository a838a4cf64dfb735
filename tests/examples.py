"""How Hypothesis draws its examples: the same ones in every run, or with ``NICLAB_FUZZ_SEED`` set, those of that seed.

``tests.fuzz`` sets that, in ``NICLAB_FUZZ_COUNT`` the name of a file that grows by a byte with each example, and in
``NICLAB_FUZZ_END``, if there is an end, the time of the monotonic clock from which on no example is run.
"""

import os
import time
from typing import Any

import hypothesis
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

__all__ = ["COUNT", "END", "SEED", "begin", "load_profile", "over", "seeded"]

SEED = "NICLAB_FUZZ_SEED"
COUNT = "NICLAB_FUZZ_COUNT"
END = "NICLAB_FUZZ_END"


def load_profile() -> None:
    """For the tests of this process.

    Hypothesis draws numbers also from the source of all modules imported so far: so the examples of one test would
    depend on which tests ran before it in the same process. There is no setting for that.
    """
    if not hasattr(providers, "_get_local_constants"):
        raise RuntimeError("this Hypothesis has no _get_local_constants: tests/examples.py wants a look")
    setattr(providers, "_get_local_constants", Constants)  # noqa: B010
    seed = os.environ.get(SEED)
    drawn: dict[str, Any] = {"derandomize": True} if seed is None else {"derandomize": False, "database": None}
    hypothesis.settings.register_profile("niclab", deadline=None, print_blob=True, **drawn)
    hypothesis.settings.load_profile("niclab")


def seeded(test: Any) -> Any:
    """The property ``test``, drawn from the seed if there is one."""
    seed = os.environ.get(SEED)
    return test if seed is None else hypothesis.seed(int(seed))(test)


def over() -> bool:
    """Whether the time for examples is over."""
    end = os.environ.get(END)
    return end is not None and time.monotonic() >= float(end)


def begin() -> bool:
    """Whether to run one more example; it is counted then."""
    if over():
        return False
    path = os.environ.get(COUNT)
    if path:
        with open(path, "ab") as file:
            file.write(b".")
    return True
