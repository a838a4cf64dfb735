"""A server in a thread, the client's side of the protocol, and a NIC of three registers that does DMA."""

import contextlib
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sim.vfio_user.guest_memory import GuestMemory
from sim.vfio_user.messages import Command
from sim.vfio_user.server import Server, listen
from sim.vfio_user.statistics import Statistics

HEADER = struct.Struct("<HHIII")
NO_REPLY, ERROR, REPLY = 1 << 4, 1 << 5, 1
TIMEOUT = 30
"""Seconds that a test waits for an answer before it fails."""

ADDRESS, COPY, RAISE = 0x0, 0x4, 0x8
PAGE = 4096


class CopyingNic:
    """``ADDRESS`` holds a number. A write to ``COPY`` copies 8 bytes of memory from there to the address written. A
    write to ``RAISE`` sets the level of the interrupt pin, a read lowers it."""

    def __init__(self) -> None:
        self.memory = GuestMemory()
        self.interrupt = False
        self.resets = 0
        self._registers = {ADDRESS: 0, COPY: 0, RAISE: 0}

    async def read32(self, offset: int) -> int:
        if offset == RAISE:
            self.interrupt = False
        return self._registers.get(offset, 0)

    def write32(self, offset: int, value: int) -> None:
        self._registers[offset] = value
        if offset == COPY:
            self.memory.write(value, self.memory.read(self._registers[ADDRESS], 8))
        elif offset == RAISE:
            self.interrupt = bool(value)

    async def read_io(self, offset: int) -> int:
        return self._registers.get(offset, 0)

    def write_io(self, offset: int, value: int) -> None:
        self._registers[offset] = value

    async def flush(self) -> None: ...

    async def reset(self) -> None:
        self.resets += 1
        self.interrupt = False
        self._registers = dict.fromkeys(self._registers, 0)

    def count(self, statistics: Statistics) -> None:
        statistics.bad_reads, statistics.bad_writes = self.memory.bad_reads, self.memory.bad_writes

    async def work(self, descriptors: Sequence[int]) -> bool:
        return True


class Nothing:
    """Nobody at the far end."""

    descriptors: Sequence[int] = ()

    def deadline(self) -> float | None:
        return None

    def run(self) -> None: ...


class Serving:
    """What a test sees of the server. ``log`` has what it said, ``ended`` is set when it has ended by itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.nic = CopyingNic()
        self.log: list[str] = []
        self.statistics = Statistics()
        self.ended = threading.Event()

    def connect(self) -> "Client":
        return Client(self.path)


def _drive(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nothing but what blocks."""
    with contextlib.suppress(StopIteration):
        coroutine.send(None)
        raise AssertionError("nothing here may wait for a scheduler")


@contextmanager
def serving(path: Path, *, clients: int = 0) -> Iterator[Serving]:
    """Serve until the block ends; the server must end without an exception."""
    made = Serving(path)
    stop, stopper = os.pipe()
    listener = listen(path)
    failures: list[BaseException] = []

    def run() -> None:
        server = Server(made.nic, listener, Nothing(), statistics=made.statistics, log=made.log.append, stop=stop)
        try:
            _drive(server.serve(clients))
        except BaseException as error:
            failures.append(error)
        made.ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield made
    finally:
        os.close(stopper)
        thread.join(TIMEOUT)
        os.close(stop)
        listener.close()
    assert not thread.is_alive()
    if failures:
        raise failures[0]


class Client:
    """Speaks vfio-user as QEMU does, or as nobody should."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(str(path))
        self._identifier = 0

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *arguments: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, command: int, body: bytes = b"", *, flags: int = 0, descriptors: Sequence[int] = ()) -> int:
        """Send a command and return its identifier."""
        self._identifier += 1
        data = HEADER.pack(self._identifier, command, HEADER.size + len(body), flags, 0) + body
        socket.send_fds(self.socket, [data], list(descriptors)) if descriptors else self.socket.sendall(data)
        return self._identifier

    def receive(self) -> tuple[int, int, bytes]:
        """Identifier, errno (0: success) and body of the next reply."""
        identifier, _, size, flags, number = HEADER.unpack(self._exactly(HEADER.size))
        assert flags & REPLY
        body = self._exactly(size - HEADER.size)
        assert (number != 0) == bool(flags & ERROR)
        return identifier, number, body

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def ask(self, command: int, body: bytes = b"", *, descriptors: Sequence[int] = ()) -> tuple[int, bytes]:
        """errno and body of the answer to a command."""
        identifier = self.send(command, body, descriptors=descriptors)
        answered, number, answer = self.receive()
        assert answered == identifier
        return number, answer

    def negotiate(self) -> bytes:
        capabilities = b'{"capabilities":{"max_msg_fds":8}}' + bytes(99)
        number, body = self.ask(Command.VERSION, struct.pack("<HH", 0, 1) + capabilities)
        assert number == 0
        return body

    def read(self, region: int, offset: int, size: int = 4) -> tuple[int, bytes]:
        """errno, and what a region holds."""
        number, body = self.ask(Command.REGION_READ, struct.pack("<QII", offset, region, size))
        return number, body[16:]

    def write(self, region: int, offset: int, data: bytes) -> int:
        """errno of a write that is replied to."""
        return self.ask(Command.REGION_WRITE, struct.pack("<QII", offset, region, len(data)) + data)[0]

    def post(self, offset: int, value: int) -> None:
        """A posted write to a register."""
        body = struct.pack("<QIII", offset, 0, 4, value)
        self.send(Command.REGION_WRITE, body, flags=NO_REPLY)

    def map(self, address: int, size: int, descriptor: int | None, *, offset: int = 0, flags: int = 3) -> int:
        """errno of a DMA_MAP."""
        body = struct.pack("<IIQQQ", 32, flags, offset, address, size)
        return self.ask(Command.DMA_MAP, body, descriptors=() if descriptor is None else (descriptor,))[0]

    def unmap(self, address: int, size: int) -> int:
        return self.ask(Command.DMA_UNMAP, struct.pack("<IIQQ", 24, 0, address, size))[0]

    def enable_dma(self) -> None:
        """Set PCI's bus master enable."""
        assert self.write(7, 4, b"\x06\x00") == 0


@contextmanager
def memory(size: int, *, sealed: bool = True) -> Iterator[int]:
    """A memfd as QEMU makes one."""
    descriptor = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        if sealed:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        yield descriptor
    finally:
        os.close(descriptor)
