"""ARP requests and directed IP packets for the addresses in IP4AT and IP6AT (manual 6.4.3.1.5, 6.4.3.1.6 and 6.4.3.2;
13.6.4 IPAV, 13.6.5 IP4AT, 13.6.6 IP6AT).

The headers are found behind a VLAN tag (type VET) and behind LLC and SNAP (IEEE 802 clause 9.2, RFC 1042), of which
each, or both in this order, may be there. IPv6 is type 86DD (RFC 2464 section 3), where the manual's table for the
older parts has 0800.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hw.register_file import ArraySignature
from hw.registers import BY_NAME
from hw.vlan import ADDRESS_BYTES
from hw.wake.octets import FrameByte

__all__ = ["NetworkAddresses", "NetworkMatcher"]

_ARP, _IP4, _IP6 = 0x0806, 0x0800, 0x86DD
_LONGEST_LENGTH = 1500
"""What stands in place of a type and is not more is a length (IEEE 802.3 clause 3.2.6)."""
_SNAP = bytes.fromhex("aaaa03000000")
_ARP_REQUEST = bytes.fromhex("0001080006040001")
"""Hardware and protocol type, their address lengths, operation (RFC 826)."""

_ARP_TARGET, _IP4_DESTINATION, _IP6_DESTINATION = 24, 16, 24
"""Where in its header the address is that is looked for."""
_ENTRIES = BY_NAME["IP4AT"].count
_QUARTERS = BY_NAME["IP6AT"].count
_IP4_WORDS = 5
"""The shortest header, in units of 4 bytes (RFC 791)."""


@dataclass(frozen=True, kw_only=True)
class NetworkAddresses:
    """IPAV with IP4AT and IP6AT: only addresses that are valid, of 4 bytes and of 16. VET with them."""

    ip4: Sequence[bytes] = ()
    ip6: bytes | None = None
    vet: int = 0

    def matches(self, frame: bytes) -> tuple[bool, bool, bool]:
        """Golden function: whether the frame has an ARP request, an IPv4 or an IPv6 packet for one of them."""
        kind, start = _type_at(frame, 12), 14
        if self.vet and kind == self.vet:
            kind, start = _type_at(frame, 16), 18
        if kind <= _LONGEST_LENGTH and frame[start : start + 6] == _SNAP:
            kind, start = _type_at(frame, start + 6), start + 8
        header = frame[start:]
        arp = kind == _ARP and header.startswith(_ARP_REQUEST) and header[_ARP_TARGET : _ARP_TARGET + 4] in self.ip4
        ip4 = (
            kind == _IP4
            and header[:1] >= b"\x45"
            and header[:1] <= b"\x4f"
            and header[_IP4_DESTINATION : _IP4_DESTINATION + 4] in self.ip4
        )
        ip6 = (
            kind == _IP6
            and header[:1] >= b"\x60"
            and header[:1] <= b"\x6f"
            and header[_IP6_DESTINATION : _IP6_DESTINATION + 16] == self.ip6
        )
        return arp, ip4, ip6


def _type_at(frame: bytes, place: int) -> int:
    """The type there, or 0 if the frame ends before it does."""
    return int.from_bytes(frame[place : place + 2], "big") if len(frame) >= place + 2 else 0


class _Part(enum.Enum, shape=3):
    """What the next byte belongs to."""

    ADDRESSES = 0
    TYPE = 1
    TAG = 2
    SNAP = 3
    ARP = 4
    IP4 = 5
    IP6 = 6
    REST = 7


class NetworkMatcher(wiring.Component):
    """Members
    -------
    ip4at, ip6at : ``In(ArraySignature(...))``
        Software's access to the tables, which outlive resets.
    valid4 : ``In(4)``, valid6 : ``In(1)``
        IPAV.
    vet : ``In(16)``
    octet : ``In(FrameByte)``
    arp, ip4, ip6 : ``Out(1)``
        What the frame is: from 7 cycles after its last byte until the next frame begins.
    """

    ip4at: In(ArraySignature(BY_NAME["IP4AT"]))
    ip6at: In(ArraySignature(BY_NAME["IP6AT"]))
    valid4: In(_ENTRIES)
    valid6: In(1)
    vet: In(16)
    octet: In(FrameByte)
    arp: Out(1)
    ip4: Out(1)
    ip6: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        part = Signal(_Part)
        place = Signal(6)  # of the next byte in its part
        window = Signal(32)  # the last four bytes, the latest highest
        tagged, wrapped = Signal(), Signal()  # there was a tag; LLC and SNAP
        complete = Signal()  # the window holds an address, or a quarter of one
        kind = Signal(_Part)  # whose
        quarter = Signal(range(_QUARTERS))
        byte = self.octet.data

        def begin(following: _Part) -> None:
            m.d.sync += [part.eq(following), place.eq(0)]

        m.d.sync += complete.eq(0)
        with m.If(self.octet.valid):
            m.d.sync += [
                window.eq(Cat(window[8:], byte)),
                place.eq(place + 1),
                kind.eq(part),
                quarter.eq(place[2:4] - _IP6_DESTINATION // 4),
            ]
            with m.Switch(part):
                with m.Case(_Part.ADDRESSES), m.If(place == ADDRESS_BYTES - 1):
                    begin(_Part.TYPE)
                with m.Case(_Part.TYPE), m.If(place == 1):
                    type_ = Cat(byte, window[24:])
                    with m.If(~tagged & (self.vet != 0) & (type_ == self.vet)):
                        m.d.sync += tagged.eq(1)
                        begin(_Part.TAG)
                    with m.Elif(~wrapped & (type_ <= _LONGEST_LENGTH)):
                        m.d.sync += [tagged.eq(1), wrapped.eq(1)]
                        begin(_Part.SNAP)
                    for value, following in ((_ARP, _Part.ARP), (_IP4, _Part.IP4), (_IP6, _Part.IP6)):
                        with m.Elif(type_ == value):
                            begin(following)
                    with m.Else():
                        begin(_Part.REST)
                with m.Case(_Part.TAG), m.If(place == 1):
                    begin(_Part.TYPE)
                with m.Case(_Part.SNAP):
                    with m.If(byte != _constant(_SNAP).word_select(place[:3], 8)):
                        begin(_Part.REST)
                    with m.Elif(place == len(_SNAP) - 1):
                        begin(_Part.TYPE)
                with m.Case(_Part.ARP):
                    with m.If(
                        (place < len(_ARP_REQUEST)) & (byte != _constant(_ARP_REQUEST).word_select(place[:3], 8))
                    ):
                        begin(_Part.REST)
                    with m.Elif(place == _ARP_TARGET + 3):
                        m.d.sync += complete.eq(1)
                        begin(_Part.REST)
                with m.Case(_Part.IP4):
                    with m.If((place == 0) & ((byte[4:] != 4) | (byte[:4] < _IP4_WORDS))):
                        begin(_Part.REST)
                    with m.Elif(place == _IP4_DESTINATION + 3):
                        m.d.sync += complete.eq(1)
                        begin(_Part.REST)
                with m.Case(_Part.IP6):
                    with m.If((place == 0) & (byte[4:] != 6)):
                        begin(_Part.REST)
                    with m.Elif((place >= _IP6_DESTINATION) & (place[:2] == 3)):
                        m.d.sync += complete.eq(1)
                        with m.If(place == _IP6_DESTINATION + 15):
                            begin(_Part.REST)
        self._look_up(m, window, complete, kind, quarter)
        with m.If(self.octet.begin):
            begin(_Part.ADDRESSES)
            m.d.sync += [tagged.eq(0), wrapped.eq(0)]
        return m

    def _look_up(self, m: Module, window: Signal, complete: Signal, kind: Signal, quarter: Signal) -> None:
        """Compares what is complete: a 4-byte address with all entries of IP4AT, a quarter with its own of IP6AT."""
        entry, last = Signal(range(_ENTRIES)), Signal(range(_ENTRIES))
        looking, looked = Signal(), Signal()
        looked_entry = Signal.like(entry)
        target = Signal(32)
        of = Signal(_Part)
        row4 = self._table(m, "table4", self.ip4at, entry)
        row6 = self._table(m, "table6", self.ip6at, entry)
        same6 = Signal()  # all quarters before this one are the same

        with m.If(complete):
            one = kind == _Part.IP6
            m.d.sync += [
                target.eq(window),
                of.eq(kind),
                looking.eq(1),
                entry.eq(Mux(one, quarter, 0)),
                last.eq(Mux(one, quarter, _ENTRIES - 1)),
            ]
        with m.Elif(looking):
            m.d.sync += [entry.eq(entry + 1), looking.eq(entry != last)]
        m.d.sync += [looked.eq(looking), looked_entry.eq(entry)]

        found4 = looked & (row4 == target) & self.valid4.bit_select(looked_entry, 1)
        equal6 = (row6 == target) & (same6 | (looked_entry == 0))
        with m.If(looked & (of == _Part.IP6)):
            m.d.sync += [same6.eq(equal6), self.ip6.eq(equal6 & self.valid6 & (looked_entry == _QUARTERS - 1))]
        m.d.sync += [
            self.arp.eq(self.arp | (found4 & (of == _Part.ARP))),
            self.ip4.eq(self.ip4 | (found4 & (of == _Part.IP4))),
        ]
        with m.If(self.octet.begin):
            m.d.sync += [self.arp.eq(0), self.ip4.eq(0), self.ip6.eq(0)]

    def _table(self, m: Module, name: str, port: wiring.PureInterface, entry: Signal) -> Value:
        """Software's access to a table; returns the row of the ``entry`` of the cycle before."""
        m.submodules[name] = table = Memory(shape=32, depth=_ENTRIES, init=[])
        write, read, look = table.write_port(), table.read_port(), table.read_port()
        m.d.comb += [
            write.addr.eq(port.address),
            write.data.eq(port.write_data),
            write.en.eq(port.write),
            read.addr.eq(port.address),
            port.read_data.eq(read.data),
            look.addr.eq(entry),
        ]
        return look.data


def _constant(octets: bytes) -> Const:
    """First byte lowest."""
    return Const(int.from_bytes(octets, "little"), 8 * len(octets))
