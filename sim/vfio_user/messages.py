"""vfio-user messages as bytes (QEMU's docs/interop/vfio-user.rst): a header of 16 bytes, then the command's own fields.

All numbers are little-endian. Nothing here does any input or output.
"""

import errno
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

__all__ = [
    "HEADER_BYTES",
    "MAXIMUM_BYTES",
    "MAXIMUM_DATA_BYTES",
    "MAXIMUM_DESCRIPTORS",
    "BadMessageError",
    "Command",
    "Header",
    "IrqFlag",
    "RequestError",
    "error_reply",
    "parse_header",
    "reply",
    "unpack",
]

_HEADER = struct.Struct("<HHIII")
HEADER_BYTES = _HEADER.size

MAXIMUM_DATA_BYTES = 1 << 20
"""Told to the client as max_data_xfer_size."""

MAXIMUM_BYTES = MAXIMUM_DATA_BYTES + 4096
"""Of a message: the most data, and more than any command's own fields."""

MAXIMUM_DESCRIPTORS = 8
"""File descriptors with one message; told to the client as max_msg_fds."""

_TYPE = 0xF
_TYPE_COMMAND, _TYPE_REPLY = 0, 1
_NO_REPLY, _ERROR = 1 << 4, 1 << 5


class Command(IntEnum):
    """The commands that are carried out; every other is answered with ENOSYS."""

    VERSION = 1
    DMA_MAP = 2
    DMA_UNMAP = 3
    DEVICE_GET_INFO = 4
    DEVICE_GET_REGION_INFO = 5
    DEVICE_GET_IRQ_INFO = 7
    DEVICE_SET_IRQS = 8
    REGION_READ = 9
    REGION_WRITE = 10
    DEVICE_RESET = 13


class IrqFlag(IntFlag):
    """Flags of DEVICE_SET_IRQS (``VFIO_IRQ_SET_*``): what kind of data comes with it, and what is to be done."""

    DATA_NONE = 1 << 0
    DATA_BOOL = 1 << 1
    DATA_EVENTFD = 1 << 2
    ACTION_MASK = 1 << 3
    ACTION_UNMASK = 1 << 4
    ACTION_TRIGGER = 1 << 5


class BadMessageError(Exception):
    """The stream of messages cannot be followed any more. The connection has to be closed."""


class RequestError(Exception):
    """A command cannot be carried out. The client is told ``number``, an errno; the text is for the log."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


@dataclass(frozen=True, slots=True)
class Header:
    """What every message begins with. ``size`` is that of the whole message in bytes."""

    identifier: int
    command: int
    size: int
    flags: int

    @property
    def no_reply(self) -> bool:
        return bool(self.flags & _NO_REPLY)


def parse_header(data: bytes) -> Header:
    """The header of a command. Raises ``BadMessageError`` if its size is impossible, or if it is no command."""
    identifier, command, size, flags, _ = _HEADER.unpack(data)
    if not HEADER_BYTES <= size <= MAXIMUM_BYTES:
        raise BadMessageError(f"a message of {size} bytes; {HEADER_BYTES} to {MAXIMUM_BYTES} are possible")
    if flags & _TYPE != _TYPE_COMMAND:
        raise BadMessageError(f"a message of type {flags & _TYPE}, which is no command")
    return Header(identifier, command, size, flags)


def reply(request: Header, body: bytes = b"") -> bytes:
    """The answer to a command."""
    return _HEADER.pack(request.identifier, request.command, HEADER_BYTES + len(body), _TYPE_REPLY, 0) + body


def error_reply(request: Header, number: int) -> bytes:
    """The answer to a command that failed, ``number`` an errno."""
    return _HEADER.pack(request.identifier, request.command, HEADER_BYTES, _TYPE_REPLY | _ERROR, number)


def unpack(fields: struct.Struct, body: bytes) -> tuple[int, ...]:
    """The fields at the beginning of a command's body. Raises ``RequestError`` (EINVAL) if it is too short."""
    if len(body) < fields.size:
        raise RequestError(errno.EINVAL, f"{len(body)} bytes after the header, {fields.size} are needed")
    return fields.unpack_from(body)
