"""The host edge on a board: implements ``driver.bus.Bus`` over the serial bridge.

The driver works on the host's copy of the board's memory. What it writes there goes to the board ahead of the next
register write; what the NIC writes, the board tells, ahead of the interrupt and of register values. So the copies agree
whenever PCI would let the driver look.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

from hw.bridge.protocol import MAX_INFORMATION, Status
from hw.bridge.requests import read_register, write_memory, write_register
from hw.registers import WINDOW_BYTES
from sim.board.link import Link, LinkError, LinkParameters
from sim.board.messages import MemoryWritten, MessageParser, RegisterValue, StatusChanged
from sim.memory import HostMemory
from stack.environment import Cause, Context, Cpu, Environment, Event, Timer

__all__ = ["SerialBus"]

_LONGEST_WRITE = MAX_INFORMATION


class _CopiedMemory(HostMemory):
    """Host memory whose writes are told to the board. Writes that follow one another in memory travel as one."""

    def __init__(self, size: int, send: Callable[[bytes], None]) -> None:
        super().__init__(np.zeros(size, np.uint8))
        self._send = send
        self._address = 0
        self._waiting = bytearray()

    def write(self, address: int, data: bytes) -> None:
        super().write(address, data)
        if address != self._address + len(self._waiting):
            self.flush()
            self._address = address
        self._waiting += data

    def flush(self) -> None:
        """Send what waits."""
        for offset in range(0, len(self._waiting), _LONGEST_WRITE):
            piece = bytes(self._waiting[offset : offset + _LONGEST_WRITE])
            self._send(write_memory(self._address + offset, piece))
        self._address += len(self._waiting)
        self._waiting.clear()

    def written(self, address: int, data: bytes) -> None:
        """The NIC has written. Raises ``LinkError`` for what is not in the memory."""
        if address + len(data) > len(self.array):
            raise LinkError(f"the board tells of a write to {address:#x}, and memory ends at {len(self.array):#x}")
        super().write(address, data)


@dataclass(slots=True)
class _Read:
    done: Event
    value: int = 0


class SerialBus:
    """Registers, host memory and interrupt line of the NIC on a board.

    ``write`` puts octets on the line; who owns the line gives ``receive`` what comes. ``connect`` first.
    """

    memory: HostMemory
    """The host's copy."""

    def __init__(
        self, env: Environment, cpu: Cpu, write: Callable[[bytes], None], *, parameters: LinkParameters | None = None
    ) -> None:
        self.env = env
        self.cpu = cpu
        self.link = Link(env.random, parameters=parameters)
        self.outside = False
        """The NIC has accessed an address that is not in host memory."""
        self._messages = MessageParser()
        self._write = write
        self._reads: deque[_Read] = deque()
        self._handler: Callable[[], Awaitable[None]] | None = None
        self._interrupt = False
        self._interrupted = env.event()
        self._connected = env.event()
        self._timer: Timer | None = None
        self._pumping = False
        self._failure: LinkError | None = None
        env.spawn(self._serve_interrupts(), name="interrupt line")

    async def connect(self) -> None:
        """Set up the link; the NIC is as after power-up. Raises ``LinkError`` if nobody answers."""
        self.link.connect(self.env.now)
        self._pump()
        await self._connected.wait()
        if self._failure is not None:
            raise self._failure
        assert self.link.identity is not None
        self._copy = _CopiedMemory(1024 * self.link.identity.memory_kib, self.link.send)
        self.memory = self._copy

    def receive(self, octets: bytes) -> None:
        """Octets have come over the line."""
        try:
            for information in self.link.receive(octets, self.env.now):
                for message in self._messages.receive(information):
                    self._take(message)
        except ValueError as error:
            self._fail(LinkError(str(error)))
        except LinkError as error:
            self._fail(error)
        if self.link.identity is not None and not self._connected.is_set():
            self._connected.set()
        self._pump()

    def write32(self, offset: int, value: int) -> None:
        self._check(offset)
        self.cpu.charge(Cause.MMIO)
        self._copy.flush()
        self.link.send(write_register(offset, value))
        self._pump_soon()

    async def read32(self, offset: int) -> int:
        self._check(offset)
        await self.cpu.settle()
        if self._failure is not None:
            raise self._failure
        read = _Read(self.env.event())
        self._reads.append(read)
        self._copy.flush()
        self.link.send(read_register(offset))
        self._pump_soon()
        await self.cpu.stall(Cause.MMIO, read.done)
        if self._failure is not None:
            raise self._failure
        return read.value

    def request_irq(self, handler: Callable[[], Awaitable[None]]) -> None:
        if self._handler is not None:
            raise ValueError("the interrupt line has a handler already")
        self._handler = handler
        if self._interrupt:
            self._interrupted.set()

    def free_irq(self) -> None:
        self._handler = None

    def _check(self, offset: int) -> None:
        if offset % 4 or not 0 <= offset < WINDOW_BYTES:
            raise ValueError(f"register offset {offset:#x}: aligned to 4 bytes and below {WINDOW_BYTES:#x} is allowed")

    def _take(self, message: MemoryWritten | RegisterValue | StatusChanged) -> None:
        match message:
            case MemoryWritten():
                self._copy.written(message.address, message.data)
            case RegisterValue():
                if not self._reads:
                    raise LinkError("the board gives a register's value that was not asked for")
                read = self._reads.popleft()
                read.value = message.value
                read.done.set()
            case StatusChanged():
                self._interrupt = bool(message.status >> Status.INTERRUPT & 1)
                self.outside |= bool(message.status >> Status.OUTSIDE & 1)
                if message.status >> Status.UNKNOWN & 1:
                    raise LinkError("the board does not know a request")
                if self._interrupt:
                    self._interrupted.set()

    def _pump_soon(self) -> None:
        """Send at the end of this moment, so that what is written in it travels together."""
        if not self._pumping:
            self._pumping = True
            self.env.call_at(self.env.now, self._pump)

    def _pump(self) -> None:
        self._pumping = False
        try:
            output = self.link.transmit(self.env.now)
        except LinkError as error:
            self._fail(error)
            return
        if output:
            self._write(output)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.link.deadline is not None:
            self._timer = self.env.call_at(self.link.deadline, self._pump)

    def _fail(self, error: LinkError) -> None:
        """All who wait, and who read from now on, get the error."""
        self._failure = self._failure or error
        self._connected.set()
        while self._reads:
            self._reads.popleft().done.set()

    async def _serve_interrupts(self) -> None:
        """A level-triggered line: the handler is called again while the line stays up."""
        self.cpu.enter(Context.INTERRUPT)
        while True:
            await self._interrupted.wait()
            self._interrupted.clear()
            while self._handler is not None and self._interrupt:
                self.cpu.charge(Cause.INTERRUPT)
                await self.cpu.settle()
                await self._handler()
