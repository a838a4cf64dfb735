"""Malformed frames and what becomes of each: the table that the whole NIC is held against, and that
``docs/malformed-frames.md`` is made from (``python -m tests.hw.malformed``).
"""

from dataclasses import dataclass

from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from hw.mac.fcs import append_fcs
from hw.mac.pause import pause_frame
from tests.hw.nic_bench import OWN, PREAMBLE_AND_SFD

__all__ = ["FCT", "FLOW_CONTROL", "ROWS", "STATUS", "VET", "Row", "document"]

PEER = bytes.fromhex("020000000002")
OTHER = bytes.fromhex("020000000003")
GROUP = bytes.fromhex("01005e000001")
FLOW_CONTROL = bytes.fromhex("0180c2000001")
VET, FCT = 0x8100, 0x8808

STATUS = ("IXSM", "IPCS", "IPE", "TCPCS", "TCPE", "CE", "RXE", "VP", "PIF")
"""The descriptor's status and error bits that the table speaks of."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One malformed frame.

    ``whole`` has its FCS or a wrong one, ``error_at`` is the byte with RX_ER. ``stored`` are the bits of ``STATUS`` in
    its descriptor, or ``None`` if it is dropped; ``with_sbp`` the same with RCTL.SBP. ``counters`` are those it moves
    beside TPR and TOR, GPRC standing for those of good frames; ``None`` if it moves none at all.
    """

    name: str
    whole: bytes
    stored: str | None
    with_sbp: str | None
    counters: str | None
    error_at: int | None = None
    preamble: bytes = PREAMBLE_AND_SFD


def _plain(length: int, *, to: bytes = OWN, kind: bytes = b"\x88\xb5") -> bytes:
    return append_fcs((to + PEER + kind + bytes(range(256)) * 7)[: length - 4])


