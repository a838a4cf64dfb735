"""Host memory: one flat numpy byte array with an allocator."""

import struct
from typing import Final

import numpy as np
import numpy.typing as npt
from mypy_extensions import mypyc_attr

from driver import bus

__all__ = ["HostMemory"]

_RESERVED: Final = 4096
"""The first page is never allocated, so that bus address 0 stays the null address of descriptors."""

_GRANULE: Final = 16
"""Reserved ranges end at a multiple of this: scraps between them would pile up, and every search would pass them."""

_PAIR: Final = struct.Struct("<QQ")


@mypyc_attr(allow_interpreted_subclasses=True)
class HostMemory(bus.HostMemory):
    """Implements ``driver.bus.HostMemory`` on a byte array (shape ``(size,)``, dtype ``uint8``).

    Allocation is first fit in the free ranges. A bus address is the index into the array.
    """

    def __init__(self, array: npt.NDArray[np.uint8]) -> None:
        if array.ndim != 1 or array.dtype != np.uint8:
            raise ValueError(f"host memory is a one-dimensional array of uint8, not {array.dtype} {array.shape}")
        self.array = array
        self._view = memoryview(array.data).cast("B")
        self._starts = [_RESERVED]
        """Of the free ranges, in order; none ends where the next one starts."""
        self._ends = [len(array)]
        self._allocated: dict[int, int] = {}

    def allocate(self, size: int, alignment: int = 16) -> int:
        starts, ends = self._starts, self._ends
        reserved = _reserved(size)
        for index in range(len(starts)):
            start, end = starts[index], ends[index]
            address = start + -start % alignment
            if address + reserved <= end:
                if address > start:
                    # What lies in front stays free.
                    ends[index] = address
                    starts.insert(index + 1, address + reserved)
                    ends.insert(index + 1, end)
                    index += 1
                else:
                    starts[index] = address + reserved
                if address + reserved == end:
                    del starts[index], ends[index]
                self._allocated[address] = size
                return address
        raise MemoryError(f"no {size} bytes left in {len(self.array)} bytes of host memory")

    def free(self, address: int) -> None:
        size = self._allocated.pop(address, None)
        if size is None:
            raise ValueError(f"{address:#x} was not allocated")
        starts, ends = self._starts, self._ends
        end = address + _reserved(size)
        index, high = 0, len(starts)
        while index < high:
            middle = index + high >> 1
            if starts[middle] < address:
                index = middle + 1
            else:
                high = middle
        grows = index > 0 and ends[index - 1] == address
        if index < len(starts) and starts[index] == end:
            # It closes the gap in front of a range.
            if grows:
                ends[index - 1] = ends[index]
                del starts[index], ends[index]
            else:
                starts[index] = address
        elif grows:
            ends[index - 1] = end
        else:
            starts.insert(index, address)
            ends.insert(index, end)

    def allocated(self) -> int:
        return sum(self._allocated.values())

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._view[address : address + size])

    def read64(self, address: int) -> int:
        return int.from_bytes(self.read(address, 8), "little")

    def write(self, address: int, data: bytes) -> None:
        self._view[address : address + len(data)] = data

    def write128(self, address: int, lower: int, upper: int) -> None:
        self.write(address, _PAIR.pack(lower, upper))


def _reserved(size: int) -> int:
    return -(-size // _GRANULE) * _GRANULE
