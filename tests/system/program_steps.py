"""What a processor and a far end do to a NIC, step by step."""

from collections.abc import Iterator
from dataclasses import dataclass

from hw.registers import BY_NAME

__all__ = [
    "REST",
    "Arrive",
    "Program",
    "Read",
    "Rest",
    "Step",
    "Store",
    "Wait",
    "Write",
    "eeprom_write",
    "fields",
    "microwire",
]


@dataclass(frozen=True)
class Write:
    """A posted write of a register."""

    offset: int
    value: int


@dataclass(frozen=True)
class Read:
    """A read of a register."""

    offset: int


@dataclass(frozen=True)
class Store:
    """Software writes to memory."""

    address: int
    data: bytes


@dataclass(frozen=True)
class Arrive:
    """A frame with FCS, right or wrong, comes from the wire, behind those that came before."""

    frame: bytes


@dataclass(frozen=True)
class Rest:
    """Wait until nothing goes on any more in the NIC."""


@dataclass(frozen=True)
class Wait:
    """Go on after so many nanoseconds, whatever the NIC does meanwhile."""

    time: int


Step = Write | Read | Store | Arrive | Rest | Wait

REST = Rest()


@dataclass(frozen=True)
class Program:
    """``handler``: interrupts are served, by a read of ICR. Latencies are in nanoseconds, the width of the bus in bytes
    per cycle."""

    steps: list[Step]
    handler: bool = False
    read_latency: int = 160
    write_latency: int = 80
    width: int = 8


def fields(name: str, **values: int) -> Write:
    """A write of a register: these fields, all others 0."""
    return Write(BY_NAME[name].offset, BY_NAME[name].value(**values))


def microwire(bits: str, *, clocks: int = 0) -> Iterator[Step]:
    """An instruction to the EEPROM by EECD: ``bits``, the start bit first, then ``clocks`` that read a bit each."""
    eecd = BY_NAME["EECD"]

    def pins(**levels: int) -> list[Step]:
        # Twice: they stay for at least 4 cycles.
        return [Write(eecd.offset, eecd.value(REQ=1, **levels))] * 2

    yield from pins()
    yield from pins(CS=1)
    for bit in [*map(int, bits), *[0] * clocks]:
        yield from pins(CS=1, DI=bit)
        yield from pins(CS=1, DI=bit, SK=1)
        if clocks:
            yield Read(eecd.offset)
    yield from pins(CS=1)
    yield from pins()


def eeprom_write(number: int, word: int) -> Iterator[Step]:
    """Write a word of the EEPROM."""
    yield from microwire("100110000")
    yield from microwire(f"101{number:06b}{word:016b}")
