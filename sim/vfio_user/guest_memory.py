"""The guest's memory as its device sees it: pieces of files, mapped at bus addresses (DMA_MAP and DMA_UNMAP).

It is mapped, not copied: what the device writes, the guest reads at the same place. An access outside of what is mapped
goes nowhere: reads give ones, as a PCI master abort does, and both are counted.
"""

import bisect
import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sim.vfio_user.messages import RequestError

__all__ = ["GuestMemory", "MemoryWindow", "Region"]

_ADDRESS_END = 1 << 64


@dataclass(frozen=True, slots=True)
class Region:
    """Mapped memory: ``array`` (dtype ``uint8``) is what lies at bus address ``address``. None: told without a
    descriptor, so that the device cannot reach it."""

    address: int
    size: int
    writable: bool
    array: npt.NDArray[np.uint8] | None

    @property
    def end(self) -> int:
        return self.address + self.size


class MemoryWindow(Protocol):
    """Somebody who reaches the guest's memory by himself, and has to know where it lies."""

    def map(self, region: Region) -> None: ...

    def unmap(self, region: Region) -> None: ...


class GuestMemory:
    """All regions of one client. ``enabled`` is PCI's bus master enable: without it nothing is reached.

    ``window`` is told of each region that the device can reach, and of its end, before ``unmap`` returns.
    """

    def __init__(self, window: MemoryWindow | None = None) -> None:
        self._window = window
        self._regions: list[Region] = []
        self._enabled = False
        self.bad_reads = 0
        self.bad_writes = 0

    def __len__(self) -> int:
        return len(self._regions)

    @property
    def reachable(self) -> bool:
        """Whether there is any memory that came with a descriptor."""
        return any(region.array is not None for region in self._regions)

    @property
    def enabled(self) -> bool:
        return self._enabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        if value != self._enabled:
            self._enabled = value
            for region in self._regions:
                self._tell(region, mapped=value)

    def map(
        self, address: int, size: int, *, descriptor: int | None, offset: int, readable: bool, writable: bool
    ) -> None:
        """Make ``size`` bytes from ``offset`` of a file reachable at bus address ``address``.

        The descriptor may be closed afterwards. Raises ``RequestError``: EINVAL if this is no whole pages, reaches past
        the end of the address space or the file, or if the file could shrink (a touch of the lost part would end this
        process); EEXIST if something is mapped there; the kernel's own error if it refuses.
        """
        page = mmap.PAGESIZE
        if not size or address % page or size % page or offset % page or address + size > _ADDRESS_END:
            raise RequestError(errno.EINVAL, f"memory at {address:#x}, {size:#x} bytes, offset {offset:#x}: no pages")
        index = bisect.bisect([region.address for region in self._regions], address)
        if (index and self._regions[index - 1].end > address) or (
            index < len(self._regions) and self._regions[index].address < address + size
        ):
            raise RequestError(errno.EEXIST, f"memory at {address:#x}, {size:#x} bytes, overlaps what is mapped")
        array = None
        if descriptor is not None and readable:
            array = _map_file(descriptor, offset, size, writable=writable)
        region = Region(address, size, writable, array)
        self._regions.insert(index, region)
        if self._enabled:
            self._tell(region, mapped=True)

    def unmap(self, address: int, size: int) -> None:
        """End what one ``map`` began. Raises ``RequestError`` (ENOENT) if there is no such region."""
        index = bisect.bisect_left([region.address for region in self._regions], address)
        if index == len(self._regions) or (self._regions[index].address, self._regions[index].size) != (address, size):
            raise RequestError(errno.ENOENT, f"memory at {address:#x}, {size:#x} bytes, is not mapped")
        region = self._regions.pop(index)
        if self._enabled:
            self._tell(region, mapped=False)

    def unmap_all(self) -> None:
        for region in list(self._regions):
            self.unmap(region.address, region.size)

    def _tell(self, region: Region, *, mapped: bool) -> None:
        if self._window is not None and region.array is not None:
            (self._window.map if mapped else self._window.unmap)(region)

    def read(self, address: int, size: int) -> bytes:
        """A copy of ``size`` bytes; ones where nothing can be read."""
        data = bytearray(b"\xff" * size)
        reached = 0
        for start, piece, _ in self._pieces(address, size):
            data[start : start + len(piece)] = piece.tobytes()
            reached += len(piece)
        self.bad_reads += reached < size
        return bytes(data)

    def write(self, address: int, data: bytes) -> None:
        """Bytes that would go where nothing can be written are lost."""
        reached = 0
        for start, piece, writable in self._pieces(address, len(data)):
            if writable:
                piece[:] = np.frombuffer(data, np.uint8, len(piece), start)
                reached += len(piece)
        self.bad_writes += reached < len(data)

    def _pieces(self, address: int, size: int) -> Iterator[tuple[int, npt.NDArray[np.uint8], bool]]:
        """What can be reached of a range: offset in it, memory, and whether it is writable."""
        if not self._enabled:
            return
        end = address + size
        for region in self._regions:
            start, stop = max(address, region.address), min(end, region.end)
            if region.array is not None and start < stop:
                yield start - address, region.array[start - region.address : stop - region.address], region.writable


def _map_file(descriptor: int, offset: int, size: int, *, writable: bool) -> npt.NDArray[np.uint8]:
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        seals = 0
    if not seals & fcntl.F_SEAL_SHRINK:
        raise RequestError(errno.EINVAL, "memory that could shrink; use -object memory-backend-memfd,share=on")
    if offset + size > os.fstat(descriptor).st_size:
        raise RequestError(errno.EINVAL, f"{size:#x} bytes from {offset:#x} reach past the end of the file")
    access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    try:
        mapped = mmap.mmap(descriptor, size, mmap.MAP_SHARED, access, offset=offset)
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None) or errno.EINVAL
        raise RequestError(number, f"memory cannot be mapped: {error}") from None
    return np.frombuffer(mapped, np.uint8)
