"""The host edge as the driver sees it: registers, host memory and an interrupt line.

Implemented by the Verilated RTL bench and by the fast model; later by a board over a serial bridge and a QEMU guest.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Protocol

from mypy_extensions import mypyc_attr

from stack.environment import Environment

__all__ = ["Bus", "HostMemory"]


@mypyc_attr(allow_interpreted_subclasses=True)
class HostMemory(ABC):
    """DMA-coherent host memory with an allocator. Bus addresses are what the device uses."""

    @abstractmethod
    def allocate(self, size: int, alignment: int = 16) -> int:
        """Reserve ``size`` bytes and return their bus address. Raises ``MemoryError`` if there is no room."""

    @abstractmethod
    def free(self, address: int) -> None:
        """Give back what ``allocate`` returned. Raises ``ValueError`` for any other address."""

    @abstractmethod
    def read(self, address: int, size: int) -> bytes:
        """A copy of ``size`` bytes."""

    @abstractmethod
    def read64(self, address: int) -> int:
        """A little-endian word of 64 bits; ``address`` is a multiple of 8."""

    @abstractmethod
    def write(self, address: int, data: bytes) -> None: ...

    @abstractmethod
    def write128(self, address: int, lower: int, upper: int) -> None:
        """The two little-endian words of 64 bits of a descriptor; ``address`` is a multiple of 16."""

    @abstractmethod
    def allocated(self) -> int:
        """Bytes reserved at this time."""


class Bus(Protocol):
    """One PCI function as its driver sees it."""

    @property
    def env(self) -> Environment: ...

    @property
    def memory(self) -> HostMemory: ...

    def read32(self, offset: int) -> Awaitable[int]:
        """Read a register. Takes the round trip on the bus, and stalls the processor for it; earlier writes of both
        sides (the driver's to registers, the device's to memory) have arrived when it returns."""

    def write32(self, offset: int, value: int) -> None:
        """Write a register: posted and ordered, at the processor's own time. Memory written before is visible to the
        device when the write arrives."""

    def request_irq(self, handler: Callable[[], Awaitable[None]]) -> None:
        """Call ``handler`` whenever the interrupt line is asserted (level: again if it still is when it returns).
        Raises ``ValueError`` if the line is taken."""

    def free_irq(self) -> None: ...
