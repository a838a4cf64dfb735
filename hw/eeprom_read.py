"""The NIC's own reading of its EEPROM: what is loaded after a reset, and EERD (manual 5.2, 5.3, 5.6 and 13.4.4)."""

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.eeprom import CONTROL_1, CONTROL_2, CONTROL_3, SIGNATURE
from hw.register_file import ArraySignature, RegisterSignature
from hw.registers import BY_NAME

__all__ = ["Defaults", "EepromReader", "defaults"]

Defaults = data.StructLayout({"fd": 1, "lrst": 1, "frcspd": 1, "asde": 1, "apmpme": 1, "apme": 1})
"""Fields of CTRL and WUC that the EEPROM gives a value."""

_PLACES = (
    (CONTROL_1, {"lrst": 9, "fd": 10, "frcspd": 11}),
    (CONTROL_2, {"asde": 14, "apmpme": 15}),
    (CONTROL_3, {"apme": 10}),
)
"""Word by word, which bit is the value of which field."""

_ADDRESS_WORDS = 3
"""Words 0 to 2 are the station's address, low byte first."""

_WORDS = (*(address for address, _ in _PLACES), *range(_ADDRESS_WORDS))
"""What is read after a reset, in this order: control 1 has the signature, without which no other word counts."""


def defaults(words: Sequence[int]) -> dict[str, int]:
    """The fields of ``Defaults`` out of an EEPROM's words; all 0 if it is not valid (golden function)."""
    valid = words[CONTROL_1] >> 14 == SIGNATURE
    return {name: int(valid) & words[address] >> bit for address, bits in _PLACES for name, bit in bits.items()}


class EepromReader(wiring.Component):
    """After each reset reads the defaults of registers, and writes entry 0 of the receive addresses (RAL and RAH, with
    AV); then serves EERD. An EEPROM without the signature gives no defaults and no address.

    A write of EERD with START clears DONE and reads a word; DATA is valid when DONE is set, 3 or 4 cycles later. The
    part has 64 words, so of ADDR the lower 6 bits count. What is written to EERD while a word is being read has no
    effect on that.

    Members
    -------
    eerd : ``In(RegisterSignature(...))``
        For the register file.
    read, address, valid, data
        To the members of ``Eeprom`` with these names.
    restart : ``In(1)``
        Pulse: everything is loaded again, as after a reset. What EERD has read, or is reading, is forgotten.
    loading : ``Out(1)``
        From reset, or the cycle after ``restart``, until all is loaded. Software must not reach the registers
        concerned meanwhile.
    load : ``Out(1)``, defaults : ``Out(Defaults)``
        Pulse, in the last cycle of ``loading``: the fields.
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
    restart: In(1)
    loading: Out(1)
    load: Out(1)
    defaults: Out(Defaults)
    ral_access: In(ArraySignature(BY_NAME["RAL"]))
    rah_access: In(ArraySignature(BY_NAME["RAH"]))
    ral: Out(ArraySignature(BY_NAME["RAL"]))
    rah: Out(ArraySignature(BY_NAME["RAH"]))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Step 0 asks for nothing: what comes then was asked for by EERD. Step n is for word n - 1 of the list.
        step = Signal(range(len(_WORDS) + 2))
        last = len(_WORDS) + 1
        signed = Signal()
        word = Signal(16)
        reading = Signal()
        done = Signal()

        m.d.comb += self.loading.eq(step != last)
        with m.If(self.restart):
            m.d.sync += step.eq(0)
        with m.Elif(step == 0):
            m.d.sync += step.eq(1)
        with m.Elif(self.loading & self.valid):
            m.d.sync += step.eq(step + 1)
            m.d.comb += self.load.eq(step == last - 1)
        with m.If(self.loading):
            m.d.comb += [self.read.eq(step != 0), self.address.eq(Array([0, *_WORDS, 0])[step])]
            with m.If(self.valid):
                m.d.sync += word.eq(Mux(step == last - 1, 0, self.data))
                with m.If(step == 1):
                    m.d.sync += signed.eq(self.data[14:] == SIGNATURE)
        with m.Else():
            m.d.comb += [self.read.eq(reading), self.address.eq(self.eerd.value.addr)]
            with m.If(self.eerd.value.start):
                m.d.sync += [reading.eq(1), done.eq(0)]
            with m.Elif(reading & self.valid):
                m.d.sync += [reading.eq(0), done.eq(1), word.eq(self.data)]
        with m.If(self.restart):
            m.d.sync += [reading.eq(0), done.eq(0)]
        m.d.comb += [self.eerd.hardware.done.eq(done), self.eerd.hardware.data.eq(word)]

        for number, (_, bits) in enumerate(_PLACES, start=1):
            with m.If(self.valid & (step == number)):
                valid = signed if number > 1 else self.data[14:] == SIGNATURE
                m.d.sync += [self.defaults[name].eq(self.data[bit] & valid) for name, bit in bits.items()]

        low = Cat(word, self.data)
        high = Cat(self.data, Const(0, 15), Const(1, 1))
        for table, access, content, at in (
            (self.ral, self.ral_access, low, last - 2),
            (self.rah, self.rah_access, high, last - 1),
        ):
            m.d.comb += [
                table.address.eq(Mux(self.loading, 0, access.address)),
                table.write.eq(access.write | (self.valid & signed & (step == at))),
                table.write_data.eq(Mux(self.loading, content, access.write_data)),
                access.read_data.eq(table.read_data),
            ]
        return m
