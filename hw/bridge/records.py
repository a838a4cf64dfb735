"""Messages that wait to be sent, or to be sent again."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.bridge.framing import FrameOctet
from hw.bridge.protocol import BOARD_RECORDS, MODULUS

__all__ = ["RecordBuffer"]

_PLACES = BOARD_RECORDS + 1


class RecordBuffer(wiring.Component):
    """A ring of octets, and where each record in it begins. Records have numbers modulo 128.

    Parameters
    ----------
    depth : int
        Octets, a power of two. The longest record has to fit, or it waits for ever.

    Members
    -------
    i : ``In(stream.Signature(FrameOctet))``
        Records of at least one octet.
    written : ``Out(7)``
        Number that the record has that comes in; those before are complete.
    oldest : ``In(7)``
        Those before this one are not needed any more. At most ``BOARD_RECORDS`` are kept.
    clear : ``In(1)``
        Forget all, and number from 0 again. What is being read meanwhile ends somewhere.
    start : ``In(1)``, number : ``In(7)``
        Read this record, which is complete and needed. Not while one is being read.
    o : ``Out(stream.Signature(FrameOctet))``
        At most one octet every four cycles.
    """

    i: In(stream.Signature(FrameOctet))
    written: Out(range(MODULUS))
    oldest: In(range(MODULUS))
    clear: In(1)
    start: In(1)
    number: In(range(MODULUS))
    o: Out(stream.Signature(FrameOctet))

    def __init__(self, *, depth: int = 4096) -> None:
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth is a power of two, not {depth!r}")
        self._depth = depth
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        bits = exact_log2(self._depth)
        m.submodules.memory = memory = Memory(shape=8, depth=self._depth, init=[])
        m.submodules.begins = begins = Memory(shape=bits, depth=_PLACES, init=[])
        octet_write, octet_read = memory.write_port(), memory.read_port()
        begin_write = begins.write_port()
        begin_oldest, begin_read = (begins.read_port(domain="comb") for _ in range(2))

        # The bounds are behind, on the safe side: two octets are left free, one for what is taken meanwhile.
        place = Signal(bits)
        limit = Signal(bits)
        full = Signal()
        held, free = Signal(range(MODULUS)), Signal(bits)
        taken = Signal()
        m.d.comb += [
            held.eq(self.written - self.oldest),
            free.eq(limit - place - 1),
            begin_oldest.addr.eq(self.oldest),
            self.i.ready.eq(~full),
            taken.eq(self.i.valid & self.i.ready),
            octet_write.addr.eq(place),
            octet_write.data.eq(self.i.payload.data),
            octet_write.en.eq(taken),
            begin_write.addr.eq(self.written + 1),
            begin_write.data.eq(place + 1),
            begin_write.en.eq(taken & self.i.payload.last),
        ]
        m.d.sync += [limit.eq(begin_oldest.data), full.eq((held >= BOARD_RECORDS - 1) | (free < 2))]
        with m.If(taken):
            m.d.sync += place.eq(place + 1)
            with m.If(self.i.payload.last):
                m.d.sync += self.written.eq(self.written + 1)
        with m.If(self.clear):
            m.d.comb += [
                self.i.ready.eq(0),
                begin_write.addr.eq(0),
                begin_write.data.eq(place),
                begin_write.en.eq(1),
            ]
            m.d.sync += [self.written.eq(0), limit.eq(place - 1)]

        reading = Signal(bits)
        end = Signal(bits)
        octet, last = Signal(8), Signal()
        record = Signal(range(MODULUS))
        m.d.comb += [
            octet_read.addr.eq(reading),
            self.o.payload.data.eq(octet),
            self.o.payload.last.eq(last),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += record.eq(self.number)
                with m.If(self.start):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += begin_read.addr.eq(record)
                m.d.sync += reading.eq(begin_read.data)
                m.next = "END"
            with m.State("END"):
                m.d.comb += begin_read.addr.eq(record + 1)
                m.d.sync += end.eq(begin_read.data)
                m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "KEEP"
            with m.State("KEEP"):
                m.d.sync += [octet.eq(octet_read.data), last.eq((reading + 1)[:bits] == end)]
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += reading.eq(reading + 1)
                    m.next = "FETCH"
                    with m.If(self.o.payload.last):
                        m.next = "IDLE"
        return m
