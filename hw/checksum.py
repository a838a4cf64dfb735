"""The Internet checksum: the 16-bit one's-complement sum (RFC 1071, RFC 1624 section 2; manual 3.6).

One parameter class gives the golden function and the gateware, in the manner of ``amaranth.lib.crc``.
"""

from dataclasses import dataclass

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import bits_for

from .interfaces import PacketWord

__all__ = ["InternetChecksum", "InternetChecksumProcessor"]


@dataclass(frozen=True, kw_only=True)
class InternetChecksum:
    """A sum over bytes ``start`` to ``end`` of a packet of at most ``max_bytes`` bytes.

    Raises ``ValueError`` if ``max_bytes`` is not 1..65536.
    """

    max_bytes: int

    def __post_init__(self) -> None:
        if not 1 <= self.max_bytes <= 65536:
            raise ValueError(f"max_bytes must be 1..65536, not {self.max_bytes!r}")

    def compute(self, data: bytes, *, start: int = 0, end: int = 0, seed: int = 0) -> int:
        """The folded sum, not inverted, of the big-endian 16-bit words from byte ``start`` to byte ``end`` inclusive.

        ``end`` 0 means to the end of ``data``, and so does one past it; an ``end`` before ``start`` covers nothing.
        An odd last byte is padded with a zero byte. ``seed`` (0..65535) is added.
        """
        stop = len(data) if end == 0 else min(end + 1, len(data))
        covered = bytes(data[start:stop])
        total = seed + int.from_bytes(covered + bytes(len(covered) % 2), "big")
        # One's-complement addition is addition modulo 65535 in which only a sum of zeros is 0 (RFC 1071 section 2).
        return (total - 1) % 0xFFFF + 1 if total else 0

    def create(self) -> "InternetChecksumProcessor":
        """The gateware of the same sum."""
        return InternetChecksumProcessor(parameters=self)


class InternetChecksumProcessor(wiring.Component):
    """Sums a packet of 64-bit words, one per cycle.

    A packet begins with the first word after reset, or after a word with ``last`` set. ``start`` (one byte wide, as
    the descriptors have it) and ``end`` must be stable while the packet's words come; ``seed`` is taken with the
    first. A packet longer than ``parameters.max_bytes`` has an undefined sum and harms no later one.

    Members
    -------
    valid : In(1)
        ``word`` is the next word of the packet.
    word : In(PacketWord)
    start : In(8), byte offset
    end : In(16), byte offset, 0 for the end of the packet
    seed : In(16)
    sum : Out(16)
        As ``InternetChecksum.compute`` returns it. Stands from ``done`` to the next packet's ``done``.
    done : Out(1)
        Pulses five cycles after the packet's last word.
    """

    def __init__(self, *, parameters: InternetChecksum) -> None:
        if not isinstance(parameters, InternetChecksum):
            raise ValueError(f"parameters must be an InternetChecksum, not {parameters!r}")
        self._parameters = parameters
        super().__init__(
            {
                "valid": In(1),
                "word": In(PacketWord),
                "start": In(8),
                "end": In(16),
                "seed": In(16),
                "sum": Out(16),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        max_bytes = self._parameters.max_bytes

        # Stage 1: the bytes that count, the others 0.
        index = Signal(range((max_bytes + 7) // 8 + 1))
        begins = Signal(init=1)
        masked = Signal(64)
        masked_valid = Signal()
        masked_first = Signal()
        masked_last = Signal()
        odd = Signal()
        seed = Signal(16)
        for lane in range(8):
            after_start = (index > self.start[3:]) | ((index == self.start[3:]) & (lane >= self.start[:3]))
            before_end = (self.end == 0) | (index < self.end[3:]) | ((index == self.end[3:]) & (lane <= self.end[:3]))
            counts = after_start & before_end & (lane < self.word.count)
            m.d.sync += masked.word_select(lane, 8).eq(Mux(counts, self.word.data.word_select(lane, 8), 0))
        m.d.sync += [masked_valid.eq(self.valid), masked_first.eq(begins), masked_last.eq(self.valid & self.word.last)]
        with m.If(self.valid):
            m.d.sync += [begins.eq(self.word.last), index.eq(Mux(self.word.last, 0, index + 1))]
            with m.If(begins):
                # A sum that starts at an odd byte is made in swapped words, and swapped back at its end
                # (RFC 1071 section 2 (B), byte order independence); the seed is not in swapped order.
                m.d.sync += [
                    odd.eq(self.start[0]),
                    seed.eq(Mux(self.start[0], Cat(self.seed[8:], self.seed[:8]), self.seed)),
                ]

        # Stage 2: the four words of a cycle.
        words = [Cat(masked[16 * n + 8 : 16 * n + 16], masked[16 * n : 16 * n + 8]) for n in range(4)]
        partial = Signal(18)
        partial_valid = Signal()
        partial_first = Signal()
        partial_last = Signal()
        partial_odd = Signal()
        partial_seed = Signal(16)
        m.d.sync += [
            partial.eq((words[0] + words[1]) + (words[2] + words[3])),
            partial_valid.eq(masked_valid),
            partial_first.eq(masked_first),
            partial_last.eq(masked_last),
            partial_odd.eq(odd),
            partial_seed.eq(seed),
        ]

        # Stage 3: the packet's sum, wide enough to need no carry back per word.
        total = Signal(bits_for(0xFFFF * ((max_bytes + 1) // 2 + 1)))
        total_last = Signal()
        total_odd = Signal()
        m.d.sync += total_last.eq(partial_last)
        with m.If(partial_valid):
            m.d.sync += total.eq(Mux(partial_first, partial_seed, total) + partial)
            with m.If(partial_first):
                m.d.sync += total_odd.eq(partial_odd)

        # Stages 4 and 5: end-around carries. The second leaves none: the first result is at most 1FFFE.
        folded = Signal(17)
        folded_last = Signal()
        folded_odd = Signal()
        m.d.sync += [
            folded.eq(total[:16] + total[16:]),
            folded_last.eq(total_last),
            folded_odd.eq(total_odd),
            self.done.eq(folded_last),
        ]
        complete = Signal(16)
        m.d.comb += complete.eq(folded[:16] + folded[16])
        with m.If(folded_last):
            m.d.sync += self.sum.eq(Mux(folded_odd, Cat(complete[8:], complete[:8]), complete))
        return m
