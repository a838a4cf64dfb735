"""What all tests share."""

import warnings

import pytest
from amaranth.hdl import UnusedElaboratable

from tests.examples import load_profile

load_profile()


def pytest_configure(config: pytest.Config) -> None:
    # Tests of constructor errors leave half-made components behind, on purpose.
    config.addinivalue_line("filterwarnings", "ignore::amaranth.hdl.UnusedElaboratable")


def pytest_unconfigure() -> None:
    warnings.simplefilter("ignore", UnusedElaboratable)  # some are collected only at exit


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what builds a simulator, so that ``-m "not rtl"`` leaves the fast tests."""
    for item in items:
        simulate = getattr(getattr(item, "module", None), "simulate", None)
        if getattr(simulate, "__module__", "") == "tests.hw.simulate":
            item.add_marker(pytest.mark.rtl)
