"""A descriptor ring in host memory (manual 3.2.6 and 3.4)."""

from typing import Final

from driver.bus import Bus, HostMemory
from hw.descriptors import DESCRIPTOR_BYTES, DescriptorFormat
from hw.registers import BY_NAME

__all__ = ["DescriptorRing", "upper_half"]

_BYTES: Final[int] = DESCRIPTOR_BYTES
"""Compiled code finds a constant of another module by its name, each time."""
_PAGE: Final = 4096


def upper_half(format: DescriptorFormat, **values: int) -> int:
    """Bits 127:64 of a descriptor with these field values, all others 0."""
    return int.from_bytes(format.pack(**values), "little") >> 64


class DescriptorRing:
    """``count`` descriptors of 16 bytes, and the two indices of their owner.

    The driver gives descriptors to the device at ``next_to_use`` and takes them back at ``next_to_clean``. One stays
    unused at all times, since head equal to tail means empty to the device.
    """

    def __init__(self, memory: HostMemory, count: int) -> None:
        self.memory = memory
        self.count = count
        self.address = 0
        self.next_to_use = 0
        self.next_to_clean = 0

    def allocate(self) -> None:
        """Reserve the memory; the ring is empty. Raises ``MemoryError`` if there is no room."""
        self.address = self.memory.allocate(self.count * DESCRIPTOR_BYTES, _PAGE)
        self.restart()

    def restart(self) -> None:
        """The ring is empty, and no descriptor in it looks done."""
        self.memory.write(self.address, bytes(self.count * DESCRIPTOR_BYTES))
        self.next_to_use = 0
        self.next_to_clean = 0

    def free(self) -> None:
        """Give the memory back. The device must have been stopped."""
        self.memory.free(self.address)

    def configure(self, bus: Bus, prefix: str) -> None:
        """Tell the device where the ring is. ``prefix`` of the registers is ``RD`` or ``TD``. The ring is empty."""
        bus.write32(BY_NAME[f"{prefix}LEN"].offset, self.count * DESCRIPTOR_BYTES)
        bus.write32(BY_NAME[f"{prefix}BAH"].offset, self.address >> 32)
        bus.write32(BY_NAME[f"{prefix}BAL"].offset, self.address & 0xFFFFFFFF)
        bus.write32(BY_NAME[f"{prefix}T"].offset, 0)
        bus.write32(BY_NAME[f"{prefix}H"].offset, 0)

    def unused(self) -> int:
        """Descriptors that can be given to the device."""
        return (self.next_to_clean - self.next_to_use - 1) % self.count

    def after(self, index: int) -> int:
        """The index that follows."""
        return index + 1 if index + 1 < self.count else 0

    def give(self, words: list[int]) -> int:
        """Write descriptors, of each the lower and the upper half, from ``next_to_use`` on. Step on, and return the
        index of the last one. There must be that many unused."""
        last = index = self.next_to_use
        for place in range(0, len(words), 2):
            self.memory.write128(self.address + index * _BYTES, words[place], words[place + 1])
            last, index = index, self.after(index)
        self.next_to_use = index
        return last

    def give_packed(self, data: bytes) -> int:
        """The same with the bytes of descriptors, which is quicker for many at a time if these are at hand."""
        index = self.next_to_use
        room = (self.count - index) * _BYTES
        self.memory.write(self.address + index * _BYTES, data[:room])
        if len(data) > room:
            self.memory.write(self.address, data[room:])
        last = (index + len(data) // _BYTES - 1) % self.count
        self.next_to_use = self.after(last)
        return last

    def upper(self, index: int) -> int:
        """Bits 127:64 of a descriptor, where the device writes its status."""
        return self.memory.read64(self.address + index * _BYTES + 8)
