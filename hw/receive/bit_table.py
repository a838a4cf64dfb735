"""Tables of 4096 bits: the multicast table and the VLAN filter table (manual 3.2.1, 13.5.1 MTA, 13.5.4 VFTA)."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.register_file import ArraySignature
from hw.registers import BY_NAME

__all__ = ["HASH_SHIFTS", "BitTable", "address_hash", "table_bit"]

_WORDS = BY_NAME["MTA"].count
_WORD_BITS = 32
_INDEX_BITS = exact_log2(_WORDS * _WORD_BITS)

HASH_SHIFTS = (4, 3, 2, 0)
"""By RCTL.MO: how many of the low bits of the address' last two bytes are left out."""


def address_hash(address: bytes, offset: int) -> int:
    """The bit of the multicast table (0..4095) that stands for a 6-byte address, with RCTL.MO = ``offset``."""
    return int.from_bytes(address[4:6], "little") >> HASH_SHIFTS[offset] & (1 << _INDEX_BITS) - 1


def table_bit(words: Sequence[int], index: int) -> bool:
    """A bit of a table given as its 128 registers (golden function of ``BitTable``)."""
    return bool(words[index // _WORD_BITS] >> index % _WORD_BITS & 1)


class BitTable(wiring.Component):
    """128 registers, and a look at one of their bits. Reset leaves the contents alone.

    Members
    -------
    registers : ``In(ArraySignature(...))``
        Software's access.
    index : ``In(12)``, bit : ``Out(1)``
        ``bit`` is the one that ``index`` chose two cycles before.
    """

    registers: In(ArraySignature(BY_NAME["MTA"]))
    index: In(_INDEX_BITS)
    bit: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.words = words = Memory(shape=_WORD_BITS, depth=_WORDS, init=[])
        write, read, look = words.write_port(), words.read_port(), words.read_port()
        split = exact_log2(_WORD_BITS)
        place = Signal(split)
        m.d.sync += [place.eq(self.index[:split]), self.bit.eq(look.data.bit_select(place, 1))]
        m.d.comb += [
            write.addr.eq(self.registers.address),
            write.data.eq(self.registers.write_data),
            write.en.eq(self.registers.write),
            read.addr.eq(self.registers.address),
            self.registers.read_data.eq(read.data),
            look.addr.eq(self.index[split:]),
        ]
        return m
