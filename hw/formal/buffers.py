"""Packet buffers: a frame comes out whole, in order and unchanged, or not at all (manual 2.2, 13.4.19).

One frame of those committed is followed, any one, and one of its words, any one: what is so for that is so for all.
"""

from types import ModuleType

from amaranth.hdl import Cat, Const, Mux, Signal, Value
from amaranth.lib.data import View

from hw.formal.bench import Bench
from hw.formal.proof import Mutant, Proof
from hw.interfaces import TransmitInfo
from hw.receive.layouts import ReceiveInfo
from hw.transmit.layouts import FrameInfo

__all__ = ["PROOFS"]

_NUMBER_BITS = 4
"""Of frames and words; more than come in the cycles that are looked at."""
_WORDS = 4
"""Of either memory."""


class _Frames:
    """What a buffer was given, and what it has still to give.

    ``committed`` and ``taken`` are pulses: a frame is complete, its information has been taken. ``length`` is its
    length in bytes then. ``word`` and ``data``: a word of the frame that comes in; ``dropped``: that is forgotten.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        committed: Value,
        dropped: Value,
        word: Value,
        data: Value,
        info: View,
        taken: Value,
        length: Value,
        word_taken: Value,
    ) -> None:
        m = bench.m
        self.frame = bench.constant(_NUMBER_BITS, "frame")
        self.place = bench.constant(_NUMBER_BITS, "place")
        self.came = Signal(_NUMBER_BITS, name="came")  # frames
        self.went = Signal(_NUMBER_BITS, name="went")
        self.words = Signal(_NUMBER_BITS, name="words")  # of the frame that comes in
        self.data = Signal.like(data, name="data")  # of the word followed
        self.info = Signal(info.shape(), name="info")  # of the frame followed
        self.left = Signal(13, name="left")  # words of the frame that goes out
        self.gone = Signal(_NUMBER_BITS, name="gone")
        self.rest = Signal(3, name="rest")
        with m.If(word):
            m.d.sync += self.words.eq(self.words + 1)
            with m.If((self.came == self.frame) & (self.words == self.place)):
                m.d.sync += self.data.eq(data)
        with m.If(committed):
            m.d.sync += [self.came.eq(self.came + 1), self.words.eq(0)]
            with m.If(self.came == self.frame):
                m.d.sync += self.info.eq(info)
        with m.If(dropped):
            m.d.sync += self.words.eq(0)
        with m.If(taken):
            m.d.sync += [
                self.went.eq(self.went + 1),
                self.left.eq((length + 7) >> 3),
                self.gone.eq(0),
                self.rest.eq(length),
            ]
        with m.If(word_taken):
            m.d.sync += [self.left.eq(self.left - 1), self.gone.eq(self.gone + 1)]
        with m.If(bench.reset):
            m.d.sync += [value.eq(0) for value in (self.came, self.went, self.words, self.left)]
        self.followed_info = self.went == self.frame
        self.followed_word = (self.went - 1 == self.frame)[0] & (self.gone == self.place)

    def promise(self, bench: Bench, *, info_valid: Value, packets: object) -> None:
        """What holds for both buffers."""
        word = packets.payload
        bench.promise(~info_valid | (self.went != self.came), "no frame comes out that was not committed")
        bench.promise(
            ~info_valid | (self.left == 0), "a frame's information comes after the last word of the one before"
        )
        bench.promise(~packets.valid | (self.left != 0), "no word comes out beyond the length of its frame")
        bench.promise(
            ~packets.valid | (word.last == (self.left == 1)),
            "a frame's last word is marked, and comes after all others",
        )
        full = Mux(self.rest == 0, 8, self.rest)
        bench.promise(
            ~packets.valid | (word.count == Mux(self.left == 1, full, 8)),
            "each word has as many bytes as the length says",
        )


def _receive(module: ModuleType) -> Bench:
    device = module.ReceiveBuffer(words=16, bank_words=8)
    # Smaller than the constructor allows, so that the memory is full, and its end reached, in few cycles.
    device._words, device._bank_words = _WORDS, _WORDS // 2
    bench = Bench(device, reset=True)
    bits = bench.input(2, "bits")
    length = bench.input(range(8 * _WORDS), "length")
    bench.tie(device.word, bits[0].replicate(64), "the bits of a word are all alike: the buffer does not look at them")
    width = ReceiveInfo["length"].width
    info = Cat(length | Const(0, width), bits[1].replicate(ReceiveInfo.size - width))
    bench.tie(
        Value.cast(device.info),
        info,
        "so are those of its information, but for the length; that is less than the memory",
    )
    given = device.frames
    acts = device.write + device.commit + device.rewind
    frames = _Frames(
        bench,
        committed=device.commit,
        dropped=device.rewind,
        word=device.write,
        data=device.word,
        info=device.info,
        taken=given.valid & given.ready,
        length=given.payload.length,
        word_taken=device.packets.valid & device.packets.ready,
    )
    kept = frames.words - device.drop_last
    bench.assume(
        (acts == 0) | ((acts == 1) & ~bench.past(acts.any())),
        "write, commit and rewind come one at a time, with a cycle between",
    )
    bench.assume(~device.commit | (frames.words != 0), "a frame has a word at least, perhaps dropped again as the last")
    bench.assume(~device.commit | ~device.overflowed, "no commit of a frame that overflowed")
    bench.assume(frames.words < (1 << _NUMBER_BITS) - 1, f"no frame of more than {(1 << _NUMBER_BITS) - 1} words")
    bench.assume(
        ~device.commit | (kept == (device.info.length + 7) >> 3),
        "the length committed is that of the words written",
    )
    frames.promise(bench, info_valid=given.valid, packets=device.packets)
    bench.promise(
        ~(given.valid & frames.followed_info) | (given.payload.as_value() == frames.info.as_value()),
        "the information comes out as it was committed",
    )
    bench.promise(
        ~(device.packets.valid & frames.followed_word) | (device.packets.payload.data == frames.data),
        "every word comes out as it was written",
    )
    _prompt(bench, frames, idle=~given.valid & ~device.packets.valid, limit=6)
    return bench


def _prompt(bench: Bench, frames: _Frames, *, idle: Value, limit: int) -> None:
    """Nothing that was committed stays inside."""
    idle_cycles = Signal(range(limit + 2))
    with bench.m.If(~idle | ((frames.came == frames.went) & (frames.left == 0)) | bench.reset):
        bench.m.d.sync += idle_cycles.eq(0)
    with bench.m.Else():
        bench.m.d.sync += idle_cycles.eq(idle_cycles + 1)
    bench.promise(idle_cycles < limit, f"what was committed is offered within {limit} cycles of what went before it")


def _transmit(module: ModuleType) -> Bench:
    device = module.TransmitBuffer(words=8, packets=2)
    device._words = _WORDS  # as above
    bench = Bench(device, reset=True)
    m = bench.m
    came, told, given = device.words, device.frames, device.info
    word = came.payload
    byte, count = bench.input(8, "byte"), bench.input(range(9), "count")
    last, abort = bench.input(1, "last"), bench.input(1, "abort")
    lanes = Cat(byte ^ lane for lane in range(8))
    bench.tie(Value.cast(word), Cat(lanes, count, last, abort), "the bytes of a word follow from its first, and differ")
    taken = came.valid & came.ready
    told_taken = told.valid & told.ready
    ended = taken & word.packet.last
    too_long = Signal()
    # Information and words go separate ways; words may be offered as soon as the information is.
    offered = given.valid & ~bench.past(given.valid & ~given.ready & ~bench.reset)
    frames = _Frames(
        bench,
        committed=told_taken & ~device.oversize,
        dropped=(ended & word.abort) | (told_taken & device.oversize),
        word=taken,
        data=word.packet.data,
        info=told.payload,
        taken=offered,
        length=given.payload.length,
        word_taken=device.packets.valid & device.packets.ready,
    )
    length = Signal(15)
    complete = Signal()  # the information of this packet comes next
    with m.If(taken):
        m.d.sync += [length.eq(length + word.packet.count), complete.eq(ended & ~word.abort)]
    with m.If((ended & word.abort) | told_taken | bench.reset):
        m.d.sync += [length.eq(0), complete.eq(0)]
    m.d.comb += too_long.eq(frames.words > _WORDS - 2)
    bench.assume(
        ~came.valid | ((count >= 1) & (count <= 8) & (last | (count == 8))),
        "only a packet's last word has fewer than 8 bytes",
    )
    bench.assume(
        ~told.valid | (complete & (told.payload.length == length)),
        "each packet that is not aborted is told of after its last word, with its length",
    )
    bench.assume(frames.words < (1 << _NUMBER_BITS) - 1, f"no packet of more than {(1 << _NUMBER_BITS) - 1} words")

    bench.promise(
        device.oversize == (told_taken & too_long),
        "a packet is dropped exactly if it is longer than the memory less two words",
    )
    frames.promise(bench, info_valid=offered, packets=device.packets)
    same = [given.payload[name] == frames.info[name] for name in TransmitInfo.members]
    bench.promise(
        ~(offered & frames.followed_info) | Value.cast(sum(~item for item in same) == 0),
        "the information comes out as it was committed",
    )
    lane = bench.constant(3, "lane")
    bench.promise(
        ~(device.packets.valid & frames.followed_word)
        | (device.packets.payload.data.word_select(lane, 8) == _patched(frames, lane)),
        "every byte comes out as it was written, or as its checksum says",
    )
    _prompt(bench, frames, idle=~given.valid & ~device.packets.valid, limit=6)
    return bench


def _patched(frames: _Frames, lane: Value) -> Value:
    """The byte in this lane of the word followed; where both checksums are stored the transport's wins."""
    place = (frames.place << 3) + lane
    byte = frames.data.word_select(lane, 8)
    info = FrameInfo(frames.info.as_value())
    for insertion in (info.ip, info.transport):
        for part, value in enumerate((insertion.value[8:], insertion.value[:8])):
            byte = Mux(insertion.enable & (insertion.offset + part == place), value, byte)
    return byte


PROOFS = (
    Proof(
        name="buffers.receive",
        module="hw.receive.buffer",
        build=_receive,
        parameters=f"words={_WORDS} (fewer than the constructor allows), bank_words={_WORDS // 2}",
        depth=18,
        induction=False,
        mutant=Mutant(
            old="m.d.sync += full.eq((place == reading) | (self._after(place) == reading))",
            new="m.d.sync += full.eq(place == reading)",
            meaning="the last free word is used, so that full looks like empty",
        ),
    ),
    Proof(
        name="buffers.transmit",
        module="hw.transmit.buffer",
        build=_transmit,
        parameters=f"words={_WORDS} (fewer than the constructor allows), packets=2",
        depth=15,
        induction=False,
        mutant=Mutant(
            old="m.d.sync += full.eq(used > self._words - 2)",
            new="m.d.sync += full.eq(used > self._words)",
            meaning="words are stored over those not yet sent",
        ),
    ),
)
