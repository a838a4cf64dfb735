"""Receive checksum offload (manual 3.2.9 and RXCSUM in 13.4; RFC 1071, 768, 791, 8200, 9293).

What is looked at: Ethernet II or LLC with SNAP (IEEE 802 clause 9.4 to 9.6, OUI 00-00-00: RFC 1042), perhaps behind
one VLAN tag (type VET), then IPv4 with any options or IPv6 without extension headers, then TCP or UDP. A
checksum is claimed as checked only if it was: the whole IP packet, as its own length field tells it, must lie in the
frame in front of the FCS; fragments get the IPv4 header checked alone; UDP without checksum (0), or with a length that
is not that of the IP payload, is not claimed.
"""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.mac.fcs import FCS_BYTES
from hw.mac.receive import ReceiveWord
from hw.vlan import strip

__all__ = ["ChecksumResult", "Checksums", "ReceiveChecksum", "receive_checksum"]

_ETHERNET_HALVES = 7
_SHORTEST_TYPE = 0x0600  # what is less is a length: IEEE 802.3 clause 3.2.6
_SNAP = bytes.fromhex("aaaa03000000")
_IPV4_TYPE, _IPV6_TYPE = 0x0800, 0x86DD
_IPV6_HEADER_HALVES = 20
_TCP, _UDP = 6, 17
_SHORTEST = {_TCP: 20, _UDP: 8}
_MORE_FRAGMENTS_OR_OFFSET = 0x3FFF

Checksums = data.StructLayout({"checksum": 16, "ipcs": 1, "ipe": 1, "tcpcs": 1, "tcpe": 1, "ixsm": 1})
"""A frame's packet checksum, and the descriptor's status and error bits of this name."""


@dataclass(frozen=True, kw_only=True)
class ChecksumResult:
    """``Checksums`` for software."""

    checksum: int
    ipcs: bool = False
    ipe: bool = False
    tcpcs: bool = False
    tcpe: bool = False
    ixsm: bool = True


def _sum(octets: bytes, start: int = 0) -> int:
    """One's complement sum of big-endian 16-bit words (RFC 1071), not inverted."""
    total = start + (int.from_bytes(octets, "big") << 8 * (len(octets) & 1))
    # One's complement addition is addition modulo 65535 in which only a sum of zeros is 0 (RFC 1071 section 2).
    return total % 0xFFFF or (0xFFFF if total else 0)


def receive_checksum(
    frame: bytes,
    *,
    pcss: int = 0,
    ip_offload: bool = True,
    tcp_offload: bool = True,
    strip_crc: bool = False,
    strip_tag: bool = False,
    vet: int = 0,
) -> ChecksumResult:
    """What the descriptor says of a frame (with FCS): golden function of ``ReceiveChecksum``.

    ``pcss`` is RXCSUM.PCSS (first byte of the packet checksum), ``ip_offload`` IPOFL, ``tcp_offload`` TUOFL,
    ``strip_crc`` RCTL.SECRC (the packet checksum leaves out the FCS), ``strip_tag`` CTRL.VME (it leaves out a tag of
    type ``vet``).
    """
    kept = strip(frame, vet) if strip_tag else frame
    checksum = _sum((kept[: max(len(kept) - FCS_BYTES, 0)] if strip_crc else kept)[pcss:])
    untagged = strip(frame, vet)
    body = untagged[: max(len(untagged) - FCS_BYTES, 0)]
    ipcs = ipe = tcpcs = tcpe = False
    ip = body[14:]
    kind = int.from_bytes(body[12:14], "big")
    if kind < _SHORTEST_TYPE and ip[: len(_SNAP)] == _SNAP:
        kind, ip = int.from_bytes(ip[6:8], "big"), ip[8:]
    header, total, protocol, fragment = 0, 0, 0, False
    pseudo = b""
    if kind == _IPV4_TYPE and len(ip) >= 20 and ip[0] >> 4 == 4:
        header, total, protocol = 4 * (ip[0] & 15), int.from_bytes(ip[2:4], "big"), ip[9]
        fragment = bool(int.from_bytes(ip[6:8], "big") & _MORE_FRAGMENTS_OR_OFFSET)
        pseudo = ip[12:20]
        if 20 <= header <= total <= len(ip) and ip_offload:
            ipcs, ipe = True, _sum(ip[:header]) != 0xFFFF
    elif kind == _IPV6_TYPE and len(ip) >= 40 and ip[0] >> 4 == 6:
        header, total, protocol = 40, 40 + int.from_bytes(ip[4:6], "big"), ip[6]
        pseudo = ip[8:40]
    if header >= 20 and total <= len(ip) and not fragment and protocol in _SHORTEST and tcp_offload:
        segment = ip[header:total]
        fits = len(segment) >= _SHORTEST[protocol]
        if protocol == _UDP:
            fits = fits and int.from_bytes(segment[4:6], "big") == len(segment) and segment[6:8] != b"\0\0"
        if fits:
            tcpcs, tcpe = True, _sum(pseudo + segment, protocol + len(segment)) != 0xFFFF
    return ChecksumResult(checksum=checksum, ipcs=ipcs, ipe=ipe, tcpcs=tcpcs, tcpe=tcpe, ixsm=not (ipcs or tcpcs))


