"""The wake-up unit: WUC, WUFC, WUS, WUPL, WUPM and the pin PME# (manual 6.4 and 13.6).

What wakes is told by filters that look at every frame while one of the two mechanisms is armed:

========================= ==============================================================================================
ACPI, armed by WUC.PME_EN what WUFC enables sets its bit of WUS and WUC.PME_STATUS, and asserts PME#
APM, armed by WUC.APME    a magic packet sets WUS.MAG, and with WUC.APMPME also WUC.PME_STATUS and PME#
========================= ==============================================================================================

The NIC has no PCI power states of its own: like the 82540EM it wakes from every state, so these bits alone arm it, and
PME_EN is that of PMCSR. Neither the receiver (RCTL.EN) nor the link (CTRL.SLU) needs to be on, since APM has to work
before there is a driver. A frame wakes only if it is without error and of legal length and passes the receive filter;
RCTL.BAM is not asked for if a broadcast carries a magic packet.

WUPM keeps the first 128 bytes of the frame that woke, FCS included, and WUPL its length, until every bit of WUS but
LNKC is cleared; frames are not looked at meanwhile. No software reset touches any of this: as the manual says of
LAN_PWR_GOOD, power-up alone does. APME and APMPME are read from the EEPROM again after each reset.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.mac.receive import ReceiveWord
from hw.receive.layouts import WakeVerdict
from hw.register_file import ArraySignature, RegisterSignature
from hw.registers import BY_NAME
from hw.wake.flexible import FlexibleFilter, FlexibleFilters
from hw.wake.magic import MagicMatcher, has_magic
from hw.wake.network import NetworkAddresses, NetworkMatcher
from hw.wake.octets import OctetStream

__all__ = ["LONGEST_LENGTH", "STORED_BYTES", "WakeUp", "WakeUpSettings"]

STORED_BYTES = 4 * BY_NAME["WUPM"].count

LONGEST_LENGTH = 2047
"""What WUPL tells of any longer frame."""

_SINGLE = ("wuc", "wufc", "wus", "ipav", "wupl")
_FLEXIBLE = ("fflt", "ffmt", "ffvt")
_NETWORK = ("ip4at", "ip6at")


@dataclass(frozen=True, kw_only=True)
class WakeUpSettings:
    """The registers that the unit obeys. ``filters`` has the names of what is set in WUFC, ``station`` the 6 bytes of
    receive address 0, ``flexible`` the four filters."""

    pme_en: bool
    apme: bool
    filters: Collection[str]
    station: bytes
    network: NetworkAddresses
    flexible: Sequence[FlexibleFilter]

    def events(self, frame: bytes, verdict: Mapping[str, bool]) -> set[str]:
        """Golden function: what a frame with FCS sets in WUS, if nothing is set there. ``verdict`` has the fields of
        ``WakeVerdict``."""
        passes, broadcast, exact = verdict["passes"], verdict["broadcast"], verdict["exact"]
        arp, ip4, ip6 = self.network.matches(frame)
        happened = {
            "MAG": (passes or broadcast) and has_magic(frame, self.station),
            "EX": exact,
            "MC": verdict["multicast"],
            "BC": passes and broadcast,
            "ARP": passes and broadcast and arp,
            "IPV4": exact and ip4,
            "IPV6": exact and ip6,
            **{f"FLX{number}": passes and item.passes(frame) for number, item in enumerate(self.flexible)},
        }
        acpi = {name for name, there in happened.items() if there and self.pme_en and name in self.filters}
        return acpi | ({"MAG"} if self.apme and happened["MAG"] else set())


class WakeUp(wiring.Component):
    """The unit.

    While it is armed and looks at frames, it wants the receive path to take no more than one word in 8 cycles, which
    is line rate. A write of WUC or WUS arms it 2 cycles later.

    Members
    -------
    wuc, wufc, wus, ipav, wupl : ``In(RegisterSignature(...))``, others : ``In(ArraySignature(...))``
        For the register file.
    load : ``In(1)``, apme, apmpme : ``In(1)``
        Pulse: the EEPROM gives these two bits of WUC.
    reset : ``In(1)``
        The receive path is being reset: the frame that goes by is forgotten.
    station : ``In(48)``
        Receive address 0, first byte lowest.
    vet : ``In(16)``
    word : ``In(ReceiveWord)``, taken : ``In(1)``
        A word of a frame goes by in each cycle of ``taken``, which comes only with ``ready``.
    ready : ``Out(1)``
        The next word may be taken; behind a frame's last: it may be judged. Once high it stays so until a word is
        taken.
    judge : ``In(1)``, verdict : ``In(WakeVerdict)``, length : ``In(15)``
        Pulse: what the receive filter says of the frame of which the last word was taken, and its bytes. The verdict is
        there from the cycle before, the length from 2 before until the one behind.
    link : ``In(1)``
        The PHY has a link.
    pme : ``Out(1)``
        PME#, drawn active high: from an event until software clears PME_STATUS or writes 0 to PME_EN.
    """

    wuc: In(RegisterSignature(BY_NAME["WUC"]))
    wufc: In(RegisterSignature(BY_NAME["WUFC"]))
    wus: In(RegisterSignature(BY_NAME["WUS"]))
    ipav: In(RegisterSignature(BY_NAME["IPAV"]))
    wupl: In(RegisterSignature(BY_NAME["WUPL"]))
    ip4at: In(ArraySignature(BY_NAME["IP4AT"]))
    ip6at: In(ArraySignature(BY_NAME["IP6AT"]))
    wupm: In(ArraySignature(BY_NAME["WUPM"]))
    fflt: In(ArraySignature(BY_NAME["FFLT"]))
    ffmt: In(ArraySignature(BY_NAME["FFMT"]))
    ffvt: In(ArraySignature(BY_NAME["FFVT"]))
    load: In(1)
    apme: In(1)
    apmpme: In(1)
    reset: In(1)
    station: In(48)
    vet: In(16)
    word: In(ReceiveWord)
    taken: In(1)
    ready: Out(1)
    judge: In(1)
    verdict: In(WakeVerdict)
    length: In(15)
    link: In(1)
    pme: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = Signal.like(self.wuc.hardware, name="control")
        enabled = Signal.like(self.wufc.hardware, name="enabled")
        status = Signal.like(self.wus.hardware, name="status")
        valid = Signal.like(self.ipav.hardware, name="valid")
        length = Signal.like(self.wupl.hardware, name="wake_length")
        for member, stored in zip(_SINGLE, (control, enabled, status, valid, length), strict=True):
            m.d.comb += getattr(self, member).hardware.eq(stored)
        for member, stored in (("wufc", enabled), ("ipav", valid), ("wupl", length)):
            register = BY_NAME[member.upper()]
            with m.If(getattr(self, member).written):
                m.d.sync += stored.as_value().eq(getattr(self, member).write_data & register.writable_mask)

        # Both late, which is soon enough for the next frame: ``ready``, and with it the receive path, hangs on them.
        waiting = Signal()  # for software, with a frame that woke
        armed = Signal()
        m.d.sync += [
            waiting.eq((status.as_value() & ~BY_NAME["WUS"].mask("LNKC")) != 0),
            armed.eq((control.pme_en | control.apme) & ~waiting),
        ]
        m.submodules.octets = octets = ResetInserter(self.reset)(OctetStream())
        stores = Signal()  # software writes WUPM: then no byte of a frame does
        m.d.sync += stores.eq(self.wupm.write)
        m.d.comb += octets.hold.eq(self.wupm.write)
        happened = self._happened(m, octets, armed, valid)

        # Two steps: which bits, and in the next cycle what follows from them.
        acpi, apm = Signal.like(status.as_value()), Signal()
        wakes = Signal()
        link_before = Signal()
        changed = Signal()
        m.d.sync += [
            acpi.eq(Mux(self.judge & control.pme_en & ~waiting, happened & enabled.as_value(), 0)),
            apm.eq(self.judge & control.apme & ~waiting & happened[BY_NAME["WUS"]["MAG"].lsb]),
        ]
        m.d.comb += [
            wakes.eq(acpi.any() | apm),
            changed.eq((self.link != link_before) & control.pme_en & enabled.lnkc & ~status.lnkc),
        ]
        m.d.sync += link_before.eq(self.link)
        events = acpi | Cat(changed, apm)
        cleared = Mux(self.wus.written, self.wus.write_data, 0)
        m.d.sync += status.as_value().eq((status.as_value() & ~cleared) | events)
        with m.If(wakes):
            m.d.sync += length.len.eq(Mux(self.length > LONGEST_LENGTH, LONGEST_LENGTH, self.length))
        self._memory(m, octets.octet, wakes, stores)
        self._control(m, control, acpi.any() | changed | (apm & control.apmpme))
        return m

    def _control(self, m: Module, control: Value, event: Value) -> None:
        """WUC and PME#. An event is stronger than software in the same cycle."""
        written = self.wuc.write_data
        place = BY_NAME["WUC"].by_name
        with m.If(self.wuc.written):
            m.d.sync += [
                getattr(control, name).eq(written[place[name.upper()].lsb]) for name in ("apme", "pme_en", "apmpme")
            ]
            with m.If(written[place["PME_STATUS"].lsb]):
                m.d.sync += [control.pme_status.eq(0), self.pme.eq(0)]
            with m.If(~written[place["PME_EN"].lsb]):
                m.d.sync += self.pme.eq(0)
        with m.If(self.load):
            m.d.sync += [control.apme.eq(self.apme), control.apmpme.eq(self.apmpme)]
        with m.If(event):
            m.d.sync += [control.pme_status.eq(1), self.pme.eq(1)]

    def _happened(self, m: Module, octets: OctetStream, enable: Value, valid: Value) -> Value:
        """The filters; returns the bits of WUS that the frame asks for, registered, in the cycle of ``judge``."""
        engine = ResetInserter(self.reset)
        m.submodules.magic = magic = engine(MagicMatcher())
        m.submodules.network = network = engine(NetworkMatcher())
        m.submodules.flexible = flexible = engine(FlexibleFilters())
        for names, filter_ in ((_NETWORK, network), (_FLEXIBLE, flexible)):
            for name in names:
                wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(filter_, name))

        # Armed in mid-frame it looks at the next frame first.
        whole = Signal()
        with m.If(octets.octet.begin):
            m.d.sync += whole.eq(enable)
        with m.Elif(~enable | self.reset):
            m.d.sync += whole.eq(0)
        m.d.comb += [
            octets.word.eq(self.word),
            octets.taken.eq(self.taken),
            octets.enable.eq(enable),
            self.ready.eq(octets.ready),
            magic.address.eq(self.station),
            network.vet.eq(self.vet),
            network.valid4.eq(Cat(valid[f"v4{entry}"] for entry in range(4))),
            network.valid6.eq(valid.v60),
            flexible.length.eq(self.length),
            *(matcher.octet.eq(octets.octet) for matcher in (magic, network, flexible)),
        ]
        verdict = self.verdict
        happened = {
            "MAG": magic.found & (verdict.passes | verdict.broadcast),
            "EX": verdict.exact,
            "MC": verdict.multicast,
            "BC": verdict.passes & verdict.broadcast,
            "ARP": verdict.passes & verdict.broadcast & network.arp,
            "IPV4": verdict.exact & network.ip4,
            "IPV6": verdict.exact & network.ip6,
            **{f"FLX{number}": verdict.passes & flexible.passes[number] for number in range(len(flexible.passes))},
        }
        bits = Signal(32)
        for name, there in happened.items():
            m.d.sync += bits[BY_NAME["WUS"][name].lsb].eq(there & whole)
        return bits

    def _memory(self, m: Module, octet: Value, wakes: Value, stores: Signal) -> None:
        """WUPM: one half is software's, the other takes each frame that goes by; a frame that wakes changes them."""
        m.submodules.memory = memory = Memory(
            shape=32, depth=2 * STORED_BYTES // 4, init=[], attrs={"ram_style": "block"}
        )
        write, read = memory.write_port(granularity=8), memory.read_port()
        half = Signal()  # software's
        place = Signal(range(STORED_BYTES + 1))
        with m.If(octet.begin):
            m.d.sync += place.eq(0)
        with m.Elif(octet.valid & (place < STORED_BYTES)):
            m.d.sync += place.eq(place + 1)
            m.d.comb += write.en.eq(1 << place[:2])
        m.d.comb += [
            write.addr.eq(Cat(place[2:7], ~half)),
            write.data.eq(octet.data.replicate(4)),
            read.addr.eq(Cat(self.wupm.address, half)),
            self.wupm.read_data.eq(read.data),
        ]
        address, word = Signal.like(self.wupm.address), Signal.like(self.wupm.write_data)
        m.d.sync += [address.eq(self.wupm.address), word.eq(self.wupm.write_data)]
        with m.If(stores):
            m.d.comb += [write.addr.eq(Cat(address, half)), write.data.eq(word), write.en.eq(0xF)]
        with m.If(wakes):
            m.d.sync += half.eq(~half)
