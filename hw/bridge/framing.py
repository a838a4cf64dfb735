"""Frames on the line: flags, octet stuffing and FCS (RFC 1662 sections 4.2 and 4.3, appendix C.3).

Every frame opens and closes with a flag, so that noise between frames is a frame of its own, and bad.
"""

import zlib
from collections.abc import Iterator

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bridge.protocol import ESCAPE, ESCAPE_BIT, FCS_OCTETS, FLAG
from hw.mac.fcs import FCS

__all__ = ["Deframer", "Enframer", "FrameOctet", "Unframer", "enframe", "stuff"]

FrameOctet = data.StructLayout({"data": 8, "last": 1})
"""One octet of a frame, without flags and FCS."""

_SPECIAL = (FLAG, ESCAPE)


def _fcs(frame: bytes) -> bytes:
    """The same CRC as ``FCS``, from the library that is quick at it."""
    return zlib.crc32(frame).to_bytes(FCS_OCTETS, "little")


def stuff(octets: bytes) -> bytes:
    """Octets with those escaped that must not appear in a frame."""
    return b"".join(bytes([ESCAPE, octet ^ ESCAPE_BIT]) if octet in _SPECIAL else bytes([octet]) for octet in octets)


def enframe(frame: bytes) -> bytes:
    """What goes over the line for a frame (golden function of ``Enframer``)."""
    return bytes([FLAG]) + stuff(frame + _fcs(frame)) + bytes([FLAG])


class Unframer:
    """Frames out of octets (golden model of ``Deframer``). ``damaged`` counts those that were bad."""

    def __init__(self) -> None:
        self.damaged = 0
        self._octets = bytearray()
        self._escaped = False
        self._bad = False

    def receive(self, octets: bytes) -> Iterator[bytes]:
        """The good frames, without FCS, that end in ``octets``."""
        for octet in octets:
            if octet == FLAG:
                frame = bytes(self._octets)
                bad = self._bad or self._escaped
                self._octets.clear()
                self._bad = self._escaped = False
                if frame or bad:
                    if not bad and len(frame) > FCS_OCTETS and _fcs(frame[:-FCS_OCTETS]) == frame[-FCS_OCTETS:]:
                        yield frame[:-FCS_OCTETS]
                    else:
                        self.damaged += 1
            elif octet == ESCAPE and not self._escaped:
                self._escaped = True
            else:
                self._octets.append(octet ^ ESCAPE_BIT if self._escaped else octet)
                self._escaped = False

    def framing_error(self) -> None:
        """An octet came without a stop bit."""
        self._bad = True


class Enframer(wiring.Component):
    """Members
    -------
    i : ``In(stream.Signature(FrameOctet))``
        Frames of at least one octet.
    o : ``Out(stream.Signature(8))``
    """

    i: In(stream.Signature(FrameOctet))
    o: Out(stream.Signature(8))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fcs = fcs = FCS.create()
        # The line is slow: each octet is kept, looked at, and sent in cycles of their own.
        octet, last = Signal(8), Signal()
        special = Signal()  # it has to be escaped, and the escape has not been sent
        escaped = Signal()  # the escape has been sent
        m.d.comb += fcs.data.eq(octet)
        number = Signal(range(FCS_OCTETS + 1))  # octets of the FCS that have been sent or are under way
        with m.FSM():
            with m.State("OPEN"):
                m.d.comb += [self.o.valid.eq(self.i.valid), self.o.payload.eq(FLAG), fcs.start.eq(1)]
                m.d.sync += number.eq(0)
                with m.If(self.i.valid & self.o.ready):
                    m.next = "FRAME"
            with m.State("FRAME"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [octet.eq(self.i.payload.data), last.eq(self.i.payload.last)]
                with m.If(self.i.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.comb += fcs.valid.eq(1)
                m.next = "STUFF"
            with m.State("FCS"):
                m.d.sync += [octet.eq(fcs.crc.word_select(number[:2], 8)), number.eq(number + 1)]
                m.next = "STUFF"
            with m.State("STUFF"):
                m.d.sync += [special.eq((octet == FLAG) | (octet == ESCAPE)), escaped.eq(0)]
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.eq(Mux(special, ESCAPE, octet ^ Mux(escaped, ESCAPE_BIT, 0))),
                ]
                with m.If(self.o.ready):
                    m.d.sync += [special.eq(0), escaped.eq(special)]
                    with m.If(~special):
                        m.next = "FRAME"
                        with m.If(last):
                            m.next = "FCS"
                            with m.If(number == FCS_OCTETS):
                                m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
                with m.If(self.o.ready):
                    m.next = "OPEN"
        return m


class Deframer(wiring.Component):
    """Members
    -------
    octet, valid, framing_error : ``In``
        As ``UartReceiver`` gives them. Two octets are at least four cycles apart.
    o_octet : ``Out(8)``, o_valid : ``Out(1)``
        An octet of a frame, its FCS left out.
    end : ``Out(1)``
        A frame has ended, whose octets have all been given. Not together with ``o_valid``.
    good : ``Out(1)``
        With ``end``: the frame has an octet at least, and its FCS is right.
    """

    octet: In(8)
    valid: In(1)
    framing_error: In(1)
    o_octet: Out(8)
    o_valid: Out(1)
    end: Out(1)
    good: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.fcs = fcs = FCS.create()
        escaped, bad = Signal(), Signal()
        # An octet is given when four more have come: the last four are the FCS.
        held = Array(Signal(8, name=f"held_{number}") for number in range(FCS_OCTETS))
        count = Signal(range(FCS_OCTETS + 2))
        plain = Signal(8)
        m.d.comb += [
            plain.eq(self.octet ^ Mux(escaped, ESCAPE_BIT, 0)),
            fcs.data.eq(plain),
        ]
        m.d.sync += [self.o_valid.eq(0), self.end.eq(0)]
        with m.If(self.valid):
            with m.If(self.framing_error):
                m.d.sync += bad.eq(1)
            with m.Elif(self.octet == FLAG):
                m.d.comb += fcs.start.eq(1)
                m.d.sync += [
                    self.end.eq((count != 0) | bad | escaped),
                    self.good.eq((count == FCS_OCTETS + 1) & ~bad & ~escaped & fcs.match_detected),
                    count.eq(0),
                    bad.eq(0),
                    escaped.eq(0),
                ]
            with m.Elif((self.octet == ESCAPE) & ~escaped):
                m.d.sync += escaped.eq(1)
            with m.Else():
                m.d.comb += fcs.valid.eq(1)
                m.d.sync += [
                    escaped.eq(0),
                    *(held[number].eq(held[number + 1]) for number in range(FCS_OCTETS - 1)),
                    held[FCS_OCTETS - 1].eq(plain),
                    self.o_octet.eq(held[0]),
                    self.o_valid.eq(count >= FCS_OCTETS),
                ]
                with m.If(count <= FCS_OCTETS):
                    m.d.sync += count.eq(count + 1)
        return m
