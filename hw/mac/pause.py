"""Pause frames at the MAC (IEEE 802.3 annex 31B; manual 8.7.3, 8.7.5): the pause that is asked of this station, and the
frames by which it asks others.

Both work between frames: one that has begun is finished. A pause does not hold up pause frames (31B.1).
"""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.interfaces import PacketWord, TransmitInfo

__all__ = ["PAUSE", "PAUSE_FRAME_BYTES", "QUANTUM_BYTES", "Pause", "PauseInserter", "PauseTimer", "pause_frame"]

PAUSE = 0x0001
"""Opcode (annex 31A)."""

QUANTUM_BYTES = 64
"""The unit of pause times, 512 bit times (31B.2), as byte times."""

PAUSE_FRAME_BYTES = 60
"""Length without FCS: the minimum (31.5.2 has the rest of the frame zero)."""


def pause_frame(*, destination: bytes, source: bytes, fct: int, quanta: int) -> bytes:
    """A pause frame without its FCS (golden function of ``PauseInserter``). Addresses are 6 bytes."""
    fields = b"".join(value.to_bytes(2, "big") for value in (fct, PAUSE, quanta))
    return (destination + source + fields).ljust(PAUSE_FRAME_BYTES, b"\0")


class Pause:
    """The pause asked of this station (golden class of ``PauseTimer``)."""

    def __init__(self) -> None:
        self._asked: int | None = None
        self._left = 0

    @property
    def paused(self) -> bool:
        return self._asked is not None or self._left > 0

    def cycle(self, *, enable: bool, quanta: int | None, busy: bool, tick: bool) -> None:
        """One cycle goes by; ``quanta`` is given in that of a pause frame's decision. Others as in ``PauseTimer``."""
        if not enable or quanta == 0:
            self._asked, self._left = None, 0
        elif quanta is not None:
            self._asked = quanta
        elif self._asked is not None and not busy:
            self._asked, self._left = None, QUANTUM_BYTES * self._asked
        elif tick and self._left:
            self._left -= 1


class PauseTimer(wiring.Component):
    """Counts the pause from the pause frame, or from the end of the frame that is being sent (figure 31B-2 waits for
    the end of transmission). A new pause frame replaces what is left of an old one; one with time 0 ends it.

    Members
    -------
    enable : ``In(1)``
        CTRL.RFCE; without it there is no pause.
    pause : ``In(1)``, quanta : ``In(16)``
        Pulse: a pause frame has come, which asks for ``quanta`` x 512 bit times.
    busy : ``In(1)``
        A frame is being sent.
    tick : ``In(1)``
        High for one cycle per byte time.
    paused : ``Out(1)``
        From the cycle after ``pause``: no frame may begin but a pause frame (STATUS.TXOFF).
    """

    enable: In(1)
    pause: In(1)
    quanta: In(16)
    busy: In(1)
    tick: In(1)
    paused: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        asked = Signal()
        asked_quanta = Signal(16)
        running = Signal()
        left = Signal(16 + exact_log2(QUANTUM_BYTES))
        m.d.comb += self.paused.eq(asked | running)
        with m.If(~self.enable | (self.pause & ~self.quanta.any())):
            m.d.sync += [asked.eq(0), running.eq(0)]
        with m.Elif(self.pause):
            m.d.sync += [asked.eq(1), asked_quanta.eq(self.quanta)]
        with m.Elif(asked & ~self.busy):
            m.d.sync += [
                asked.eq(0),
                running.eq(1),
                left.eq(Cat(Const(0, exact_log2(QUANTUM_BYTES)), asked_quanta)),
            ]
        with m.Elif(self.tick & running):
            m.d.sync += [left.eq(left - 1), running.eq(left != 1)]
        return m


class PauseInserter(wiring.Component):
    """Stands before ``MacTransmit``: holds frames back during a pause, and puts pause frames among them.

    Members
    -------
    info : ``In(stream.Signature(TransmitInfo))``, packets : ``In(stream.Signature(PacketWord))``
        Frames, as ``MacTransmit`` takes them.
    mac_info, mac_packets : ``Out``
        To ``MacTransmit``. A frame is offered only when the MAC is idle, so that it is the right one to the last
        cycle.
    idle, sent : ``In(1)``
        From ``MacTransmit``.
    enable : ``In(1)``
        TCTL.EN.
    paused : ``In(1)``
        From ``PauseTimer``.
    wanted : ``In(1)``, quanta : ``In(16)``
        A pause frame is to be sent, before any other, which asks for this time.
    taken : ``Out(1)``
        The MAC takes it in this cycle.
    destination, source : ``In(48)``, fct : ``In(16)``
        Addresses, first byte lowest, and type of pause frames.
    busy : ``Out(1)``
        A frame is being sent.
    xon, xoff : ``Out(1)``
        From the cycle after the MAC has taken a pause frame until it takes the next frame: the frame has time 0, or
        another.
    """

    info: In(stream.Signature(TransmitInfo))
    packets: In(stream.Signature(PacketWord))
    mac_info: Out(stream.Signature(TransmitInfo))
    mac_packets: Out(stream.Signature(PacketWord))
    idle: In(1)
    sent: In(1)
    enable: In(1)
    paused: In(1)
    wanted: In(1)
    quanta: In(16)
    taken: Out(1)
    destination: In(48)
    source: In(48)
    fct: In(16)
    busy: Out(1)
    xon: Out(1)
    xoff: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        free = Signal()
        taken = Signal()
        m.d.comb += [
            free.eq(self.idle & self.enable),
            self.mac_info.valid.eq(free & (self.wanted | (self.info.valid & ~self.paused))),
            taken.eq(self.mac_info.valid & self.mac_info.ready),
            self.taken.eq(taken & self.wanted),
            self.info.ready.eq(taken & ~self.wanted),
            self.mac_info.payload.eq(self.info.payload),
        ]
        with m.If(self.wanted):
            m.d.comb += self.mac_info.payload.eq(
                Const({"length": PAUSE_FRAME_BYTES, "ifcs": 1, "vle": 0, "special": 0}, TransmitInfo)
            )

        time = Signal(16)
        control = Signal()
        m.d.comb += [self.xon.eq(control & (time == 0)), self.xoff.eq(control & (time != 0))]
        with m.If(taken):
            m.d.sync += [control.eq(self.wanted), time.eq(self.quanta), self.busy.eq(1)]
        with m.Elif(self.sent):
            m.d.sync += self.busy.eq(0)

        last = (PAUSE_FRAME_BYTES - 1) // 8
        place = Signal(range(last + 1))
        words = Array(Signal(64, name=f"word_{index}") for index in range(3))
        opcode = Const(PAUSE, 16)
        m.d.comb += [
            words[0].eq(Cat(self.destination, self.source[:16])),
            words[1].eq(Cat(self.source[16:], self.fct[8:], self.fct[:8], opcode[8:], opcode[:8])),
            words[2].eq(Cat(time[8:], time[:8])),
            self.packets.ready.eq(self.mac_packets.ready & ~control),
            self.mac_packets.valid.eq(self.packets.valid | control),
            self.mac_packets.payload.eq(self.packets.payload),
        ]
        with m.If(control):
            m.d.comb += [
                self.mac_packets.payload.data.eq(Mux(place < len(words), words[place[:2]], 0)),
                self.mac_packets.payload.last.eq(place == last),
                self.mac_packets.payload.count.eq(Mux(place == last, PAUSE_FRAME_BYTES - 8 * last, 8)),
            ]
            with m.If(self.mac_packets.ready):
                m.d.sync += place.eq(place + 1)
        with m.If(taken):
            m.d.sync += place.eq(0)
        return m
