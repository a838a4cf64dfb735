"""When this station sends pause frames (manual 8.7.5, 8.7.6, 13.4.12 FCTTV, 13.4.23 FCRTL, 13.4.24 FCRTH).

With CTRL.TFCE an XOFF frame goes out each time the receive buffer's fill reaches FCRTH, and one more if it overflows
then; an XON frame when it has fallen to FCRTL after that, if FCRTL.XONE asks for it. TCTL.SWXOFF sends a frame with the
time FCTTV whatever TFCE is.

The manual does not say what comes when the time runs out with the buffer still full. Here the XOFF frame is sent again
when half of the time has gone by, so that a peer which honours it never loses a frame.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.mac.pause import QUANTUM_BYTES

__all__ = ["PauseRequestControl", "PauseRequester", "PauseRequests"]

PauseRequestControl = data.StructLayout({"tfce": 1, "xone": 1, "rtl": 13, "rth": 13, "ttv": 16})
"""Register fields: CTRL.TFCE, FCRTL.XONE and RTL, FCRTH.RTH (0: no XOFF), FCTTV. Thresholds in units of 8 bytes."""

_HALF = QUANTUM_BYTES // 2


class PauseRequests:
    """Which pause frame waits to be sent (golden class of ``PauseRequester``)."""

    def __init__(self) -> None:
        self.wanted: int | None = None
        """The time it asks for, in units of 512 bit times."""
        self._xon = False
        self._waiting = False
        self._above = self._below = self._was_above = False
        self._stopped = False  # XOFF was asked for, and the fill has not been low since
        self._left = 0  # byte times until XOFF is sent again

    def cycle(
        self, *, control: dict[str, int], fill: int, overflow: bool, software: bool, taken: bool, sent: bool, tick: bool
    ) -> None:
        """One cycle goes by; ``control`` has the fields of ``PauseRequestControl``, others as in ``PauseRequester``."""
        again = self._left == 1 and tick
        reached = self._above and not self._was_above
        low = self._below and not self._above
        xoff = reached or software or (self._stopped and (overflow or (again and self._above)))
        xon = self._stopped and low and bool(control["xone"])
        if sent:
            self._left = 0 if self._xon else _HALF * control["ttv"]
        elif tick and self._left:
            self._left -= 1
        if taken:
            self._waiting = False
        if xoff or xon:
            self._waiting, self._xon = True, not xoff
        if reached:
            self._stopped = True
        elif low or not control["tfce"]:
            self._stopped = False
        self._was_above = self._above
        self._above = bool(control["tfce"] and control["rth"] and fill >= control["rth"])
        self._below = fill <= control["rtl"]
        self.wanted = (0 if self._xon else control["ttv"]) if self._waiting else None


class PauseRequester(wiring.Component):
    """Asks for pause frames.

    Of an XOFF and an XON frame that wait, the later one is sent alone.

    Members
    -------
    control : ``In(PauseRequestControl)``
    fill : ``In(13)``
        Of the receive buffer, in words of 8 bytes.
    overflow : ``In(1)``
        Pulse: the receive buffer has lost a frame.
    software : ``In(1)``
        Pulse: software has written 1 to TCTL.SWXOFF.
    tick : ``In(1)``
        High for one cycle per byte time.
    wanted : ``Out(1)``, quanta : ``Out(16)``, taken : ``In(1)``
        As in ``PauseInserter``.
    sent : ``In(1)``
        Pulse: the end of the pause frame that was taken last.
    software_waits : ``Out(1)``
        What software asked for has not been taken yet (TCTL.SWXOFF).
    """

    control: In(PauseRequestControl)
    fill: In(13)
    overflow: In(1)
    software: In(1)
    tick: In(1)
    wanted: Out(1)
    quanta: Out(16)
    taken: In(1)
    sent: In(1)
    software_waits: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = self.control
        above, below, was_above = Signal(), Signal(), Signal()
        m.d.sync += [
            above.eq(control.tfce & control.rth.any() & (self.fill >= control.rth)),
            below.eq(self.fill <= control.rtl),
            was_above.eq(above),
        ]

        stopped = Signal()
        running = Signal()
        left = Signal(16 + exact_log2(_HALF))
        last = Signal()  # ``left`` is 1
        again = Signal()
        xoff, xon = Signal(), Signal()
        reached, low = above & ~was_above, below & ~above
        m.d.comb += [
            again.eq(running & self.tick & last),
            xoff.eq(reached | self.software | (stopped & (self.overflow | (again & above)))),
            xon.eq(stopped & low & control.xone),
        ]

        is_xon = Signal()
        m.d.comb += self.quanta.eq(Mux(is_xon, 0, control.ttv))
        with m.If(self.sent):
            m.d.sync += [
                running.eq(~is_xon & control.ttv.any()),
                left.eq(Cat(Const(0, exact_log2(_HALF)), control.ttv)),
                last.eq(0),
            ]
        with m.Elif(self.tick & running):
            m.d.sync += [left.eq(left - 1), last.eq(left == 2), running.eq(~last)]

        with m.If(xoff | xon):
            m.d.sync += [self.wanted.eq(1), is_xon.eq(~xoff)]
        with m.Elif(self.taken):
            m.d.sync += self.wanted.eq(0)
        with m.If(self.software):
            m.d.sync += self.software_waits.eq(1)
        with m.Elif(self.taken):
            m.d.sync += self.software_waits.eq(0)
        with m.If(reached):
            m.d.sync += stopped.eq(1)
        with m.Elif(low | ~control.tfce):
            m.d.sync += stopped.eq(0)
        return m
