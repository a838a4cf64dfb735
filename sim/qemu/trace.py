"""A recording of all that reaches the NIC and leaves it, as text: one event a line, hexadecimal, gzip-compressed.

===== ================= ===============================================================================================
event                   meaning
===== ================= ===============================================================================================
``r`` offset value      a register was read
``w`` offset value      a register was written
``R`` offset value      the same through the I/O window
``W`` offset value
``m`` address bytes     what the guest's memory holds there when the next write gives it to the NIC: descriptors that
                        the tail moves past, and the data of those that transmit
``f`` frame             a frame for the NIC, without FCS, before the next access
``t`` frame             a frame that the NIC sent
===== ================= ===============================================================================================
"""

import gzip
from collections.abc import Iterator
from pathlib import Path

from hw.descriptors import TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY
from sim.qemu.guest_rings import GuestRing
from sim.vfio_user.function import Access
from sim.vfio_user.guest_memory import GuestMemory
from sim.wire import Direction, Link

__all__ = ["Trace", "read_trace"]

_CONTEXT = 0


class Trace:
    """Writes a recording. ``observe`` is for a function's ``observers``; ``link`` is tapped."""

    def __init__(self, path: Path, memory: GuestMemory, link: Link) -> None:
        self._file = gzip.GzipFile(path, "wb", mtime=0)
        self._memory = memory
        self._outgoing = link.a_to_b
        self._transmit = GuestRing("TD", memory)
        self._receive = GuestRing("RD", memory)
        link.taps.append(self._frame)

    async def observe(self, access: Access) -> None:
        for place in self._transmit.follow(access) or ():
            raw = self._transmit.read(place)
            self._line("m", self._transmit.address(place), raw.hex())
            self._data(raw)
        for place in self._receive.follow(access) or ():
            self._line("m", self._receive.address(place), self._receive.read(place).hex())
        letter = "w" if access.write else "r"
        self._line(letter.upper() if access.io else letter, access.offset, f"{access.value:x}")

    def _data(self, descriptor: bytes) -> None:
        legacy, data = TRANSMIT_LEGACY.unpack(descriptor), TRANSMIT_DATA.unpack(descriptor)
        if legacy["dext"] and TRANSMIT_CONTEXT.unpack(descriptor)["dtyp"] == _CONTEXT:
            return
        size = data["dtalen"] if legacy["dext"] else legacy["length"]
        if size:
            self._line("m", legacy["address"], self._memory.read(legacy["address"], size).hex())

    def _frame(self, direction: Direction, start: int, frame: bytes) -> None:
        letter = "t" if direction is self._outgoing else "f"
        self._file.write(f"{letter} {frame[:-4].hex()}\n".encode())

    def _line(self, letter: str, number: int, text: str) -> None:
        self._file.write(f"{letter} {number:x} {text}\n".encode())

    def close(self) -> None:
        self._file.close()


def read_trace(path: Path) -> Iterator[tuple[str, int, bytes | int]]:
    """The events of a recording: letter, number (0 for frames), and value or bytes."""
    with gzip.open(path, "rt") as file:
        for line in file:
            letter, *words = line.split()
            if letter in "ft":
                yield letter, 0, bytes.fromhex(words[0])
            elif letter == "m":
                yield letter, int(words[0], 16), bytes.fromhex(words[1])
            else:
                yield letter, int(words[0], 16), int(words[1], 16)
