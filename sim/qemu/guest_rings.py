"""The guest's descriptor rings, as its register writes tell where they are, and its memory what they hold."""

from hw.descriptors import DESCRIPTOR_BYTES
from hw.registers import BY_NAME
from sim.vfio_user.function import Access
from sim.vfio_user.guest_memory import GuestMemory

__all__ = ["GuestRing"]


class GuestRing:
    """One ring; ``prefix`` is ``"TD"`` or ``"RD"``."""

    def __init__(self, prefix: str, memory: GuestMemory) -> None:
        self._memory = memory
        self._names = {BY_NAME[prefix + name].offset: name for name in ("BAL", "BAH", "LEN", "T", "H")}
        self._values = dict.fromkeys(self._names.values(), 0)

    @property
    def tail(self) -> int:
        return self._values["T"]

    @property
    def count(self) -> int:
        """Descriptors in the ring."""
        return self._values["LEN"] // DESCRIPTOR_BYTES

    def follow(self, access: Access) -> range | None:
        """Take note of a register access. If it moves the tail, returns the places of the descriptors that the NIC is
        given, counted on from the old tail without wrapping."""
        name = self._names.get(access.offset)
        if name is None or not access.write or access.io:
            return None
        before, self._values[name] = self._values[name], access.value
        if name != "T" or not self.count:
            return None
        return range(before, before + (access.value - before) % self.count)

    def address(self, place: int) -> int:
        """The bus address of a descriptor."""
        base = self._values["BAH"] << 32 | self._values["BAL"]
        return base + place % max(self.count, 1) * DESCRIPTOR_BYTES

    def read(self, place: int) -> bytes:
        """A descriptor."""
        return self._memory.read(self.address(place), DESCRIPTOR_BYTES)
