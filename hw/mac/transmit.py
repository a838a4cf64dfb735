"""Transmit half of the MAC (IEEE 802.3 clause 4.2.3), in octets; ``hw.mac.mii`` puts them on the pins.

A frame is one ``info`` followed by the words of ``packets`` up to the one with ``last``. The words have to keep up
with the wire (one in 8 steps). If one is missing, its place is sent with TX_ER, and the receiver drops the frame.
A reset cuts the frame that is on the wire, and the last octet that goes out has TX_ER (clause 35.2.2.5): no receiver
may take what there is of it for a frame, whatever its bytes.

Frames move only in cycles with ``step``, of which the wire gives one for each octet that it takes: at 1 Gb/s every
cycle, at 100 Mb/s one in 10, at 10 Mb/s one in 100. So whatever is counted here, the gap too, is counted in octets.

A VLAN tag is inserted on the way out (manual 9.2.1 and 3.3.3.1, VLE), so checksums and segmentation know nothing of it.
"""

from amaranth.hdl import Cat, Const, Elaboratable, EnableInserter, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.interfaces import PacketWord, TransmitInfo
from hw.mac.fcs import FCS, FCS_BYTES, PREAMBLE, PREAMBLE_BYTES, SFD, append_fcs
from hw.vlan import ADDRESS_BYTES, TAG_BYTES, insert

__all__ = ["GAP_OFFSET", "MINIMUM_BYTES", "MacTransmit", "line_bytes"]

MINIMUM_BYTES = 60
"""Shortest frame without FCS (clause 4.4.2: minFrameSize is 64 with it)."""

GAP_OFFSET = 4
"""TIPG.IPGT counts from 4 bytes up (manual 13.4.34): 8 gives the standard gap of 12."""


def line_bytes(frame: bytes, *, pad: bool, fcs: bool, vet: int = 0, tag: int | None = None) -> bytes:
    """What the wire carries for a frame while TX_EN is high, preamble first (golden function of ``MacTransmit``).

    ``tag`` is the tag control information of the VLAN tag to insert, if any. A frame with VLE always gets its FCS.
    """
    if tag is not None:
        frame, fcs = insert(frame, vet, tag), True
    if pad:
        frame = frame.ljust(MINIMUM_BYTES, b"\0")
    return bytes([PREAMBLE]) * PREAMBLE_BYTES + bytes([SFD]) + (append_fcs(frame) if fcs else frame)


