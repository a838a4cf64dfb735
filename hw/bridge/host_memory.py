"""Host memory on the chip, with two sides: the NIC reads and writes bursts, the host writes octets and is told what the
NIC writes. So the host has a copy of all of it, and never has to read.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hw.bridge.framing import FrameOctet
from hw.bridge.protocol import ADDRESS_OCTETS, LENGTH_OCTETS, Message
from hw.interfaces import MemoryPort

__all__ = ["HostMemory", "write_message"]

_LANES = 8
_HEAD_OCTETS = 1 + ADDRESS_OCTETS + LENGTH_OCTETS


def write_message(address: int, octets: bytes) -> bytes:
    """What the host is told of a write of the NIC (golden function)."""
    head = address.to_bytes(ADDRESS_OCTETS, "little") + len(octets).to_bytes(LENGTH_OCTETS, "little")
    return bytes([Message.WRITE_MEMORY]) + head + octets


class HostMemory(wiring.Component):
    """Parameters
    ----------
    kib : int
        Size in KiB, a power of two of at least 8.

    Members
    -------
    memory : ``In(MemoryPort())``
        The NIC's. What lies outside reads as ones, and is written nowhere. A write takes a cycle per octet, and
        waits while ``messages`` does: a serial line is a slow bus.
    write : ``In(1)``, address : ``In(24)``, octet : ``In(8)``
        The host's: an octet is written in this cycle.
    messages : ``Out(stream.Signature(FrameOctet))``
        WRITE_MEMORY for each burst of the NIC, in order.
    pending : ``Out(range(3))``
        Bursts whose last octet has not been taken from ``messages``: the one that is offered, and the one at work.
    outside : ``Out(1)``
        In this cycle an access outside has been asked for.
    cleared : ``Out(1)``
        After reset all of memory is made 0 first, a word in each cycle. Until this is 1 nobody writes or reads.
    """

    memory: In(MemoryPort())
    write: In(1)
    address: In(8 * ADDRESS_OCTETS)
    octet: In(8)
    messages: Out(stream.Signature(FrameOctet))
    pending: Out(range(3))
    outside: Out(1)
    cleared: Out(1)

    def __init__(self, *, kib: int) -> None:
        if not 8 <= kib <= 16384 or kib & (kib - 1):
            raise ValueError(f"kib is a power of two in 8..16384, not {kib!r}")
        self._bits = exact_log2(kib * 1024)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A memory for each lane, so that block RAM can be one bit wide and as deep as it comes, and needs no
        # multiplexer behind it. A location that is written is not read in the same cycle: host and NIC take turns.
        lanes = [Memory(shape=8, depth=1 << self._bits - 3, init=[]) for _ in range(_LANES)]
        for number, lane in enumerate(lanes):
            m.submodules[f"lane_{number}"] = lane
        outside_write = self._write(m, [lane.write_port() for lane in lanes])
        outside_read = self._read(m, [lane.read_port() for lane in lanes])
        outside_host = self.write & self._is_outside(self.address)
        m.d.comb += self.outside.eq(outside_write | outside_read | outside_host)
        return m

    def _is_outside(self, address: Value) -> Value:
        return address[self._bits :].any()

    def _write(self, m: Module, ports: list[wiring.PureInterface]) -> Signal:
        request, word = self.memory.write_request, self.memory.write_data
        outside = Signal()
        address = Signal(64)
        left = Signal.like(request.payload.length)  # octets of the burst
        lane = Signal(range(_LANES))
        number = Signal(range(_HEAD_OCTETS))
        inside = Signal()
        place = address[3 : self._bits]
        step, last_lane = Signal(), Signal()

        store = Signal()  # the NIC's word is written
        sweep = Signal()  # a word is made 0
        for index, port in enumerate(ports):
            m.d.comb += [
                port.addr.eq(Mux(self.write, self.address[3 : self._bits], place)),
                port.data.eq(Mux(self.write, self.octet, word.payload.data.word_select(index, 8)) & ~sweep.replicate(8)),
                port.en.eq(
                    Mux(
                        self.write,
                        (self.address[:3] == index) & ~self._is_outside(self.address),
                        sweep | (store & word.payload.strobe[index]),
                    )
                ),
            ]

        head = Cat(
            Const(Message.WRITE_MEMORY, 8),
            address[: 8 * ADDRESS_OCTETS],
            left,
            Const(0, 8 * LENGTH_OCTETS - len(left)),
        )
        with m.FSM() as fsm:
            with m.State("CLEAR"):
                m.d.comb += sweep.eq(1)
                m.d.sync += address[3:].eq(address[3:] + 1)
                with m.If(place.all()):
                    m.d.sync += self.cleared.eq(1)
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += request.ready.eq(1)
                m.d.sync += [
                    address.eq(request.payload.address),
                    left.eq(request.payload.length),
                    lane.eq(0),
                    number.eq(0),
                ]
                with m.If(request.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += inside.eq(~self._is_outside(address))
                m.d.comb += outside.eq(self._is_outside(address))
                m.next = "HEAD"
                with m.If(outside):
                    m.next = "DATA"
            with m.State("HEAD"):
                m.d.comb += [self.messages.valid.eq(1), self.messages.payload.data.eq(head.word_select(number, 8))]
                with m.If(self.messages.ready):
                    m.d.sync += number.eq(number + 1)
                    with m.If(number == _HEAD_OCTETS - 1):
                        m.next = "DATA"
            with m.State("DATA"):
                written = Signal()  # the octet of this lane is part of the burst
                m.d.comb += [
                    written.eq(word.payload.strobe.bit_select(lane, 1)),
                    self.messages.valid.eq(word.valid & written & inside & ~(last_lane & self.write)),
                    self.messages.payload.data.eq(word.payload.data.word_select(lane, 8)),
                    self.messages.payload.last.eq(left == 1),
                    last_lane.eq((lane == _LANES - 1) | (written & (left == 1))),
                    # The host's octet goes before the NIC's word.
                    step.eq(word.valid & (~written | ~inside | self.messages.ready) & ~(last_lane & self.write)),
                    store.eq(step & last_lane & inside),
                    word.ready.eq(step & last_lane),
                ]
                with m.If(step):
                    m.d.sync += [lane.eq(Mux(last_lane, 0, lane + 1)), left.eq(left - written)]
                    with m.If(last_lane):
                        m.d.sync += address[3:].eq(address[3:] + 1)
                        with m.If(word.payload.last):
                            m.next = "REQUEST"
        m.d.comb += self.pending.eq(request.valid + ~fsm.ongoing("REQUEST"))
        return outside

    def _read(self, m: Module, ports: list[wiring.PureInterface]) -> Signal:
        """One word per cycle; the memory's own register and one behind it."""
        request, word = self.memory.read_request, self.memory.read_data
        place = Signal(self._bits - 3)
        left = Signal(range(_LANES * 16))
        tag = Signal(data.StructLayout({"valid": 1, "tag": 2, "last": 1, "inside": 1}))
        fetched = Signal.like(tag)
        current = Signal(data.StructLayout({"tag": 2, "inside": 1}))
        outside = Signal()
        ask = request.payload
        m.d.comb += [
            request.ready.eq(left == 0),
            tag.valid.eq(left != 0),
            tag.tag.eq(current.tag),
            tag.inside.eq(current.inside),
            tag.last.eq(left == 1),
            outside.eq(request.valid & request.ready & self._is_outside(ask.address)),
        ]
        with m.If(left != 0):
            m.d.sync += [left.eq(left - 1), place.eq(place + 1)]
        with m.Elif(request.valid):
            m.d.sync += [
                left.eq((ask.address[:3] + ask.length + 7)[3:]),
                place.eq(ask.address[3 : self._bits]),
                current.tag.eq(ask.tag),
                current.inside.eq(~self._is_outside(ask.address)),
            ]
        for port in ports:
            m.d.comb += port.addr.eq(place)
        output = Cat(port.data for port in ports)
        m.d.sync += [
            fetched.eq(tag),
            word.valid.eq(fetched.valid),
            word.payload.data.eq(output | (~fetched.inside).replicate(64)),
            word.payload.tag.eq(fetched.tag),
            word.payload.last.eq(fetched.last),
        ]
        return outside
