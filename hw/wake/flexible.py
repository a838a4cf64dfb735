"""Flexible filters: four masked patterns over the first 128 bytes (manual 6.4.3.3; 13.6.9 FFLT, 13.6.10 FFMT,
13.6.11 FFVT). Lengths and bytes count from the destination address on and include the FCS."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.register_file import ArraySignature
from hw.registers import BY_NAME
from hw.wake.octets import FrameByte

__all__ = ["FILTERS", "PATTERN_BYTES", "FlexibleFilter", "FlexibleFilters"]

FILTERS = BY_NAME["FFLT"].count
PATTERN_BYTES = BY_NAME["FFMT"].count
_LENGTH_BITS = BY_NAME["FFLT"]["LEN"].width


@dataclass(frozen=True, kw_only=True)
class FlexibleFilter:
    """One filter: ``length`` (FFLT), and for each of 128 bytes whether it is compared (FFMT), and with what (FFVT)."""

    length: int
    mask: Sequence[bool]
    values: bytes

    def passes(self, frame: bytes) -> bool:
        """Golden function: the frame reaches the length without a byte that differs. What is masked in behind the
        length is ignored."""
        compared = range(min(self.length, PATTERN_BYTES))
        return len(frame) >= self.length and all(
            frame[place] == self.values[place] for place in compared if self.mask[place]
        )


class FlexibleFilters(wiring.Component):
    """All four. The tables outlive resets, and are to be written only while no filter is enabled.

    Members
    -------
    fflt, ffmt, ffvt : ``In(ArraySignature(...))``
        Software's access to the tables.
    octet : ``In(FrameByte)``
    length : ``In(15)``
        Of the frame in bytes, when it is known.
    passes : ``Out(4)``
        From 3 cycles after the frame's last byte, and 1 after ``length``, until the next frame begins.
    """

    fflt: In(ArraySignature(BY_NAME["FFLT"]))
    ffmt: In(ArraySignature(BY_NAME["FFMT"]))
    ffvt: In(ArraySignature(BY_NAME["FFVT"]))
    octet: In(FrameByte)
    length: In(15)
    passes: Out(FILTERS)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.masks = masks = Memory(shape=FILTERS, depth=PATTERN_BYTES, init=[], attrs={"ram_style": "block"})
        m.submodules.values = values = Memory(
            shape=8 * FILTERS, depth=PATTERN_BYTES, init=[], attrs={"ram_style": "block"}
        )
        place = Signal(range(PATTERN_BYTES + 1))
        mask, value = (self._table(m, *pair, place) for pair in ((masks, self.ffmt), (values, self.ffvt)))

        lengths = [Signal(_LENGTH_BITS, name=f"length_{index}", reset_less=True) for index in range(FILTERS)]
        m.d.sync += self.fflt.read_data.eq(Array(lengths)[self.fflt.address])
        with m.If(self.fflt.write):
            m.d.sync += Array(lengths)[self.fflt.address].eq(self.fflt.write_data)

        # Row of the table and byte meet in the cycle after the byte.
        octet = Signal(8)
        compare = Signal()
        over, failed = Signal(FILTERS), Signal(FILTERS)  # the length is reached; a byte before that differs
        m.d.sync += [octet.eq(self.octet.data), compare.eq(self.octet.valid & (place < PATTERN_BYTES))]
        reached = Cat(length == place for length in lengths)
        for index in range(FILTERS):
            differs = mask.bit_select(index, 1) & (value.word_select(index, 8) != octet)
            m.d.sync += failed[index].eq(failed[index] | (compare & ~over[index] & differs))
            m.d.sync += self.passes[index].eq(~failed[index] & (self.length >= lengths[index]))
        with m.If(self.octet.valid):
            m.d.sync += [over.eq(over | reached), place.eq(Mux(place < PATTERN_BYTES, place + 1, place))]
        with m.If(self.octet.begin):
            m.d.sync += [over.eq(0), failed.eq(0), place.eq(0)]
        return m

    def _table(self, m: Module, memory: Memory, port: wiring.PureInterface, place: Signal) -> Signal:
        """Software's access to a table; returns the row of the ``place`` of the cycle before."""
        write, read, look = memory.write_port(), memory.read_port(), memory.read_port()
        m.d.comb += [
            write.addr.eq(port.address),
            write.data.eq(port.write_data),
            write.en.eq(port.write),
            read.addr.eq(port.address),
            port.read_data.eq(read.data),
            look.addr.eq(place),
        ]
        return look.data
