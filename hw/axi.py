"""AXI4 manager: the NIC's memory port on an AXI4 bus (Arm IHI 0022H, AMBA AXI: A3 transfers, A5 ids, A6 ordering).

A request of ``MemoryPort`` is one INCR burst of aligned 64-bit transfers. It never crosses a multiple of 512 bytes, so
never the 4 KiB that A3.4.1 forbids a burst to cross.

Reads carry the tag of the request as their id: A5.3 has data of one id in the order of the requests, and lets data of
different ids overtake and interleave, which is what the port says of its tags.

Writes go one at a time: AXI4 promises that a write can be observed only with its response (A6.3), and the port that
writes become visible in the order of their requests (a descriptor's DD after the payload). So the response of each is
awaited. With a response R cycles after the last word, the 64 bytes of the shortest frame and one write-back take
21 + 2 R cycles or so; the wire gives 84.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.interfaces import MemoryPort

__all__ = ["MAX_ERRORS", "AxiManager", "AxiSignature", "Response", "burst"]

MAX_ERRORS = 255
"""Where the counts of error responses stop."""

_ID_BITS = 2
_INCR = 0b01
_SIZE_8_BYTES = 0b011
_NORMAL_NON_BUFFERABLE = 0b0010
"""AxCACHE (A4.4): the response of a write comes from where it can be observed."""
_NON_SECURE_DATA = 0b010
"""AxPROT (A4.7)."""


class Response:
    """RRESP and BRESP (A3.4.4). The upper bit tells of an error."""

    OKAY = 0b00
    SLVERR = 0b10
    DECERR = 0b11


def burst(address: int, length: int) -> tuple[int, int]:
    """AxADDR and AxLEN of the burst for ``length`` bytes from ``address`` (golden function of ``AxiManager``)."""
    return address & ~7, (address % 8 + length + 7) // 8 - 1


class AxiSignature(wiring.Signature):
    """AXI4 as the manager sees it: 64-bit addresses and data, two id bits, the signals by their AXI names."""

    def __init__(self) -> None:
        members: dict[str, wiring.Member] = {}
        for channel in ("aw", "ar"):
            widths = {"id": _ID_BITS, "addr": 64, "len": 8, "size": 3, "burst": 2, "cache": 4, "prot": 3, "valid": 1}
            members |= {channel + name: Out(width) for name, width in widths.items()}
            members[channel + "ready"] = In(1)
        members |= {
            "wdata": Out(64),
            "wstrb": Out(8),
            "wlast": Out(1),
            "wvalid": Out(1),
            "wready": In(1),
            "bid": In(_ID_BITS),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "rid": In(_ID_BITS),
            "rdata": In(64),
            "rresp": In(2),
            "rlast": In(1),
            "rvalid": In(1),
            "rready": Out(1),
        }
        super().__init__(members)


class AxiManager(wiring.Component):
    """Serves a memory port from an AXI4 bus.

    An error response stops nothing. A transfer read with SLVERR or DECERR gives zeros, so the outcome does not depend
    on what the bus carried: a descriptor of zeros transfers nothing, and payload becomes zeros. A write with an error
    response is lost. Both are counted.

    Members
    -------
    memory : ``In(MemoryPort())``
    axi : ``Out(AxiSignature())``
        No output depends on an input of the bus in the same cycle (A3.1).
    writes_pending : ``Out(range(3))``
        Writes that are on their way: offered by ``memory``, or taken and not yet answered.
    write_done : ``Out(1)``
        A write is answered in this cycle. They are answered in order.
    read_errors, write_errors : ``Out(range(MAX_ERRORS + 1))``
        Transfers read, and bursts written, that had an error response. They stick at their maximum.
    """

    memory: In(MemoryPort())
    axi: Out(AxiSignature())
    writes_pending: Out(range(3))
    write_done: Out(1)
    read_errors: Out(range(MAX_ERRORS + 1))
    write_errors: Out(range(MAX_ERRORS + 1))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        axi = self.axi
        for channel in ("aw", "ar"):
            m.d.comb += [
                getattr(axi, channel + "size").eq(_SIZE_8_BYTES),
                getattr(axi, channel + "burst").eq(_INCR),
                getattr(axi, channel + "cache").eq(_NORMAL_NON_BUFFERABLE),
                getattr(axi, channel + "prot").eq(_NON_SECURE_DATA),
            ]
        self._reads(m)
        self._writes(m)
        return m

    def _address(self, m: Module, channel: str, request: Signal) -> None:
        """The burst for a request, in the registers of an address channel."""
        transfers = (request.address[:3] + request.length + 7)[3:]
        m.d.sync += [
            getattr(self.axi, channel + "addr").eq(Cat(Const(0, 3), request.address[3:])),
            getattr(self.axi, channel + "len").eq(transfers - 1),
            getattr(self.axi, channel + "valid").eq(1),
        ]

    def _reads(self, m: Module) -> None:
        axi, memory = self.axi, self.memory
        m.d.comb += [memory.read_request.ready.eq(~axi.arvalid), axi.rready.eq(1)]
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(memory.read_request.valid & memory.read_request.ready):
            self._address(m, "ar", memory.read_request.payload)
            m.d.sync += axi.arid.eq(memory.read_request.payload.tag)
        word = memory.read_data
        failed = axi.rresp[1]
        m.d.sync += [
            word.valid.eq(axi.rvalid),
            word.payload.data.eq(Mux(failed, 0, axi.rdata)),
            word.payload.tag.eq(axi.rid),
            word.payload.last.eq(axi.rlast),
        ]
        with m.If(axi.rvalid & failed & (self.read_errors != MAX_ERRORS)):
            m.d.sync += self.read_errors.eq(self.read_errors + 1)

    def _writes(self, m: Module) -> None:
        axi, memory = self.axi, self.memory
        m.d.comb += [
            axi.wdata.eq(memory.write_data.payload.data),
            axi.wstrb.eq(memory.write_data.payload.strobe),
            axi.wlast.eq(memory.write_data.payload.last),
        ]
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += axi.awvalid.eq(0)
        with m.FSM() as fsm:
            with m.State("REQUEST"):
                m.d.comb += memory.write_request.ready.eq(1)
                with m.If(memory.write_request.valid):
                    self._address(m, "aw", memory.write_request.payload)
                    m.next = "DATA"
            with m.State("DATA"):
                m.d.comb += [axi.wvalid.eq(memory.write_data.valid), memory.write_data.ready.eq(axi.wready)]
                with m.If(axi.wvalid & axi.wready & axi.wlast):
                    m.next = "RESPONSE"
            with m.State("RESPONSE"):
                m.d.comb += [axi.bready.eq(1), self.write_done.eq(axi.bvalid)]
                with m.If(axi.bvalid):
                    m.next = "REQUEST"
        m.d.comb += self.writes_pending.eq(~fsm.ongoing("REQUEST") + memory.write_request.valid)
        with m.If(self.write_done & axi.bresp[1] & (self.write_errors != MAX_ERRORS)):
            m.d.sync += self.write_errors.eq(self.write_errors + 1)
