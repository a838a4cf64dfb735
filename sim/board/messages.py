"""What a board tells (docs/bridge-protocol.md)."""

from collections.abc import Iterator
from dataclasses import dataclass

from hw.bridge.protocol import ADDRESS_OCTETS, LENGTH_OCTETS, Message

__all__ = ["MemoryWritten", "RegisterValue", "StatusChanged", "parse"]


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


def parse(information: bytes) -> Iterator[MemoryWritten | RegisterValue | StatusChanged]:
    """The messages in a frame. Raises ``ValueError`` if it is not made of whole ones."""
    at = 0

    def number(size: int) -> int:
        nonlocal at
        piece = take(size)
        return int.from_bytes(piece, "little")

    def take(size: int) -> bytes:
        nonlocal at
        piece = information[at : at + size]
        if len(piece) < size:
            raise ValueError(f"a message ends early: {information.hex()}")
        at += size
        return piece

    while at < len(information):
        kind = number(1)
        if kind == Message.WRITE_MEMORY:
            address, length = number(ADDRESS_OCTETS), number(LENGTH_OCTETS)
            yield MemoryWritten(address, take(length))
        elif kind == Message.VALUE:
            yield RegisterValue(number(4))
        elif kind == Message.STATUS:
            yield StatusChanged(number(1))
        else:
            raise ValueError(f"unknown message {kind:#04x}")
