"""The NIC's own reading of its EEPROM: the station address after a reset, and EERD (manual 5.2, 5.3 and 13.4.4)."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.register_file import ArraySignature, RegisterSignature
from hw.registers import BY_NAME

__all__ = ["EepromReader"]

_ADDRESS_WORDS = 3
"""Words 0 to 2 are the station's address, low byte first."""


class EepromReader(wiring.Component):
    """After each reset writes entry 0 of the receive addresses (RAL and RAH, with AV), then serves EERD.

    A write of EERD with START clears DONE and reads a word; DATA is valid when DONE is set, 3 or 4 cycles later. The
    part has 64 words, so of ADDR the lower 6 bits count. What is written to EERD while a word is being read has no
    effect on that.

    Members
    -------
    eerd : ``In(RegisterSignature(...))``
        For the register file.
    read, address, valid, data
        To the members of ``Eeprom`` with these names.
    loading : ``Out(1)``
        From reset until the address is in place. Software must not reach the address table meanwhile.
    ral_access, rah_access : ``In(ArraySignature(...))``
        Software's access to the table, from the register file.
    ral, rah : ``Out(ArraySignature(...))``
        To the table.
    """

    eerd: In(RegisterSignature(BY_NAME["EERD"]))
    read: Out(1)
    address: Out(6)
    valid: In(1)
    data: In(16)
    loading: Out(1)
    ral_access: In(ArraySignature(BY_NAME["RAL"]))
    rah_access: In(ArraySignature(BY_NAME["RAH"]))
    ral: Out(ArraySignature(BY_NAME["RAL"]))
    rah: Out(ArraySignature(BY_NAME["RAH"]))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        step = Signal(range(_ADDRESS_WORDS + 1))
        word = Signal(16)
        reading = Signal()
        done = Signal()

        with m.If(self.loading):
            m.d.comb += [self.read.eq(1), self.address.eq(step)]
            with m.If(self.valid):
                m.d.sync += [step.eq(step + 1), word.eq(Mux(step == 0, self.data, 0))]
        with m.Else():
            m.d.comb += [self.read.eq(reading), self.address.eq(self.eerd.value.addr)]
            with m.If(self.eerd.value.start):
                m.d.sync += [reading.eq(1), done.eq(0)]
            with m.Elif(reading & self.valid):
                m.d.sync += [reading.eq(0), done.eq(1), word.eq(self.data)]
        m.d.comb += [
            self.loading.eq(step != _ADDRESS_WORDS),
            self.eerd.hardware.done.eq(done),
            self.eerd.hardware.data.eq(word),
        ]

        low = Cat(word, self.data)
        high = Cat(self.data, Const(0, 15), Const(1, 1))
        for table, access, content, last in (
            (self.ral, self.ral_access, low, 1),
            (self.rah, self.rah_access, high, 2),
        ):
            m.d.comb += [
                table.address.eq(Mux(self.loading, 0, access.address)),
                table.write.eq(access.write | (self.valid & (step == last))),
                table.write_data.eq(Mux(self.loading, content, access.write_data)),
                access.read_data.eq(table.read_data),
            ]
        return m
