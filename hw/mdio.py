"""The MDIO master behind MDIC: management frames to the PHY (manual 13.4.7; IEEE 802.3 clause 22.2.4.5).

A frame, most significant bits first: preamble of 32 ones, start 01, operation (10 read, 01 write), PHY address,
register address, turnaround, 16 bits of data. MDIO changes when MDC falls and is sampled when MDC rises. In a read the
PHY drives it from the turnaround's second bit, a 0, to the end.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from hw.register_file import RegisterSignature
from hw.registers import BY_NAME

__all__ = ["CYCLES_PER_MDC", "READ", "WRITE", "MdioMaster", "MdioSignature", "frame_bits"]

WRITE, READ = 0b01, 0b10
"""Operations, in MDIC.OP as on the wire."""

CYCLES_PER_MDC = 50
"""2.5 MHz, the most that clause 22 allows, from 125 MHz."""

_FASTEST = 8
"""Cycles per period of MDC below which an answer would be sampled before it has passed the synchroniser."""

_PREAMBLE_BITS = 32
_FRAME_BITS = 64
_TURNAROUND = 46
"""Number of the turnaround's first bit, counted from the preamble's first."""


def frame_bits(*, operation: int, phy: int, register: int, data: int) -> str:
    """A frame as ones and zeros, each bit in order of time (golden function). In a read, the master drives the first
    46 bits only."""
    return "1" * _PREAMBLE_BITS + f"01{operation:02b}{phy:05b}{register:05b}10{data:016b}"


class MdioSignature(wiring.Signature):
    """MDC and MDIO as the master sees them.

    Members
    -------
    mdc : ``Out(1)``
    o, oe : ``Out(1)``
        What the master puts on MDIO while ``oe``.
    i : ``In(1)``
        MDIO's level, which is 1 (pulled up) while nobody drives it.
    request : ``Out(1)``
        A frame is on its way, or waits.
    hold : ``In(1)``
        Another master has the bus: no frame is begun.
    """

    def __init__(self) -> None:
        super().__init__({"mdc": Out(1), "o": Out(1), "oe": Out(1), "i": In(1), "request": Out(1), "hold": In(1)})


class MdioMaster(wiring.Component):
    """Performs one management access for each write of MDIC.

    A write of MDIC clears READY and ERROR and sends a frame of 64 periods of MDC, then sets READY. ERROR comes with it
    if nobody answered a read (DATA is then FFFF if the line is pulled up), or, at once, if OP is neither a read nor a
    write. DATA is valid with READY: after a read what the PHY said, after a write what was written. MDIC written while
    a frame is on its way has no effect.

    MDC stands still between frames.

    Parameters
    ----------
    cycles_per_mdc : int
        Cycles per period of MDC: even, and at least 8.

    Members
    -------
    mdic : ``In(RegisterSignature(...))``
        For the register file.
    reset : ``In(1)``
        Clears MDIC. A frame on its way goes on to its end, since the PHY outlives the NIC's reset and would take the
        next frame for the rest of it; until then MDIC does not take a new command.
    done : ``Out(1)``
        Pulse when READY is set, if MDIC.INT_EN was (cause MDAC).
    bus : ``Out(MdioSignature())``
        Registered; ``i`` is synchronised here.
    """

    def __init__(self, *, cycles_per_mdc: int = CYCLES_PER_MDC) -> None:
        if cycles_per_mdc < _FASTEST or cycles_per_mdc % 2:
            raise ValueError(f"cycles_per_mdc must be even and at least {_FASTEST}, not {cycles_per_mdc!r}")
        self._half = cycles_per_mdc // 2
        super().__init__(
            {
                "mdic": In(RegisterSignature(BY_NAME["MDIC"])),
                "reset": In(1),
                "done": Out(1),
                "bus": Out(MdioSignature()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.mdio_i = FFSynchronizer(self.bus.i, mdio_i := Signal(init=1), init=1)

        mdic = BY_NAME["MDIC"]
        written = {
            name: self.mdic.write_data[mdic[name].lsb : mdic[name].lsb + mdic[name].width]
            for name in ("DATA", "REG", "PHY", "OP", "INT_EN")
        }
        register, phy, operation = Signal(5), Signal(5), Signal(2)
        int_en, ready, error = Signal(), Signal(), Signal()
        shift = Signal(32)  # from the start bits on; while the master drives, it goes round
        number = Signal(range(_FRAME_BITS))  # of the bit on the line, counted from the preamble's first
        elapsed = Signal(range(self._half))
        clearing = Signal()
        tick = Signal()

        driven = Signal()  # whether the next bit is the master's
        m.d.comb += [
            tick.eq(elapsed == self._half - 1),
            driven.eq((operation == WRITE) | (number < _TURNAROUND)),
        ]
        m.d.sync += self.done.eq(0)
        with m.If(self.reset):
            m.d.sync += [clearing.eq(1), int_en.eq(0)]
        m.d.comb += [
            self.mdic.hardware.data.eq(shift),
            self.mdic.hardware.reg.eq(register),
            self.mdic.hardware.phy.eq(phy),
            self.mdic.hardware.op.eq(operation),
            self.mdic.hardware.ready.eq(ready),
            self.mdic.hardware.int_en.eq(int_en),
            self.mdic.hardware.error.eq(error),
        ]

        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [elapsed.eq(0), number.eq(0), clearing.eq(0)]
                with m.If(self.reset | clearing):
                    m.d.sync += [Cat(register, phy, operation, int_en, ready, error).eq(0), shift.eq(0)]
                with m.Elif(self.mdic.written):
                    m.d.sync += [
                        register.eq(written["REG"]),
                        phy.eq(written["PHY"]),
                        operation.eq(written["OP"]),
                        int_en.eq(written["INT_EN"]),
                        ready.eq(0),
                        error.eq(0),
                        # The frame without its preamble: start, operation, addresses, turnaround, data.
                        shift.eq(
                            Cat(
                                written["DATA"],
                                Const(0b10, 2),
                                written["REG"],
                                written["PHY"],
                                written["OP"],
                                Const(0b01, 2),
                            )
                        ),
                    ]
                    m.next = "CHECK"
            with m.State("CHECK"):
                with m.If((operation == READ) | (operation == WRITE)), m.If(~self.bus.hold):
                    m.next = "LOW"
                with m.Else():
                    m.d.sync += error.eq(1)
                    m.next = "END"
            with m.State("LOW"):
                # The bit is on the line while MDC is low, and high.
                m.d.sync += [
                    self.bus.mdc.eq(0),
                    self.bus.oe.eq(driven),
                    self.bus.o.eq(shift[31] | (number < _PREAMBLE_BITS)),
                    elapsed.eq(Mux(tick, 0, elapsed + 1)),
                ]
                with m.If(tick):
                    m.next = "HIGH"
            with m.State("HIGH"):
                m.d.sync += [self.bus.mdc.eq(1), elapsed.eq(Mux(tick, 0, elapsed + 1))]
                with m.If((elapsed == 0) & (number >= _PREAMBLE_BITS)):
                    m.d.sync += shift.eq(Cat(Mux(driven, shift[31], mdio_i), shift))
                    with m.If(number == _TURNAROUND + 1):
                        m.d.sync += error.eq(~driven & mdio_i)
                with m.If(tick):
                    m.d.sync += number.eq(number + 1)
                    m.next = "LOW"
                    with m.If(number == _FRAME_BITS - 1):
                        m.next = "END"
            with m.State("END"):
                m.d.sync += [self.bus.mdc.eq(0), self.bus.oe.eq(0), ready.eq(~clearing), self.done.eq(int_en)]
                m.next = "IDLE"
        m.d.comb += self.bus.request.eq(~fsm.ongoing("IDLE"))
        return m
