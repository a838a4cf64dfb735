"""Which frames are received: length, errors and destination address (manual 3.2.1, 13.4.22, 13.5.2 RAL and RAH).

The order of the stages: enabled, whole, length, errors, address. Frames of pause and of VLANs, and the multicast hash
table, have their places between errors and address, and behind the exact match.
"""

from collections.abc import Mapping, Sequence

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.mac.receive import ReceiveWord
from hw.receive.layouts import Drops, ReceiveControl
from hw.register_file import ArraySignature
from hw.registers import BY_NAME

__all__ = ["LONGEST", "LONGEST_JUMBO", "SHORTEST", "TABLE_ENTRIES", "ReceiveFilter", "drop_reason"]

SHORTEST = 64
LONGEST = 1522
LONGEST_JUMBO = 16384
"""Limits in bytes with FCS, VLAN tag or not (RCTL.LPE chooses the upper one)."""

TABLE_ENTRIES = BY_NAME["RAL"].count

_BROADCAST = b"\xff" * 6


def drop_reason(
    frame: bytes,
    *,
    crc_error: bool,
    rx_error: bool,
    overrun: bool,
    rctl: Mapping[str, int],
    table: Sequence[tuple[bytes, int, bool]],
) -> str | None:
    """The field of ``Drops`` for a frame with FCS, or ``None`` if it is received (golden function of the filter).

    ``rctl`` has the fields of ``ReceiveControl`` (EN set), ``table`` the ``(address, AS, AV)`` of RAL and RAH.
    """
    if overrun:
        return "overrun"
    if len(frame) < SHORTEST and not rctl["sbp"]:
        return "fragment" if crc_error else "undersize"
    if len(frame) > (LONGEST_JUMBO if rctl["lpe"] else LONGEST):
        return "jabber" if crc_error else "oversize"
    if rx_error and not rctl["sbp"]:
        return "rx_error"
    if crc_error and not rctl["sbp"]:
        return "crc_error"
    address = frame[:6].ljust(6, b"\0")
    if address == _BROADCAST:
        passes = rctl["bam"]
    elif address[0] & 1:
        passes = rctl["mpe"]
    else:
        passes = rctl["upe"]
    if passes or any(valid and select == 0 and address == entry for entry, select, valid in table):
        return None
    return "no_match"


