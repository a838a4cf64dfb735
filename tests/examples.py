"""How Hypothesis draws its examples: the same ones in every run, or with ``NICLAB_FUZZ_SEED`` set, those of that seed.

``tests.fuzz`` sets that, and in ``NICLAB_FUZZ_COUNT`` the name of a file that grows by a byte with each example.
"""

import os
from typing import Any

import hypothesis

__all__ = ["COUNT", "SEED", "count", "load_profile", "seeded"]

SEED = "NICLAB_FUZZ_SEED"
COUNT = "NICLAB_FUZZ_COUNT"


def load_profile() -> None:
    """For the tests of this process."""
    seed = os.environ.get(SEED)
    drawn: dict[str, Any] = {"derandomize": True} if seed is None else {"derandomize": False, "database": None}
    hypothesis.settings.register_profile("niclab", deadline=None, print_blob=True, **drawn)
    hypothesis.settings.load_profile("niclab")


def seeded(test: Any) -> Any:
    """The property ``test``, drawn from the seed if there is one."""
    seed = os.environ.get(SEED)
    return test if seed is None else hypothesis.seed(int(seed))(test)


def count() -> None:
    """One more example has been begun."""
    path = os.environ.get(COUNT)
    if path:
        with open(path, "ab") as file:
            file.write(b".")
