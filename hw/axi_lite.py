"""AXI4-Lite subordinate: the NIC's registers on a bus (Arm IHI 0022H, AMBA AXI: B1 AXI4-Lite).

Drivers rely on PCI's ordering: a read of a register brings every write of the device before it to memory (PCI Local
Bus Specification 2.2, 3.2.5: a read's completion pushes posted writes). Whoever reads ICR, and finds RXT0, finds DD
too. AXI knows no such rule, so a read is answered here when the writes under way are.
"""

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.axi import Response
from hw.interfaces import RegisterPort

__all__ = ["AxiLiteSignature", "AxiLiteSubordinate"]

_ADDRESS_BITS = 17
_ALL = 0b1111


class AxiLiteSignature(wiring.Signature):
    """AXI4-Lite as the manager sees it: 32-bit data, addresses of the 128 KiB register window."""

    def __init__(self) -> None:
        super().__init__(
            {
                "awaddr": Out(_ADDRESS_BITS),
                "awprot": Out(3),
                "awvalid": Out(1),
                "awready": In(1),
                "wdata": Out(32),
                "wstrb": Out(4),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
                "araddr": Out(_ADDRESS_BITS),
                "arprot": Out(3),
                "arvalid": Out(1),
                "arready": In(1),
                "rdata": In(32),
                "rresp": In(2),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class AxiLiteSubordinate(wiring.Component):
    """Performs the accesses of an AXI4-Lite bus on a register port, one at a time, reads and writes in turn.

    Registers are whole words: the two lowest address bits do not count, a write without strobes does nothing, and one
    with some of the four strobes is answered with SLVERR and does nothing, either. All else is answered with OKAY: an
    address without a register reads 0. A write is answered when it is certain that every later access sees its effect.

    Members
    -------
    axi : ``In(AxiLiteSignature())``
        No output depends on an input of the bus in the same cycle (A3.1). ``awprot`` and ``arprot`` do not count.
    registers : ``In(RegisterPort())``
    writes_pending, write_done : ``In``
        As in ``AxiManager``: a read's response waits until the writes pending when it was performed are done.
    """

    axi: In(AxiLiteSignature())
    registers: In(RegisterPort())
    writes_pending: In(range(3))
    write_done: In(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        request, response = self.registers.request, self.registers.response
        access = request.payload
        write_address = Signal(_ADDRESS_BITS - 2)
        read_address = Signal(_ADDRESS_BITS - 2)
        data = Signal(32)
        strobe = Signal(4)
        before = Signal.like(self.writes_pending)
        write_taken = Signal()
        read_taken = Signal()

        # A channel takes one transfer, and is ready for the next when that has been used.
        for ready, valid, used in (
            (axi.awready, axi.awvalid, write_taken),
            (axi.wready, axi.wvalid, write_taken),
            (axi.arready, axi.arvalid, read_taken),
        ):
            waiting = Signal(name=f"{valid.name}_waiting")
            m.d.comb += ready.eq(~waiting)
            with m.If(used):
                m.d.sync += waiting.eq(0)
            with m.Elif(valid):
                m.d.sync += waiting.eq(1)
        with m.If(axi.awready):
            m.d.sync += write_address.eq(axi.awaddr[2:])
        with m.If(axi.wready):
            m.d.sync += [data.eq(axi.wdata), strobe.eq(axi.wstrb)]
        with m.If(axi.arready):
            m.d.sync += read_address.eq(axi.araddr[2:])
        with m.If(axi.bready):
            m.d.sync += axi.bvalid.eq(0)
        with m.If(axi.rready):
            m.d.sync += axi.rvalid.eq(0)

        # An answer still stands when the next access is chosen, so that is one of the other kind if there is one.
        can_write = Signal()
        can_read = Signal()
        m.d.comb += [
            can_write.eq(~axi.awready & ~axi.wready & ~axi.bvalid),
            can_read.eq(~axi.arready & ~axi.rvalid),
        ]
        with m.FSM():
            with m.State("CHOOSE"):
                with m.If(can_write):
                    m.next = "WRITE"
                with m.Elif(can_read):
                    m.next = "READ"
            with m.State("WRITE"):
                m.d.comb += [
                    access.address[2:].eq(write_address),
                    access.write.eq(1),
                    access.data.eq(data),
                    request.valid.eq(strobe == _ALL),
                    write_taken.eq(request.ready | ~request.valid),
                ]
                with m.If(write_taken):
                    m.d.sync += [axi.bvalid.eq(1), axi.bresp.eq(Response.OKAY)]
                    with m.If((strobe != _ALL) & (strobe != 0)):
                        m.d.sync += axi.bresp.eq(Response.SLVERR)
                    m.next = "CHOOSE"
            with m.State("READ"):
                m.d.comb += [access.address[2:].eq(read_address), request.valid.eq(1), read_taken.eq(request.ready)]
                with m.If(request.ready):
                    m.next = "RESULT"
            with m.State("RESULT"):
                m.d.comb += response.ready.eq(1)
                m.d.sync += [axi.rdata.eq(response.payload), before.eq(self.writes_pending - self.write_done)]
                with m.If(response.valid):
                    m.next = "ORDER"
            with m.State("ORDER"):
                m.d.sync += before.eq(before - self.write_done)
                with m.If(before == 0):
                    m.d.sync += [before.eq(0), axi.rvalid.eq(1)]
                    m.next = "CHOOSE"
        m.d.comb += axi.rresp.eq(Const(Response.OKAY, 2))
        return m
