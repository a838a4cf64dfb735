"""The main job as programs on two hosts: round trips of one byte, then a file from A to B, then the same file back.

The programs know sockets and nothing below; the same text runs on every backend. The protocol between them: A connects
and sends ``round_trips`` single bytes, each of which B returns; then A sends the length (8 bytes, big-endian) and the
file; B checks it and sends both back; A checks; both close.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sim.errors import RunFailedError
from stack.environment import Environment
from stack.host import NetworkStack
from stack.socket import AF_INET, SOCK_STREAM, TCP_NODELAY
from stack.socket.stream import StreamSocket
from stack.tcp.tcp import IPPROTO_TCP

__all__ = ["Transfer", "first_difference"]

_PORT = 5001
_CHUNK_BYTES = 65536


def first_difference(sent: bytes, received: bytes) -> int | None:
    """Offset of the first byte that differs (or is missing), None if there is none."""
    if sent == received:
        return None
    shorter = min(len(sent), len(received))
    low, high = 0, shorter
    while low < high:
        middle = (low + high) // 2
        if sent[: middle + 1] == received[: middle + 1]:
            low = middle + 1
        else:
            high = middle
    return low


async def _nothing(phase: str) -> None:
    """What happens between the phases of a transfer that nobody measures."""


@dataclass
class Transfer:
    """One run's programs.

    ``on_phase`` is awaited with ``"send"``, ``"turn"`` (B has all) and ``"done"`` (A has all) at these moments.
    ``on_receive`` is called with ``"A"`` or ``"B"`` and the number of file bytes that its program got,
    ``on_round_trip`` with the nanoseconds of each, which ``round_trips`` keeps.
    """

    env: Environment
    content: bytes
    round_trip_count: int
    on_phase: Callable[[str], Awaitable[None]] = _nothing
    on_receive: Callable[[str, int], None] = lambda host, count: None
    on_round_trip: Callable[[int], None] = lambda duration: None
    round_trips: list[int] = field(default_factory=list)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    async def serve(self, stack: NetworkStack, address: str) -> None:
        """B's program."""
        listener = stack.socket(AF_INET, SOCK_STREAM)
        await listener.bind((address, _PORT))
        await listener.listen(1)
        connection, _ = await listener.accept()
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        for _ in range(self.round_trip_count):
            await connection.sendall(await _exactly(connection, 1))
        self._compare(await self._receive(connection, "B"), "B")
        await self.on_phase("turn")
        await self._send(connection)
        if await connection.recv(1):
            raise RunFailedError("B: A sent more than the file")
        await connection.close()
        await listener.close()

    async def request(self, stack: NetworkStack, address: str) -> None:
        """A's program."""
        connection = stack.socket(AF_INET, SOCK_STREAM)
        await connection.connect((address, _PORT))
        connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        for _ in range(self.round_trip_count):
            started = self.env.now
            await connection.sendall(b"\x00")
            await _exactly(connection, 1)
            self.round_trips.append(self.env.now - started)
            self.on_round_trip(self.round_trips[-1])
        await self.on_phase("send")
        await self._send(connection)
        received = await self._receive(connection, "A")
        await self.on_phase("done")
        self._compare(received, "A")
        await connection.close()

    async def _send(self, connection: StreamSocket) -> None:
        await connection.sendall(len(self.content).to_bytes(8, "big"))
        for start in range(0, len(self.content), _CHUNK_BYTES):
            await connection.sendall(self.content[start : start + _CHUNK_BYTES])

    async def _receive(self, connection: StreamSocket, host: str) -> bytes:
        length = int.from_bytes(await _exactly(connection, 8), "big")
        pieces = []
        left = length
        while left:
            piece = await connection.recv(min(left, _CHUNK_BYTES))
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece)
            self.on_receive(host, len(piece))
        return b"".join(pieces)

    def _compare(self, received: bytes, host: str) -> None:
        offset = first_difference(self.content, received)
        if offset is not None:
            raise RunFailedError(
                f"{host} received {len(received)} bytes with SHA-256 {hashlib.sha256(received).hexdigest()}, not the "
                f"{len(self.content)} bytes sent with {self.sha256}: the first wrong byte is at offset {offset}"
            )


async def _exactly(connection: StreamSocket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = await connection.recv(count - len(data))
        if not piece:
            raise RunFailedError(f"the connection ended {count - len(data)} bytes early")
        data += piece
    return data
