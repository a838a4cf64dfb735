"""What pytest runs in a round of ``tests.fuzz``: the property tests alone, with their examples counted."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import is_hypothesis_test

from tests.examples import begin, over


def _counted(inner: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:
        return inner(*arguments, **named) if begin() else None

    return run


def _count_machines(machine: type[Any]) -> None:
    """Each run of a state machine makes one. That is too late to leave it out when the time is over."""
    make = machine.__init__

    def run(self: Any, *arguments: Any, **named: Any) -> None:
        begin()
        make(self, *arguments, **named)

    setattr(machine, "__init__", run)  # noqa: B010


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept: list[pytest.Item] = []
    wrapped: set[int] = set()
    for item in items:
        test = getattr(item, "obj", None)
        explore = getattr(getattr(item, "module", None), "explore", None)
        if is_hypothesis_test(test):
            kept.append(item)
            if not hasattr(test, "hypothesis"):
                _count_machines(test._hypothesis_state_machine_class)
            elif id(test.hypothesis) not in wrapped:  # the items of a parametrised test share it
                wrapped.add(id(test.hypothesis))
                test.hypothesis.inner_test = _counted(test.hypothesis.inner_test)
        elif getattr(explore, "__module__", "") == "tests.hw.explore":
            kept.append(item)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_runtest_setup(item: pytest.Item) -> None:
    if over():
        item.session.shouldstop = "the time is over"
