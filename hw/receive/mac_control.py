"""MAC control frames on receive (manual 8.7.3 and 8.7.4, 13.4.22 RCTL.DPF and PMCF; IEEE 802.3 clause 31, annex 31B).

With CTRL.RFCE a good frame of type FCT to the address FCAH:FCAL, or to the station (RAH:RAL of entry 0), is one. If its
opcode is PAUSE it acts on the transmitter, whether it passes the address filter or not; DPF discards those to the
station. Those of other opcodes reach the host with PMCF alone. Without RFCE they are filtered like any other frame.
"""

from enum import Enum
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.mac.pause import PAUSE
from hw.mac.receive import ReceiveWord
from hw.receive.layouts import MacControl, ReceiveControl, TypeControl

__all__ = ["Fate", "MacControlDecoder", "MacControlFrame", "mac_control"]

_QUANTA_END = 18


class Fate(Enum):
    """What RCTL says of a MAC control frame."""

    FILTERED = "goes to the address filter like any other frame"
    PASSED = "is received whatever its address"
    DISCARDED = "is not received"


class MacControlFrame(NamedTuple):
    """What a MAC control frame is, by a field of ``MacControl``; what it asks for, in units of 512 bit times (0 unless
    it is a pause frame); its fate."""

    kind: str
    quanta: int
    fate: Fate


def mac_control(
    frame: bytes, *, fct: int, fca: bytes, own: bytes | None, rfce: bool, dpf: bool, pmcf: bool
) -> MacControlFrame | None:
    """What a good frame is as MAC control frame, or ``None`` if it is none (golden function of ``MacControlDecoder``).

    ``fct`` and ``fca`` (6 bytes) are FCT (0, its value after reset, is no type) and FCAH:FCAL, ``own`` the station's
    address if it is valid.
    """
    to_station = frame[:6] == own
    if not (rfce and fct and int.from_bytes(frame[12:14], "big") == fct and (to_station or frame[:6] == fca)):
        return None
    if int.from_bytes(frame[14:16], "big") != PAUSE:
        return MacControlFrame("unsupported", 0, Fate.PASSED if pmcf else Fate.DISCARDED)
    quanta = int.from_bytes(frame[16:_QUANTA_END], "big")
    return MacControlFrame("xoff" if quanta else "xon", quanta, Fate.DISCARDED if dpf and to_station else Fate.FILTERED)


class MacControlDecoder(wiring.Component):
    """Tells MAC control frames by their second and third word. That a frame is good, others have to see.

    Members
    -------
    word : ``In(ReceiveWord)``, taken : ``In(1)``
        As in ``ReceiveFilter``.
    address : ``In(48)``, own : ``In(1)``
        Destination of the frame from its first word on, and whether that is the station's.
    rctl : ``In(ReceiveControl)``, types : ``In(TypeControl)``
    kind : ``Out(MacControl)``
        At most one is set. Steady from the third cycle after the third word and ``own``, until the next frame.
    passed, discarded : ``Out(1)``
        The frame's fate, likewise.
    quanta : ``Out(16)``
        What a pause frame asks for.
    """

    word: In(ReceiveWord)
    taken: In(1)
    address: In(48)
    own: In(1)
    rctl: In(ReceiveControl)
    types: In(TypeControl)
    kind: Out(MacControl)
    passed: Out(1)
    discarded: Out(1)
    quanta: Out(16)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        place = Signal(2)  # of the word that comes: 0, 1, 2, and 3 for all behind
        kind, opcode = Signal(16), Signal(16)
        with m.If(self.taken):
            with m.If(self.word.last):
                m.d.sync += place.eq(0)
            with m.Elif(~place.all()):
                m.d.sync += place.eq(place + 1)
            with m.Switch(place):
                with m.Case(1):
                    m.d.sync += [
                        kind.eq(Cat(self.word.data[40:48], self.word.data[32:40])),
                        opcode.eq(Cat(self.word.data[56:64], self.word.data[48:56])),
                    ]
                with m.Case(2):
                    m.d.sync += self.quanta.eq(Cat(self.word.data[8:16], self.word.data[:8]))

        typed, to_group, pause, zero = (Signal(name=name) for name in ("typed", "to_group", "pause", "zero"))
        m.d.sync += [
            typed.eq(self.types.rfce & (self.types.fct != 0) & (kind == self.types.fct)),
            to_group.eq(self.address == self.types.fca),
            pause.eq(opcode == PAUSE),
            zero.eq(self.quanta == 0),
        ]
        ours = typed & (to_group | self.own)
        m.d.sync += [
            self.kind.xon.eq(ours & pause & zero),
            self.kind.xoff.eq(ours & pause & ~zero),
            self.kind.unsupported.eq(ours & ~pause),
            self.passed.eq(ours & ~pause & self.rctl.pmcf),
            self.discarded.eq((ours & pause & self.own & self.rctl.dpf) | (ours & ~pause & ~self.rctl.pmcf)),
        ]
        return m
