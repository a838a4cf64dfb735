"""What stands behind the socket: one NIC, fast model or Verilated RTL, and the time that passes in it."""

from collections.abc import Sequence
from typing import Protocol

from hw.registers import BY_NAME
from sim.vfio_user.guest_memory import GuestMemory
from sim.vfio_user.statistics import Statistics

__all__ = ["POLLED", "Nic"]

POLLED = frozenset(BY_NAME[name].offset for name in ("MDIC", "EERD"))
"""Registers in which software waits for the end of something slow. It is over when such a read is answered: a guest
that polls would wait in its own time, which costs a whole access each time it looks."""


class Nic(Protocol):
    """Coroutines, because a register read takes simulated time. Time passes in them, and nowhere else."""

    @property
    def memory(self) -> GuestMemory:
        """What its DMA reaches."""

    @property
    def interrupt(self) -> bool:
        """The level of the pin at this time."""

    async def read32(self, offset: int) -> int:
        """Read a register of the memory window, after all accesses before it."""

    def write32(self, offset: int, value: int) -> None:
        """Write a register: posted and in order. It takes effect when time passes."""

    async def read_io(self, offset: int) -> int:
        """Read an aligned word of the I/O window."""

    def write_io(self, offset: int, value: int) -> None:
        """Write an aligned word of the I/O window: as ``write32``."""

    async def flush(self) -> None:
        """Return when all writes have taken effect."""

    async def reset(self) -> None:
        """As after power-up. What was on its way to memory is lost."""

    def count(self, statistics: Statistics) -> None:
        """Enter what the NIC knows: interrupts, accesses that went nowhere, simulated time."""

    async def work(self, descriptors: Sequence[int]) -> bool:
        """Let time pass until the interrupt pin rises, a frame has been sent, or one of ``descriptors`` can be read
        (in which case it returns soon). True if the NIC is at rest: without an access or a frame from outside nothing
        will happen in it any more."""
