"""What a board tells (docs/bridge-protocol.md)."""

from collections.abc import Iterator
from dataclasses import dataclass

from hw.bridge.protocol import ADDRESS_OCTETS, LENGTH_OCTETS, Message

__all__ = ["MemoryWritten", "MessageParser", "RegisterValue", "StatusChanged"]

_MEMORY_HEAD = 1 + ADDRESS_OCTETS + LENGTH_OCTETS
_SIZES: dict[int, int] = {Message.VALUE: 5, Message.STATUS: 2}


@dataclass(frozen=True)
class MemoryWritten:
    """The NIC has written host memory."""

    address: int
    data: bytes


@dataclass(frozen=True)
class RegisterValue:
    """Answers the oldest request for one."""

    value: int


@dataclass(frozen=True)
class StatusChanged:
    """Bits of ``hw.bridge.protocol.Status``."""

    status: int


class MessageParser:
    """Messages out of the information of frames. They follow one another; where frames begin does not matter."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def receive(self, information: bytes) -> Iterator[MemoryWritten | RegisterValue | StatusChanged]:
        """The messages that end in ``information``. Raises ``ValueError`` for one that is not known."""
        self._octets += information
        while self._octets:
            kind = self._octets[0]
            if kind == Message.WRITE_MEMORY:
                size = _MEMORY_HEAD
                if len(self._octets) >= size:
                    size += _number(self._octets[1 + ADDRESS_OCTETS : size])
            elif kind in _SIZES:
                size = _SIZES[kind]
            else:
                raise ValueError(f"unknown message {kind:#04x}")
            if len(self._octets) < size:
                return
            body = bytes(self._octets[1:size])
            del self._octets[:size]
            match kind:
                case Message.WRITE_MEMORY:
                    yield MemoryWritten(_number(body[:ADDRESS_OCTETS]), body[_MEMORY_HEAD - 1 :])
                case Message.VALUE:
                    yield RegisterValue(_number(body))
                case Message.STATUS:
                    yield StatusChanged(_number(body))


def _number(octets: bytes | bytearray) -> int:
    return int.from_bytes(octets, "little")
