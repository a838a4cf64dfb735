"""What the statistics counters are told of each frame, and which of them it moves (manual 13.7).

TPR and TOR count every frame that comes while the receiver is on. Error counters count frames that passed the filters
(13.7.1, 13.7.4, 13.7.15, 13.7.34 to 13.7.37). Good frames did too, are in the packet buffer (not necessarily in host
memory yet) and have a legal length and no error. MAC control frames that CTRL.RFCE makes the NIC look at, and the pause
frames that it sends, have counters of their own, and are in none of those of good frames nor in RNBC (13.7.16 to
13.7.20, 13.7.33). Octets run from the destination address through the CRC.
"""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Elaboratable, EnableInserter, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.mac.fcs import PREAMBLE_BYTES
from hw.mac.receive import ReceiveWord
from hw.receive.layouts import Drops, MacControl

__all__ = [
    "SHORTEST",
    "SIZE_NAMES",
    "ReceiveWatch",
    "Received",
    "ReceivedRecord",
    "TransmitWatch",
    "Transmitted",
    "TransmittedRecord",
    "receive_increments",
    "size_class",
    "transmit_increments",
]

SHORTEST = 64
"""The shortest legal frame in bytes, with FCS (IEEE 802.3 clause 4.4.2)."""

_SIZES = (64, 127, 255, 511, 1023)
"""Upper limits of the size classes but the last, with FCS."""
SIZE_NAMES = (*_SIZES, 1522)
"""What the size classes are called in the names of PRC and PTC. The last has no upper limit but the legal one."""
_ADDRESS_BYTES = 6

ReceivedRecord = data.StructLayout(
    {
        "length": 15,
        "crc_error": 1,
        "alignment": 1,
        "rx_error": 1,
        "long": 1,
        "kept": 1,
        "lost": 1,
        "no_buffer": 1,
        "unwanted": 1,
        "broadcast": 1,
        "multicast": 1,
        "xon": 1,
        "xoff": 1,
        "unsupported": 1,
    }
)
"""A frame that came while the receiver was on. ``length`` in bytes with FCS (past the longest legal frame it may stay
behind); ``long`` longer than RCTL.LPE allows; ``kept`` it is in the packet buffer; ``lost`` there was no room for it;
``no_buffer`` it was wanted, and RDH was equal to RDT; ``unwanted`` it did not pass the filters of VLAN and address;
``xon``, ``xoff``, ``unsupported`` as in ``MacControl``. With ``alignment`` the error told by ``crc_error`` is that the
frame is not a whole number of octets. Broadcast is not multicast."""

TransmittedRecord = data.StructLayout({"length": 15, "error": 1, "broadcast": 1, "multicast": 1, "xon": 1, "xoff": 1})
"""A frame that was sent: ``length`` in bytes with FCS; ``error`` with TX_ER; ``xon``, ``xoff`` it is a pause frame that
the NIC made. Broadcast is not multicast."""


@dataclass(frozen=True, kw_only=True)
class Received:
    """``ReceivedRecord`` for software."""

    length: int
    crc_error: bool = False
    alignment: bool = False
    rx_error: bool = False
    long: bool = False
    kept: bool = False
    lost: bool = False
    no_buffer: bool = False
    unwanted: bool = False
    broadcast: bool = False
    multicast: bool = False
    xon: bool = False
    xoff: bool = False
    unsupported: bool = False


@dataclass(frozen=True, kw_only=True)
class Transmitted:
    """``TransmittedRecord`` for software."""

    length: int
    error: bool = False
    broadcast: bool = False
    multicast: bool = False
    xon: bool = False
    xoff: bool = False


def size_class(length: Any) -> Any:
    """Number of the size class of a length, or of a signal."""
    return sum(length > limit for limit in _SIZES)


def receive_increments(frame: Received) -> dict[str, int]:
    """What a received frame adds to which counter."""
    counts = {"TPR": 1, "TOR": frame.length}
    control = frame.xon or frame.xoff or frame.unsupported
    if control:
        counts["XONRXC" if frame.xon else "XOFFRXC" if frame.xoff else "FCRUC"] = 1
    if frame.no_buffer and not control:
        counts["RNBC"] = 1
    if frame.lost:
        return counts | {"MPC": 1}
    if frame.unwanted or control:
        return counts
    short = frame.length < SHORTEST
    if frame.crc_error and not short:
        counts["ALGNERRC" if frame.alignment else "CRCERRS"] = 1
    if frame.rx_error and not short:
        counts["RXERRC"] = 1
    if short or frame.long:
        counts["RLEC"] = 1
    if short:
        counts["RFC" if frame.crc_error else "RUC"] = 1
    elif frame.long:
        counts["RJC" if frame.crc_error else "ROC"] = 1
    if frame.kept and not (short or frame.long or frame.crc_error or frame.rx_error):
        counts |= {"GPRC": 1, "GORC": frame.length, f"PRC{SIZE_NAMES[size_class(frame.length)]}": 1}
        if frame.broadcast:
            counts["BPRC"] = 1
        if frame.multicast:
            counts["MPRC"] = 1
    return counts


