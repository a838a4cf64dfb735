"""The receiving half of the link: information frames in sequence, acknowledgments, mode setting (ISO/IEC 13239 5.5).

Differs from the standard's procedures in that a frame whose FCS is wrong is rejected at once, not when the next one
shows the gap: there is nobody on the line but the peer.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.bridge.protocol import MODULUS, REJ, RR, SABME

__all__ = ["LinkReceiver"]


class LinkReceiver(wiring.Component):
    """Parameters
    ----------
    depth : int
        Octets of information that can wait, a power of two. A frame that finds no room is not taken, and has to be
        sent again.

    Members
    -------
    octet, valid, end, good : ``In``
        As ``Deframer`` gives them.
    o : ``Out(stream.Signature(8))``
        Information, whole frames in sequence.
    connected : ``Out(1)``
        A link has been set up. Until then only that is listened to.
    set_mode : ``Out(1)``, token : ``Out(8)``
        A link is to be set up: all state of it is new. The octet that the answer gives back stays.
    v_r : ``Out(7)``
        V(R): the frame expected next.
    acknowledge, reject : ``Out(1)``, n_r : ``Out(7)``
        The peer has all frames before N(R); and wants those from there on again.
    owe_rr, owe_rej : ``Out(1)``
        The peer has to be told V(R); and to go back to it. These, ``set_mode`` and ``acknowledge`` are registered:
        they come in the cycle behind the frame's end.
    """

    octet: In(8)
    valid: In(1)
    end: In(1)
    good: In(1)
    o: Out(stream.Signature(8))
    connected: Out(1)
    set_mode: Out(1)
    token: Out(8)
    v_r: Out(range(MODULUS))
    acknowledge: Out(1)
    reject: Out(1)
    n_r: Out(range(MODULUS))
    owe_rr: Out(1)
    owe_rej: Out(1)

    def __init__(self, *, depth: int = 2048) -> None:
        if depth < 2 or depth & (depth - 1):
            raise ValueError(f"depth is a power of two, not {depth!r}")
        self._depth = depth
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        set_mode = Signal()
        # What is told is told from registers, a cycle behind.
        events = {name: Signal(name=f"{name}_now") for name in ("acknowledge", "reject", "owe_rr", "owe_rej")}
        m.d.sync += [self.set_mode.eq(set_mode), *(getattr(self, name).eq(event) for name, event in events.items())]
        m.submodules.memory = memory = Memory(shape=8, depth=self._depth, init=[])
        write, read = memory.write_port(), memory.read_port()
        place = Signal(range(2 * self._depth))  # of the next octet; all three have one bit more than an address
        committed = Signal.like(place)
        reading = Signal.like(place)

        first, second = Signal(8), Signal(8)
        number = Signal(range(3))  # of octets in this frame, two and more being the same
        information, overflowed = Signal(), Signal()
        m.d.comb += [
            information.eq(~first[0]),
            write.addr.eq(place),
            write.data.eq(self.octet),
            self.n_r.eq(second[1:]),
        ]
        with m.If(self.valid), m.Switch(number):
            with m.Case(0):
                m.d.sync += [first.eq(self.octet), number.eq(1)]
            with m.Case(1):
                m.d.sync += [second.eq(self.octet), number.eq(2)]
            with m.Default(), m.If(information):
                # A location is never read and written at once: the reader stays behind ``committed``.
                with m.If((place - reading)[: len(place)] == self._depth):
                    m.d.sync += overflowed.eq(1)
                with m.Else():
                    m.d.comb += write.en.eq(1)
                    m.d.sync += place.eq(place + 1)

        rejecting = Signal()
        n_s = first[1:]
        behind = Signal(range(MODULUS))  # by how many frames the peer is
        m.d.comb += behind.eq(self.v_r - n_s)
        with m.If(self.end):
            m.d.sync += [number.eq(0), overflowed.eq(0), place.eq(committed)]
            with m.If(self.good & (first == SABME) & (number == 2)):
                m.d.comb += set_mode.eq(1)
                m.d.sync += [
                    self.connected.eq(1),
                    self.token.eq(second),
                    self.v_r.eq(0),
                    rejecting.eq(0),
                    committed.eq(reading),
                    place.eq(reading),
                ]
            with m.Elif(self.connected & self.good & (number == 2)):
                with m.If(information):
                    m.d.comb += events["acknowledge"].eq(1)
                    with m.If((behind == 0) & ~overflowed):
                        m.d.comb += events["owe_rr"].eq(1)
                        m.d.sync += [self.v_r.eq(self.v_r + 1), committed.eq(place), place.eq(place), rejecting.eq(0)]
                    with m.Elif((behind != 0) & (behind < MODULUS // 2)):
                        m.d.comb += events["owe_rr"].eq(1)  # it has missed the acknowledgment
                    with m.Elif(~rejecting):
                        m.d.comb += events["owe_rej"].eq(1)
                        m.d.sync += rejecting.eq(1)
                with m.Else():
                    m.d.comb += [
                        events["acknowledge"].eq((first == RR) | (first == REJ)),
                        events["reject"].eq(first == REJ),
                    ]
            with m.Elif(self.connected & ~self.good):
                m.d.comb += events["owe_rej"].eq(1)
                m.d.sync += rejecting.eq(1)

        # Octets come slowly: each is kept in a register until it is taken, and the next one is fetched after that.
        fetched = Signal()
        m.d.comb += read.addr.eq(reading)
        m.d.sync += fetched.eq(~self.o.valid & (reading != committed) & ~set_mode)
        with m.If(set_mode):
            m.d.sync += self.o.valid.eq(0)
        with m.Elif(self.o.valid):
            m.d.sync += self.o.valid.eq(~self.o.ready)
        with m.Elif(fetched):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(read.data), reading.eq(reading + 1), fetched.eq(0)]
        return m
