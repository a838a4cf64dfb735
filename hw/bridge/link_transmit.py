"""The sending half of the link: information frames with their retransmission, and what the receiving half owes
(ISO/IEC 13239 5.5; the timer is what X.25's LAPB calls T1).
"""

from amaranth.hdl import Array, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hw.bridge.framing import FrameOctet
from hw.bridge.protocol import BUILD_ID_OCTETS, MODULUS, REJ, RR, UA, VERSION
from hw.bridge.records import RecordBuffer

__all__ = ["LinkTransmitter", "identity"]

T1_CYCLES = 12_500_000
"""100 ms of 125 MHz: longer than any USB serial port lets an acknowledgment wait."""


def identity(*, build_id: bytes, memory_kib: int) -> bytes:
    """What UA tells of the board."""
    return bytes([VERSION]) + build_id + memory_kib.to_bytes(2, "little")


class LinkTransmitter(wiring.Component):
    """Parameters
    ----------
    build_id : bytes
        Eight octets.
    memory_kib : int
        KiB of host memory.
    t1_cycles : int
        After so many cycles without an acknowledgment, frames are sent again.
    depth : int
        As of ``RecordBuffer``.

    Members
    -------
    messages : ``In(stream.Signature(FrameOctet))``
        Each is sent as the information of one frame, and kept until it is acknowledged.
    set_mode, token, v_r, acknowledge, reject, n_r, owe_rr, owe_rej : ``In``
        As ``LinkReceiver`` gives them.
    hold : ``In(1)``
        Messages are still those of the link before: none is taken, and UA waits.
    o : ``Out(stream.Signature(FrameOctet))``
        Frames.
    """

    messages: In(stream.Signature(FrameOctet))
    set_mode: In(1)
    token: In(8)
    v_r: In(range(MODULUS))
    acknowledge: In(1)
    reject: In(1)
    n_r: In(range(MODULUS))
    owe_rr: In(1)
    owe_rej: In(1)
    hold: In(1)
    o: Out(stream.Signature(FrameOctet))

    def __init__(self, *, build_id: bytes, memory_kib: int, t1_cycles: int = T1_CYCLES, depth: int = 4096) -> None:
        if not isinstance(build_id, bytes) or len(build_id) != BUILD_ID_OCTETS:
            raise ValueError(f"build_id is {BUILD_ID_OCTETS} bytes, not {build_id!r}")
        if not 1 <= memory_kib <= 16384:
            raise ValueError(f"memory_kib is 1 to 16384, not {memory_kib!r}")
        if t1_cycles < 1:
            raise ValueError(f"t1_cycles is positive, not {t1_cycles!r}")
        self._identity = identity(build_id=build_id, memory_kib=memory_kib)
        self._t1_cycles = t1_cycles
        self._buffer = RecordBuffer(depth=depth)
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = self._buffer
        v_s, v_a = Signal(range(MODULUS)), Signal(range(MODULUS))
        ua, rej, rr = Signal(), Signal(), Signal()  # what is owed
        connect(m, flipped(self.messages), buffer.i)
        m.d.comb += [buffer.oldest.eq(v_a), buffer.clear.eq(self.set_mode | self.hold), buffer.number.eq(v_s)]

        head = Signal(8)
        # What UA gives back, then the identity.
        answer = Array([self.token, *(Const(octet, 8) for octet in self._identity)])
        number = Signal(range(len(answer)))
        elapsed = Signal(range(self._t1_cycles))
        information = Signal()
        with m.FSM() as fsm:
            with m.State("IDLE"):
                m.d.sync += [number.eq(0), information.eq(0)]
                with m.If(ua & ~self.hold):
                    m.d.sync += [head.eq(UA), ua.eq(0)]
                    m.next = "FIRST"
                with m.Elif(rej):
                    m.d.sync += [head.eq(REJ), rej.eq(0)]
                    m.next = "FIRST"
                with m.Elif(v_s != buffer.written):
                    m.d.comb += buffer.start.eq(1)
                    m.d.sync += [head.eq(v_s << 1), v_s.eq(v_s + 1), information.eq(1)]
                    m.next = "FIRST"
                with m.Elif(rr):
                    m.d.sync += head.eq(RR)
                    m.next = "FIRST"
            with m.State("FIRST"):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.data.eq(head)]
                with m.If(self.o.ready):
                    m.next = "RECEIVED"
                    with m.If(head == UA):
                        m.next = "ANSWER"
                    # N(R) is the newest; what is owed from here on is owed again.
                    m.d.sync += [head.eq(self.v_r << 1), rr.eq(0)]
            with m.State("RECEIVED"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(head),
                    self.o.payload.last.eq(~information),
                ]
                with m.If(self.o.ready):
                    m.next = "IDLE"
                    with m.If(information):
                        m.next = "INFORMATION"
            with m.State("INFORMATION"):
                m.d.comb += [
                    self.o.valid.eq(buffer.o.valid),
                    self.o.payload.eq(buffer.o.payload),
                    buffer.o.ready.eq(self.o.ready),
                ]
                with m.If(self.o.valid & self.o.ready & self.o.payload.last):
                    m.next = "IDLE"
            with m.State("ANSWER"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(answer[number]),
                    self.o.payload.last.eq(number == len(answer) - 1),
                ]
                with m.If(self.o.ready):
                    m.d.sync += number.eq(number + 1)
                    with m.If(self.o.payload.last):
                        m.next = "IDLE"

        with m.If((v_s == v_a) | (elapsed == self._t1_cycles - 1)):
            m.d.sync += elapsed.eq(0)
        with m.Elif(fsm.ongoing("IDLE")):
            m.d.sync += elapsed.eq(elapsed + 1)
        with m.If(elapsed == self._t1_cycles - 1):
            m.d.sync += v_s.eq(v_a)

        with m.If(self.owe_rr):
            m.d.sync += rr.eq(1)
        with m.If(self.owe_rej):
            m.d.sync += rej.eq(1)
        gained = Signal(range(MODULUS))
        m.d.comb += gained.eq(self.n_r - v_a)
        with m.If(self.acknowledge & (gained <= (buffer.written - v_a)[: len(gained)])):
            m.d.sync += v_a.eq(self.n_r)
            with m.If(gained != 0):
                m.d.sync += elapsed.eq(0)
            with m.If(self.reject | (gained > (v_s - v_a)[: len(gained)])):
                m.d.sync += v_s.eq(self.n_r)
        with m.If(self.set_mode):
            m.d.sync += [ua.eq(1), rej.eq(0), rr.eq(0), v_s.eq(0), v_a.eq(0)]
        return m
