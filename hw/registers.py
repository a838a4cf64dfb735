"""The one table of registers: offsets, fields, reset values and access kinds of the 82540EM.

Intel, PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453), chapter 13.
Pure Python: the register file, the driver's names and the register reference are all made from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["BY_NAME", "REGISTERS", "STATISTICS", "WINDOW_BYTES", "Access", "Field", "Register", "Status", "at_offset"]

WINDOW_BYTES = 128 * 1024
"""Size of the register window (BAR0)."""


class Access(Enum):
    """What software's reads and writes of a field do."""

    RW = "read and write"
    RO = "read only"
    WO = "write only, reads 0"
    SC = "write 1 starts something, clears itself, reads 0"
    RC = "clears on read; writing 1 clears too"
    W1S = "writing 1 sets; reads the state"
    W1C = "writing 1 clears; reads the state"
    STATISTIC = "counter, sticks at its maximum, clears on read"


class Status(Enum):
    """How much of a register this NIC implements."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    NOT_BUILT = "not built"
    """Reads as the reset value; writes are dropped."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """A named run of bits.

    ``lsb`` is the lowest bit, ``width`` the number of bits, ``reset`` the value after reset (in the field's units).
    ``updated`` says that the NIC moves the value itself: software's write reloads it, a read returns where it is now
    (of a field that clears itself: whether that has happened).
    ``loaded`` says that the EEPROM, if it is valid, gives another value after each reset.
    """

    name: str
    lsb: int
    width: int = 1
    access: Access = Access.RW
    reset: int = 0
    updated: bool = False
    loaded: bool = False
    description: str = ""

    @property
    def mask(self) -> int:
        """The field's bits, in place."""
        return ((1 << self.width) - 1) << self.lsb

    def get(self, value: int) -> int:
        """The field's value out of a register's value."""
        return (value & self.mask) >> self.lsb

    def put(self, value: int) -> int:
        """The field's value in place; raises ``ValueError`` if it does not fit."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"{self.name} takes 0..{(1 << self.width) - 1}, not {value!r}")
        return value << self.lsb


@dataclass(frozen=True, kw_only=True)
class Register:
    """One 32-bit register, or an array of ``count`` of them ``stride`` bytes apart."""

    name: str
    offset: int
    fields: tuple[Field, ...]
    description: str
    status: Status = Status.COMPLETE
    count: int = 1
    stride: int = 4
    shadows: tuple[int, ...] = ()
    """Further offsets at which the same register answers."""
    block: str = ""
    """Registers of one block are kept together in one memory outside of the register file, which reads and clears."""

    by_name: dict[str, Field] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        used = 0
        for item in self.fields:
            if item.mask & used or item.mask >> 32:
                raise ValueError(f"{self.name}.{item.name} overlaps another field or leaves the register")
            used |= item.mask
        object.__setattr__(self, "by_name", {item.name: item for item in self.fields})

    def __getitem__(self, name: str) -> Field:
        return self.by_name[name]

    @property
    def reset(self) -> int:
        """Value after reset."""
        return sum(item.put(item.reset) for item in self.fields)

    @property
    def writable_mask(self) -> int:
        """The bits that read back as they were written."""
        if self.status is Status.NOT_BUILT:
            return 0
        return sum(item.mask for item in self.fields if item.access is Access.RW)

    def mask(self, *names: str) -> int:
        """The named fields' bits, in place."""
        return sum(self.by_name[name].mask for name in names)

    def value(self, **fields: int) -> int:
        """A register value made of field values, all others 0."""
        return sum(self.by_name[name].put(value) for name, value in fields.items())

    def offsets(self) -> Iterator[int]:
        """Every offset at which this register (or element of the array) answers."""
        for index in range(self.count):
            yield self.offset + index * self.stride
        yield from self.shadows


def _bits(names: str, access: Access = Access.RW, *, updated: bool = False, loaded: bool = False) -> tuple[Field, ...]:
    """Single-bit fields from ``"NAME0 NAME5 ..."`` where the trailing number after ``@`` is the bit."""
    fields = []
    for item in names.split():
        name, bit = item.split("@")
        fields.append(Field(name=name, lsb=int(bit), access=access, updated=updated, loaded=loaded))
    return tuple(fields)


def _whole(
    name: str, width: int, lsb: int = 0, reset: int = 0, access: Access = Access.RW, *, updated: bool = False
) -> tuple[Field, ...]:
    return (Field(name=name, lsb=lsb, width=width, reset=reset, access=access, updated=updated),)


_CAUSES = (
    "TXDW@0 TXQE@1 LSC@2 RXSEQ@3 RXDMT0@4 RESERVED5@5 RXO@6 RXT0@7 RESERVED8@8 MDAC@9 RXCFG@10 "
    "GPI0@11 GPI1@12 GPI2@13 GPI3@14 TXD_LOW@15 SRPD@16"
)
"""Interrupt causes (manual 13.4.17). Bits 5 and 8 are reserved, yet the driver's self-test sets and expects them."""


_WAKE_UPS = "LNKC@0 MAG@1 EX@2 MC@3 BC@4 ARP@5 IPV4@6 IPV6@7 FLX0@16 FLX1@17 FLX2@18 FLX3@19"
"""What can wake the host (manual 13.6.2)."""


def _led(number: int, mode: int, blink: int = 0) -> tuple[Field, ...]:
    """The fields of one LED; ``mode`` is what it shows after reset, ``blink`` whether it blinks."""
    return (
        Field(name=f"LED{number}_MODE", lsb=8 * number, width=4, reset=mode),
        Field(name=f"LED{number}_IVRT", lsb=8 * number + 6),
        Field(name=f"LED{number}_BLINK", lsb=8 * number + 7, reset=blink),
    )


def _ring(prefix: str, base: int, direction: str) -> tuple[Register, ...]:
    return (
        Register(
            name=f"{prefix}BAL",
            offset=base,
            fields=_whole("BASE", 28, lsb=4),
            description=f"{direction} descriptor ring: address, bits 31:4",
        ),
        Register(
            name=f"{prefix}BAH",
            offset=base + 0x4,
            fields=_whole("BASE", 32),
            description=f"{direction} descriptor ring: address, bits 63:32",
        ),
        Register(
            name=f"{prefix}LEN",
            offset=base + 0x8,
            fields=_whole("LEN", 13, lsb=7),
            description=f"{direction} descriptor ring: length in units of 128 bytes (8 descriptors)",
        ),
        Register(
            name=f"{prefix}H",
            offset=base + 0x10,
            fields=(Field(name="HEAD", lsb=0, width=16, updated=True),),
            description=f"{direction} descriptor ring: the next descriptor the NIC will complete",
        ),
        Register(
            name=f"{prefix}T",
            offset=base + 0x18,
            fields=_whole("TAIL", 16),
            description=f"{direction} descriptor ring: one past the last descriptor given to the NIC",
        ),
    )


def _thresholds(name: str, offset: int, description: str, *more: Field) -> Register:
    return Register(
        name=name,
        offset=offset,
        fields=(
            Field(name="PTHRESH", lsb=0, width=6, description="prefetch when fewer are on the chip; 0: when none is"),
            Field(name="HTHRESH", lsb=8, width=6, description="prefetch when so many are in host memory"),
            Field(name="WTHRESH", lsb=16, width=6, description="write back so many at a time; 0: each at once"),
            Field(name="GRAN", lsb=24, description="1: in descriptors, 0: in cache lines of 4"),
            *more,
        ),
        description=f"Descriptor prefetch, host and write-back thresholds{description}",
    )


_FULL_DUPLEX = "stays 0: half duplex only"
_NO_MANAGEMENT = "stays 0: no management controller is built"

_COUNTERS: tuple[tuple[str, str], ...] = (
    ("CRCERRS", "frames of 64 bytes or more with a wrong CRC, without those of ALGNERRC"),
    ("ALGNERRC", "frames of 64 bytes or more that are no whole number of octets: at 10 and 100 Mb/s only"),
    ("SYMERRS", "symbol errors; stays 0: fibre only"),
    ("RXERRC", "frames of 64 bytes or more with RX_ER"),
    ("MPC", "missed packets: no room in the packet buffer"),
    ("SCC", f"single collisions; {_FULL_DUPLEX}"),
    ("ECOL", f"excessive collisions; {_FULL_DUPLEX}"),
    ("MCC", f"multiple collisions; {_FULL_DUPLEX}"),
    ("LATECOL", f"late collisions; {_FULL_DUPLEX}"),
    ("-", ""),
    ("COLC", f"collisions; {_FULL_DUPLEX}"),
    ("-", ""),
    ("DC", f"defers; {_FULL_DUPLEX}"),
    ("TNCRS", f"transmits without carrier; {_FULL_DUPLEX}"),
    ("SEC", "sequence errors; stays 0: fibre only"),
    ("CEXTERR", f"carrier extension errors; {_FULL_DUPLEX}"),
    ("RLEC", "receive length errors: frames shorter than 64 bytes, or longer than RCTL.LPE allows"),
    ("-", ""),
    ("XONRXC", "XON frames received: pause frames with time 0; only with CTRL.RFCE"),
    ("XONTXC", "XON frames sent"),
    ("XOFFRXC", "XOFF frames received: other pause frames; only with CTRL.RFCE"),
    ("XOFFTXC", "XOFF frames sent"),
    ("FCRUC", "MAC control frames received that are not pause frames; only with CTRL.RFCE"),
    ("PRC64", "good packets received of 64 bytes"),
    ("PRC127", "good packets received of 65 to 127 bytes"),
    ("PRC255", "good packets received of 128 to 255 bytes"),
    ("PRC511", "good packets received of 256 to 511 bytes"),
    ("PRC1023", "good packets received of 512 to 1023 bytes"),
    ("PRC1522", "good packets received of 1024 bytes or more"),
    ("GPRC", "good packets received"),
    ("BPRC", "good broadcast packets received"),
    ("MPRC", "good multicast packets received, without broadcast"),
    ("GPTC", "good packets transmitted, of 64 bytes or more"),
    ("-", ""),
    ("GORCL", "octets of good packets received, low"),
    ("GORCH", "octets of good packets received, high: its read clears both"),
    ("GOTCL", "octets of good packets transmitted, low"),
    ("GOTCH", "octets of good packets transmitted, high: its read clears both"),
    ("-", ""),
    ("-", ""),
    ("RNBC", "frames received while there was no receive descriptor"),
    ("RUC", "receive undersize: shorter than 64 bytes, good CRC"),
    ("RFC", "receive fragments: shorter than 64 bytes, wrong CRC"),
    ("ROC", "receive oversize: longer than RCTL.LPE allows, good CRC"),
    ("RJC", "receive jabber: longer than RCTL.LPE allows, wrong CRC"),
    ("MGTPRC", f"management packets received; {_NO_MANAGEMENT}"),
    ("MGTPDC", f"management packets dropped; {_NO_MANAGEMENT}"),
    ("MGTPTC", f"management packets transmitted; {_NO_MANAGEMENT}"),
    ("TORL", "octets of all frames received, low"),
    ("TORH", "octets of all frames received, high: its read clears both"),
    ("TOTL", "octets of all frames transmitted, low"),
    ("TOTH", "octets of all frames transmitted, high: its read clears both"),
    ("TPR", "all frames received"),
    ("TPT", "all frames transmitted"),
    ("PTC64", "good packets transmitted of 64 bytes"),
    ("PTC127", "good packets transmitted of 65 to 127 bytes"),
    ("PTC255", "good packets transmitted of 128 to 255 bytes"),
    ("PTC511", "good packets transmitted of 256 to 511 bytes"),
    ("PTC1023", "good packets transmitted of 512 to 1023 bytes"),
    ("PTC1522", "good packets transmitted of 1024 bytes or more"),
    ("MPTC", "good multicast packets transmitted, without broadcast"),
    ("BPTC", "good broadcast packets transmitted"),
    ("TSCTC", "TCP segmentation contexts transmitted"),
    ("TSCTFC", "TCP segmentation contexts that failed"),
)
"""Manual 13.7, in the order of the map from 4000. A dash is a hole."""

STATISTICS: tuple[Register, ...] = tuple(
    Register(
        name=name,
        offset=0x4000 + 4 * index,
        fields=_whole("COUNT", 32, access=Access.STATISTIC),
        description=description,
        status=Status.PARTIAL if _NO_MANAGEMENT in description else Status.COMPLETE,
        block="STATISTICS",
    )
    for index, (name, description) in enumerate(_COUNTERS)
    if name != "-"
)
"""The statistics counters, which one memory holds."""


REGISTERS: tuple[Register, ...] = (
    Register(
        name="CTRL",
        offset=0x0000,
        shadows=(0x0004,),
        fields=(
            Field(name="FD", lsb=0, loaded=True, description="stored only: the MAC is always full duplex"),
            Field(name="LRST", lsb=3, loaded=True, description="no effect: fibre"),
            Field(
                name="ASDE",
                lsb=5,
                loaded=True,
                description="without FRCSPD: RX_CLK's frequency tells the speed, not the PHY",
            ),
            *_bits("SLU@6"),
            Field(name="ILOS", lsb=7, description="no effect: fibre"),
            Field(name="SPEED", lsb=8, width=2, reset=0b10, description="0: 10, 1: 100, 2 and 3: 1000 Mb/s"),
            Field(name="FRCSPD", lsb=11, loaded=True, description="the MAC's speed is SPEED"),
            Field(name="FRCDPX", lsb=12, description="stored only: half duplex is not built"),
            Field(name="SWDPIN", lsb=18, width=4, updated=True, description="pins SDP0 to SDP3"),
            Field(name="SWDPIO", lsb=22, width=4, description="which of them are outputs"),
            Field(name="RST", lsb=26, access=Access.SC, description="resets everything but this port's bus side"),
            *_bits("RFCE@27 TFCE@28 VME@30 PHY_RST@31"),
        ),
        description="Device control; half duplex is not built",
        status=Status.PARTIAL,
    ),
    Register(
        name="STATUS",
        offset=0x0008,
        fields=(
            Field(name="FD", lsb=0, access=Access.RO, description="always 1"),
            Field(name="LU", lsb=1, access=Access.RO, description="link, or loopback, and CTRL.SLU"),
            Field(name="FUNC", lsb=2, width=2, access=Access.RO),
            *_bits("TXOFF@4 TBIMODE@5", Access.RO),
            Field(name="SPEED", lsb=6, width=2, access=Access.RO),
            Field(name="ASDV", lsb=8, width=2, access=Access.RO, description="what RX_CLK's frequency tells"),
            *_bits("PCI66@11 BUS64@12 PCIX@13", Access.RO),
            Field(name="PCIX_SPD", lsb=14, width=2, access=Access.RO),
        ),
        description="Device status; half duplex is not built",
        status=Status.PARTIAL,
    ),
    Register(
        name="EECD",
        offset=0x0010,
        fields=(
            *_bits("SK@0 CS@1 DI@2"),
            *_bits("DO@3", Access.RO),
            Field(name="FWE", lsb=4, width=2, reset=0b01, description="no effect: there is no flash to write"),
            *_bits("REQ@6"),
            *_bits("GNT@7 PRES@8 SIZE@9", Access.RO),
        ),
        description="EEPROM, bit by bit",
    ),
    Register(
        name="EERD",
        offset=0x0014,
        fields=(
            *_bits("START@0", Access.SC),
            *_bits("DONE@4", Access.RO),
            Field(name="ADDR", lsb=8, width=8),
            Field(name="DATA", lsb=16, width=16, access=Access.RO),
        ),
        description="EEPROM read: START reads the word at ADDR, DATA holds it when DONE is set",
    ),
    Register(
        name="CTRL_EXT",
        offset=0x0018,
        fields=(
            Field(name="GPI_EN", lsb=0, width=4, description="a rise of SDP4 to SDP7 is cause GPI0 to GPI3"),
            Field(name="SDP_DATA", lsb=4, width=4, updated=True, description="pins SDP4 to SDP7"),
            Field(name="SDP_IODIR", lsb=8, width=4, description="which of them are outputs"),
            Field(name="ASDCHK", lsb=12, access=Access.SC, description="not needed: ASDV is never old"),
            Field(
                name="EE_RST", lsb=13, access=Access.SC, description="loads again what the EEPROM gives after a reset"
            ),
            Field(name="IPS", lsb=14, description="stored only: there is no pin for the power state"),
            Field(name="SPD_BYPS", lsb=15, description="stored only: a forced speed always waits for a frame's end"),
            Field(name="RO_DIS", lsb=17, description="no effect: relaxed ordering is of PCI-X, and never asked for"),
        ),
        description="Extended device control; SPD_BYPS and IPS are not built",
        status=Status.PARTIAL,
    ),
    Register(
        name="MDIC",
        offset=0x0020,
        fields=(
            Field(name="DATA", lsb=0, width=16, updated=True),
            Field(name="REG", lsb=16, width=5, updated=True),
            Field(name="PHY", lsb=21, width=5, updated=True),
            Field(name="OP", lsb=26, width=2, updated=True, description="1 writes, 2 reads"),
            *_bits("READY@28", Access.RO),
            Field(name="INT_EN", lsb=29, updated=True),
            *_bits("ERROR@30", Access.RO),
        ),
        description="MDI (PHY) control; a write while a command is carried out (READY is 0) has no effect",
    ),
    *(
        Register(name=name, offset=offset, fields=_whole("VALUE", width), description=description)
        for name, offset, width, description in (
            (
                "FCAL",
                0x0028,
                32,
                "Flow control address, low: one destination of MAC control frames, and that of pause frames sent",
            ),
            ("FCAH", 0x002C, 16, "Flow control address, high"),
            ("FCT", 0x0030, 16, "Flow control type: that of MAC control frames both ways; 0 tells none"),
        )
    ),
    Register(
        name="VET",
        offset=0x0038,
        fields=_whole("VALUE", 16),
        description="VLAN EtherType: tells tags of received frames, and is sent in inserted ones; 0 tells none",
    ),
    Register(
        name="ICR",
        offset=0x00C0,
        fields=_bits(_CAUSES, Access.RC),
        description="Interrupt cause read: all bits clear on read, whatever IMS is",
    ),
    Register(
        name="ITR",
        offset=0x00C4,
        fields=_whole("INTERVAL", 16),
        description="Interrupt throttling: least time between two interrupts, in units of 256 ns; 0 is off",
    ),
    Register(name="ICS", offset=0x00C8, fields=_bits(_CAUSES, Access.WO), description="Interrupt cause set"),
    Register(
        name="IMS", offset=0x00D0, fields=_bits(_CAUSES, Access.W1S), description="Interrupt mask set; reads the mask"
    ),
    Register(name="IMC", offset=0x00D8, fields=_bits(_CAUSES, Access.WO), description="Interrupt mask clear"),
    Register(
        name="RCTL",
        offset=0x0100,
        fields=(
            *_bits("EN@1 SBP@2 UPE@3 MPE@4 LPE@5"),
            Field(name="LBM", lsb=6, width=2, description="1: loopback in the MAC; 3, in a transceiver, is for fibre"),
            Field(name="RDMTS", lsb=8, width=2),
            Field(name="MO", lsb=12, width=2),
            *_bits("BAM@15"),
            Field(name="BSIZE", lsb=16, width=2),
            *_bits("VFE@18 CFIEN@19 CFI@20 DPF@22 PMCF@23 BSEX@25 SECRC@26"),
        ),
        description="Receive control",
    ),
    Register(
        name="FCTTV",
        offset=0x0170,
        fields=_whole("TTV", 16),
        description="Flow control transmit timer value: the time of pause frames sent, in units of 512 bit times",
    ),
    Register(
        name="TXCW",
        offset=0x0178,
        fields=(Field(name="WORD", lsb=0, width=16), Field(name="CONTROL", lsb=30, width=2)),
        description="Transmit configuration word: has no effect, since it is for fibre (TBI); the 82540EM is copper",
    ),
    Register(
        name="RXCW",
        offset=0x0180,
        fields=_whole("WORD", 32, access=Access.RO),
        description="Receive configuration word: stays 0, since it is for fibre (TBI); the 82540EM is copper",
    ),
    Register(
        name="TCTL",
        offset=0x0400,
        fields=(
            *_bits("EN@1 PSP@3"),
            Field(name="CT", lsb=4, width=8, description="half duplex only"),
            Field(name="COLD", lsb=12, width=10, description="half duplex only"),
            Field(
                name="SWXOFF",
                lsb=22,
                access=Access.SC,
                updated=True,
                description="sends a pause frame with the time FCTTV; reads 1 until the MAC takes it",
            ),
            Field(name="RTLC", lsb=24, description="half duplex only"),
        ),
        description="Transmit control",
        status=Status.PARTIAL,
    ),
    Register(
        name="TIPG",
        offset=0x0410,
        fields=(
            Field(name="IPGT", lsb=0, width=10, reset=8),
            Field(name="IPGR1", lsb=10, width=10, reset=8, description="half duplex only"),
            Field(name="IPGR2", lsb=20, width=10, reset=6, description="half duplex only"),
        ),
        description="Transmit inter-packet gap: the gap is IPGT + 4 bytes",
    ),
    Register(
        name="TBT",
        offset=0x0448,
        fields=_whole("TIMER", 16),
        description="Transmit burst timer: stored only; bursts are of half duplex at 1000 Mb/s, which is not built",
        status=Status.PARTIAL,
    ),
    Register(
        name="AIT",
        offset=0x0458,
        fields=_whole("AIFS", 16),
        description="Adaptive inter-frame spacing: stored only; drivers use it against collisions alone",
        status=Status.PARTIAL,
    ),
    Register(
        name="LEDCTL",
        offset=0x0E00,
        fields=(
            *_led(0, 2),
            *_led(1, 3, blink=1),
            *_led(2, 6),
            *_led(3, 7),
        ),
        description="LED control: after reset link, activity (blinking), 100 Mb/s, 1000 Mb/s",
    ),
    Register(
        name="PBA",
        offset=0x1000,
        fields=(
            Field(name="RXA", lsb=0, width=7, reset=48, updated=True, description="outlives CTRL.RST"),
            Field(name="TXA", lsb=16, width=16, reset=16, access=Access.RO, description="64 less RXA"),
        ),
        description="Packet buffer: KiB for receive and transmit; told to software only, 48 and 16 are in force",
        status=Status.PARTIAL,
    ),
    Register(
        name="FCRTL",
        offset=0x2160,
        fields=(Field(name="RTL", lsb=3, width=13), *_bits("XONE@31")),
        description="Flow control receive threshold, low (units of 8 bytes): at that fill XON is sent if XONE",
    ),
    Register(
        name="FCRTH",
        offset=0x2168,
        fields=(
            Field(name="RTH", lsb=3, width=13),
            Field(name="FCE", lsb=31, description="stored only: for pins that this NIC does not have"),
        ),
        description="Flow control receive threshold, high (units of 8 bytes): at that fill XOFF is sent; 0 is off",
    ),
    *(
        Register(
            name=f"{direction}DF{name}",
            offset=base + offset,
            fields=_whole("VALUE", 13, access=Access.RO),
            description=f"Packet buffer diagnostic: {what}. Writes are dropped",
            status=Status.PARTIAL,
        )
        for direction, base in (("R", 0x2410), ("T", 0x3410))
        for name, offset, what in (
            ("H", 0x0, "which word of 8 bytes is read next"),
            ("T", 0x8, "one past the last whole packet, in words of 8 bytes"),
            ("HS", 0x10, "where the packet read last begins, in words of 8 bytes"),
            ("TS", 0x18, "where the last whole packet begins, in words of 8 bytes"),
            ("PC", 0x20, "whole packets that wait to be read"),
        )
    ),
    *_ring("RD", 0x2800, "Receive"),
    Register(
        name="RDTR",
        offset=0x2820,
        fields=(Field(name="DELAY", lsb=0, width=16), *_bits("FPD@31", Access.SC)),
        description="Receive packet delay timer, in units of 1.024 us; 0: no delay. FPD: expires at once",
    ),
    _thresholds("RXDCTL", 0x2828, ""),
    Register(
        name="RADV",
        offset=0x282C,
        fields=_whole("DELAY", 16),
        description="Receive absolute delay timer, in units of 1.024 us; off if it or RDTR is 0",
    ),
    Register(
        name="RSRPD",
        offset=0x2C00,
        fields=_whole("SIZE", 12),
        description="Receive small packet detect: the largest length in memory that is one, in bytes; 0 is off",
    ),
    *_ring("TD", 0x3800, "Transmit"),
    Register(
        name="TIDV",
        offset=0x3820,
        fields=_whole("DELAY", 16),
        description="Transmit interrupt delay for descriptors with IDE, in units of 1.024 us; 0: no delay",
    ),
    _thresholds(
        "TXDCTL",
        0x3828,
        "; number of descriptors left for TXD_LOW",
        Field(name="LWTHRESH", lsb=25, width=7, description="in units of 8 descriptors"),
    ),
    Register(
        name="TADV",
        offset=0x382C,
        fields=_whole("DELAY", 16),
        description="Transmit absolute interrupt delay for descriptors with IDE, in units of 1.024 us; 0 is off",
    ),
    Register(
        name="TSPMT",
        offset=0x3830,
        fields=(
            Field(name="TSMT", lsb=0, width=16, reset=0x0400),
            Field(name="TSPBP", lsb=16, width=16, reset=0x0100),
        ),
        description="TCP segmentation pad and minimum threshold; stored only, a segment is sent when it is whole",
        status=Status.PARTIAL,
    ),
    *STATISTICS,
    Register(
        name="RXCSUM",
        offset=0x5000,
        fields=(Field(name="PCSS", lsb=0, width=8), *_bits("IPOFL@8 TUOFL@9")),
        description="Receive checksum control",
    ),
    Register(
        name="MTA",
        offset=0x5200,
        count=128,
        fields=_whole("BITS", 32),
        description="Multicast table array: 4096 bits; RCTL.MO says which bits of the address choose one",
    ),
    Register(
        name="RAL",
        offset=0x5400,
        count=16,
        stride=8,
        fields=_whole("ADDRESS", 32),
        description="Receive address, low: the first four bytes, first byte lowest; entry 0 is the station's own",
    ),
    Register(
        name="RAH",
        offset=0x5404,
        count=16,
        stride=8,
        fields=(
            Field(name="ADDRESS", lsb=0, width=16),
            Field(name="AS", lsb=16, width=2, description="0 destination, 1 source, others nothing"),
            *_bits("AV@31"),
        ),
        description="Receive address, high: the last two bytes, what it is for, address valid",
    ),
    Register(
        name="VFTA",
        offset=0x5600,
        count=128,
        fields=_whole("BITS", 32),
        description="VLAN filter table array: a bit for each VLAN identifier",
    ),
    Register(
        name="WUC",
        offset=0x5800,
        fields=(
            Field(name="APME", lsb=0, updated=True, loaded=True, description="a magic packet sets WUS.MAG"),
            Field(name="PME_EN", lsb=1, updated=True, description="PME_EN of PMCSR: arms what WUFC enables"),
            Field(name="PME_STATUS", lsb=2, access=Access.W1C, description="PME_STATUS of PMCSR"),
            Field(name="APMPME", lsb=3, updated=True, loaded=True, description="APM wake-up asserts PME#, too"),
        ),
        description="Wake-up control. No wake-up register is cleared by CTRL.RST, only by power-up",
    ),
    Register(
        name="WUFC",
        offset=0x5808,
        fields=(
            *_bits(_WAKE_UPS, updated=True),
            Field(name="NOTCO", lsb=15, updated=True, description="no effect: no frame is one of management (TCO)"),
        ),
        description="Wake-up filter control",
    ),
    Register(
        name="WUS",
        offset=0x5810,
        fields=_bits(_WAKE_UPS, Access.W1C),
        description="Wake-up status: until all bits but LNKC are cleared, no further frame is looked at",
    ),
    Register(
        name="IPAV",
        offset=0x5838,
        fields=_bits("V40@0 V41@1 V42@2 V43@3 V60@16", updated=True),
        description="IP address valid: which entries of IP4AT, and whether IP6AT",
    ),
    Register(
        name="IP4AT",
        offset=0x5840,
        count=4,
        stride=8,
        fields=_whole("ADDRESS", 32),
        description="IPv4 address table, for wake-up: first byte lowest",
    ),
    Register(
        name="IP6AT",
        offset=0x5880,
        count=4,
        fields=_whole("ADDRESS", 32),
        description="IPv6 address, for wake-up: a quarter each, first byte lowest",
    ),
    Register(
        name="MANC",
        offset=0x5820,
        fields=_bits(
            "SMBUS_EN@0 ASF_EN@1 R_ON_FORCE@2 RMCP_EN@8 0298_EN@9 IPV4_EN@10 IPV6_EN@11 SNAP_EN@12 ARP_EN@13 "
            "NEIGHBOR_EN@14 RCV_TCO_EN@17 REPORT_STATUS@18"
        ),
        description="Management control: stored only; no management controller (SMBus, ASF) is built",
        status=Status.PARTIAL,
    ),
    Register(
        name="WUPL",
        offset=0x5900,
        fields=_whole("LEN", 12, updated=True),
        description="Wake-up packet length in bytes with FCS, at most 2047",
    ),
    Register(
        name="WUPM",
        offset=0x5A00,
        count=32,
        fields=_whole("BYTES", 32),
        description="Wake-up packet memory: the first 128 bytes of the frame that woke, first byte lowest",
    ),
    Register(
        name="FFLT",
        offset=0x5F00,
        count=4,
        stride=8,
        fields=_whole("LEN", 11),
        description="Flexible filter length table: the least length in bytes, with FCS",
    ),
    Register(
        name="FFMT",
        offset=0x9000,
        count=128,
        stride=8,
        fields=_whole("MASK", 4),
        description="Flexible filter mask table: for a byte of the frame, which filters compare it",
    ),
    Register(
        name="FFVT",
        offset=0x9800,
        count=128,
        stride=8,
        fields=_whole("VALUES", 32),
        description="Flexible filter value table: for a byte of the frame, what each filter compares it with",
    ),
)
"""Every register of the map, in the order of the manual's table 13-2. 13.4 has the bits."""

BY_NAME: dict[str, Register] = {register.name: register for register in REGISTERS}


def at_offset(offset: int) -> Register | None:
    """The register that answers at a byte offset, if there is one."""
    return _BY_OFFSET.get(offset)


_BY_OFFSET: dict[int, Register] = {offset: register for register in REGISTERS for offset in register.offsets()}
