"""The I/O window: a second way to the registers, through IOADDR and IODATA (manual 13.2.2).

Drivers reset the NIC through it, since over PCI it cannot answer the memory write that resets it.

====== ======== ===================================================================================================
offset register
====== ======== ===================================================================================================
0      IOADDR   which register IODATA is; 20 bits are kept, the others read 0
4      IODATA   the register at IOADDR, if that is in the register window (below 20000); the flash from 80000 on is not
                built, and what lies between is undefined: both read 0 and drop writes
8-1F            undefined: reads 0 and drops writes
====== ======== ===================================================================================================

Only whole words can be written, anything less is dropped; a read is always of the whole word. That holds of an offset
that is not a multiple of 4, too, which the manual leaves undefined: it reads 0 and drops writes.
"""

from collections.abc import Callable

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.interfaces import RegisterPort
from hw.registers import WINDOW_BYTES

__all__ = ["IO_WINDOW_BYTES", "IoPort", "IoRequest", "IoWindow", "IoWindowModel"]

IO_WINDOW_BYTES = 32

_IOADDR, _IODATA = 0, 4
_ADDRESS_BITS = 20
_WHOLE = 0b1111

IoRequest = data.StructLayout({"address": 5, "write": 1, "strobe": 4, "data": 32})
"""An access to the I/O window; ``strobe`` says which bytes of the word are written."""


class IoPort(wiring.Signature):
    """Accesses to the I/O window as the NIC sees them: requests come in order; each read has one response, in order.

    Members
    -------
    request : ``In(stream.Signature(IoRequest))``
    response : ``Out(stream.Signature(32))``
    """

    def __init__(self) -> None:
        super().__init__({"request": In(stream.Signature(IoRequest)), "response": Out(stream.Signature(32))})


class IoWindowModel:
    """Golden model. ``read_register`` and ``write_register`` are the way to the registers, by offset in bytes."""

    def __init__(self, read_register: Callable[[int], int], write_register: Callable[[int, int], None]) -> None:
        self._read_register = read_register
        self._write_register = write_register
        self._ioaddr = 0

    def write(self, offset: int, value: int, strobe: int = _WHOLE) -> None:
        if strobe != _WHOLE:
            return
        if offset == _IOADDR:
            self._ioaddr = value & (1 << _ADDRESS_BITS) - 1
        elif offset == _IODATA and self._ioaddr < WINDOW_BYTES:
            self._write_register(self._ioaddr, value)

    def read(self, offset: int) -> int:
        if offset == _IOADDR:
            return self._ioaddr
        return self._read_register(self._ioaddr) if offset == _IODATA and self._ioaddr < WINDOW_BYTES else 0


class IoWindow(wiring.Component):
    """Joins the I/O window and the memory window to one port of registers.

    The memory window's accesses are not delayed, unless one of the I/O window is just being performed. Which of two
    that wait goes first is not said. IOADDR outlives CTRL.RST: it belongs to the bus side.

    Members
    -------
    io : ``Out(IoPort())``
    memory : ``Out(RegisterPort())``
    registers : ``In(RegisterPort())``
        It takes the next request only after the response to the last has been taken.
    """

    io: Out(IoPort())
    memory: Out(RegisterPort())
    registers: In(RegisterPort())

    def elaborate(self, platform: object) -> Module:
        m = Module()
        access = Signal(IoRequest)
        address = Signal(_ADDRESS_BITS)
        waiting = Signal()  # the access is to a register
        answered = Signal()  # the response in the register is the I/O window's
        locked = Signal()  # what the memory window has begun to offer has to stay
        io_turn = Signal()
        request, response = self.registers.request, self.registers.response

        m.d.comb += [
            io_turn.eq(waiting & ~locked),
            request.valid.eq(self.memory.request.valid | io_turn),
            request.payload.eq(self.memory.request.payload),
            self.memory.request.ready.eq(request.ready & ~io_turn),
            self.memory.response.valid.eq(response.valid & ~answered),
            self.memory.response.payload.eq(response.payload),
            response.ready.eq(self.memory.response.ready | answered),
        ]
        with m.If(io_turn):
            m.d.comb += [
                request.payload.address.eq(address),
                request.payload.write.eq(access.write),
                request.payload.data.eq(access.data),
            ]
        m.d.sync += locked.eq(self.memory.request.valid & ~request.ready & ~io_turn)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.io.request.ready.eq(1)
                m.d.sync += access.eq(self.io.request.payload)
                with m.If(self.io.request.valid):
                    m.next = "PERFORM"
            with m.State("PERFORM"):
                m.d.sync += self.io.response.payload.eq(Mux(access.address == _IOADDR, address, 0))
                within = (access.address == _IODATA) & (address < WINDOW_BYTES)
                with m.If(access.write & (access.strobe != _WHOLE)):
                    m.next = "IDLE"
                with m.Elif(within):
                    m.d.sync += waiting.eq(1)
                    m.next = "REGISTER"
                with m.Elif(access.write):
                    with m.If(access.address == _IOADDR):
                        m.d.sync += address.eq(access.data)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "RESPOND"
            with m.State("REGISTER"), m.If(io_turn & request.ready):
                m.d.sync += [waiting.eq(0), answered.eq(~access.write)]
                m.next = "IDLE"
                with m.If(~access.write):
                    m.next = "ANSWER"
            with m.State("ANSWER"), m.If(response.valid):
                m.d.sync += [answered.eq(0), self.io.response.payload.eq(response.payload)]
                m.next = "RESPOND"
            with m.State("RESPOND"):
                m.d.comb += self.io.response.valid.eq(1)
                with m.If(self.io.response.ready):
                    m.next = "IDLE"
        return m
