"""Writes the register reference from the tables: ``python -m sim.register_reference > docs/registers.md``."""

from collections.abc import Iterator

from hw.descriptors import RECEIVE, TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY, DescriptorFormat
from hw.registers import REGISTERS, Field, Register, Status

__all__ = ["markdown"]

_DWORDS = 4


def _bits(lsb: int, width: int) -> str:
    return str(lsb) if width == 1 else f"{lsb + width - 1}:{lsb}"


def _summary(registers: tuple[Register, ...]) -> Iterator[str]:
    yield "| offset | name | reset | status | what it is |"
    yield "| --- | --- | --- | --- | --- |"
    for register in registers:
        offset = f"{register.offset:04X}"
        if register.count > 1:
            offset += f" + {register.stride}n, n < {register.count}"
        offset += "".join(f", {shadow:04X}" for shadow in register.shadows)
        name = f"[{register.name}](#{register.name.lower()})"
        yield f"| {offset} | {name} | {register.reset:08X} | {register.status.value} | {register.description} |"


def _field(item: Field) -> str:
    return (
        f"| {_bits(item.lsb, item.width)} | {item.name} | {item.access.value} | {item.reset:X} | {item.description} |"
    )


def _details(register: Register) -> Iterator[str]:
    yield f"### {register.name}"
    yield ""
    yield f"{register.offset:04X}: {register.description}. {register.status.value.capitalize()}."
    yield ""
    yield "| bits | field | access | reset | notes |"
    yield "| --- | --- | --- | --- | --- |"
    yield from (_field(item) for item in sorted(register.fields, key=lambda item: -item.lsb))
    yield ""


def _descriptor(layout: DescriptorFormat) -> Iterator[str]:
    yield f"### {layout.name.capitalize()} descriptor"
    yield ""
    yield "| bits | 32-bit word | field |"
    yield "| --- | --- | --- |"
    end = 0
    for name, (lsb, width) in sorted(layout.fields.items(), key=lambda item: item[1]):
        if lsb > end:
            yield f"| {_bits(end, lsb - end)} | {_words(end, lsb - end)} | reserved |"
        yield f"| {_bits(lsb, width)} | {_words(lsb, width)} | {name} |"
        end = lsb + width
    if end < 32 * _DWORDS:
        yield f"| {_bits(end, 32 * _DWORDS - end)} | {_words(end, 32 * _DWORDS - end)} | reserved |"
    yield ""


def _words(lsb: int, width: int) -> str:
    """Where a field lies in the 32-bit words of the descriptor."""
    first, last = lsb // 32, (lsb + width - 1) // 32
    if first != last:
        return f"{first} to {last}"
    return f"{first}, bits {_bits(lsb % 32, width)}"


def markdown() -> str:
    """The whole reference."""
    built = sum(register.status is not Status.NOT_BUILT for register in REGISTERS)
    lines = [
        "# Registers and descriptors",
        "",
        "Made from `hw/registers.py` and `hw/descriptors.py` by `python -m sim.register_reference`. Numbers are",
        "hexadecimal, bits decimal.",
        "",
        f"{built} of {len(REGISTERS)} registers and arrays are built, whole or in part. One that is not reads as its",
        "reset value, and drops writes.",
        "",
        *_summary(REGISTERS),
        "",
        "## Fields",
        "",
    ]
    for register in REGISTERS:
        lines += _details(register)
    lines += ["## Descriptors", "", "16 bytes, little-endian; bit 0 is the lowest of the first byte.", ""]
    for layout in (RECEIVE, TRANSMIT_LEGACY, TRANSMIT_CONTEXT, TRANSMIT_DATA):
        lines += _descriptor(layout)
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(), end="")