class ReceiveChecksum(wiring.Component):
    """Sums up a frame 16 bits at a time: 4 cycles per word, and 10 after the last.

    Members
    -------
    words : ``In(stream.Signature(ReceiveWord))``
        A frame with FCS. A word is offered for 4 cycles, in the last of which it is taken.
    pcss, ip_offload, tcp_offload, strip_crc, strip_tag, vet : ``In``
        As for ``receive_checksum``.
    result : ``Out(Checksums)``
        Of the frame last taken, while ``done``.
    done : ``Out(1)``
        From the end of the sums until the next frame is offered. From the last word until it rises no word is taken.
    """

    words: In(stream.Signature(ReceiveWord))
    pcss: In(8)
    ip_offload: In(1)
    tcp_offload: In(1)
    strip_crc: In(1)
    strip_tag: In(1)
    vet: In(16)
    result: Out(Checksums)
    done: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()

        # A word's four halves, in network byte order, one after the other.
        lane = Signal(2)
        half = Signal(16)
        valid = Signal()  # the half has its first byte
        whole = Signal()  # and its second
        tag_inside = Signal()  # and the next half, if the half is a tag's first
        last = Signal()
        flush = Signal(8)  # a one wanders through it, from the last half to the end of the sums
        start = Signal(init=1)  # the next half is a frame's first
        step = Signal()
        word = self.words.payload
        pair = word.data.word_select(lane, 16)
        m.d.comb += [
            step.eq(self.words.valid & ~last & ~flush.any()),
            self.words.ready.eq(lane == 3),  # which is never so without a word: no chain from valid to ready
        ]
        m.d.sync += [valid.eq(0), last.eq(0), flush.eq(Cat(last, flush))]
        with m.If(step):
            m.d.sync += [
                lane.eq(lane + 1),
                half.eq(Cat(pair[8:], pair[:8])),
                valid.eq(word.count > (lane << 1)),
                whole.eq(word.count > (lane << 1) + 1),
                tag_inside.eq(word.count[3]),
                last.eq(word.last & (lane == 3)),
                self.done.eq(0),
            ]
        with m.If(valid):
            m.d.sync += start.eq(0)
        with m.If(flush[-1]):
            m.d.sync += [start.eq(1), self.done.eq(1)]

        def accumulate(addend: Signal) -> Signal:
            """A one's complement sum whose carry comes back a cycle later."""
            total, carry = Signal(16), Signal()
            m.d.sync += Cat(total, carry).eq(total + addend + carry)
            with m.If(start):
                m.d.sync += Cat(total, carry).eq(0)
            return total

        header_addend, segment_addend, packet_addend = Signal(16), Signal(16), Signal(16)
        header_sum, segment_sum, packet_sum = map(accumulate, (header_addend, segment_addend, packet_addend))
        is_vet = Signal()
        in_tag = Signal()
        m.d.comb += is_vet.eq(tag_inside & (self.vet != 0) & (half == self.vet))
        ipv4, ip_complete, tcp_complete = self._parse(
            m, half, valid, whole, start, is_vet, in_tag, header_addend, segment_addend
        )
        self._packet(m, half, valid & ~(in_tag & self.strip_tag), whole, start & ~valid, flush, packet_addend)

        ipcs = self.ip_offload & ipv4 & ip_complete
        tcpcs = self.tcp_offload & ip_complete & tcp_complete
        with m.If(flush[-1]):
            m.d.sync += [
                self.result.checksum.eq(Mux(self.pcss[0], Cat(packet_sum[8:], packet_sum[:8]), packet_sum)),
                self.result.ipcs.eq(ipcs),
                self.result.ipe.eq(ipcs & ~header_sum.all()),
                self.result.tcpcs.eq(tcpcs),
                self.result.tcpe.eq(tcpcs & ~segment_sum.all()),
                self.result.ixsm.eq(~(ipcs | tcpcs)),
            ]
        return m

    def _packet(
        self, m: Module, half: Signal, valid: Value, whole: Signal, reset: Value, flush: Signal, addend: Signal
    ) -> None:
        """The packet checksum. Three halves are held back: at the end they hold the FCS."""
        skip = Signal(8)  # bytes until PCSS
        odd = Signal()
        held = [Signal(16, name=f"held_{age}") for age in range(3)]
        first, second = Signal(), Signal()
        m.d.comb += [first.eq(skip == 0), second.eq(skip[1:] == 0)]
        m.d.sync += addend.eq(0)
        with m.If(valid):
            m.d.sync += [
                odd.eq(~whole),
                skip.eq(Mux(second, 0, skip - 2)),
                held[0].eq(Cat(half[:8] & second.replicate(8), half[8:] & first.replicate(8))),
                held[1].eq(held[0]),
                held[2].eq(held[1]),
                addend.eq(held[2]),
            ]
        with m.Elif(reset):
            m.d.sync += [skip.eq(self.pcss), *(item.eq(0) for item in held)]
        with m.If(flush[0]):
            m.d.sync += addend.eq(Cat(held[2][:8] & (~(odd & self.strip_crc)).replicate(8), held[2][8:]))
        with m.If(flush[1] & ~self.strip_crc):
            m.d.sync += addend.eq(held[1])
        with m.If(flush[2] & ~self.strip_crc):
            m.d.sync += addend.eq(held[0])

    def _parse(
        self,
        m: Module,
        half: Signal,
        valid: Signal,
        whole: Signal,
        start: Signal,
        is_vet: Signal,
        in_tag: Signal,
        header_addend: Signal,
        segment_addend: Signal,
    ) -> tuple[Signal, Signal, Signal]:
        """What each half is, and so what it is summed into; ``in_tag`` is driven: it belongs to a tag.

        Returns: this is IPv4; the whole IP packet has come, and 4 bytes more; its segment's checksum can be checked.
        """
        place = Signal(5)  # halves since the start of this layer
        header_halves = Signal(5)
        left = Signal(17)  # bytes of the IP packet from this half on
        trailing = Signal(3)  # bytes after the IP packet, up to FCS_BYTES
        ipv4, tcp, udp, fragment, length_ok, has_checksum = (
            Signal(name=name) for name in ("ipv4", "tcp", "udp", "fragment", "length_ok", "has_checksum")
        )
        low, high = half[:8], half[8:]
        more_trailing = Signal(2)
        tagged = Signal()
        control_follows = Signal()  # the next half is the tag's control information
        m.d.sync += [header_addend.eq(0), segment_addend.eq(0)]

        def protocol_is(protocol: Signal) -> None:
            m.d.sync += [tcp.eq(protocol == _TCP), udp.eq(protocol == _UDP)]

        def next_frame() -> None:
            with m.If(start & ~valid):
                m.next = "ETHERNET"

        with m.If(start & ~valid):
            m.d.sync += [place.eq(0), ipv4.eq(0), trailing.eq(0), length_ok.eq(0), has_checksum.eq(1), fragment.eq(0)]
            m.d.sync += [tagged.eq(0), control_follows.eq(0)]
        with m.If(valid):
            m.d.sync += place.eq(place + 1)

        with m.If(valid):
            m.d.sync += control_follows.eq(in_tag & ~control_follows)

        def by_type() -> None:
            m.d.sync += place.eq(0)
            with m.If(half == _IPV4_TYPE):
                m.next = "IPV4"
            with m.Elif(half == _IPV6_TYPE):
                m.next = "IPV6"
            with m.Else():
                m.next = "OTHER"

        with m.FSM():
            with m.State("ETHERNET"):
                m.d.comb += in_tag.eq(control_follows)
                with m.If(valid & (place == _ETHERNET_HALVES - 1)):
                    by_type()
                    with m.If(is_vet & ~tagged):
                        m.d.comb += in_tag.eq(1)
                        # The next half but one is a type again.
                        m.d.sync += [tagged.eq(1), place.eq(_ETHERNET_HALVES - 2)]
                        m.next = "ETHERNET"
                    with m.Elif(half < _SHORTEST_TYPE):
                        m.next = "SNAP"

            with m.State("SNAP"):
                next_frame()
                with m.If(valid):
                    for index in range(len(_SNAP) // 2):
                        with m.If((place == index) & (half != int.from_bytes(_SNAP[2 * index : 2 * index + 2], "big"))):
                            m.next = "OTHER"
                    with m.If(place == len(_SNAP) // 2):
                        by_type()

            with m.State("IPV4"):
                next_frame()
                with m.If(valid):
                    m.d.sync += [header_addend.eq(half), left.eq(left - 2), ipv4.eq(1)]
                    with m.If((place > 1) & (left[1:] == 0)):  # the header is longer than the packet
                        m.next = "OTHER"
                    with m.Elif(place + 1 == header_halves):
                        m.d.sync += place.eq(0)
                        m.next = "SEGMENT"
                    with m.Switch(place):
                        with m.Case(0):
                            # The pseudo-header has the segment's length: the total length less that of the header.
                            m.d.sync += [
                                header_halves.eq(high[:4] << 1),
                                segment_addend.eq(~Cat(Const(0, 2), high[:4], Const(0, 10))),
                            ]
                            with m.If((high[4:] != 4) | (high[:4] < 5)):
                                m.next = "OTHER"
                        with m.Case(1):
                            # A total length below 4 wraps to more than any frame has.
                            m.d.sync += [segment_addend.eq(half), left.eq(half - 4)]
                        with m.Case(3):
                            m.d.sync += fragment.eq((half & _MORE_FRAGMENTS_OR_OFFSET) != 0)
                        with m.Case(4):
                            m.d.sync += segment_addend.eq(low)
                            protocol_is(low)
                        with m.Case(6, 7, 8, 9):
                            m.d.sync += segment_addend.eq(half)

            with m.State("IPV6"):
                next_frame()
                with m.If(valid):
                    m.d.sync += left.eq(left - 2)
                    with m.Switch(place):
                        with m.Case(0), m.If(high[4:] != 6):
                            m.next = "OTHER"
                        with m.Case(1):
                            pass
                        with m.Case(2):
                            m.d.sync += [segment_addend.eq(half), left.eq(half + 2 * (_IPV6_HEADER_HALVES - 3))]
                        with m.Case(3):
                            m.d.sync += segment_addend.eq(high)
                            protocol_is(high)
                        with m.Default():
                            m.d.sync += segment_addend.eq(half)
                    with m.If(place == _IPV6_HEADER_HALVES - 1):
                        m.d.sync += place.eq(0)
                        m.next = "SEGMENT"

            with m.State("SEGMENT"):
                with m.If(valid):
                    with m.If(place == 4):
                        m.d.sync += place.eq(4)
                    with m.Switch(place):
                        with m.Case(0):
                            m.d.sync += length_ok.eq(left >= Mux(tcp, _SHORTEST[_TCP], _SHORTEST[_UDP]))
                        with m.Case(2), m.If(udp & (half != left + 4)):
                            m.d.sync += length_ok.eq(0)
                        with m.Case(3):
                            m.d.sync += has_checksum.eq(~udp | (half != 0))
                    with m.If(left[1:] != 0):
                        m.d.sync += [segment_addend.eq(half), left.eq(left - 2)]
                    with m.Else():
                        m.d.sync += [segment_addend.eq(Cat(Const(0, 8), high & left[0].replicate(8))), left.eq(0)]
                        m.d.comb += more_trailing.eq(~left[0] + whole)
                next_frame()

            with m.State("OTHER"):
                next_frame()

        with m.If(valid & (trailing < FCS_BYTES)):
            m.d.sync += trailing.eq(trailing + more_trailing)
        return ipv4, trailing >= FCS_BYTES, (tcp | udp) & ~fragment & length_ok & has_checksum
