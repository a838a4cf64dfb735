"""Statistics counters (manual 13.7): one small memory, and an engine that adds each frame's record to it.

All counters stick at their maximum and are cleared by a read. GORC, GOTC, TOR and TOT are pairs of words, which stick
as one number of 64 bits and are both cleared by the read of the high word.

Which counters a frame moves is told by ``hw.frame_records``. Those of events that this
NIC cannot see stay 0: of half duplex (SCC, ECOL, MCC, LATECOL, COLC, DC, TNCRS), of fibre (SYMERRS, SEC,
CEXTERR) and of management (MGT*).
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from hw.frame_records import SHORTEST, SIZE_NAMES, ReceivedRecord, TransmittedRecord, size_class
from hw.register_file import BlockSignature
from hw.registers import BY_NAME, STATISTICS

__all__ = ["PAIRS", "Counters", "Statistics"]

PAIRS = ("GORC", "GOTC", "TOR", "TOT")
"""Counters of 64 bits; their registers have L and H behind the name."""

_SLOTS = 64
_FIRST = min(register.offset for register in STATISTICS)
_ONES = 0xFFFF_FFFF
_QUEUE = 8
"""Records of a kind that can wait."""


class Counters:
    """The counters as software sees them (golden class of ``Statistics``)."""

    def __init__(self) -> None:
        self.words = dict.fromkeys((register.name for register in STATISTICS), 0)

    def add(self, counts: dict[str, int]) -> None:
        for name, amount in counts.items():
            if name in PAIRS:
                both = self.words[f"{name}H"] << 32 | self.words[f"{name}L"]
                both = min(both + amount, _ONES << 32 | _ONES)
                self.words[f"{name}H"], self.words[f"{name}L"] = both >> 32, both & _ONES
            else:
                self.words[name] = min(self.words[name] + amount, _ONES)

    def read(self, name: str) -> int:
        """Read a register, with what that clears."""
        value = self.words[name]
        if name[:-1] not in PAIRS:
            self.words[name] = 0
        elif name.endswith("H"):
            self.words[name] = self.words[f"{name[:-1]}L"] = 0
        return value


def _slot(name: str) -> int:
    return (BY_NAME[name].offset - _FIRST) // 4


class _Action(enum.Enum, shape=3):
    """What a step does to one word of the memory."""

    ADD = 0
    LOW = 1
    """Adds to the low word of a pair."""
    HIGH = 2
    """Adds what the step before carries."""
    STICK = 3
    """If the step before overflowed, all ones into the low word, too."""
    CLEAR = 4


_Step = tuple[Value | int, _Action | Value, Value | int]
"""Which word of the memory, what is done to it, and what is added."""


class _Walk:
    """The steps for one record. ``begin`` is high two cycles after the first one of ``waits`` at the earliest and
    just before the first step, ``done`` with the last step."""

    def __init__(self, *, waits: Value, steps: tuple[_Step, ...]) -> None:
        self.waits = waits
        self.steps = steps
        self.begin = Signal()
        self.done = Signal()


def _pair(name: str, amount: Value) -> tuple[_Step, ...]:
    low, high = _slot(f"{name}L"), _slot(f"{name}H")
    return (low, _Action.LOW, amount), (high, _Action.HIGH, 0), (low, _Action.STICK, 0)


class Statistics(wiring.Component):
    """The counters. Each record is walked through in a fixed list of steps, one a cycle, and so is software's read.

    A walk takes 19 cycles for a frame received, 14 for one sent, 5 for a read or for segmentation. So no record is lost
    while they come no faster than the receive filter decides (24 cycles) and the MAC sends frames of 64 bytes.
    After reset the memory is swept for 64 cycles. Records are kept, and reads wait, meanwhile.

    Members
    -------
    received : ``In(stream.Signature(ReceivedRecord))``, transmitted : ``In(stream.Signature(TransmittedRecord))``
        Always ready.
    segmented, cut_short : ``In(1)``
        Pulses: the segmenter has finished, or given up, a packet (TSCTC, TSCTFC).
    port : ``In(BlockSignature(STATISTICS))``
        From the register file.
    """

    received: In(stream.Signature(ReceivedRecord, always_ready=True))
    transmitted: In(stream.Signature(TransmittedRecord, always_ready=True))
    segmented: In(1)
    cut_short: In(1)
    port: In(BlockSignature(STATISTICS))

    def __init__(self) -> None:
        self._memory = Memory(shape=32, depth=_SLOTS, init=[])
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        walks = (
            self._read(m),
            self._received(m),
            self._transmitted(m),
            self._segmentation(m),
        )
        place = Signal(range(_SLOTS))
        action = Signal(_Action)
        amount = Signal(15)
        stepping = Signal()
        answering = Signal()  # the step is that of the word which software reads
        sweep = Signal(range(_SLOTS))
        number = Signal(range(max(len(walk.steps) for walk in walks)))
        with m.FSM():
            with m.State("SWEEP"):
                m.d.comb += [place.eq(sweep), action.eq(_Action.CLEAR), stepping.eq(1)]
                m.d.sync += sweep.eq(sweep + 1)
                with m.If(sweep == _SLOTS - 1):
                    m.next = "DRAIN"
            with m.State("IDLE"):
                m.d.sync += number.eq(0)
                for index, walk in enumerate(walks):
                    with m.If(walk.waits) if index == 0 else m.Elif(walk.waits):
                        m.next = f"BEGIN {index}"
            for index, walk in enumerate(walks):
                with m.State(f"BEGIN {index}"):
                    m.d.comb += walk.begin.eq(1)
                    m.next = f"WALK {index}"
                with m.State(f"WALK {index}"):
                    m.d.comb += [stepping.eq(1), answering.eq((index == 0) & (number == 0))]
                    m.d.sync += number.eq(number + 1)
                    with m.Switch(number):
                        for case, step in enumerate(walk.steps):
                            with m.Case(case):
                                m.d.comb += [
                                    signal.eq(part) for signal, part in zip((place, action, amount), step, strict=True)
                                ]
                    with m.If(number == len(walk.steps) - 1):
                        m.d.comb += walk.done.eq(1)
                        m.next = "DRAIN"
            # DRAIN, IDLE and BEGIN: a word is read again four cycles after it was at the earliest, when it is written.
            with m.State("DRAIN"):
                m.next = "IDLE"
        self._perform(m, place, action, amount, stepping, answering)
        return m

    def _read(self, m: Module) -> _Walk:
        address = self.port.address
        is_low, is_high = Signal(), Signal()
        other = Signal.like(address)  # the other word of a pair
        action = Mux(is_low, _Action.ADD, _Action.CLEAR)
        m.d.sync += [
            is_low.eq(Cat(address == _slot(f"{name}L") for name in PAIRS).any()),
            is_high.eq(Cat(address == _slot(f"{name}H") for name in PAIRS).any()),
            other.eq(address ^ is_high),
        ]
        return _Walk(waits=self.port.request, steps=((address, action, 0), (other, action, 0)))

    def _received(self, m: Module) -> _Walk:
        m.submodules.received = queue = SyncFIFOBuffered(width=ReceivedRecord.size, depth=_QUEUE)
        m.d.comb += [queue.w_data.eq(self.received.payload), queue.w_en.eq(self.received.valid)]
        record = Signal(ReceivedRecord, name="received_record")
        size = Signal(range(len(SIZE_NAMES)))
        short, whole, control, good = (Signal(name=name) for name in ("short", "whole", "control", "good"))
        counted = Signal(15)
        # At most one moves of the counters of size, of length errors and of MAC control frames.
        place, moves = Signal(range(_SLOTS)), Signal()
        m.d.sync += [
            record.eq(queue.r_data),
            size.eq(size_class(record.length)),
            short.eq(record.length < SHORTEST),
            moves.eq(good | control | (whole & (short | record.long))),
        ]
        with m.If(control):
            # XONRXC, XOFFRXC and FCRUC stand two words apart.
            m.d.sync += place.eq(_slot("XONRXC") + Cat(0, record.xoff, record.unsupported))
        with m.Elif(good):
            m.d.sync += place.eq(_slot("PRC64") + size)
        with m.Else():
            # RUC, RFC, ROC and RJC stand side by side.
            m.d.sync += place.eq(_slot("RUC") + Cat(record.crc_error, ~short))
        m.d.comb += [
            control.eq(record.xon | record.xoff | record.unsupported),
            whole.eq(~(record.lost | record.unwanted | control)),
            good.eq(record.kept & whole & ~(short | record.long | record.crc_error | record.rx_error)),
            counted.eq(Mux(good, record.length, 0)),
        ]
        walk = _Walk(
            waits=queue.r_rdy,
            steps=(
                # ALGNERRC is the word behind CRCERRS.
                (_slot("CRCERRS") + record.alignment, _Action.ADD, whole & record.crc_error & ~short),
                (_slot("RXERRC"), _Action.ADD, whole & record.rx_error & ~short),
                (_slot("MPC"), _Action.ADD, record.lost),
                (_slot("RLEC"), _Action.ADD, whole & (short | record.long)),
                (place, _Action.ADD, moves),
                (_slot("GPRC"), _Action.ADD, good),
                (_slot("BPRC"), _Action.ADD, good & record.broadcast),
                (_slot("MPRC"), _Action.ADD, good & record.multicast),
                *_pair("GORC", counted),
                (_slot("RNBC"), _Action.ADD, record.no_buffer & ~control),
                *_pair("TOR", record.length),
                (_slot("TPR"), _Action.ADD, 1),
            ),
        )
        m.d.comb += queue.r_en.eq(walk.done)
        return walk

    def _transmitted(self, m: Module) -> _Walk:
        m.submodules.transmitted = queue = SyncFIFOBuffered(width=TransmittedRecord.size, depth=_QUEUE)
        m.d.sync += [queue.w_data.eq(self.transmitted.payload), queue.w_en.eq(self.transmitted.valid)]
        record = Signal(TransmittedRecord, name="transmitted_record")
        size = Signal(range(len(SIZE_NAMES)))
        control, good = Signal(name="control"), Signal(name="good")
        m.d.comb += control.eq(record.xon | record.xoff)
        m.d.sync += [
            record.eq(queue.r_data),
            size.eq(size_class(record.length)),
            good.eq((record.length >= SHORTEST) & ~record.error & ~control),
        ]
        kind = Mux(control, _slot("XONTXC") + Cat(0, record.xoff), _slot("PTC64") + size)
        walk = _Walk(
            waits=queue.r_rdy,
            steps=(
                (kind, _Action.ADD, good | control),
                (_slot("GPTC"), _Action.ADD, good),
                (_slot("MPTC"), _Action.ADD, record.multicast & ~record.error & ~control),
                (_slot("BPTC"), _Action.ADD, record.broadcast & ~record.error & ~control),
                *_pair("GOTC", Mux(good, record.length, 0)),
                *_pair("TOT", record.length),
                (_slot("TPT"), _Action.ADD, 1),
            ),
        )
        m.d.comb += queue.r_en.eq(walk.done)
        return walk

    def _segmentation(self, m: Module) -> _Walk:
        """Events are counted while they wait."""
        events = {"TSCTC": self.segmented, "TSCTFC": self.cut_short}
        waiting = [Signal(4, name=f"{name.lower()}_waiting") for name in events]
        taken = [Signal(4, name=f"{name.lower()}_taken") for name in events]
        walk = _Walk(
            waits=Cat(waiting).any(),
            steps=tuple((_slot(name), _Action.ADD, count) for name, count in zip(events, taken, strict=True)),
        )
        for event, here, there in zip(events.values(), waiting, taken, strict=True):
            with m.If(walk.begin):
                m.d.sync += [there.eq(here), here.eq(event)]
            with m.Else():
                m.d.sync += here.eq(here + event)
        return walk

    def _perform(
        self, m: Module, place: Signal, action: Signal, amount: Signal, stepping: Signal, answering: Signal
    ) -> None:
        """Four stages: address, read, add, write. The memory's output is registered, since block RAM is slow."""
        m.submodules.memory = memory = self._memory
        read, write = memory.read_port(), memory.write_port()
        layout = data.StructLayout({"place": 6, "action": _Action, "amount": 15, "valid": 1, "answer": 1})
        reading, adding = Signal(layout), Signal(layout)
        word = Signal(32)
        m.d.comb += read.addr.eq(place)
        m.d.sync += [
            reading.place.eq(place),
            reading.action.eq(action),
            reading.amount.eq(amount),
            reading.valid.eq(stepping),
            reading.answer.eq(answering),
            adding.eq(reading),
            word.eq(read.data),
        ]

        total = Signal(33)
        before = Signal()  # bit 32 of the step before
        written = Signal(data.StructLayout({"place": 6, "sum": 32, "ones": 1, "valid": 1}))
        m.d.comb += [
            total.eq(word + Mux(adding.action == _Action.HIGH, before, adding.amount)),
            self.port.acknowledge.eq(adding.valid & adding.answer),
            self.port.read_data.eq(word),
            write.addr.eq(written.place),
            write.en.eq(written.valid),
            write.data.eq(written.sum | written.ones.replicate(32)),
        ]
        m.d.sync += [
            before.eq(total[32]),
            written.place.eq(adding.place),
            written.sum.eq(total),
            written.ones.eq(total[32]),
            written.valid.eq(adding.valid),
        ]
        with m.Switch(adding.action):
            with m.Case(_Action.LOW):
                m.d.sync += written.ones.eq(0)
            with m.Case(_Action.STICK):
                m.d.sync += [written.ones.eq(1), written.valid.eq(adding.valid & before)]
            with m.Case(_Action.CLEAR):
                m.d.sync += [written.sum.eq(0), written.ones.eq(0)]
