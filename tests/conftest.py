"""What all tests share."""

import os
import warnings

# The readable modules are what is tested; ``tests/system/test_compiled.py`` compares the compiled ones with them.
os.environ["NICLAB_INTERPRETED"] = "1"

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
    """Mark what builds a simulator, so that ``-m "not rtl"`` leaves the fast tests.

    Files that take long come first, those of the whole NIC before all others: when the last ones begin, no processor is
    to be left without work.
    """
    for item in items:
        simulate = getattr(getattr(item, "module", None), "simulate", None)
        if getattr(simulate, "__module__", "") == "tests.hw.simulate":
            item.add_marker(pytest.mark.rtl)
    long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("rtl")}
    items.sort(key=lambda item: (not item.path.name.startswith("test_nic_"), item.path not in long))