def transmit_increments(frame: Transmitted) -> dict[str, int]:
    """What a frame that was sent adds to which counter. Good ones have at least 64 bytes."""
    counts = {"TPT": 1, "TOT": frame.length}
    if frame.xon or frame.xoff:
        return counts | {"XONTXC" if frame.xon else "XOFFTXC": 1}
    if frame.error:
        return counts
    if frame.length >= SHORTEST:
        counts |= {"GPTC": 1, "GOTC": frame.length, f"PTC{SIZE_NAMES[size_class(frame.length)]}": 1}
    if frame.broadcast:
        counts["BPTC"] = 1
    if frame.multicast:
        counts["MPTC"] = 1
    return counts


class ReceiveWatch(wiring.Component):
    """Tells of every frame on whose fate the receive path decides.

    Members
    -------
    word : ``In(ReceiveWord)``, taken : ``In(1)``
        A word of a frame goes by in each cycle of ``taken``.
    drops : ``In(Drops)``
        Pulse: the filter drops the frame.
    length, crc_error, alignment, rx_error, control : ``In``
        Of the frame, in the cycle of a pulse.
    kept, lost : ``In(1)``
        Pulses: the frame has passed the filter, and is in the packet buffer, or has found no room there.
    no_buffer : ``In(1)``
        RDH is equal to RDT.
    records : ``Out(stream.Signature(ReceivedRecord))``
        Always ready. In the cycle after the pulse.
    """

    word: In(ReceiveWord)
    taken: In(1)
    drops: In(Drops)
    length: In(15)
    crc_error: In(1)
    alignment: In(1)
    rx_error: In(1)
    control: In(MacControl)
    kept: In(1)
    lost: In(1)
    no_buffer: In(1)
    records: Out(stream.Signature(ReceivedRecord, always_ready=True))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        first = Signal(init=1)
        group, ones = Signal(), Signal()
        with m.If(self.taken):
            m.d.sync += first.eq(self.word.last)
            with m.If(first):
                m.d.sync += [group.eq(self.word.data[0]), ones.eq(self.word.data[: 8 * _ADDRESS_BYTES].all())]
        record = self.records.payload
        m.d.sync += [
            self.records.valid.eq(self.drops.as_value().any() | self.kept | self.lost),
            record.length.eq(self.length),
            record.crc_error.eq(self.crc_error),
            record.alignment.eq(self.alignment),
            record.rx_error.eq(self.rx_error),
            record.long.eq(self.drops.oversize | self.drops.jabber),
            record.kept.eq(self.kept),
            record.lost.eq(self.lost | self.drops.overrun),
            record.no_buffer.eq(self.no_buffer & (self.kept | self.lost)),
            record.unwanted.eq(self.drops.vlan | self.drops.no_match),
            record.broadcast.eq(ones),
            record.multicast.eq(group & ~ones),
            *(record[name].eq(self.control[name]) for name in MacControl.members),
        ]
        return m


class TransmitWatch(wiring.Component):
    """Tells of every frame that goes out, in the step behind its last octet.

    Members
    -------
    txd, tx_en, tx_er, step : ``In``
        As in ``MacTransmit``.
    xon, xoff : ``In(1)``
        As in ``PauseInserter``.
    records : ``Out(stream.Signature(TransmittedRecord))``
        Always ready.
    """

    txd: In(8)
    tx_en: In(1)
    tx_er: In(1)
    step: In(1)
    xon: In(1)
    xoff: In(1)
    records: Out(stream.Signature(TransmittedRecord, always_ready=True))

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        start = -(PREAMBLE_BYTES + 1)  # preamble and SFD
        whole = Signal()  # the rest of a frame that a reset has cut may still be there behind the reset
        length = Signal(15, init=start % (1 << 15))
        running = Signal()
        error, group, ones = Signal(), Signal(), Signal(init=1)
        m.d.sync += running.eq(self.tx_en)
        with m.If(~self.tx_en):
            m.d.sync += whole.eq(1)
        with m.If(self.tx_en):
            m.d.sync += [length.eq(length + 1), error.eq(error | self.tx_er)]
            with m.If(length < _ADDRESS_BYTES):
                m.d.sync += ones.eq(ones & self.txd.all())
            with m.If(length == 0):
                m.d.sync += group.eq(self.txd[0])
        with m.Else():
            m.d.sync += [length.eq(length.init), error.eq(0), ones.eq(1)]
        record = self.records.payload
        m.d.comb += [
            self.records.valid.eq(self.step & whole & running & ~self.tx_en),
            record.length.eq(length),
            record.error.eq(error),
            record.broadcast.eq(ones),
            record.multicast.eq(group & ~ones),
            record.xon.eq(self.xon),
            record.xoff.eq(self.xoff),
        ]
        return EnableInserter(self.step)(m)
