"""Magic packets: the station's address sixteen times behind six or more bytes of FF (manual 6.4.3.1.4)."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.wake.octets import FrameByte

__all__ = ["MagicMatcher", "has_magic"]

_SYNCHRONISATION = 6
_ADDRESS_BYTES = 6
_COPIES = 16


def has_magic(frame: bytes, address: bytes) -> bool:
    """Whether the pattern for a 6-byte address is anywhere in a frame (golden function of ``MagicMatcher``).

    What follows the FFs and is not FF begins the address, so an address that begins with FF is never found.
    """
    return address[0] != 0xFF and b"\xff" * _SYNCHRONISATION + address * _COPIES in frame


class MagicMatcher(wiring.Component):
    """Members
    -------
    octet : ``In(FrameByte)``
    address : ``In(48)``
        First byte lowest.
    found : ``Out(1)``
        The frame has the pattern: from 2 cycles after its last byte until the next frame begins.
    """

    octet: In(FrameByte)
    address: In(48)
    found: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ones = Signal(range(_SYNCHRONISATION + 1))  # bytes of FF that went by last
        place = Signal(range(_ADDRESS_BYTES))  # in a copy
        copies = Signal(range(_COPIES))
        matching = Signal()
        expected = Signal(8)
        fits = Signal()
        m.d.comb += [
            expected.eq(self.address.word_select(place, 8)),
            fits.eq(self.octet.data == expected),
        ]
        with m.If(self.octet.valid):
            m.d.sync += ones.eq(Mux(self.octet.data.all(), Mux(ones == _SYNCHRONISATION, ones, ones + 1), 0))
            with m.If(fits & matching):
                m.d.sync += place.eq(place + 1)
                with m.If(place == _ADDRESS_BYTES - 1):
                    m.d.sync += [place.eq(0), copies.eq(copies + 1)]
                    with m.If(copies == _COPIES - 1):
                        m.d.sync += [self.found.eq(1), matching.eq(0)]
            with m.Else():
                begins = (ones == _SYNCHRONISATION) & ~self.octet.data.all() & (self.octet.data == self.address[:8])
                m.d.sync += [matching.eq(begins), place.eq(begins), copies.eq(0)]
        with m.If(self.octet.begin):
            m.d.sync += [ones.eq(0), place.eq(0), copies.eq(0), matching.eq(0), self.found.eq(0)]
        return m
