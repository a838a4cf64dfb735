"""The least of a driver, on the client's side of the socket: rings in a memfd, frames sent and received."""

import os
import select
import struct

from hw.descriptors import DESCRIPTOR_BYTES, RECEIVE, TRANSMIT_LEGACY
from hw.registers import BY_NAME
from sim.vfio_user.messages import Command
from tests.sim.vfio_user.serving import PAGE, TIMEOUT, Client

MEMORY_PAGES = 64
STATION = bytes.fromhex("020000000001")
_ADDRESS = 0x100000
_TRANSMIT, _RECEIVE, _SENT, _RECEIVED = (_ADDRESS + number * PAGE for number in (0, 1, 2, 8))
_COUNT = 64
_BUFFER = 2048
_ON = {"RCTL": ("EN", "BAM", "UPE"), "TCTL": ("EN", "PSP"), "CTRL": ("SLU", "FD")}


class RawDriver:
    """``descriptor`` is of ``MEMORY_PAGES`` pages, which the NIC finds at some address."""

    def __init__(self, client: Client, descriptor: int) -> None:
        self.client = client
        self._memory = descriptor
        self._tail = 0
        self._given = 0
        self._on_wire = 0
        self._next = 0
        client.enable_dma()
        assert client.map(_ADDRESS, MEMORY_PAGES * PAGE, descriptor) == 0
        self._interrupt = os.eventfd(0)
        number, _ = client.ask(
            Command.DEVICE_SET_IRQS, struct.pack("<IIIII", 20, 0x24, 0, 0, 1), descriptors=[self._interrupt]
        )
        assert number == 0
        for prefix, ring in (("TD", _TRANSMIT), ("RD", _RECEIVE)):
            self.write(f"{prefix}BAL", ring)
            self.write(f"{prefix}LEN", _COUNT * DESCRIPTOR_BYTES)
        for place in range(_COUNT):
            self._put(_RECEIVE + place * DESCRIPTOR_BYTES, RECEIVE.pack(address=_RECEIVED + place * _BUFFER))
        for name, fields in _ON.items():
            self.write(name, BY_NAME[name].mask(*fields))
        self.write("RDT", _COUNT - 1)
        self.write("IMS", BY_NAME["IMS"].mask("RXT0"))

    def close(self) -> None:
        os.close(self._interrupt)

    def write(self, name: str, value: int) -> None:
        self.client.post(BY_NAME[name].offset, value)

    def read(self, name: str) -> int:
        number, data = self.client.read(0, BY_NAME[name].offset)
        assert number == 0
        return int.from_bytes(data, "little")

    def send(self, *frames: bytes) -> None:
        """Give frames (without FCS) to the NIC."""
        for frame in frames:
            buffer = _SENT + self._tail % 8 * _BUFFER
            self._put(buffer, frame)
            self.send_from(buffer, len(frame))

    def send_from(self, address: int, size: int) -> None:
        """Give the NIC a frame that lies at some address."""
        descriptor = TRANSMIT_LEGACY.pack(address=address, length=size, eop=1, ifcs=1, rs=1)
        self._put(_TRANSMIT + self._tail * DESCRIPTOR_BYTES, descriptor)
        self._tail = (self._tail + 1) % _COUNT
        self._given += 1
        self.write("TDT", self._tail)

    def sent(self) -> None:
        """Wait until all frames have been on the wire."""
        while self._on_wire != self._given:
            self._on_wire += self.read("TPT")  # which a read clears

    def receive(self) -> bytes:
        """The next frame (without FCS), for which this waits."""
        while not (descriptor := RECEIVE.unpack(self._get(_RECEIVE + self._next * DESCRIPTOR_BYTES, 16)))["dd"]:
            ready, _, _ = select.select([self._interrupt], [], [], TIMEOUT)
            assert ready, "no interrupt has come"
            os.eventfd_read(self._interrupt)
            self.read("ICR")
            number, _ = self.client.ask(Command.DEVICE_SET_IRQS, struct.pack("<IIIII", 20, 0x11, 0, 0, 1))
            assert number == 0
        frame = self._get(_RECEIVED + self._next * _BUFFER, descriptor["length"] - 4)
        self._next += 1
        return frame

    def _put(self, address: int, data: bytes) -> None:
        os.pwrite(self._memory, data, address - _ADDRESS)

    def _get(self, address: int, size: int) -> bytes:
        return os.pread(self._memory, size, address - _ADDRESS)
