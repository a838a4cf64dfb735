"""What cocotb benches share: packets as words, and the two ends of a stream."""

import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cocotb.triggers import RisingEdge

from hw.interfaces import PacketWord

__all__ = ["drive", "now_and_then", "pack", "pack_words", "take", "words_of"]


def pack(layout: Any, values: dict[str, int]) -> int:
    """The bits of a struct layout; fields not given are 0."""
    places = {name: field.offset for name, field in layout}
    return sum(value << places[name] for name, value in values.items())


def words_of(frame: bytes) -> Iterator[tuple[int, int, bool]]:
    """``(data, count, last)`` of a packet's 64-bit words, unused lanes 0."""
    for offset in range(0, len(frame), 8):
        piece = frame[offset : offset + 8]
        yield int.from_bytes(piece, "little"), len(piece), offset + 8 >= len(frame)


def pack_words(frame: bytes) -> list[int]:
    """A packet as bit patterns of ``hw.interfaces.PacketWord``."""
    return [pack(PacketWord, {"data": data, "count": count, "last": last}) for data, count, last in words_of(frame)]


def _always() -> bool:
    return True


async def drive(clock: Any, dut: Any, stream: str, values: Iterable[int], go: Callable[[], bool] = _always) -> None:
    """Put values into the stream of this name; ``go`` says for each cycle whether a new one may be offered."""
    valid, ready = getattr(dut, f"{stream}__valid"), getattr(dut, f"{stream}__ready")
    payload = getattr(dut, f"{stream}__payload")
    valid.value = 0
    for value in values:
        while not go():
            await RisingEdge(clock)
        valid.value = 1
        payload.value = value
        await RisingEdge(clock)
        while not int(ready.value):
            await RisingEdge(clock)
        valid.value = 0


async def take(
    clock: Any, dut: Any, stream: str, sink: Callable[[int], object], go: Callable[[], bool] = _always
) -> None:
    """Take values out of the stream of this name for ever; ``go`` says for each cycle whether one is taken."""
    valid, ready = getattr(dut, f"{stream}__valid"), getattr(dut, f"{stream}__ready")
    payload = getattr(dut, f"{stream}__payload")
    while True:
        taking = go()
        ready.value = int(taking)
        await RisingEdge(clock)
        if taking and int(valid.value):
            sink(int(payload.value))


def now_and_then(seed: int, share: float) -> Callable[[], bool]:
    """A ``go`` that is true for this share of the cycles, the same ones for the same seed."""
    generator = random.Random(seed)
    return lambda: generator.random() < share
