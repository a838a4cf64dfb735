"""The register window, from the one table (``hw.registers``; what accesses do is told in ``hw.register_file``)."""

from collections.abc import Callable
from typing import Final

from hw.registers import REGISTERS, Access, Register

__all__ = ["RegisterWindow"]

_FREQUENT: Final = frozenset(("RDT", "TDT", "ITR", "ICR", "ICS", "IMS", "IMC"))


class _Place:
    """What lies at an offset: an element of a register."""

    __slots__ = ("changes", "name", "number", "stored", "table", "told")

    def __init__(self, register: Register, number: int) -> None:
        self.name = register.name
        self.number = number if register.count > 1 else 0
        self.stored = _stored_mask(register)
        self.table = register.count > 1
        self.changes = register.name not in _FREQUENT
        """Writes count in ``version``."""
        self.told: Callable[[int, int], None] | None = None
        """Who is told of writes, once there was one."""


def _stored_mask(register: Register) -> int:
    """The fields that software alone changes."""
    return sum(item.mask for item in register.fields if item.access is Access.RW and not item.updated)


class RegisterWindow:
    """Holds the fields that software alone changes; for all else engines give functions.

    ``on_read`` gives what fields that live elsewhere read as, by the register's name and the element's number;
    ``on_write`` is told what was written. Both may be missing for a register.
    """

    def __init__(self) -> None:
        self._at: dict[int, _Place] = {}
        for register in REGISTERS:
            for number, offset in enumerate(register.offsets()):
                self._at[offset] = _Place(register, number)
        self.on_read: dict[str, Callable[[int], int]] = {}
        self.on_write: dict[str, Callable[[int, int], None]] = {}
        self.values: dict[str, list[int]] = {register.name: [0] * register.count for register in REGISTERS}
        self.version = 0
        """Counts accesses that change what engines do, but for the doorbells and the interrupt registers."""
        self.reset(arrays=True)

    def reset(self, *, arrays: bool = False) -> None:
        """Stored fields take their reset values; the memories that hold arrays do so at power-up only."""
        self.version += 1
        for register in REGISTERS:
            if register.count == 1 or arrays:
                value = register.reset & _stored_mask(register)
                self.values[register.name] = [value] * register.count

    def __getitem__(self, name: str) -> int:
        """The stored fields of a register."""
        return self.values[name][0]

    def read(self, offset: int) -> int:
        """Software reads. A hole in the map reads 0."""
        place = self._at.get(offset)
        if place is None:
            return 0
        live = self.on_read.get(place.name)
        return self.values[place.name][place.number] | (live(place.number) if live else 0)

    def write(self, offset: int, value: int) -> None:
        """Software writes."""
        place = self._at.get(offset)
        if place is None:
            return
        name, number, value_stored = place.name, place.number, value & place.stored
        stored = self.values[name]
        if place.table and stored[number] == value_stored:
            return  # a table's entry: most writes to those of addresses clear what is clear
        if place.changes:
            self.version += 1
        stored[number] = value_stored
        told = place.told
        if told is None:
            told = place.told = self.on_write.get(name)
        if told is not None:
            told(number, value)
