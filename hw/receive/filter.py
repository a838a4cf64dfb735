"""Which frames are received (manual 3.2.1, 9.4, 13.4.22 RCTL, 13.5.1 MTA, 13.5.2 RAL, 13.5.3 RAH, 13.5.4 VFTA).

The order of the stages: enabled, whole, MAC control, VLAN, address, length, errors. Length and errors come last since
their counters count frames that pass the filters (13.7.1, 13.7.4, 13.7.15, 13.7.34 to 13.7.37). The address has to be
wanted as one of its kind (UPE, MPE, BAM), or stand in the address table, or, if it is of a group, in the multicast hash
table. Broadcast is a kind of its own: RCTL.MPE does not take it (13.4.22 BAM).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.mac.receive import ReceiveWord
from hw.receive.address_table import SOURCE, AddressTable, is_in_table
from hw.receive.bit_table import HASH_SHIFTS, BitTable, address_hash, table_bit
from hw.receive.layouts import Drops, MacControl, ReceiveControl, TypeControl, WakeVerdict
from hw.receive.mac_control import Fate, MacControlDecoder, MacControlFrame, mac_control
from hw.register_file import ArraySignature
from hw.registers import BY_NAME
from hw.vlan import tag_of

__all__ = [
    "LONGEST",
    "LONGEST_JUMBO",
    "SHORTEST",
    "FilterSettings",
    "ReceiveFilter",
    "control_frame",
    "drop_reason",
    "is_inexact",
    "wake_verdict",
]

SHORTEST = 64
LONGEST = 1522
LONGEST_JUMBO = 16384
"""Limits in bytes with FCS, VLAN tag or not (RCTL.LPE chooses the upper one)."""

_BROADCAST = b"\xff" * 6
_CFI = 12
_IDENTIFIER_BITS = 12


@dataclass(frozen=True, kw_only=True)
class FilterSettings:
    """The registers that the filter obeys.

    ``rctl`` has the fields of ``ReceiveControl`` (EN set), ``table`` the ``(address, AS, AV)`` of RAL and RAH,
    ``multicast`` and ``vlan`` the 128 registers of MTA and VFTA; ``vet``, ``rfce``, ``fct`` and ``fca`` (6 bytes) are
    those of ``TypeControl``.
    """

    rctl: Mapping[str, int]
    table: Sequence[tuple[bytes, int, bool]]
    multicast: Sequence[int] = (0,) * 128
    vlan: Sequence[int] = (0,) * 128
    vet: int = 0
    rfce: bool = False
    fct: int = 0
    fca: bytes = bytes(6)


def _is_listed(frame: bytes, settings: FilterSettings) -> bool:
    """Whether one of its addresses stands in the address table."""
    destination, source = frame[:6].ljust(6, b"\0"), frame[6:12]
    return is_in_table(destination, settings.table) or is_in_table(source, settings.table, SOURCE)


def _is_promiscuous(address: bytes, settings: FilterSettings) -> bool:
    if address == _BROADCAST:
        return bool(settings.rctl["bam"])
    return bool(settings.rctl["mpe" if address[0] & 1 else "upe"])


def _is_hashed(address: bytes, settings: FilterSettings) -> bool:
    return bool(address[0] & 1) and table_bit(settings.multicast, address_hash(address, settings.rctl["mo"]))


def _is_good(frame: bytes, *, crc_error: bool, rx_error: bool, settings: FilterSettings) -> bool:
    longest = LONGEST_JUMBO if settings.rctl["lpe"] else LONGEST
    return SHORTEST <= len(frame) <= longest and not crc_error and not rx_error


def control_frame(
    frame: bytes, *, crc_error: bool = False, rx_error: bool = False, settings: FilterSettings
) -> MacControlFrame | None:
    """What a whole frame with FCS is as MAC control frame; ``None`` if it is none, or not a good one."""
    if not _is_good(frame, crc_error=crc_error, rx_error=rx_error, settings=settings):
        return None
    own, select, valid = settings.table[0]
    return mac_control(
        frame,
        fct=settings.fct,
        fca=settings.fca,
        own=own if valid and select == 0 else None,
        rfce=settings.rfce,
        dpf=bool(settings.rctl["dpf"]),
        pmcf=bool(settings.rctl["pmcf"]),
    )


def _misses(frame: bytes, settings: FilterSettings) -> str | None:
    """The filter proper: the field of ``Drops`` for a frame whose VLAN or address is not wanted."""
    rctl = settings.rctl
    tag = tag_of(frame, settings.vet)
    if tag is not None and rctl["vfe"]:
        wanted = table_bit(settings.vlan, tag & (1 << _IDENTIFIER_BITS) - 1)
        if not wanted or (rctl["cfien"] and (tag >> _CFI & 1) != rctl["cfi"]):
            return "vlan"
    address = frame[:6].ljust(6, b"\0")
    passes = _is_promiscuous(address, settings) or _is_listed(frame, settings)
    return None if passes or _is_hashed(address, settings) else "no_match"


def is_inexact(frame: bytes, *, crc_error: bool, rx_error: bool, settings: FilterSettings) -> bool:
    """Whether a frame that is received owes it to the multicast hash table alone (descriptor bit PIF)."""
    address = frame[:6].ljust(6, b"\0")
    control = control_frame(frame, crc_error=crc_error, rx_error=rx_error, settings=settings)
    if control and control.fate is Fate.PASSED:
        return False
    return not (_is_promiscuous(address, settings) or _is_listed(frame, settings))


def drop_reason(
    frame: bytes, *, crc_error: bool, rx_error: bool, overrun: bool, settings: FilterSettings
) -> str | None:
    """The field of ``Drops`` for a frame with FCS, or ``None`` if it is received (golden function of the filter)."""
    rctl = settings.rctl
    if overrun:
        return "overrun"
    control = control_frame(frame, crc_error=crc_error, rx_error=rx_error, settings=settings)
    if control and control.fate is not Fate.FILTERED:
        return None if control.fate is Fate.PASSED else "mac_control"
    if missed := _misses(frame, settings):
        return missed
    if len(frame) < SHORTEST and not rctl["sbp"]:
        return "fragment" if crc_error else "undersize"
    if len(frame) > (LONGEST_JUMBO if rctl["lpe"] else LONGEST):
        return "jabber" if crc_error else "oversize"
    if rx_error and not rctl["sbp"]:
        return "rx_error"
    if crc_error and not rctl["sbp"]:
        return "crc_error"
    return None


def wake_verdict(
    frame: bytes, *, crc_error: bool, rx_error: bool, overrun: bool, settings: FilterSettings
) -> dict[str, bool]:
    """The fields of ``WakeVerdict`` for a frame with FCS (golden function of the filter)."""
    if overrun or not _is_good(frame, crc_error=crc_error, rx_error=rx_error, settings=settings):
        return dict.fromkeys(("passes", "broadcast", "exact", "multicast"), False)
    reason = drop_reason(frame, crc_error=False, rx_error=False, overrun=False, settings=settings)
    address = frame[:6]
    passes, broadcast = reason is None, address == _BROADCAST
    wanted = bool(settings.rctl["mpe"]) or _is_hashed(address, settings)
    return {
        "passes": passes,
        "broadcast": broadcast and reason in (None, "no_match"),
        "exact": passes and is_in_table(address, settings.table),
        "multicast": passes and bool(address[0] & 1) and not broadcast and wanted,
    }


class ReceiveFilter(wiring.Component):
    """Watches frames go by and says of each whether to keep it.

    Frames longer than the limit are dropped even with RCTL.SBP: LPE says that they are (13.4.22), and drivers reckon
    with no more in their buffers. RCTL.EN and the link count at a frame's first word.

    Members
    -------
    ral, rah : ``In(ArraySignature(...))``
        Access to the address table. After reset no entry is valid.
    mta, vfta : ``In(ArraySignature(...))``
        Access to the multicast and the VLAN filter table.
    word : ``In(ReceiveWord)``, taken : ``In(1)``
        A word of a frame with FCS goes by in each cycle of ``taken``; after a frame's last one none until ``decided``.
    rctl : ``In(ReceiveControl)``, types : ``In(TypeControl)``
    link : ``In(1)``
        Without a link nothing is received.
    decided : ``Out(1)``
        From the decision until the next frame's first word; at most 25 cycles after the second word (or the only
        one), or 9 after the last if that is later.
    keep, length, ce, alignment, rxe, pif, vp : ``Out``
        While ``decided``: whether to keep the frame, its bytes with FCS, its error bits (``alignment`` says which error
        CE is), whether it was found in the multicast hash table alone, and whether it has a tag and CTRL.VME asks to
        take that out.
    tag : ``Out(16)``
        While ``decided``: with ``vp``, the tag control information; else 0.
    control : ``Out(MacControl)``
        While ``decided``: what the frame is as MAC control frame, whether it is kept or not.
    pause : ``Out(1)``, quanta : ``Out(16)``
        Pulse with the decision: a pause frame, which asks for ``quanta`` x 512 bit times.
    drops : ``Out(Drops)``
        Pulse with the decision. Nothing is told while the receiver or the link is down.
    verdict : ``Out(WakeVerdict)``
        While ``decided``, whatever the receiver and the link are.
    """

    ral: In(ArraySignature(BY_NAME["RAL"]))
    rah: In(ArraySignature(BY_NAME["RAH"]))
    mta: In(ArraySignature(BY_NAME["MTA"]))
    vfta: In(ArraySignature(BY_NAME["VFTA"]))
    word: In(ReceiveWord)
    taken: In(1)
    rctl: In(ReceiveControl)
    types: In(TypeControl)
    link: In(1)
    decided: Out(1)
    keep: Out(1)
    length: Out(15)
    ce: Out(1)
    alignment: Out(1)
    rxe: Out(1)
    pif: Out(1)
    vp: Out(1)
    tag: Out(16)
    control: Out(MacControl)
    pause: Out(1)
    quanta: Out(16)
    drops: Out(Drops)
    verdict: Out(WakeVerdict)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first = Signal(init=1)
        second = Signal()  # the word that comes next is the second
        ended = Signal()
        overrun = Signal()
        address = Signal(48)
        source = Signal(48)
        sourced = Signal()  # all of that has come
        enabled = Signal()
        m.d.sync += [self.drops.eq(0), self.pause.eq(0)]
        with m.If(self.taken):
            m.d.sync += [
                first.eq(self.word.last),
                second.eq(first & ~self.word.last),
                ended.eq(self.word.last),
                self.ce.eq(self.word.crc_error),
                self.alignment.eq(self.word.alignment),
                self.rxe.eq(self.word.rx_error),
                overrun.eq(self.word.overrun),
                self.decided.eq(0),
            ]
            with m.If(first):
                m.d.sync += [
                    address.eq(self.word.data),
                    source[:16].eq(self.word.data[48:]),
                    sourced.eq(0),
                    enabled.eq(self.rctl.en & self.link),
                    self.length.eq(self.word.count),
                ]
            with m.Elif(self.length <= LONGEST_JUMBO):
                m.d.sync += self.length.eq(self.length + self.word.count)
            with m.If(second):
                m.d.sync += [source[16:].eq(self.word.data), sourced.eq(self.word.count >= 4)]

        m.submodules.table = table = AddressTable()
        wiring.connect(m, wiring.flipped(self.ral), table.ral)
        wiring.connect(m, wiring.flipped(self.rah), table.rah)
        m.d.comb += [
            table.destination.eq(address),
            table.source.eq(source),
            table.sourced.eq(sourced),
            table.begin.eq(self.taken & (second | (first & self.word.last))),
        ]
        tagged, information = self._tag(m, first, second)
        hashed, vlan_wanted = self._tables(m, address, information)
        m.submodules.decoder = decoder = MacControlDecoder()
        m.d.comb += [
            decoder.word.eq(self.word),
            decoder.taken.eq(self.taken),
            decoder.address.eq(address),
            decoder.own.eq(table.own),
            decoder.rctl.eq(self.rctl),
            decoder.types.eq(self.types),
            self.quanta.eq(decoder.quanta),
        ]

        # Registered in several steps, since the decision is a long chain: what the frame is, what the tables say of
        # it, its fate.
        short, long, good, passes, judge = (Signal(name=name) for name in ("short", "long", "good", "passes", "judge"))
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
        settled = Signal(6)  # a one has come through it when the fate is that of the last word, too
        listed = Signal(2)  # and likewise, when it is that of the address table's answer
        m.d.sync += [
            short.eq(self.length < SHORTEST),
            good.eq(~(short | long | self.ce | self.rxe)),
            settled.eq(Cat(ended, settled)),
            listed.eq(Cat(table.done, listed)),
            judge.eq(ended & table.done & listed.all() & settled.all() & ~judge),
        ]

        passed, discarded = good & decoder.passed, good & decoder.discarded
        broadcast, group, matched, unwanted, missed = (
            Signal(name=name) for name in ("broadcast", "group", "matched", "unwanted", "missed")
        )
        m.d.sync += [
            broadcast.eq(address.all()),
            group.eq(address[0] & ~address.all() & (self.rctl.mpe | hashed)),
        ]
        m.d.sync += [
            matched.eq(passes | table.listed | hashed | passed),
            unwanted.eq(tagged & ~vlan_wanted & ~passed),
        ]
        m.d.comb += missed.eq(overrun | discarded | unwanted)
        fate, kept = Signal(Drops), Signal()
        m.d.sync += [fate.eq(0), kept.eq(0)]
        with m.If(~enabled):
            pass
        with m.Elif(overrun):
            m.d.sync += fate.overrun.eq(1)
        with m.Elif(discarded):
            m.d.sync += fate.mac_control.eq(1)
        with m.Elif(unwanted):
            m.d.sync += fate.vlan.eq(1)
        with m.Elif(~matched):
            m.d.sync += fate.no_match.eq(1)
        with m.Elif(short & ~self.rctl.sbp):
            m.d.sync += [fate.fragment.eq(self.ce), fate.undersize.eq(~self.ce)]
        with m.Elif(long):
            m.d.sync += [fate.jabber.eq(self.ce), fate.oversize.eq(~self.ce)]
        with m.Elif(self.rxe & ~self.rctl.sbp):
            m.d.sync += fate.rx_error.eq(1)
        with m.Elif(self.ce & ~self.rctl.sbp):
            m.d.sync += fate.crc_error.eq(1)
        with m.Else():
            m.d.sync += kept.eq(1)
        with m.If(judge):
            m.d.sync += [
                ended.eq(0),
                settled.eq(0),
                self.drops.eq(fate),
                self.keep.eq(kept),
                self.decided.eq(1),
                self.verdict.passes.eq(good & ~missed & matched),
                self.verdict.broadcast.eq(good & ~missed & broadcast),
                self.verdict.exact.eq(good & ~missed & matched & table.exact),
                self.verdict.multicast.eq(good & ~missed & matched & group),
                self.pif.eq(~passes & ~table.listed & ~passed),
                self.vp.eq(tagged & self.types.vme),
                self.tag.eq(Mux(tagged & self.types.vme, information, 0)),
                self.control.eq(Mux(good & ~overrun, decoder.kind.as_value(), 0)),
                self.pause.eq(enabled & good & ~overrun & (decoder.kind.xon | decoder.kind.xoff)),
            ]
        return m

    def _tag(self, m: Module, first: Signal, second: Signal) -> tuple[Signal, Signal]:
        """The VLAN tag, told by the second word. Returns: there is one; its control information."""
        complete = Signal()
        kind, information = Signal(16), Signal(16)
        with m.If(self.taken):
            with m.If(first):
                m.d.sync += complete.eq(0)
            with m.If(second):
                m.d.sync += [
                    complete.eq(self.word.count == 8),
                    kind.eq(Cat(self.word.data[40:48], self.word.data[32:40])),
                    information.eq(Cat(self.word.data[56:64], self.word.data[48:56])),
                ]
        tagged = Signal()
        m.d.sync += tagged.eq(complete & (self.types.vet != 0) & (kind == self.types.vet))
        return tagged, information

    def _tables(self, m: Module, address: Signal, information: Signal) -> tuple[Signal, Signal]:
        """Returns, each from a register: the multicast table has the address; the VLAN is wanted."""
        m.submodules.multicast = multicast = BitTable()
        m.submodules.vlan = vlan = BitTable()
        wiring.connect(m, wiring.flipped(self.mta), multicast.registers)
        wiring.connect(m, wiring.flipped(self.vfta), vlan.registers)
        hashes = Array(address[32:] >> shift for shift in HASH_SHIFTS)
        hashed, wanted = Signal(), Signal()
        m.d.sync += [
            multicast.index.eq(hashes[self.rctl.mo]),
            hashed.eq(address[0] & multicast.bit),
            vlan.index.eq(information[:_IDENTIFIER_BITS]),
            wanted.eq(~self.rctl.vfe | (vlan.bit & (~self.rctl.cfien | (information[_CFI] == self.rctl.cfi)))),
        ]
        return hashed, wanted
