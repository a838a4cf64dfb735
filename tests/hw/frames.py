"""Frames for the receive tests: well-made ones from scapy, and ways to spoil them."""

import random

from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, IPOption_RR
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from hw.mac.fcs import append_fcs

__all__ = ["make_packet", "spoil"]

OWN = "02:00:00:00:00:01"


def make_packet(rng: random.Random) -> Packet:
    """A random IP packet in Ethernet, with right checksums once it is built."""
    payload = Raw(rng.randbytes(rng.choice((0, 1, 2, 3, 10, rng.randrange(200)))))
    ports = {"sport": rng.randrange(1, 1 << 16), "dport": rng.randrange(1, 1 << 16)}
    transport = rng.choice(
        (
            TCP(**ports, seq=rng.randrange(1 << 32), flags="A"),
            TCP(**ports, flags="S", options=[("MSS", 1460), ("NOP", None)]),
            UDP(**ports),
            UDP(**ports),
            ICMP(),
        )
    )
    if rng.randrange(3) == 0:
        source, target = ("fd00::" + ":".join(f"{rng.randrange(1 << 16):x}" for _ in range(2)) for _ in range(2))
        network = IPv6(src=source, dst=target, hlim=rng.randrange(256))
    else:
        source, target = (".".join(str(rng.randrange(256)) for _ in range(4)) for _ in range(2))
        options = rng.choice(([], [], [IPOption_NOP()] * 4, [IPOption_RR(length=39, routers=["0.0.0.0"] * 9)]))
        network = IP(src=source, dst=target, id=rng.randrange(1 << 16), ttl=rng.randrange(256), options=options)
        if rng.randrange(6) == 0:
            network.flags, network.frag = rng.choice((("MF", 0), ("MF", 5), (0, 100)))
        elif rng.randrange(2):
            network.flags = "DF"
    return Ether(src="02:00:00:00:00:02", dst=OWN) / network / transport / payload


def spoil(rng: random.Random, frame: bytes) -> bytes:
    """The frame (without FCS) with some of the ways in which frames come: short, long, with wrong bits."""
    octets = bytearray(frame)
    for _ in range(rng.choice((0, 0, 1, 1, 3))):
        # Mostly in the headers, where it matters.
        octets[rng.randrange(min(len(octets), rng.choice((24, 64, 2000))))] ^= 1 << rng.randrange(8)
    if len(octets) > 42 and rng.randrange(10) == 0:
        octets[40:42] = b"\0\0"  # UDP without checksum, in plain IPv4
    if rng.randrange(5) == 0:
        octets = octets[: rng.randrange(1, len(octets) + 1)]
    if rng.randrange(2):
        octets += rng.randbytes(max(60 - len(octets), 0))
    if rng.randrange(5) == 0:
        octets += rng.randbytes(rng.randrange(9))
    whole = append_fcs(bytes(octets))
    return whole if rng.randrange(10) else whole[: rng.randrange(1, len(whole))]