class MacTransmit(wiring.Component):
    """Sends frames.

    Members
    -------
    step : ``In(1)``
        The wire takes an octet: what is on ``txd``, ``tx_en`` and ``tx_er`` gives way to the next one.
    info : ``In(stream.Signature(TransmitInfo))``
        Taken once per frame, before its words.
    packets : ``In(stream.Signature(PacketWord))``
        Frames without preamble, inserted tag and FCS.
    reset : ``In(1)``
        High in each cycle in which the component is reset by a ``ResetInserter``, which leaves the registers of the
        GMII alone.
    enable : ``In(1)``
        TCTL.EN. A frame that has begun is finished.
    pad : ``In(1)``
        TCTL.PSP: short frames, their tag included, are padded with zeros to 60 bytes (64 with FCS).
    gap : ``In(10)``
        TIPG.IPGT: frames that wait follow one another after exactly ``gap + 4`` idle octets.
    vme : ``In(1)``
        CTRL.VME: without it VLE is ignored. Counts when a frame begins.
    vet : ``In(16)``
        VET: the type of an inserted tag.
    txd, tx_en, tx_er : ``Out``
        An octet as the GMII has it, registered.
    sent : ``Out(1)``
        High for one cycle when the wire takes a frame's last octet.
    idle : ``Out(1)``
        A frame may begin: the gap behind the last one is over.
    """

    step: In(1)
    info: In(stream.Signature(TransmitInfo))
    packets: In(stream.Signature(PacketWord))
    reset: In(1)
    enable: In(1)
    pad: In(1)
    gap: In(10)
    vme: In(1)
    vet: In(16)
    txd: Out(8)
    tx_en: Out(1)
    tx_er: Out(1)
    sent: Out(1)
    idle: Out(1)

    def elaborate(self, platform: object) -> Elaboratable:
        m = Module()
        m.submodules.crc = crc = FCS.create()

        word = Signal(PacketWord)
        bytes_left = Signal(range(9))
        short = Signal(range(MINIMUM_BYTES + 1), init=MINIMUM_BYTES)
        insert_fcs = Signal()
        insert_tag = Signal()
        tag = Signal(16)
        count = Signal(range(PREAMBLE_BYTES + 1))
        gap_left = Signal(range(1023 + GAP_OFFSET))
        pad_more = Signal()
        with_tag = Signal()

        octet = Signal(8)
        sending = Signal()
        missing = Signal()
        finish = Signal()
        finishing = Signal()
        m.d.comb += [
            crc.data.eq(word.data[:8]),
            pad_more.eq(self.pad & (short > 1)),
            self.sent.eq(finishing & self.step),
        ]
        m.d.sync += finishing.eq(finish)

        tag_octets = Cat(self.vet[8:], self.vet[:8], tag[8:], tag[:8])

        def take_word() -> None:
            m.d.comb += self.packets.ready.eq(self.step)
            m.d.sync += word.eq(self.packets.payload)
            m.d.sync += bytes_left.eq(self.packets.valid.replicate(4) & self.packets.payload.count)

        def count_byte(summed: Value | None = None) -> None:
            """An octet before the FCS. ``summed``: it is this one, not the word's."""
            m.d.comb += crc.valid.eq(1)
            if summed is not None:
                m.d.comb += crc.data.eq(summed)
            with m.If(short != 0):
                m.d.sync += short.eq(short - 1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                m.d.sync += [count.eq(0), short.eq(MINIMUM_BYTES)]
                with m.If(self.info.valid & self.enable):
                    m.d.comb += self.info.ready.eq(self.step)
                    m.d.comb += with_tag.eq(self.info.payload.vle & self.vme)
                    m.d.sync += [
                        insert_tag.eq(with_tag),
                        tag.eq(self.info.payload.special),
                        insert_fcs.eq(self.info.payload.ifcs | with_tag),
                    ]
                    m.next = "PREAMBLE"

            with m.State("PREAMBLE"):
                m.d.comb += [sending.eq(1), octet.eq(PREAMBLE), crc.start.eq(1)]
                m.d.sync += count.eq(count + 1)
                with m.If(count == PREAMBLE_BYTES):
                    m.d.comb += octet.eq(SFD)
                    m.d.sync += count.eq(0)
                    take_word()
                    m.next = "DATA"

            with m.State("DATA"):
                m.d.comb += [sending.eq(1), octet.eq(word.data[:8])]
                with m.If(bytes_left == 0):
                    m.d.comb += missing.eq(1)
                    take_word()
                with m.Else():
                    count_byte()
                    m.d.sync += [word.data.eq(word.data >> 8), bytes_left.eq(bytes_left - 1)]
                    with m.If(bytes_left == 1):
                        with m.If(~word.last):
                            take_word()
                        with m.Elif(pad_more):
                            m.next = "PAD"
                        with m.Elif(insert_fcs):
                            m.next = "FCS"
                        with m.Else():
                            m.d.comb += finish.eq(1)
                            m.next = "GAP"
                    with m.Elif(insert_tag & (short == MINIMUM_BYTES - ADDRESS_BYTES + 1)):
                        m.next = "TAG"

            with m.State("TAG"):
                tag_octet = tag_octets.word_select(count[:2], 8)
                m.d.comb += [sending.eq(1), octet.eq(tag_octet)]
                count_byte(tag_octet)
                m.d.sync += count.eq(count + 1)
                with m.If(count == TAG_BYTES - 1):
                    m.d.sync += count.eq(0)
                    m.next = "DATA"

            with m.State("PAD"):
                m.d.comb += sending.eq(1)
                count_byte(Const(0, 8))
                with m.If(~pad_more):
                    with m.If(insert_fcs):
                        m.next = "FCS"
                    with m.Else():
                        m.d.comb += finish.eq(1)
                        m.next = "GAP"

            with m.State("FCS"):
                m.d.comb += [sending.eq(1), octet.eq(crc.crc.word_select(count[:2], 8))]
                m.d.sync += count.eq(count + 1)
                with m.If(count == FCS_BYTES - 1):
                    m.d.comb += finish.eq(1)
                    m.next = "GAP"

            with m.State("GAP"):
                m.d.sync += gap_left.eq(gap_left - 1)
                with m.If(gap_left == 0):
                    m.next = "IDLE"

        # The gap is the steps of GAP (gap_left counts down to 0) and one of IDLE.
        with m.If(finish):
            m.d.sync += gap_left.eq(self.gap + GAP_OFFSET - 2)
        return self._output(EnableInserter(self.step)(m), octet, sending, missing)

    def _output(self, frames: Elaboratable, octet: Signal, sending: Signal, missing: Signal) -> Module:
        """The registers of the wire's side, which move with ``step`` too, but see a reset in any cycle."""
        m = Module()
        m.submodules.frames = frames
        txd = Signal(8, reset_less=True)
        tx_en = Signal(reset_less=True)
        tx_er = Signal(reset_less=True)
        cut = Signal(reset_less=True)  # by a reset between two steps: one more octet follows, with TX_ER
        m.d.comb += [self.txd.eq(txd), self.tx_en.eq(tx_en), self.tx_er.eq(tx_er)]
        with m.If(self.step):
            m.d.sync += [
                txd.eq(octet),
                tx_en.eq(sending | cut),
                tx_er.eq((sending & (missing | self.reset)) | cut),
                cut.eq(0),
            ]
        with m.Elif(self.reset & sending):
            m.d.sync += cut.eq(1)
        return m
