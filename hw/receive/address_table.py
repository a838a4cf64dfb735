"""The table of receive addresses, and its search (manual 3.2.1.1, 13.5.2 RAL, 13.5.3 RAH).

An entry is for the destination of frames, or with RAH.AS = 1 for their source; the other values are reserved.
"""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.register_file import ArraySignature
from hw.registers import BY_NAME

__all__ = ["DESTINATION", "SOURCE", "TABLE_ENTRIES", "AddressTable", "is_in_table"]

TABLE_ENTRIES = BY_NAME["RAL"].count

DESTINATION, SOURCE = 0b00, 0b01
"""Values of RAH.AS."""

_FIRST_COUNTED = 2  # step of the search in which entry 0 is counted


def is_in_table(address: bytes, table: Sequence[tuple[bytes, int, bool]], select: int = DESTINATION) -> bool:
    """Whether an address stands in a table of ``(address, AS, AV)``, in an entry of this AS (golden function)."""
    return any(valid and which == select and address == entry for entry, which, valid in table)


class AddressTable(wiring.Component):
    """After reset no entry is valid.

    Members
    -------
    ral, rah : ``In(ArraySignature(...))``
        Software's access.
    destination, source : ``In(48)``, sourced : ``In(1)``
        The addresses of a frame, first byte lowest, and whether all of the source has come. Steady during a search.
    begin : ``In(1)``
        Starts a search from the cycle after, in which the addresses are there.
    done : ``Out(1)``
        Nothing is being searched for. Low in the cycle after ``begin``, and for 17 more.
    own : ``Out(1)``
        The destination is in entry 0. Known 4 cycles after ``begin``.
    exact : ``Out(1)``
        The destination is in one of all, with ``done``.
    listed : ``Out(1)``
        The destination, or the source in one for sources, with ``done``.
    """

    ral: In(ArraySignature(BY_NAME["RAL"]))
    rah: In(ArraySignature(BY_NAME["RAH"]))
    destination: In(48)
    source: In(48)
    sourced: In(1)
    begin: In(1)
    done: Out(1)
    own: Out(1)
    exact: Out(1)
    listed: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.low = low = Memory(shape=32, depth=TABLE_ENTRIES, init=[])
        m.submodules.high = high = Memory(shape=18, depth=TABLE_ENTRIES, init=[])
        valid = Signal(TABLE_ENTRIES)  # AV, which reset has to clear

        for memory, port in ((low, self.ral), (high, self.rah)):
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [write.addr.eq(port.address), write.data.eq(port.write_data), write.en.eq(port.write)]
            m.d.comb += [read.addr.eq(port.address), port.read_data[: len(read.data)].eq(read.data)]
        valid_read = Signal()
        m.d.sync += valid_read.eq(valid.bit_select(self.rah.address, 1))
        m.d.comb += self.rah.read_data[31].eq(valid_read)
        with m.If(self.rah.write):
            m.d.sync += valid.bit_select(self.rah.address, 1).eq(self.rah.write_data[31])

        # Entry n is addressed in step n, read and compared in step n + 1, counted in step n + _FIRST_COUNTED.
        last_step = TABLE_ENTRIES + 1
        step = Signal(range(last_step + 2), init=last_step + 1)
        index = Signal(range(TABLE_ENTRIES))
        entry_valid = Signal()
        low_read, high_read = low.read_port(), high.read_port()
        m.d.comb += [
            low_read.addr.eq(step),
            high_read.addr.eq(step),
            index.eq(step - 1),
            self.done.eq(step > last_step),
        ]
        m.d.sync += entry_valid.eq(valid.bit_select(index, 1) & (step != 0) & (step <= TABLE_ENTRIES))

        def equals(wanted: Value, select: int, name: str) -> Value:
            low_equal, high_equal = Signal(name=f"{name}_low_equal"), Signal(name=f"{name}_high_equal")
            m.d.sync += [
                low_equal.eq(low_read.data == wanted[:32]),
                high_equal.eq(high_read.data == Cat(wanted[32:], Const(select, 2))),
            ]
            return entry_valid & low_equal & high_equal

        destination = equals(self.destination, DESTINATION, "destination")
        source = equals(self.source, SOURCE, "source") & self.sourced
        with m.If(self.begin):
            m.d.sync += [step.eq(0), self.own.eq(0), self.exact.eq(0), self.listed.eq(0)]
        with m.Elif(~self.done):
            m.d.sync += [
                step.eq(step + 1),
                self.exact.eq(self.exact | destination),
                self.listed.eq(self.listed | destination | source),
            ]
            with m.If(step == _FIRST_COUNTED):
                m.d.sync += self.own.eq(destination)
        return m
