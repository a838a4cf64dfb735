"""Runs a script on the model, in this process: a coroutine that is given a ``Station``, as ``sim.rtl.session`` does."""

import importlib
from typing import Any

from sim.costs import HostCosts
from sim.engine import EventEngine
from sim.host import HostCpu
from sim.model.bus import ModelBus, ModelPort
from sim.model.timing import Calibration, Timing
from sim.station import Station
from sim.wire import Link

__all__ = ["run_script"]


def run_script(script: str, arguments: dict[str, Any], *, seed: int = 1, timing: Timing | None = None) -> Any:
    """What ``script``, written ``module:coroutine``, returns, or raises. ``timing`` replaces what is calibrated.

    Raises ``UserError`` if the calibration is of another NIC.
    """
    timing = timing or Calibration.load().timing
    module, name = script.split(":")
    env = EventEngine(seed=seed)
    cpu = HostCpu(env, HostCosts())
    link = Link(env)
    bus = ModelBus(env, cpu, timing=timing)
    ModelPort(bus, outgoing=link.a_to_b, incoming=link.b_to_a)
    function = getattr(importlib.import_module(module), name)
    return env.run(function(Station(env, cpu, bus, link), **arguments))
