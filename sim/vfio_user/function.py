"""The 82540EM as a vfio-user device: what each command does with the NIC."""

import errno
import json
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hw.registers import WINDOW_BYTES
from sim.vfio_user.config_space import CONFIG_BYTES, ConfigSpace
from sim.vfio_user.connection import Message
from sim.vfio_user.interrupt_line import InterruptLine
from sim.vfio_user.messages import (
    MAXIMUM_DATA_BYTES,
    MAXIMUM_DESCRIPTORS,
    Command,
    IrqFlag,
    RequestError,
    error_reply,
    reply,
    unpack,
)
from sim.vfio_user.nic import Nic
from sim.vfio_user.statistics import Statistics

__all__ = ["IO_BYTES", "Access", "Function", "Observer"]

IO_BYTES = 32
"""Size of the I/O window (BAR1); see hw/io_window.py."""

_MEMORY_REGION, _IO_REGION, _CONFIG_REGION = 0, 1, 7
_REGION_BYTES = {_MEMORY_REGION: WINDOW_BYTES, _IO_REGION: IO_BYTES, _CONFIG_REGION: CONFIG_BYTES}
_REGIONS, _IRQS = 9, 5
"""VFIO_PCI_NUM_REGIONS and VFIO_PCI_NUM_IRQS."""

_DEVICE_RESETS, _DEVICE_IS_PCI = 1, 2
_READABLE, _WRITABLE = 1, 2
_EVENTFD, _MASKABLE, _AUTOMASKED = 1, 2, 4
_INTX = 0
_WORD = 4

_VERSION = struct.Struct("<HH")
_DEVICE_INFO = struct.Struct("<IIII")
_REGION_INFO = struct.Struct("<IIIIQQ")
_IRQ_INFO = struct.Struct("<IIII")
_IRQ_SET = struct.Struct("<IIIII")
_ACCESS = struct.Struct("<QII")
_DMA_MAP = struct.Struct("<IIQQQ")
_DMA_UNMAP = struct.Struct("<IIQQ")


@dataclass(frozen=True, slots=True)
class Access:
    """A register access that the client has made, with the value written or read; ``io``: through the I/O window."""

    write: bool
    io: bool
    offset: int
    value: int


Observer = Callable[[Access], Awaitable[None]]


