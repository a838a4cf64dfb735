"""The whole NIC with the events that interrupts tell of noted to the cycle."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from hw.registers import BY_NAME
from tests.hw.nic_bench import OWN, NicBench

__all__ = ["ICR", "PEER", "Moderation", "frame_of"]

PEER = bytes.fromhex("020000000002")
ICR = BY_NAME["ICR"]


def frame_of(length: int, seed: int = 0) -> bytes:
    """A frame for the NIC of ``length`` bytes with its FCS, here without."""
    return OWN + PEER + random.Random(f"{length} {seed}").randbytes(length - 4 - 12)


async def _note(bench: NicBench, signal: Any, cycles: list[int]) -> None:
    """Note the cycles in which a pulse comes, which has gaps."""
    while True:
        await RisingEdge(signal)
        cycles.append(bench.cycle())


class Moderation(NicBench):
    """The bench with all causes of interest enabled, an open NIC, and the events noted."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.stored: list[int] = []
        self.written: list[int] = []

    async def begin(self, *causes: str, buffers: int = 128, **registers: int) -> None:
        """Open, write these registers, and enable these causes, none of which is pending."""
        await self.start()
        await self.open(buffers=buffers)
        for name, value in registers.items():
            await self.write(name, value)
        await self.wait(20)
        await self.read("ICR")
        await self.write("IMS", ICR.mask(*causes))
        cocotb.start_soon(_note(self, self.dut.receive.stored, self.stored))
        cocotb.start_soon(_note(self, self.dut.transmit.written, self.written))

    async def acknowledge(self) -> int:
        """Wait for the pin, read ICR, and return it."""
        if not int(self.dut.interrupt.value):
            await RisingEdge(self.dut.interrupt)
        value = await self.read("ICR")
        assert not int(self.dut.interrupt.value)
        return value

    async def spaced(self, lengths: list[int], gaps: list[int]) -> None:
        """Put frames on the wire; each gap in cycles is what is waited after its frame's end."""
        for length, gap in zip(lengths, gaps, strict=True):
            self.send(frame_of(length))
            await self.source.wait()
            await self.wait(gap)
