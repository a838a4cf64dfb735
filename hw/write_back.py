"""Descriptor write-back, for both rings (8254x manual 317453, sections 3.2.5 receive and 3.4.2 transmit; WTHRESH in
13.4.43 and 13.4.46).

WTHRESH = 0: a descriptor is written back as soon as it is used, no more of it than the NIC changes. Otherwise used
descriptors gather, and are written back whole and together when there are WTHRESH of them, or when a delay timer runs
out (RDTR, RADV, TIDV, TADV) or software writes RDTR.FPD.

That alone would leave descriptors waiting for ever: transmit descriptors without IDE, and those of a frame that is too
long for the buffers there are, start no timer. So they are also written back when every descriptor up to the tail is
used and no timer runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.descriptors import DESCRIPTOR_BYTES
from hw.interfaces import MAX_BURST_BYTES, WriteData, WriteRequest
from hw.ring import bursts
from hw.thresholds import ON_CHIP, Thresholds, in_descriptors

__all__ = ["DescriptorWriteBack", "UsedDescriptor", "WriteBackRule"]

_BURST = MAX_BURST_BYTES // DESCRIPTOR_BYTES

UsedDescriptor = data.StructLayout({"data": 128, "index": 16, "report": 1, "event": 1, "prompt": 1})
"""A used descriptor as it is to be in memory. ``report``: it is to be written back. For the delay timers: ``event``,
it starts them; ``prompt``, its interrupt must not wait once it is written back."""


@dataclass(kw_only=True)
class WriteBackRule:
    """Which descriptors are written back when (golden model of ``DescriptorWriteBack``).

    ``group`` holds the indices of those that wait. Methods return the indices that are written back whole now; at
    WTHRESH = 0 ``use`` returns the one of which only the status is.
    """

    group: list[int] = field(default_factory=list)

    def use(self, index: int, *, report: bool, wthresh: int) -> list[int]:
        """A descriptor is used; ``wthresh`` is WTHRESH in descriptors. A descriptor without report (RS) does not start
        a group, but joins one (13.4.43)."""
        if report or self.group:
            self.group.append(index)
        return self.flush() if len(self.group) >= min(wthresh, ON_CHIP) else []

    def dry(self, *, timer_running: bool) -> list[int]:
        """All descriptors up to the tail are used."""
        return [] if timer_running else self.flush()

    def flush(self) -> list[int]:
        """A delay timer runs out, or RDTR.FPD."""
        written, self.group = self.group, []
        return written

    @staticmethod
    def requests(written: list[int], *, base: int, size: int) -> Iterator[tuple[int, int]]:
        """The ``(address, bytes)`` of a group, which lies in ring order."""
        return bursts(written[0], len(written), base=base, size=size) if written else iter(())


class DescriptorWriteBack(wiring.Component):
    """Writes used descriptors back, and keeps the head.

    A descriptor counts as used, for ``event``, when it has joined a group; at WTHRESH = 0, and for ``prompt`` always,
    when it has been handed to the memory port. The pulses come a cycle after that.

    Parameters
    ----------
    status_byte, status_bytes : int
        The part of a descriptor that is written at WTHRESH = 0; in its upper half.

    Members
    -------
    used : ``In(stream.Signature(UsedDescriptor))``
        In ring order.
    write_request, write_data : ``Out``
        As in ``MemoryPort``.
    base : ``In(64)``, length : ``In(20)``
        Address and length of the ring in bytes, multiples of 16.
    tail : ``In(16)``
    thresholds : ``In(Thresholds)``
    timer_running : ``In(1)``
        A delay timer runs, so ``flush`` is going to come.
    flush : ``In(1)``
        Pulse: write back what waits. ``event`` and ``prompt`` may come by way of the timers in the same cycle.
    flushed : ``Out(1)``
        Pulse: that is done, in the cycle of ``flush`` if nothing waits. What a flush comes from may interrupt now.
    event, prompt : ``Out(1)``
        Pulses for the delay timers. One ``prompt`` for all in a group.
    head_written : ``In(1)``, head_value : ``In(16)``
        Software writes the head. What waits is dropped; a request already offered to the memory stands.
    head : ``Out(16)``
        Index of the next descriptor to be written back. Those that need not be are passed over.
    advanced : ``Out(1)``
        Pulse: ``head`` has moved on.
    left : ``Out(16)``
        Descriptors from the next one to be used up to the tail; a cycle late.
    moved : ``Out(1)``
        Pulse: ``left`` has fallen by one.
    """

    def __init__(self, *, status_byte: int, status_bytes: int) -> None:
        half = DESCRIPTOR_BYTES // 2
        if not half <= status_byte < DESCRIPTOR_BYTES:
            raise ValueError(f"status_byte must be from {half} to {DESCRIPTOR_BYTES - 1}, not {status_byte!r}")
        if not 1 <= status_bytes <= DESCRIPTOR_BYTES - status_byte:
            raise ValueError(f"status_bytes must be from 1 to {DESCRIPTOR_BYTES - status_byte}, not {status_bytes!r}")
        self._status_byte = status_byte
        self._status_bytes = status_bytes
        super().__init__(
            {
                "used": In(stream.Signature(UsedDescriptor)),
                "write_request": Out(stream.Signature(WriteRequest)),
                "write_data": Out(stream.Signature(WriteData)),
                "base": In(64),
                "length": In(20),
                "tail": In(16),
                "thresholds": In(Thresholds),
                "timer_running": In(1),
                "flush": In(1),
                "flushed": Out(1),
                "event": Out(1),
                "prompt": Out(1),
                "head_written": In(1),
                "head_value": In(16),
                "head": Out(16),
                "advanced": Out(1),
                "left": Out(16),
                "moved": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(shape=64, depth=2 * ON_CHIP, init=[])
        write = memory.write_port()
        read = memory.read_port()
        filled = Signal(range(2 * ON_CHIP))  # words of the memory; both run on over its end
        drawn = Signal.like(filled)

        used = Signal(UsedDescriptor)
        held = Signal()  # ``used`` is one that has not been looked at yet
        size = Signal(16)
        following = Signal(16)  # the next to be used
        after = Signal(16)
        start = Signal(16)  # the first of the group
        count = Signal(range(ON_CHIP + 1))
        joins = Signal()
        prompt = Signal()
        alone = Signal()  # WTHRESH = 0: the status of one
        dropped = Signal()  # software wrote the head
        joining = Signal()
        using = Signal()
        m.d.comb += [
            size.eq(self.length[4:]),
            joins.eq(used.report | (count != 0)),
            write.addr.eq(filled),
            write.data.eq(used.data[:64]),  # the lower word, then the upper one moves there
            read.addr.eq(drawn),
            read.en.eq(0),
        ]

        waiting = Signal()
        flushing = Signal()
        m.d.comb += [
            waiting.eq(joining | (count != 0)),
            self.flushed.eq((self.flush | flushing) & ~waiting),
        ]
        m.d.sync += flushing.eq((self.flush | flushing) & waiting)

        enough = count >= in_descriptors(self.thresholds.wthresh, gran=self.thresholds.gran)
        dry = (following == self.tail) & ~self.timer_running & ~self.event  # which starts it
        # Only software that moves the head under a running NIC makes a gap.
        gap = held & (used.index != following)

        contiguous = Signal(16)
        aligned = Signal(range(_BURST + 1))
        position = Signal(range(_BURST))
        number = Signal(range(_BURST + 1))
        words = Signal(range(2 * _BURST + 1))
        address = Signal(64)
        strobe = Signal(8)
        next_start = Signal(16)
        m.d.comb += [
            position.eq(self.base[4:] + start),
            next_start.eq(Mux(start + number == size, 0, start + number)),
            self.write_request.payload.address.eq(address),
            self.write_request.payload.length.eq(
                Mux(alone, self._status_bytes, Cat(Const(0, DESCRIPTOR_BYTES.bit_length() - 1), number))
            ),
            strobe.eq(Mux(alone, (1 << self._status_bytes) - 1 << self._status_byte % 8, 0xFF)),
            self.write_data.payload.data.eq(read.data),
            self.write_data.payload.strobe.eq(strobe),
            self.write_data.payload.last.eq(words == 1),
        ]

        m.d.sync += [self.advanced.eq(0), self.event.eq(0), self.prompt.eq(0)]
        with m.FSM():
            with m.State("IDLE"):
                # Looked at a cycle after it is taken, so that no comparison stands before ``ready``.
                m.d.comb += self.used.ready.eq(~held & ~dropped)
                m.d.sync += alone.eq(0)
                with m.If(~held):
                    m.d.sync += [used.eq(self.used.payload), held.eq(self.used.valid)]
                with m.If(dropped):
                    m.d.sync += [dropped.eq(0), held.eq(0), count.eq(0), prompt.eq(0), filled.eq(drawn)]
                with m.Elif((count != 0) & (flushing | enough | (count == ON_CHIP) | dry | gap)):
                    m.next = "BOUND"
                with m.Elif(held):
                    m.d.sync += held.eq(0)
                    m.next = "LOW"

            with m.State("LOW"):
                m.d.comb += [joining.eq(1), write.en.eq(joins)]
                m.d.sync += [filled.eq(filled + joins), used.data[:64].eq(used.data[64:])]
                m.d.sync += [after.eq(Mux(used.index + 1 == size, 0, used.index + 1))]
                m.next = "HIGH"
            with m.State("HIGH"):
                m.d.comb += [joining.eq(1), write.en.eq(joins)]
                m.d.sync += [filled.eq(filled + joins), prompt.eq(prompt | (used.prompt & joins))]
                with m.If(count == 0):
                    m.d.sync += start.eq(used.index)
                m.next = "IDLE"
                with m.If(~dropped & ~self.head_written):
                    m.d.comb += using.eq(1)
                    m.d.sync += [following.eq(after), count.eq(count + joins)]
                    with m.If(~joins):
                        m.d.sync += [self.head.eq(after), self.advanced.eq(1)]
                    with m.Elif((self.thresholds.wthresh == 0) & (count == 0)):
                        m.d.sync += alone.eq(1)
                        m.next = "BOUND"
                    with m.Else():
                        m.d.sync += self.event.eq(used.event)

            with m.State("BOUND"):
                m.d.sync += [contiguous.eq(size - start), aligned.eq(_BURST - position)]
                m.next = "FIT"
            with m.State("FIT"):
                most = Mux(contiguous < aligned, contiguous, aligned)
                offset = Mux(alone, self._status_byte, 0)
                m.d.sync += [
                    number.eq(Mux(count < most, count, most)),
                    address.eq(self.base + Cat(offset[:4], start)),
                ]
                m.next = "REQUEST"
                with m.If(dropped | self.head_written):
                    m.next = "IDLE"
            with m.State("REQUEST"):
                m.d.comb += self.write_request.valid.eq(1)
                m.d.sync += words.eq(Mux(alone, 1, Cat(Const(0, 1), number)))
                with m.If(self.write_request.ready):
                    m.d.sync += drawn.eq(drawn + alone)  # the lower half is not written
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += read.en.eq(1)
                m.d.sync += drawn.eq(drawn + 1)
                m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += self.write_data.valid.eq(1)
                with m.If(self.write_data.ready):
                    m.d.sync += words.eq(words - 1)
                    m.next = "FETCH"
                    with m.If(self.write_data.payload.last):
                        m.d.sync += [count.eq(count - number), start.eq(next_start)]
                        with m.If(~dropped):
                            m.d.sync += [self.head.eq(next_start), self.advanced.eq(1)]
                        m.next = "BOUND"
                        with m.If(dropped | self.head_written):
                            m.next = "IDLE"
                        with m.Elif(count == number):
                            m.next = "REPORT"
            with m.State("REPORT"):
                m.d.sync += [self.event.eq(alone & used.event), self.prompt.eq(prompt), prompt.eq(0)]
                m.next = "IDLE"

        with m.If(self.head_written):
            m.d.sync += [self.head.eq(self.head_value), following.eq(self.head_value), dropped.eq(1)]
        self._left(m, following, size, using)
        return m

    def _left(self, m: Module, following: Signal, size: Signal, using: Signal) -> None:
        """How many descriptors are left, in two steps after one is used."""
        step = Signal()
        m.d.sync += [
            step.eq(using),
            self.moved.eq(step),
            self.left.eq(self.tail - following + Mux(self.tail < following, size, 0)),
        ]
