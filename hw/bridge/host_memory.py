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
from hw.interfaces import MemoryPort, ReadRequest

__all__ = ["HostMemory", "write_message"]

_LANES = 8
_SMALLEST, _LARGEST = 8 * _LANES, 1 << 8 * ADDRESS_OCTETS
_HEAD_OCTETS = 1 + ADDRESS_OCTETS + LENGTH_OCTETS


def write_message(address: int, octets: bytes) -> bytes:
    """What the host is told of a write of the NIC (golden function)."""
    head = address.to_bytes(ADDRESS_OCTETS, "little") + len(octets).to_bytes(LENGTH_OCTETS, "little")
    return bytes([Message.WRITE_MEMORY]) + head + octets


class HostMemory(wiring.Component):
    """Parameters
    ----------
    size : int
        Octets, a power of two of at least 64.

    Members
    -------
    memory : ``In(MemoryPort())``
        The NIC's. What lies outside reads as ones, and is written nowhere. A write takes a cycle per octet, and
        waits while ``messages`` does: a serial line is a slow bus.
    write : ``In(1)``, address : ``In(24)``, octet : ``In(8)``
        The host's: an octet is written. Two are at least four cycles apart.
    messages : ``Out(stream.Signature(FrameOctet))``
        WRITE_MEMORY for each burst of the NIC, in order.
    pending : ``Out(range(3))``
        Bursts whose last octet has not been taken from ``messages``: the one that is offered, and the one at work.
    outside : ``Out(1)``
        An access outside is at work, or is asked for in this cycle.
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

    def __init__(self, *, size: int) -> None:
        if not _SMALLEST <= size <= _LARGEST or size & (size - 1):
            raise ValueError(f"size is a power of two in {_SMALLEST}..{_LARGEST}, not {size!r}")
        self._bits = exact_log2(size)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # A memory for each lane, so that block RAM can be one bit wide and as deep as it comes. It fills half of a
        # device: on the way to it and back there are registers only.
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
        number = Signal(range(_HEAD_OCTETS))
        inside = Signal()
        place = address[3 : self._bits]
        sweep = Signal()  # a word is made 0
        taken = Signal()  # the NIC's word is

        # The host's octet waits for a cycle without a word of the NIC; octets are many cycles apart.
        octet_waits, octet_address, octet = Signal(), Signal(self._bits), Signal(8)
        write_place, write_data, write_lanes = Signal(len(place)), Signal(8 * _LANES), Signal(_LANES)
        for index, port in enumerate(ports):
            m.d.comb += [
                port.addr.eq(write_place),
                port.data.eq(write_data.word_select(index, 8)),
                port.en.eq(write_lanes[index]),
            ]
        m.d.sync += write_lanes.eq(0)
        with m.If(sweep):
            m.d.sync += [write_place.eq(place), write_data.eq(0), write_lanes.eq((1 << _LANES) - 1)]
        with m.Elif(taken):
            m.d.sync += [
                write_place.eq(place),
                write_data.eq(word.payload.data),
                write_lanes.eq(Mux(inside, word.payload.strobe, 0)),
            ]
        with m.Elif(octet_waits):
            m.d.sync += [
                write_place.eq(octet_address[3:]),
                write_data.eq(octet.replicate(_LANES)),
                write_lanes.eq(1 << octet_address[:3]),
                octet_waits.eq(0),
            ]
        with m.If(self.write):
            m.d.sync += [
                octet_waits.eq(~self._is_outside(self.address)),
                octet_address.eq(self.address),
                octet.eq(self.octet),
            ]

        head = Cat(
            Const(Message.WRITE_MEMORY, 8),
            address[: 8 * ADDRESS_OCTETS],
            left,
            Const(0, 8 * LENGTH_OCTETS - len(left)),
        )
        # What is left of a word that has been taken, and is told octet by octet.
        octets, strobes, last_word = Signal(8 * _LANES), Signal(_LANES), Signal()
        lanes_left = Signal(range(_LANES + 1))
        wanted = Signal()  # a word
        m.d.comb += [word.ready.eq(wanted), taken.eq(word.valid & wanted)]
        with m.FSM() as fsm:
            with m.State("CLEAR"):
                m.d.comb += sweep.eq(1)
                m.d.sync += place.eq(place + 1)
                with m.If(place.all()):
                    m.d.sync += self.cleared.eq(1)
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += request.ready.eq(1)
                m.d.sync += [address.eq(request.payload.address), left.eq(request.payload.length), number.eq(0)]
                with m.If(request.valid):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += inside.eq(~self._is_outside(address))
                m.d.comb += outside.eq(self._is_outside(address))
                m.next = "HEAD"
                with m.If(outside):
                    m.d.sync += wanted.eq(1)
                    m.next = "DATA"
            with m.State("HEAD"):
                m.d.comb += [self.messages.valid.eq(1), self.messages.payload.data.eq(head.word_select(number, 8))]
                with m.If(self.messages.ready):
                    m.d.sync += number.eq(number + 1)
                    with m.If(number == _HEAD_OCTETS - 1):
                        m.d.sync += wanted.eq(1)
                        m.next = "DATA"
            with m.State("DATA"):
                step, written, last_lane = Signal(), Signal(), Signal()
                m.d.comb += [
                    written.eq(strobes[0]),
                    self.messages.valid.eq((lanes_left != 0) & written & inside),
                    self.messages.payload.data.eq(octets[:8]),
                    self.messages.payload.last.eq(left == 1),
                    last_lane.eq((lanes_left == 1) | (written & (left == 1))),
                    step.eq((lanes_left != 0) & (~written | ~inside | self.messages.ready)),
                ]
                with m.If(taken):
                    m.d.sync += [
                        wanted.eq(0),
                        place.eq(place + 1),
                        octets.eq(word.payload.data),
                        strobes.eq(word.payload.strobe),
                        last_word.eq(word.payload.last),
                        lanes_left.eq(_LANES),
                    ]
                with m.If(step):
                    m.d.sync += [
                        octets.eq(octets[8:]),
                        strobes.eq(strobes[1:]),
                        lanes_left.eq(Mux(last_lane, 0, lanes_left - 1)),
                        left.eq(left - written),
                    ]
                    with m.If(last_lane):
                        m.d.sync += wanted.eq(~last_word)
                        with m.If(last_word):
                            m.next = "REQUEST"
        m.d.comb += self.pending.eq(request.valid + ~fsm.ongoing("REQUEST"))
        return outside

    def _read(self, m: Module, ports: list[wiring.PureInterface]) -> Signal:
        """One word per cycle."""
        request, word = self.memory.read_request, self.memory.read_data
        idle = Signal(init=1)
        place = Signal(self._bits - 3)
        left = Signal(range(_LANES * 16))
        tag = Signal(data.StructLayout({"valid": 1, "tag": 2, "last": 1, "inside": 1}))
        current, inside = Signal(ReadRequest), Signal()
        outside = Signal()
        ask = request.payload
        m.d.comb += [
            request.ready.eq(idle),
            tag.valid.eq(~idle),
            tag.tag.eq(current.tag),
            tag.inside.eq(inside),
            tag.last.eq(left == 1),
            inside.eq(~self._is_outside(current.address)),
            outside.eq(~idle & ~inside),
        ]
        with m.If(~idle):
            m.d.sync += [left.eq(left - 1), place.eq(place + 1), idle.eq(left == 1)]
        with m.Elif(request.valid):
            m.d.sync += [
                idle.eq(0),
                left.eq((ask.address[:3] + ask.length + 7)[3:]),
                place.eq(ask.address[3 : self._bits]),
                current.eq(ask),
            ]
        # Registers of the address and of what came out: a word that was taken before a read is asked for is in
        # memory by then.
        read_place = Signal.like(place)
        m.d.sync += read_place.eq(place)
        for port in ports:
            m.d.comb += port.addr.eq(read_place)
        output = Cat(port.data for port in ports)
        asked, fetched = Signal.like(tag), Signal.like(tag)
        m.d.sync += [
            asked.eq(tag),
            fetched.eq(asked),
            word.valid.eq(fetched.valid),
            word.payload.data.eq(output | (~fetched.inside).replicate(8 * _LANES)),
            word.payload.tag.eq(fetched.tag),
            word.payload.last.eq(fetched.last),
        ]
        return outside
