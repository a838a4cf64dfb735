"""A board behind a serial line in plain Python: the link's other end, requests, and a behavioural NIC behind them."""

from collections.abc import Callable, Iterator

import numpy as np

from hw.bridge.framing import enframe
from hw.bridge.host_memory import write_message
from hw.bridge.journal import status_message, value_message
from hw.bridge.link_transmit import identity
from hw.bridge.protocol import ADDRESS_OCTETS, LENGTH_OCTETS, SABME, UA, Request
from sim.board.link import Identity, Link, LinkParameters
from sim.engine import Scheduler
from sim.memory import HostMemory
from stack.environment import Timer
from tests.driver.behavioural_e1000 import BehaviouralE1000

__all__ = ["BUILD_ID", "BoardLink", "BoardModel"]

BUILD_ID = bytes(range(8))
MAC = bytes.fromhex("020000000001")


class BoardLink(Link):
    """The board's end: it is set up, and has an answer to that."""

    def __init__(
        self, env: Scheduler, *, answer: bytes, on_reset: Callable[[], None], parameters: LinkParameters
    ) -> None:
        super().__init__(env.random, parameters=parameters)
        self.answer = answer
        self._on_reset = on_reset
        self._owed: int | None = None

    def _frame(self, frame: bytes, now: int) -> Iterator[bytes]:
        if frame[0] != SABME:
            yield from super()._frame(frame, now)
            return
        self.connect(now)
        self._timeout = None
        self.identity = Identity(version=0, build_id=b"", memory_kib=0)
        self._owed = frame[1]
        self._on_reset()

    def transmit(self, now: int) -> bytes:
        if self.identity is None:
            return b""
        output = b"" if self._owed is None else enframe(bytes([UA, self._owed]) + self.answer)
        self._owed = None
        return output + super().transmit(now)


class _ToldMemory(HostMemory):
    """Tells of what the NIC writes."""

    def __init__(self, size: int, tell: Callable[[int, bytes], None]) -> None:
        super().__init__(np.zeros(size, np.uint8))
        self._tell = tell

    def write(self, address: int, data: bytes) -> None:
        super().write(address, data)
        self._tell(address, data)


class BoardModel:
    """``write`` puts octets on the line, ``receive`` takes what comes from there."""

    def __init__(
        self,
        env: Scheduler,
        write: Callable[[bytes], None],
        *,
        memory_kib: int = 256,
        version: int | None = None,
        build_id: bytes = BUILD_ID,
        parameters: LinkParameters | None = None,
    ) -> None:
        answer = bytearray(identity(build_id=build_id, memory_kib=memory_kib))
        if version is not None:
            answer[0] = version
        self.env = env
        self.requests: list[tuple[Request, int, int]] = []
        """Register accesses: kind, address, data."""
        self._write = write
        self._octets = bytearray()
        self._timer: Timer | None = None
        self.link = BoardLink(
            env,
            answer=bytes(answer),
            on_reset=self._reset,
            parameters=parameters or LinkParameters(attempts=1_000_000),
        )
        self.memory = _ToldMemory(memory_kib * 1024, self._tell)
        self.nic = BehaviouralE1000(env, self.memory, mac_address=MAC)
        self.nic.line_changed = lambda: self._send(status_message(int(self.nic.line)))

    def receive(self, octets: bytes) -> None:
        for information in self.link.receive(octets, self.env.now):
            self._octets += information
            while self._request():
                pass
        self._pump()

    def _reset(self) -> None:
        self._octets.clear()
        if hasattr(self, "nic"):
            self.nic.reset()
            self.memory.array[:] = 0

    def _request(self) -> bool:
        """Perform the first request, if it has come whole."""
        octets = self._octets
        head = 1 + ADDRESS_OCTETS
        if len(octets) < head:
            return False
        kind = Request(octets[0])
        address = int.from_bytes(octets[1:head], "little")
        if kind is Request.READ_REGISTER:
            size = head
        elif kind is Request.WRITE_REGISTER:
            size = head + 4
        else:
            size = head + LENGTH_OCTETS
            size += int.from_bytes(octets[head:size], "little") if len(octets) >= size else 1
        if len(octets) < size:
            return False
        body = bytes(octets[head:size])
        del octets[:size]
        if kind is Request.READ_REGISTER:
            self.requests.append((kind, address, 0))
            self._send(value_message(self.nic.read(address)))
        elif kind is Request.WRITE_REGISTER:
            value = int.from_bytes(body, "little")
            self.requests.append((kind, address, value))
            self.nic.write(address, value)
        else:
            HostMemory.write(self.memory, address, body[LENGTH_OCTETS:])
        return True

    def _tell(self, address: int, data: bytes) -> None:
        for offset in range(0, len(data), 512):
            self._send(write_message(address + offset, data[offset : offset + 512]))

    def _send(self, message: bytes) -> None:
        self.link.send(message)
        self.env.call_at(self.env.now, self._pump)

    def _pump(self) -> None:
        output = self.link.transmit(self.env.now)
        if output:
            self._write(output)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if self.link.deadline is None else self.env.call_at(self.link.deadline, self._pump)
