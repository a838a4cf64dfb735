"""Host memory behind an AXI4 manager, for cocotb benches: cocotbext-axi's RAM, and a reader that reorders."""

import itertools
import logging
import random
from collections import deque
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiBus, AxiRam, AxiReadBus, AxiWriteBus
from cocotbext.axi.axi_channels import AxiARSink, AxiRSource
from cocotbext.axi.axi_ram import AxiRamWrite
from cocotbext.axi.sparse_memory import SparseMemory

from hw.axi import Response, burst
from tests.hw.memory import pattern

__all__ = ["PAGE", "BurstWatch", "ReorderingRam", "failing_at", "paused", "ram"]

PAGE = 4096
SIZE = 1 << 48
"""Bytes of the memories. (cocotbext-axi takes no more than a Python length.)"""


def paused(seed: int, share: float) -> Iterator[bool]:
    """A pause generator: true for this share of the cycles."""
    rng = random.Random(seed)
    return (rng.random() < share for _ in itertools.count())


def ram(dut: Any, prefix: str, *, busy: float = 0.0, seed: int = 1) -> AxiRam:
    """Memory of ``SIZE`` bytes; ``busy`` is the share of the cycles in which each of the five channels pauses."""
    memory = AxiRam(AxiBus.from_prefix(dut, prefix), dut.clk, dut.rst, size=SIZE)
    _quieten(memory.write_if, memory.read_if)
    ends = (memory.write_if.aw_channel, memory.write_if.w_channel, memory.write_if.b_channel)
    for number, end in enumerate((*ends, memory.read_if.ar_channel, memory.read_if.r_channel)):
        if busy:
            end.set_pause_generator(paused(seed + number, busy))
    return memory


def failing_at(memory: AxiRam, page: int) -> None:
    """From now on accesses to this page have the response SLVERR."""
    for interface, name in ((memory.read_if, "_read"), (memory.write_if, "_write")):
        perform = getattr(interface, name)

        async def fail_or(address: int, what: Any, perform: Any = perform) -> Any:
            if address // PAGE == page // PAGE:
                raise ValueError(f"error at {address:#x}")
            return await perform(address, what)

        setattr(interface, name, fail_or)


def _quieten(*interfaces: Any) -> None:
    for interface in interfaces:
        interface.log.setLevel(logging.WARNING)
        for name in ("aw", "w", "b", "ar", "r"):
            if channel := getattr(interface, f"{name}_channel", None):
                channel.log.setLevel(logging.WARNING)


class ReorderingRam:
    """Memory that holds ``pattern`` where nothing was written. Reads of different ids overtake one another, transfer
    by transfer; a write is performed between its last transfer and its response, ``delay`` cycles later."""

    def __init__(self, dut: Any, prefix: str, *, seed: int, delay: int = 0) -> None:
        self._clock = dut.clk
        self._rng = random.Random(seed)
        self._delay = delay
        self.memory = SparseMemory(SIZE)
        self.decode_errors: set[int] = set()
        """Words that answer DECERR."""
        reads = AxiReadBus.from_prefix(dut, prefix)
        self._ar = AxiARSink(reads.ar, dut.clk, dut.rst)
        self._r = AxiRSource(reads.r, dut.clk, dut.rst)
        self._r.queue_occupancy_limit = 1
        self._write = AxiRamWrite(AxiWriteBus.from_prefix(dut, prefix), dut.clk, dut.rst, mem=self.memory)
        self._write._write = self._write_later
        _quieten(self._write)
        for end in (self._ar, self._r):
            end.log.setLevel(logging.WARNING)
        self.overtaken = 0
        """Transfers sent while one of another id, asked for earlier, waited."""
        cocotb.start_soon(self._serve())

    async def _write_later(self, address: int, data: bytes) -> None:
        await ClockCycles(self._clock, 1 + self._rng.randrange(1 + self._delay))
        self.memory.write(address, data)

    async def _serve(self) -> None:
        waiting: dict[int, deque[tuple[int, int, bool]]] = {}
        number = itertools.count()
        while True:
            await RisingEdge(self._clock)
            while not self._ar.empty():
                asked = self._ar.recv_nowait()
                order = next(number)
                words = range(int(asked.araddr), int(asked.araddr) + 8 * (int(asked.arlen) + 1), 8)
                queue = waiting.setdefault(int(asked.arid), deque())
                queue.extend((order, place, place == words[-1]) for place in words)
            ids = [name for name, queue in waiting.items() if queue]
            if not ids or self._r.full():
                continue
            name = self._rng.choice(ids)
            order, place, last = waiting[name].popleft()
            self.overtaken += any(waiting[other][0][0] < order for other in ids if other != name)
            bad = place in self.decode_errors
            self._r.send_nowait(
                self._r._transaction_obj(
                    rid=name,
                    rdata=pattern(place),
                    rresp=Response.DECERR if bad else Response.OKAY,
                    rlast=last,
                )
            )


class BurstWatch:
    """Watches the address channels: keeps the bursts begun, and fails if a write begins before the last is answered,
    or a burst crosses a page."""

    def __init__(self, dut: Any, prefix: str) -> None:
        self._dut = dut
        self._prefix = prefix
        self.reads: list[tuple[int, int, int]] = []
        """(address, length field, id)"""
        self.writes: list[tuple[int, int]] = []
        cocotb.start_soon(self._run())

    def _value(self, name: str) -> int:
        return int(getattr(self._dut, f"{self._prefix}_{name}").value)

    async def _run(self) -> None:
        open_writes = 0
        while True:
            await RisingEdge(self._dut.clk)
            if int(self._dut.rst.value):
                continue
            for channel in ("ar", "aw"):
                if not (self._value(channel + "valid") and self._value(channel + "ready")):
                    continue
                address, length = self._value(channel + "addr"), self._value(channel + "len")
                assert (address, length) == burst(address, 8 * (length + 1))
                assert address // PAGE == (address + 8 * length) // PAGE
                assert (self._value(channel + "size"), self._value(channel + "burst")) == (3, 1)
                if channel == "ar":
                    self.reads.append((address, length, self._value("arid")))
                else:
                    assert open_writes == 0, f"the write to {address:#x} begins before the last is answered"
                    open_writes += 1
                    self.writes.append((address, length))
            if self._value("bvalid") and self._value("bready"):
                open_writes -= 1