class Function:
    """Carries out the commands of one client at a time; ``end`` gives back all that a client left."""

    def __init__(self, nic: Nic, statistics: Statistics, log: Callable[[str], None]) -> None:
        self.nic = nic
        self.line = InterruptLine()
        self.config = ConfigSpace(memory_bar_bytes=WINDOW_BYTES, io_bar_bytes=IO_BYTES)
        self.negotiated = False
        self.observers: list[Observer] = []
        """Told of each register access: of a read when it has its value, of a write before the NIC is."""
        self._statistics = statistics
        self._log = log
        self._commands: dict[int, Callable[[Message], Awaitable[bytes]]] = {
            Command.VERSION: self._version,
            Command.DMA_MAP: self._dma_map,
            Command.DMA_UNMAP: self._dma_unmap,
            Command.DEVICE_GET_INFO: self._device_info,
            Command.DEVICE_GET_REGION_INFO: self._region_info,
            Command.DEVICE_GET_IRQ_INFO: self._irq_info,
            Command.DEVICE_SET_IRQS: self._set_irqs,
            Command.REGION_READ: self._read,
            Command.REGION_WRITE: self._write,
            Command.DEVICE_RESET: self._reset,
        }

    async def handle(self, message: Message) -> bytes:
        """Carry out a command; returns the reply, empty if none is wanted. A failure is told and logged."""
        header = message.header
        try:
            command = self._commands.get(header.command)
            if command is None:
                raise RequestError(errno.ENOSYS, f"command {header.command} is not known")
            if not self.negotiated and header.command != Command.VERSION:
                raise RequestError(errno.EINVAL, f"{Command(header.command).name} before VERSION")
            body = await command(message)
        except RequestError as error:
            self._log(f"refused: {error}")
            self._statistics.refused += 1
            return b"" if header.no_reply else error_reply(header, error.number)
        return b"" if header.no_reply else reply(header, body)

    def follow_pin(self) -> None:
        """Let the client know where the interrupt pin stands."""
        self.line.level = self.nic.interrupt and not self.config.interrupt_disabled

    async def end(self) -> None:
        """The client is gone: nothing reaches its memory any more, and the NIC starts anew."""
        self.line.reset()
        self.nic.memory.unmap_all()
        self.nic.memory.enabled = False
        self.config.reset()
        self.negotiated = False
        await self.nic.reset()

    async def _version(self, message: Message) -> bytes:
        major, _ = unpack(_VERSION, message.body)
        if major != 0:
            raise RequestError(errno.EINVAL, f"protocol version {major}, this server speaks 0")
        capabilities = {"max_msg_fds": MAXIMUM_DESCRIPTORS, "max_data_xfer_size": MAXIMUM_DATA_BYTES}
        self.negotiated = True
        return _VERSION.pack(0, 0) + json.dumps({"capabilities": capabilities}).encode() + b"\0"

    async def _device_info(self, message: Message) -> bytes:
        unpack(_DEVICE_INFO, message.body)
        return _DEVICE_INFO.pack(_DEVICE_INFO.size, _DEVICE_RESETS | _DEVICE_IS_PCI, _REGIONS, _IRQS)

    async def _region_info(self, message: Message) -> bytes:
        _, _, index, _, _, _ = unpack(_REGION_INFO, message.body)
        if index >= _REGIONS:
            raise RequestError(errno.EINVAL, f"region {index} of {_REGIONS}")
        size = _REGION_BYTES.get(index, 0)
        return _REGION_INFO.pack(_REGION_INFO.size, _READABLE | _WRITABLE if size else 0, index, 0, size, 0)

    async def _irq_info(self, message: Message) -> bytes:
        _, _, index, _ = unpack(_IRQ_INFO, message.body)
        if index >= _IRQS:
            raise RequestError(errno.EINVAL, f"interrupt {index} of {_IRQS}")
        flags, count = (_EVENTFD | _MASKABLE | _AUTOMASKED, 1) if index == _INTX else (0, 0)
        return _IRQ_INFO.pack(_IRQ_INFO.size, flags, index, count)

    async def _set_irqs(self, message: Message) -> bytes:
        _, flags, index, start, count = unpack(_IRQ_SET, message.body)
        if index >= _IRQS or start != 0:
            raise RequestError(errno.EINVAL, f"interrupt {index}, from {start}")
        if index != _INTX:
            if count:
                raise RequestError(errno.EINVAL, f"interrupt {index} does not exist: the pin is all there is")
            return b""
        # The level that an unmask asks for is that after all writes before it.
        await self.nic.flush()
        self.follow_pin()
        self.line.set(IrqFlag(flags), count, message.body[_IRQ_SET.size :], message.descriptors)
        return b""

    async def _dma_map(self, message: Message) -> bytes:
        _, flags, offset, address, size = unpack(_DMA_MAP, message.body)
        self.nic.memory.map(
            address,
            size,
            descriptor=message.descriptors[0] if message.descriptors else None,
            offset=offset,
            readable=bool(flags & _READABLE),
            writable=bool(flags & _WRITABLE),
        )
        return b""

    async def _dma_unmap(self, message: Message) -> bytes:
        _, flags, address, size = unpack(_DMA_UNMAP, message.body)
        if flags:
            raise RequestError(errno.ENOTSUP, f"DMA_UNMAP with flags {flags:#x}")
        self.nic.memory.unmap(address, size)
        return message.body[: _DMA_UNMAP.size]

    async def _read(self, message: Message) -> bytes:
        offset, region, size = unpack(_ACCESS, message.body)
        self._check(region, offset, size)
        if region == _CONFIG_REGION:
            data = self.config.read(offset, size)
        else:
            started = time.perf_counter()
            io = region == _IO_REGION
            value = await (self.nic.read_io(offset) if io else self.nic.read32(offset))
            self._statistics.read_seconds += time.perf_counter() - started
            await self._tell(Access(False, io, offset, value))
            data = value.to_bytes(_WORD, "little")
        return _ACCESS.pack(offset, region, size) + data

    async def _write(self, message: Message) -> bytes:
        offset, region, size = unpack(_ACCESS, message.body)
        data = message.body[_ACCESS.size :]
        self._check(region, offset, size)
        if len(data) != size:
            raise RequestError(errno.EINVAL, f"a write of {size} bytes brings {len(data)}")
        if region == _CONFIG_REGION:
            self.config.write(offset, data)
            if self.config.bus_master and not self.nic.memory.enabled and not self.nic.memory.reachable:
                self._log("none of the guest's memory is shared: start QEMU with memory-backend-memfd,share=on")
            self.nic.memory.enabled = self.config.bus_master
            self.follow_pin()
        else:
            io = region == _IO_REGION
            value = int.from_bytes(data, "little")
            await self._tell(Access(True, io, offset, value))
            (self.nic.write_io if io else self.nic.write32)(offset, value)
        return _ACCESS.pack(offset, region, size)

    async def _tell(self, access: Access) -> None:
        if access.write:
            self._statistics.writes += 1
        else:
            self._statistics.reads += 1
        for observe in self.observers:
            await observe(access)

    def _check(self, region: int, offset: int, size: int) -> None:
        """Raises ``RequestError`` (EINVAL) unless the region knows such an access: of registers, whole words."""
        end = _REGION_BYTES.get(region, 0)
        if not 0 < size <= end or offset > end - size:
            raise RequestError(errno.EINVAL, f"access to region {region} at {offset:#x}, {size} bytes: outside")
        if region != _CONFIG_REGION and (size != _WORD or offset % _WORD):
            raise RequestError(errno.EINVAL, f"access to region {region} at {offset:#x}, {size} bytes: no whole word")

    async def _reset(self, message: Message) -> bytes:
        self.config.reset()
        self.nic.memory.enabled = False
        await self.nic.reset()
        self.follow_pin()
        return b""
