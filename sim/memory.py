"""Host memory: one flat numpy byte array with an allocator."""

import bisect
from typing import Final

import numpy as np
import numpy.typing as npt
from mypy_extensions import mypyc_attr

__all__ = ["HostMemory"]

_RESERVED: Final = 4096
"""The first page is never allocated, so that bus address 0 stays the null address of descriptors."""

_GRANULE: Final = 16
"""Reserved ranges end at a multiple of this: scraps between them would pile up, and every search would pass them."""


@mypyc_attr(allow_interpreted_subclasses=True)
class HostMemory:
    """Implements ``driver.bus.HostMemory`` on a byte array (shape ``(size,)``, dtype ``uint8``).

    Allocation is first fit in a sorted list of free ranges. A bus address is the index into the array.
    """

    def __init__(self, array: npt.NDArray[np.uint8]) -> None:
        if array.ndim != 1 or array.dtype != np.uint8:
            raise ValueError(f"host memory is a one-dimensional array of uint8, not {array.dtype} {array.shape}")
        self.array = array
        self._view = memoryview(array.data).cast("B")
        self._free: list[tuple[int, int]] = [(_RESERVED, len(array))]
        self._allocated: dict[int, int] = {}

    def allocate(self, size: int, alignment: int = 16) -> int:
        reserved = _reserved(size)
        for index, (start, end) in enumerate(self._free):
            address = -(-start // alignment) * alignment
            if address + reserved <= end:
                rest = [(a, b) for a, b in ((start, address), (address + reserved, end)) if a < b]
                self._free[index : index + 1] = rest
                self._allocated[address] = size
                return address
        raise MemoryError(f"no {size} bytes left in {len(self.array)} bytes of host memory")

    def free(self, address: int) -> None:
        size = self._allocated.pop(address, None)
        if size is None:
            raise ValueError(f"{address:#x} was not allocated")
        start, end = address, address + _reserved(size)
        index = bisect.bisect(self._free, (start, end))
        if index < len(self._free) and self._free[index][0] == end:
            end = self._free.pop(index)[1]
        if index and self._free[index - 1][1] == start:
            index -= 1
            start = self._free.pop(index)[0]
        self._free.insert(index, (start, end))

    def allocated(self) -> int:
        return sum(self._allocated.values())

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._view[address : address + size])

    def read64(self, address: int) -> int:
        return int.from_bytes(self.read(address, 8), "little")

    def write(self, address: int, data: bytes) -> None:
        self._view[address : address + len(data)] = data


def _reserved(size: int) -> int:
    return -(-size // _GRANULE) * _GRANULE
