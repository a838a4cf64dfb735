"""What the host asks for, performed in order."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bridge.protocol import ADDRESS_OCTETS, LENGTH_OCTETS, Request
from hw.interfaces import RegisterPort

__all__ = ["RequestExecutor", "read_register", "write_memory", "write_register"]


def read_register(address: int) -> bytes:
    """A request for a register's value."""
    return bytes([Request.READ_REGISTER]) + address.to_bytes(ADDRESS_OCTETS, "little")


def write_register(address: int, value: int) -> bytes:
    """A request that writes a register."""
    return bytes([Request.WRITE_REGISTER]) + address.to_bytes(ADDRESS_OCTETS, "little") + value.to_bytes(4, "little")


def write_memory(address: int, octets: bytes) -> bytes:
    """A request that writes host memory."""
    head = address.to_bytes(ADDRESS_OCTETS, "little") + len(octets).to_bytes(LENGTH_OCTETS, "little")
    return bytes([Request.WRITE_MEMORY]) + head + octets


class RequestExecutor(wiring.Component):
    """Members
    -------
    i : ``In(stream.Signature(8))``
        Requests.
    registers : ``In(RegisterPort())``
        The NIC's.
    write : ``Out(1)``, address : ``Out(24)``, octet : ``Out(8)``
        For ``HostMemory``.
    value : ``Out(stream.Signature(32))``
        Of a register that was read.
    unknown : ``Out(1)``
        An octet begins no request, and is skipped.
    """

    i: In(stream.Signature(8))
    registers: In(RegisterPort())
    write: Out(1)
    address: Out(8 * ADDRESS_OCTETS)
    octet: Out(8)
    value: Out(stream.Signature(32))
    unknown: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request = self.registers.request
        kind = Signal(8)
        left = Signal(8 * LENGTH_OCTETS)  # octets until this state ends
        length, data = Signal(8 * LENGTH_OCTETS), Signal(32)
        taken = Signal()
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            self.octet.eq(self.i.payload),
            request.payload.address.eq(self.address),
            request.payload.write.eq(kind == Request.WRITE_REGISTER),
            request.payload.data.eq(data),
            self.value.payload.eq(data),
        ]
        with m.FSM():
            with m.State("KIND"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [kind.eq(self.i.payload), left.eq(ADDRESS_OCTETS)]
                with m.If(taken):
                    with m.If((self.i.payload >= min(Request)) & (self.i.payload <= max(Request))):
                        m.next = "ADDRESS"
                    with m.Else():
                        m.d.comb += self.unknown.eq(1)
            with m.State("ADDRESS"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken):
                    m.d.sync += [self.address.eq(self.address[8:] | self.i.payload << 16), left.eq(left - 1)]
                    with m.If(left == 1), m.Switch(kind):
                        with m.Case(Request.WRITE_MEMORY):
                            m.d.sync += left.eq(LENGTH_OCTETS)
                            m.next = "LENGTH"
                        with m.Case(Request.WRITE_REGISTER):
                            m.d.sync += left.eq(4)
                            m.next = "DATA"
                        with m.Default():
                            m.next = "ACCESS"
            with m.State("LENGTH"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken):
                    following = (length >> 8) | self.i.payload << 8
                    m.d.sync += [length.eq(following), left.eq(Mux(left == 1, following, left - 1))]
                    with m.If(left == 1):
                        m.next = "MEMORY"
            with m.State("MEMORY"):
                with m.If(left == 0):
                    m.next = "KIND"
                with m.Else():
                    m.d.comb += [self.i.ready.eq(1), self.write.eq(taken)]
                    with m.If(taken):
                        m.d.sync += [self.address.eq(self.address + 1), left.eq(left - 1)]
            with m.State("DATA"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken):
                    m.d.sync += [data.eq(data[8:] | self.i.payload << 24), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "ACCESS"
            with m.State("ACCESS"):
                m.d.comb += request.valid.eq(1)
                with m.If(request.ready):
                    m.next = "RESPONSE"
                    with m.If(kind == Request.WRITE_REGISTER):
                        m.next = "KIND"
            with m.State("RESPONSE"):
                m.d.comb += self.registers.response.ready.eq(1)
                m.d.sync += data.eq(self.registers.response.payload)
                with m.If(self.registers.response.valid):
                    m.next = "VALUE"
            with m.State("VALUE"):
                m.d.comb += self.value.valid.eq(1)
                with m.If(self.value.ready):
                    m.next = "KIND"
        return m
