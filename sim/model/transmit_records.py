"""What is on its way between the stages of the transmit path: descriptors, their bytes, and packets that are cut."""

from dataclasses import dataclass, field
from typing import Final

from mypy_extensions import mypyc_attr

from hw.transmit.gather import Context
from sim.model.gather import Asked
from sim.model.ring import Descriptor

__all__ = ["Burst", "Item", "Segmentation", "reported"]

_DEXT: Final = 1 << 29
"""Of a descriptor's upper half."""
_DD_BYTE: Final = 12


def reported(raw: bytes) -> bytes:
    """A descriptor with DD."""
    return raw[:_DD_BYTE] + b"\x01" + raw[_DD_BYTE + 1 :]


@mypyc_attr(free_list_len=1)  # as often made as forgotten
class Item:
    """A descriptor between the requester and the gatherer."""

    __slots__ = ("address", "carries", "index", "left", "raw", "upper")

    def __init__(self, descriptor: Descriptor) -> None:
        self.index = descriptor.index
        self.raw = descriptor.raw
        self.upper = upper = descriptor.upper
        self.address = address = descriptor.address
        length = upper & 0xFFFF
        self.carries = True
        """It is of a packet, and neither a context descriptor nor one of a type that is passed over."""
        if upper & _DEXT:
            self.carries = upper >> 20 & 0xF == 1
            length = upper & 0xFFFFF if self.carries else 0
        self.left = length if address else 0
        """Bytes that have not been asked for."""


@mypyc_attr(free_list_len=1)  # as often made as forgotten
class Burst:
    """Bytes of an item that have been asked for, or the news that it has none."""

    __slots__ = ("address", "awaited", "come", "data", "final", "first", "item", "known", "last", "length", "words")

    def __init__(self, item: Item, first: int, last: int, final: bool, words: int, address: int, length: int) -> None:
        self.item = item
        self.first = first
        self.last = last
        self.final = final
        self.words = words
        self.address = address
        self.length = length
        self.data = b""
        self.known = False
        """What comes is known before it does, if nobody writes there meanwhile."""
        self.awaited = False
        """There is an event for when it comes."""
        self.come = False


@dataclass(slots=True)
class Segmentation:
    """A packet that is being cut."""

    asked: Asked
    header: bytearray = field(default_factory=bytearray)
    piece: bytearray = field(default_factory=bytearray)
    number: int = 0
    """Frames made."""
    over: bool = False
    """Nothing more is made of what comes."""

    @property
    def context(self) -> Context:
        return self.asked.context

    def wanted(self) -> int:
        """Bytes of payload of the frame at hand."""
        wanted: int = min(self.context.mss, self.context.paylen - self.number * self.context.mss)
        return wanted