class ReceiveFilter(wiring.Component):
    """Watches frames go by and says of each whether to keep it.

    Frames longer than the limit are dropped even with RCTL.SBP: drivers reckon with no more in their buffers. RCTL.EN
    and the link count at a frame's first word.

    Parameters
    ----------
    mac_address : bytes
        What reset puts into entry 0 of the table, valid; all others are then invalid.

    Members
    -------
    ral, rah : ``In(ArraySignature(...))``
        Software's access to the table.
    word : ``In(ReceiveWord)``, taken : ``In(1)``
        A word of a frame with FCS goes by in each cycle of ``taken``; after a frame's last one none until ``decided``.
    rctl : ``In(ReceiveControl)``
    link : ``In(1)``
        Without a link nothing is received.
    decided : ``Out(1)``
        From the decision until the next frame's first word; at most 23 cycles after the first word, or 3 after the
        last if that is later.
    keep, length, ce, rxe : ``Out``
        While ``decided``: whether to keep the frame, its bytes with FCS, and its error bits.
    drops : ``Out(Drops)``
        Pulse with the decision. Nothing is told while the receiver or the link is down.
    """

    ral: In(ArraySignature(BY_NAME["RAL"]))
    rah: In(ArraySignature(BY_NAME["RAH"]))
    word: In(ReceiveWord)
    taken: In(1)
    rctl: In(ReceiveControl)
    link: In(1)
    decided: Out(1)
    keep: Out(1)
    length: Out(15)
    ce: Out(1)
    rxe: Out(1)
    drops: Out(Drops)

    def __init__(self, *, mac_address: bytes) -> None:
        if len(mac_address) != 6 or mac_address[0] & 1:
            raise ValueError(f"mac_address is 6 bytes of a unicast address, not {mac_address!r}")
        self._mac_address = mac_address
        super().__init__()

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first = Signal(init=1)
        ended = Signal()
        overrun = Signal()
        address = Signal(48)
        enabled = Signal()
        begin = Signal()
        m.d.comb += begin.eq(self.taken & first)
        m.d.sync += self.drops.eq(0)
        with m.If(self.taken):
            m.d.sync += [
                first.eq(self.word.last),
                ended.eq(self.word.last),
                self.ce.eq(self.word.crc_error),
                self.rxe.eq(self.word.rx_error),
                overrun.eq(self.word.overrun),
                self.decided.eq(0),
            ]
            with m.If(first):
                m.d.sync += [
                    address.eq(self.word.data),
                    enabled.eq(self.rctl.en & self.link),
                    self.length.eq(self.word.count),
                ]
            with m.Elif(self.length <= LONGEST_JUMBO):
                m.d.sync += self.length.eq(self.length + self.word.count)

        walked, exact = self._walk(m, address, begin)

        # Registered once more, since the decision is a long chain.
        short, long, passes, judge = (Signal(name=name) for name in ("short", "long", "passes", "judge"))
        with m.If(self.rctl.lpe):
            m.d.sync += long.eq(self.length > LONGEST_JUMBO)
        with m.Else():
            m.d.sync += long.eq(self.length > LONGEST)
        with m.If(address.all()):
            m.d.sync += passes.eq(self.rctl.bam)
        with m.Elif(address[0]):
            m.d.sync += passes.eq(self.rctl.mpe)
        with m.Else():
            m.d.sync += passes.eq(self.rctl.upe)
        m.d.sync += [short.eq(self.length < SHORTEST), judge.eq(ended & walked & ~judge)]

        with m.If(judge):
            m.d.sync += [ended.eq(0), self.decided.eq(1), self.keep.eq(0)]
            with m.If(~enabled):
                pass
            with m.Elif(overrun):
                m.d.sync += self.drops.overrun.eq(1)
            with m.Elif(short & ~self.rctl.sbp):
                m.d.sync += [self.drops.fragment.eq(self.ce), self.drops.undersize.eq(~self.ce)]
            with m.Elif(long):
                m.d.sync += [self.drops.jabber.eq(self.ce), self.drops.oversize.eq(~self.ce)]
            with m.Elif(self.rxe & ~self.rctl.sbp):
                m.d.sync += self.drops.rx_error.eq(1)
            with m.Elif(self.ce & ~self.rctl.sbp):
                m.d.sync += self.drops.crc_error.eq(1)
            with m.Elif(~passes & ~exact):
                m.d.sync += self.drops.no_match.eq(1)
            with m.Else():
                m.d.sync += self.keep.eq(1)
        return m

    def _walk(self, m: Module, address: Signal, begin: Signal) -> tuple[Signal, Signal]:
        """The table, and its search, one entry a cycle from ``begin``. Returns: all seen; ``address`` was there."""
        m.submodules.low = low = Memory(shape=32, depth=TABLE_ENTRIES, init=[])
        m.submodules.high = high = Memory(shape=18, depth=TABLE_ENTRIES, init=[])
        valid = Signal(TABLE_ENTRIES)  # AV, which reset has to clear

        own = int.from_bytes(self._mac_address, "little")
        loading = Signal(init=1)  # the first cycle after reset puts the station's own address in place
        m.d.sync += loading.eq(0)
        for memory, port, content in ((low, self.ral, own & 0xFFFF_FFFF), (high, self.rah, own >> 32)):
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [write.addr.eq(port.address), write.data.eq(port.write_data), write.en.eq(port.write)]
            m.d.comb += [read.addr.eq(port.address), port.read_data[: len(read.data)].eq(read.data)]
            with m.If(loading):
                m.d.comb += [write.addr.eq(0), write.data.eq(content), write.en.eq(1)]
        valid_read = Signal()
        m.d.sync += valid_read.eq(valid.bit_select(self.rah.address, 1))
        m.d.comb += self.rah.read_data[31].eq(valid_read)
        with m.If(loading):
            m.d.sync += valid.eq(1)
        with m.Elif(self.rah.write):
            m.d.sync += valid.bit_select(self.rah.address, 1).eq(self.rah.write_data[31])

        # Entry n is addressed in step n, read and compared in step n + 1, counted in step n + 2.
        last_step = TABLE_ENTRIES + 1
        step = Signal(range(last_step + 2), init=last_step + 1)
        index = Signal(range(TABLE_ENTRIES))
        entry_valid, low_equal, high_equal, exact = (
            Signal(name=name) for name in ("entry_valid", "low_equal", "high_equal", "exact")
        )
        low_read, high_read = low.read_port(), high.read_port()
        m.d.comb += [low_read.addr.eq(step), high_read.addr.eq(step), index.eq(step - 1)]
        m.d.sync += [
            entry_valid.eq(valid.bit_select(index, 1) & (step != 0) & (step <= TABLE_ENTRIES)),
            low_equal.eq(low_read.data == address[:32]),
            high_equal.eq(high_read.data == Cat(address[32:], Const(0, 2))),
        ]
        with m.If(begin):
            m.d.sync += [step.eq(0), exact.eq(0)]
        with m.Elif(step <= last_step):
            m.d.sync += [step.eq(step + 1), exact.eq(exact | (entry_valid & low_equal & high_equal))]
        return step > last_step, exact