def _spoilt(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


def _ethernet(*layers: Packet) -> bytes:
    """A packet in Ethernet, padded, with FCS."""
    packet = Ether(dst=OWN.hex(":"), src=PEER.hex(":"))
    for layer in layers:
        packet = packet / layer
    return append_fcs(bytes(packet).ljust(60, b"\0"))


def _ip(**fields: object) -> Packet:
    return IP(src="10.0.0.1", dst="10.0.0.2", **fields)


def _ip6(**fields: object) -> Packet:
    return IPv6(src="fd00::1", dst="fd00::2", **fields)


_TCP = TCP(sport=1, dport=2, flags="A")

_DATA = Raw(bytes(range(40)))


def _control(quanta: int = 5, *, opcode: int = 1, to: bytes = FLOW_CONTROL) -> bytes:
    frame = pause_frame(destination=to, source=PEER, fct=FCT, quanta=quanta)
    return append_fcs(frame[:14] + opcode.to_bytes(2, "big") + frame[16:])


def _dropped(name: str, whole: bytes, counters: str | None, *, with_sbp: str | None = None, **fields: object) -> Row:
    return Row(name=name, whole=whole, stored=None, with_sbp=with_sbp, counters=counters, **fields)


def _stored(name: str, whole: bytes, status: str, *, counters: str = "GPRC", **fields: object) -> Row:
    return Row(name=name, whole=whole, stored=status, with_sbp=status, counters=counters, **fields)


_UNKNOWN = "IXSM"
_GOOD = "IPCS TCPCS"

ROWS: tuple[Row, ...] = (
    # The MAC
    _dropped("runt, good FCS", _plain(40), "RUC RLEC", with_sbp=_UNKNOWN),
    _dropped("runt of 63 bytes, good FCS", _plain(63), "RUC RLEC", with_sbp=_UNKNOWN),
    _dropped("runt, bad FCS", _spoilt(_plain(40)), "RFC RLEC", with_sbp="IXSM CE"),
    _dropped("ends with its destination address", OWN, "RFC RLEC", with_sbp="IXSM CE"),
    _dropped("ends within its destination address", OWN[:5], ""),
    _dropped("nothing behind the start frame delimiter", b"", None),
    _dropped("longer than 1522 bytes without RCTL.LPE, good FCS", _plain(1523), "ROC RLEC"),
    _dropped("longer than 1522 bytes without RCTL.LPE, bad FCS", _spoilt(_plain(1523)), "RJC RLEC CRCERRS"),
    _dropped("longer than 1522 bytes with its VLAN tag", _plain(1526, kind=bytes.fromhex("81000005")), "ROC RLEC"),
    _stored("tagged, 1522 bytes", _plain(1522, kind=bytes.fromhex("81000005")), "IXSM VP"),
    _stored("not tagged, 1522 bytes", _plain(1522), _UNKNOWN),
    _dropped("bad FCS", _spoilt(_plain(100)), "CRCERRS", with_sbp="IXSM CE"),
    _dropped("bad FCS, for another station", _spoilt(_plain(100, to=OTHER)), ""),
    _dropped("runt, for another station", _plain(40, to=OTHER), ""),
    _dropped("longer than 1522 bytes, for another station", _plain(1600, to=OTHER), ""),
    _dropped("multicast that is not in the table", _plain(100, to=GROUP), ""),
    _dropped("RX_ER within", _plain(100), "RXERRC", with_sbp="IXSM RXE", error_at=50),
    _dropped("RX_ER and bad FCS", _spoilt(_plain(100)), "RXERRC CRCERRS", with_sbp="IXSM CE RXE", error_at=0),
    _dropped("RX_ER in the preamble", _plain(100), "RXERRC", with_sbp="IXSM RXE", error_at=-4),
    _dropped("runt with RX_ER", _plain(40), "RUC RLEC", with_sbp="IXSM RXE", error_at=20),
    _stored("start frame delimiter without preamble", _plain(100), _UNKNOWN, preamble=b"\xd5"),
    _stored("preamble of 20 octets", _plain(100), _UNKNOWN, preamble=b"\x55" * 20 + b"\xd5"),
    _dropped("another octet in the preamble", _plain(100), None, preamble=bytes.fromhex("5555aa555555d5")),
    _dropped("no start frame delimiter", b"\x55" * 92, None, preamble=b"\x55" * 8),
    # Length and tags
    _stored("802.3 length longer than the frame", _plain(100, kind=b"\x05\xdc"), _UNKNOWN),
    _stored("802.3 length shorter than the frame", _plain(100, kind=b"\x00\x01"), _UNKNOWN),
    _stored("two VLAN tags", _ethernet(Dot1Q(vlan=1), Dot1Q(vlan=2), _ip(), _TCP, _DATA), "IXSM VP"),
    _dropped("runt that ends within its VLAN tag", OWN + PEER + b"\x81\x00\x00", "RFC RLEC", with_sbp="IXSM CE"),
    # IPv4
    _stored("IPv4, wrong header checksum", _ethernet(_ip(chksum=1), _TCP, _DATA), "IPCS IPE TCPCS"),
    _stored("IPv4 with options", _ethernet(_ip(options=[IPOption_NOP()] * 8), _TCP, _DATA), _GOOD),
    _stored(
        "IPv4 with options, wrong header checksum",
        _ethernet(_ip(options=[IPOption_NOP()] * 8, chksum=1), _TCP, _DATA),
        "IPCS IPE TCPCS",
    ),
    _stored("IPv4, header length of less than 20 bytes", _ethernet(_ip(ihl=4), _TCP, _DATA), _UNKNOWN),
    _stored("IPv4, header longer than the packet", _ethernet(_ip(ihl=15, len=40), _TCP, _DATA), _UNKNOWN),
    _stored("IPv4, total length past the frame", _ethernet(_ip(len=1000), _TCP, _DATA), _UNKNOWN),
    _stored("IPv4, total length less than the header", _ethernet(_ip(len=19), _TCP, _DATA), _UNKNOWN),
    _stored("IPv4, version 5", _ethernet(_ip(version=5), _TCP, _DATA), _UNKNOWN),
    _stored("IPv4, first fragment", _ethernet(_ip(flags="MF"), _TCP, _DATA), "IPCS"),
    _stored("IPv4, last fragment", _ethernet(_ip(frag=9), _TCP, _DATA), "IPCS"),
    # IPv6
    _stored("IPv6, payload length past the frame", _ethernet(_ip6(plen=1000), _TCP, _DATA), _UNKNOWN),
    _stored("IPv6 with an extension header", _ethernet(_ip6(), IPv6ExtHdrDestOpt(), _TCP, _DATA), _UNKNOWN),
    _stored("IPv6, version 4", _ethernet(_ip6(version=4), _TCP, _DATA), _UNKNOWN),
    # TCP and UDP
    _stored("TCP, wrong checksum", _ethernet(_ip(), TCP(sport=1, dport=2, chksum=1), _DATA), "IPCS TCPCS TCPE"),
    _stored("TCP over IPv6, wrong checksum", _ethernet(_ip6(), TCP(chksum=1), _DATA), "TCPCS TCPE"),
    _stored("TCP, header cut off", _ethernet(_ip(proto=6), Raw(bytes(19))), "IPCS"),
    _stored("UDP, wrong checksum", _ethernet(_ip(), UDP(sport=1, dport=2, chksum=1), _DATA), "IPCS TCPCS TCPE"),
    _stored("UDP without checksum", _ethernet(_ip(), UDP(sport=1, dport=2, chksum=0), _DATA), "IPCS"),
    _stored("UDP, header cut off", _ethernet(_ip(proto=17), Raw(bytes(7))), "IPCS"),
    _stored("UDP, length that is not the packet's", _ethernet(_ip(), UDP(sport=1, dport=2, len=20), _DATA), "IPCS"),
    _stored("IPv4, unknown protocol", _ethernet(_ip(proto=253), _DATA), "IPCS"),
    # MAC control, with CTRL.RFCE
    _dropped("MAC control, opcode that is not PAUSE", _control(opcode=2), "FCRUC"),
    _dropped("MAC control to the station, opcode that is not PAUSE", _control(opcode=0x101, to=OWN), "FCRUC"),
    _dropped("pause frame", _control(), "XOFFRXC"),
    _dropped("pause frame of time 0", _control(0), "XONRXC"),
    _stored("pause frame to the station", _control(to=OWN), _UNKNOWN, counters="XOFFRXC"),
    _dropped("pause frame to another multicast address", _control(to=GROUP), ""),
    _dropped("pause frame, bad FCS", _spoilt(_control()), ""),
    _dropped("pause frame to the station, bad FCS", _spoilt(_control(to=OWN)), "CRCERRS", with_sbp="IXSM CE"),
    _dropped("pause frame to the station, runt", append_fcs(_control(to=OWN)[:50]), "RUC RLEC", with_sbp=_UNKNOWN),
    _dropped("pause frame, RX_ER", _control(), "", error_at=30),
    _stored(
        "pause frame to the station with a VLAN tag",
        append_fcs(OWN + PEER + bytes.fromhex("81000005") + _control()[12:-4]),
        "IXSM VP",
    ),
)


def _status(bits: str | None) -> str:
    return "dropped" if bits is None else f"stored: {bits}"


def document() -> str:
    """The table as Markdown."""
    lines = [
        "# Malformed frames",
        "",
        "What becomes of each, with RCTL.EN and BAM, CTRL.VME and RFCE, RXCSUM.IPOFL and TUOFL, and what RCTL.SBP",
        "changes. A stored frame has the status and error bits given. Every frame moves TPR and TOR but those with",
        "`nothing`, which the MAC never sees as frames; GPRC stands for GPRC, GORC and the counter of its size.",
        "SBP changes no counter. Made by `python -m tests.hw.malformed`; `tests/hw/test_nic_malformed.py` walks it.",
        "",
        "Errors are counted for frames that pass the filters of VLAN and address (manual 13.7.1, 13.7.4, 13.7.15,",
        "13.7.34 to 13.7.37). SBP stores bad frames that pass them (3.2.1), but for those that LPE forbids (13.4.22).",
        "Good MAC control frames are looked at with CTRL.RFCE only (8.7.4); without it they are frames like any other.",
        "",
        "| frame | outcome | counters | with RCTL.SBP |",
        "| --- | --- | --- | --- |",
    ]
    for row in ROWS:
        counters = "nothing" if row.counters is None else row.counters or "-"
        with_sbp = "the same" if row.with_sbp == row.stored else _status(row.with_sbp)
        lines.append(f"| {row.name} | {_status(row.stored)} | {counters} | {with_sbp} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(document(), end="")
