"""Software-definable pins (manual 13.4.1 CTRL, 13.4.6 CTRL_EXT): SDP0 to SDP3 in CTRL, SDP4 to SDP7 in CTRL_EXT.

The 82540EM has four of the eight the registers have bits for (0, 1, 6 and 7); here all are there. A pin of which the
direction bit is 1 is an output and carries its data bit; the data bit of an input is what is at the pin. A rise at one
of SDP4 to SDP7, whether it is an input or not, is an interrupt cause (GPI0 to GPI3) if CTRL_EXT.GPI_EN has its bit.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["PIN_COUNT", "PinSignature", "Pins", "read_back"]

PIN_COUNT = 8
_PER_REGISTER = 4


class PinSignature(wiring.Signature):
    """The pins as the NIC sees them: ``i`` is what is there, ``oe`` which are driven, ``o`` with what."""

    def __init__(self) -> None:
        super().__init__({"i": In(PIN_COUNT), "o": Out(PIN_COUNT), "oe": Out(PIN_COUNT)})


def read_back(*, data: int, direction: int, pins: int) -> int:
    """The data bits as software reads them (golden function of ``Pins``)."""
    return data & direction | pins & ~direction


class Pins(wiring.Component):
    """Members
    -------
    pins : ``Out(PinSignature())``
        Inputs are synchronised here.
    written : ``In(2)``, write_data : ``In(8)``
        CTRL, and CTRL_EXT, is written: four data bits each.
    direction : ``In(8)``, enable : ``In(4)``
        SWDPIO and SDP_IODIR; GPI_EN.
    read_data : ``Out(8)``
        SWDPIN and SDP_DATA.
    rises : ``Out(4)``
        Pulses: GPI0 to GPI3.
    """

    pins: Out(PinSignature())
    written: In(2)
    write_data: In(PIN_COUNT)
    direction: In(PIN_COUNT)
    enable: In(_PER_REGISTER)
    read_data: Out(PIN_COUNT)
    rises: Out(_PER_REGISTER)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        stored = Signal(PIN_COUNT)
        there, before = Signal(PIN_COUNT), Signal(_PER_REGISTER)
        m.submodules.inputs = FFSynchronizer(self.pins.i, there)
        for index in range(2):
            half = slice(_PER_REGISTER * index, _PER_REGISTER * (index + 1))
            with m.If(self.written[index]):
                m.d.sync += stored[half].eq(self.write_data[half])
        shown = Signal(PIN_COUNT)
        m.d.comb += [
            shown.eq((stored & self.direction) | (there & ~self.direction)),
            self.pins.o.eq(stored),
            self.pins.oe.eq(self.direction),
            self.read_data.eq(shown),
            self.rises.eq(shown[_PER_REGISTER:] & ~before & self.enable),
        ]
        m.d.sync += before.eq(shown[_PER_REGISTER:])
        return m
