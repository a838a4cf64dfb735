"""All that the host is told, in the order in which PCI would let it see it: neither the value of a register nor the
interrupt overtakes a write to memory that came before.
"""

from amaranth.hdl import Array, Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.bridge.framing import FrameOctet
from hw.bridge.protocol import Message, Status

__all__ = ["Journal", "status_message", "value_message"]


def value_message(value: int) -> bytes:
    """A register's value (golden function)."""
    return bytes([Message.VALUE]) + value.to_bytes(4, "little")


def status_message(status: int) -> bytes:
    """A change of the status (golden function)."""
    return bytes([Message.STATUS, status])


class Journal(wiring.Component):
    """Members
    -------
    writes : ``In(stream.Signature(FrameOctet))``, pending : ``In(range(3))``
        Of ``HostMemory``.
    value : ``In(stream.Signature(32))``
    status : ``In(len(Status))``
        Levels. The host is told whenever they are not what it was told last, which was 0 at first. A level that
        returns before its turn comes is not told.
    o : ``Out(stream.Signature(FrameOctet))``
        Messages.
    """

    writes: In(stream.Signature(FrameOctet))
    pending: In(range(3))
    value: In(stream.Signature(32))
    status: In(len(Status))
    o: Out(stream.Signature(FrameOctet))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        told = Signal(len(Status))
        wanted = Array([self.value.valid, self.status != told])
        ready = []
        write_ends = Signal()
        m.d.comb += write_ends.eq(self.writes.valid & self.writes.ready & self.writes.payload.last)
        for want in wanted:
            # Writes that were there first. An access outside of memory ends without a message: what is not pending
            # any more need not be waited for.
            seen = Signal()
            before = Signal(range(3))
            with m.If(~want):
                m.d.sync += seen.eq(0)
            with m.Elif(~seen):
                m.d.sync += [seen.eq(1), before.eq(self.pending - write_ends)]
            with m.Elif(self.pending == 0):
                m.d.sync += before.eq(0)
            with m.Elif(write_ends & (before != 0)):
                m.d.sync += before.eq(before - 1)
            ready.append(want & seen & (before == 0))

        message = Signal(40)
        left = Signal(range(6))
        m.d.comb += self.o.payload.data.eq(message[:8])
        with m.FSM():
            with m.State("CHOOSE"):
                with m.If(ready[0]):
                    m.d.comb += self.value.ready.eq(1)
                    m.d.sync += [message.eq(Cat(Const(Message.VALUE, 8), self.value.payload)), left.eq(5)]
                    m.next = "MESSAGE"
                with m.Elif(ready[1]):
                    m.d.sync += [
                        message.eq(Cat(Const(Message.STATUS, 8), self.status)),
                        told.eq(self.status),
                        left.eq(2),
                    ]
                    m.next = "MESSAGE"
                with m.Elif(self.writes.valid):
                    m.next = "WRITE"
            with m.State("MESSAGE"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.last.eq(left == 1)]
                with m.If(self.o.ready):
                    m.d.sync += [message.eq(message[8:]), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "CHOOSE"
            with m.State("WRITE"):
                m.d.comb += [
                    self.o.valid.eq(self.writes.valid),
                    self.o.payload.eq(self.writes.payload),
                    self.writes.ready.eq(self.o.ready),
                ]
                with m.If(write_ends):
                    m.next = "CHOOSE"
        return m
