"""Does again to a NIC what a recording says (``sim.qemu.trace``), and tells in what it behaves otherwise.

A read that follows a write at once is there to flush it. Before any other, time passes until the NIC is at rest; so
what is in the recording a matter of when the guest looked is not compared read by read: causes of interrupts by all
that were seen, statistics by their sums.
"""

import fcntl
import os
from collections import defaultdict, deque
from collections.abc import Iterable

from hw.descriptors import RECEIVE
from hw.registers import BY_NAME, REGISTERS, STATISTICS
from sim.qemu.guest_rings import GuestRing
from sim.vfio_user.function import Access
from sim.vfio_user.nic import Nic
from sim.wire import Direction, Link, fcs

__all__ = ["replay"]

_MEMORY_BYTES = 256 << 20
"""Of the guest that was recorded."""

_FCS_BYTES = 4
_BROADCAST = b"\xff" * 6
_ICR = BY_NAME["ICR"].offset
_RDBAL, _RCTL = BY_NAME["RDBAL"].offset, BY_NAME["RCTL"]
_COUNTERS = {register.offset for register in STATISTICS}
_NAMES = {register.offset: register.name for register in REGISTERS}


class _Replay:
    def __init__(self, nic: Nic, link: Link, station: bytes) -> None:
        self.nic = nic
        self.link = link
        self.station = station
        self.differences: list[str] = []
        self.recorded: dict[int, int] = defaultdict(int)
        self.replayed: dict[int, int] = defaultdict(int)
        self._expected: deque[bytes] = deque()
        self._sent: deque[bytes] = deque()
        self._received: deque[bytes] = deque()
        self._ring = GuestRing("RD", nic.memory)
        self._buffers: dict[int, int] = {}
        self._place = 0
        self._line = 0
        self._flushes = False
        link.taps.append(self._tap)

    def _tap(self, direction: Direction, start: int, frame: bytes) -> None:
        if direction is self.link.a_to_b:
            self._sent.append(frame[:-_FCS_BYTES])

    def differ(self, text: str) -> None:
        self.differences.append(f"event {self._line}: {text}")

    async def event(self, letter: str, number: int, content: bytes | int) -> None:
        self._line += 1
        nic = self.nic
        if isinstance(content, bytes):
            if letter == "m":
                nic.memory.write(number, content)
            elif letter == "t":
                self._expected.append(content)
            else:
                self.link.b_to_a.send(content + fcs(content))
                if content[:6] in (self.station, _BROADCAST):
                    self._received.append(content)
        elif letter in "wW":
            self._follow(Access(True, letter == "W", number, content))
            (nic.write32 if letter == "w" else nic.write_io)(number, content)
            self._flushes = True
        else:
            await self._read(letter, number, content)
            self._flushes = False

    async def _read(self, letter: str, offset: int, recorded: int) -> None:
        if not self._flushes or offset == _ICR or offset in _COUNTERS:
            while not await self.nic.work(()):
                pass
            self._look_at_memory()
        value = await (self.nic.read32(offset) if letter == "r" else self.nic.read_io(offset))
        if offset == _ICR:
            self.recorded[offset] |= recorded
            self.replayed[offset] |= value
        elif offset in _COUNTERS:
            self.recorded[offset] += recorded
            self.replayed[offset] += value
        elif value != recorded:
            self.differ(f"{_NAMES.get(offset, hex(offset))} reads {value:#010x}, recorded was {recorded:#010x}")

    def _follow(self, access: Access) -> None:
        for place in self._ring.follow(access) or ():
            self._buffers[place % self._ring.count] = RECEIVE.unpack(self._ring.read(place))["address"]
        if access.offset == _RDBAL and not access.io:
            self._place = 0
        elif access.offset == _RCTL.offset and not access.value & _RCTL.mask("EN") and self._received:
            self.differ(f"{len(self._received)} frames were not received when the receiver went off")
            self._received.clear()

    def _look_at_memory(self) -> None:
        """What came from the wire must lie in the buffers, in order."""
        while self._received:
            frame = self._received.popleft()
            descriptor = RECEIVE.unpack(self._ring.read(self._place))
            buffer = self._buffers.get(self._place, 0)
            self._place = (self._place + 1) % max(self._ring.count, 1)
            found = self.nic.memory.read(buffer, len(frame))
            if not (descriptor["dd"] and descriptor["eop"] and descriptor["length"] == len(frame) + _FCS_BYTES):
                self.differ(f"the descriptor of a frame of {len(frame)} bytes reads {descriptor}")
            elif found != frame:
                self.differ(f"a frame of {len(frame)} bytes is not in its buffer")

    def end(self) -> None:
        for offset, recorded in self.recorded.items():
            if self.replayed[offset] != recorded:
                self.differ(f"{_NAMES[offset]} gave {self.replayed[offset]:#x} altogether, recorded was {recorded:#x}")
        if list(self._sent) != list(self._expected):
            pairs = enumerate(zip(self._sent, self._expected, strict=False))
            first = next((index for index, (sent, expected) in pairs if sent != expected), "the last")
            self.differ(f"{len(self._sent)} frames sent, {len(self._expected)} recorded; {first} is the first unlike")


async def replay(nic: Nic, link: Link, station: bytes, events: Iterable[tuple[str, int, bytes | int]]) -> list[str]:
    """Replay ``events`` on a NIC at the a end of ``link``, whose address is ``station``. Returns the differences."""
    descriptor = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, _MEMORY_BYTES)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        nic.memory.map(0, _MEMORY_BYTES, descriptor=descriptor, offset=0, readable=True, writable=True)
    finally:
        os.close(descriptor)
    nic.memory.enabled = True
    run = _Replay(nic, link, station)
    for letter, number, content in events:
        await run.event(letter, number, content)
    while not await nic.work(()):
        pass
    run.end()
    nic.memory.unmap_all()
    return run.differences
