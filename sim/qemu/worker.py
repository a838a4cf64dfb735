"""Inside the simulator: a session on the Verilated NIC, as a cocotb test."""

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject, LogicObject

from sim.errors import UserError
from sim.qemu.runner import RESULT
from sim.qemu.session import serve
from sim.qemu.settings import Settings
from sim.rtl.engine import RtlEngine
from sim.rtl.lifetime import end_with_parent
from sim.rtl.nic import RtlNic
from sim.rtl.port import GmiiPort
from sim.rtl.shared import Bench
from sim.vfio_user.statistics import Statistics
from sim.wire import Link

__all__ = ["session"]

_PCI_READ_CYCLES = 16
"""From a DMA read request to its first word. Nothing compares times here, so the bus is a quick one."""


@cocotb.test()
async def session(dut: HierarchyObject) -> None:
    """Serves what the folder named by ``NICLAB_RUN`` asks for (see ``sim.qemu.runner``)."""
    end_with_parent(int(os.environ["NICLAB_PARENT"]))
    # As in any program of Python: a client's descriptor may be a pipe that nobody reads.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    folder = Path(os.environ["NICLAB_RUN"])
    wake = dut.wake
    assert isinstance(wake, LogicObject)
    env = RtlEngine(Bench(), wake, seed=1)
    state = env.bench.state
    state.mmio_read_return = state.dma_write_latency = 1
    state.dma_read_latency = _PCI_READ_CYCLES
    link = Link(env, delay=0)
    GmiiPort(env, outgoing=link.a_to_b, incoming=link.b_to_a)
    statistics = Statistics()
    with (folder / "server.log").open("a", buffering=1) as log:
        try:
            await env.run(
                serve(
                    RtlNic(env),
                    link,
                    Settings.read(folder),
                    statistics,
                    log=lambda text: print(text, file=log),
                    ready=(folder / "ready").touch,
                    stop=sys.stdin.fileno(),
                )
            )
        except UserError as error:
            (folder / "failure.txt").write_text(str(error))
            return
    (folder / RESULT).write_text(json.dumps(asdict(statistics)))
