"""What the transmit tests share: host memory, random descriptor chains, and what must come of them."""

import random
from dataclasses import dataclass, field

from hw.descriptors import TRANSMIT_CONTEXT, TRANSMIT_DATA, TRANSMIT_LEGACY
from hw.transmit.gather import PacketGatherer
from hw.transmit.segment import segment

__all__ = ["MEMORY_BASE", "Chain", "random_chain"]

MEMORY_BASE = 0x0000_0012_3456_7000
"""Where host memory begins, above 4 GiB so that every address bit must be carried."""


@dataclass
class Chain:
    """Descriptors in ring order, and the host memory that they point into."""

    generator: random.Random
    descriptors: list[bytes] = field(default_factory=list)
    memory: bytearray = field(default_factory=bytearray)

    def place(self, data: bytes) -> int:
        """Puts bytes into memory at a random alignment, foreign bytes around them; returns their address."""
        self.memory += self.generator.randbytes(self.generator.randrange(1, 17))
        address = MEMORY_BASE + len(self.memory)
        self.memory += data
        return address

    def context(self, **fields: int) -> None:
        """Adds a context descriptor."""
        self.descriptors.append(TRANSMIT_CONTEXT.pack(dext=1, dtyp=0, **fields))

    def legacy(self, data: bytes, **fields: int) -> None:
        """Adds a legacy descriptor."""
        self.descriptors.append(TRANSMIT_LEGACY.pack(address=self.place(data), length=len(data), **fields))

    def data(self, data: bytes, **fields: int) -> None:
        """Adds a data descriptor."""
        self.descriptors.append(
            TRANSMIT_DATA.pack(address=self.place(data), dtalen=len(data), dext=1, dtyp=1, **fields)
        )

    def buffer(self, raw: bytes) -> tuple[int, bytes]:
        """Address and content of a descriptor's buffer."""
        address, length = PacketGatherer.buffer(raw)
        return address, self.read(address, length) if length else b""

    def read(self, address: int, length: int) -> bytes:
        """Bytes of memory, of what was placed and nothing else."""
        offset = address - MEMORY_BASE
        assert 0 <= offset <= len(self.memory) - length, f"read of {length} bytes outside of the buffers: {address:x}"
        return bytes(self.memory[offset : offset + length])

    def words(self, raw: bytes) -> int:
        """Aligned words that a descriptor's buffer touches."""
        address, length = PacketGatherer.buffer(raw)
        return (address % 8 + length + 7) // 8 if length else 0

    def frames(self, *, max_bytes: int = 16288) -> list[tuple[bytes, dict[str, int]]]:
        """The frames that must be sent, each with the rest of its ``TransmitInfo``, by the golden functions."""
        gatherer = PacketGatherer()
        sent = []
        for raw in self.descriptors:
            packet = gatherer.take(raw, self.buffer(raw)[1])
            if packet is not None:
                frames = segment(packet.context, packet.options, packet.data)
                options = {name: getattr(packet.options, name) for name in ("ifcs", "vle", "special")}
                sent += [(frame, options) for frame in frames if len(frame) <= max_bytes]
        return sent


def _cut(generator: random.Random, data: bytes) -> list[bytes]:
    """Data in random pieces, some of a byte or none."""
    style = generator.randrange(5)
    if style == 0 or not data:
        return [data]
    if style == 1:
        head = generator.randrange(min(len(data), 24) + 1)
        return [*(data[n : n + 1] for n in range(head)), data[head:]]
    places = sorted(generator.randrange(len(data) + 1) for _ in range(generator.randrange(1, 6)))
    return [data[start:stop] for start, stop in zip([0, *places], [*places, len(data)], strict=True)]


def _good_context(generator: random.Random) -> dict[str, int]:
    """A context as a driver would write it: IPv4 or IPv6, TCP or UDP, behind an Ethernet header."""
    ip, tcp = generator.randrange(2), generator.randrange(2)
    transport = 14 + (20 if ip else 40)
    header = transport + (20 + 4 * generator.randrange(4) if tcp else 8)
    return {
        "ipcss": 14,
        "ipcso": 24,
        "ipcse": transport - 1,
        "tucss": transport,
        "tucso": transport + (16 if tcp else 6),
        "tucse": 0,
        "hdrlen": header,
        "ip": ip,
        "tcp": tcp,
    }


def _hostile_context(generator: random.Random) -> dict[str, int]:
    """A context of any values, near the edges rather than far from them."""
    near = generator.choice([8, 64, 256])
    end = generator.choice([0, generator.randrange(300), generator.randrange(0x10000)])
    return {
        **{name: generator.randrange(near) for name in ("ipcss", "ipcso", "tucss", "tucso")},
        "ipcse": generator.choice([0, generator.randrange(64), end]),
        "tucse": end,
        "hdrlen": generator.choice([0, 1, 7, 8, 54, 239, 240, 241, 255, generator.randrange(256)]),
        "ip": generator.randrange(2),
        "tcp": generator.randrange(2),
    }


def _segmented(chain: Chain, hostile: bool) -> bytes:
    """Adds the context of a packet to segment; returns the packet's bytes."""
    generator = chain.generator
    values = _hostile_context(generator) if hostile else _good_context(generator)
    mss = generator.choice([1, 3, 8, 16, 100, 536, generator.randrange(1, 400)])
    payload = generator.randrange(min(mss * 6, 1200) + 1)
    promised = payload
    if hostile:
        mss = generator.choice([0, mss, 16000, 0xFFFF])
        promised = max(0, payload + generator.choice([0, 0, 1, mss, 0x80000, -1, -min(mss, payload)]))
    chain.context(tse=1, mss=mss, paylen=promised, rs=generator.randrange(2), **values)
    return generator.randbytes(values["hdrlen"] + payload)


def random_chain(seed: int, *, packets: int) -> Chain:
    """A chain of this many packets of all kinds, proper and hostile, in pieces of any length and alignment."""
    generator = random.Random(seed)
    chain = Chain(generator)
    for _ in range(packets):
        hostile = generator.randrange(3) == 0
        kind = generator.choice(["legacy", "legacy", "ic", "data", "sum", "sum", "tso", "tso", "old context"])
        size = generator.choice([0, 1, 2, 7, 8, 9, 60, 64, generator.randrange(1600), generator.randrange(300)])
        data = generator.randbytes(size)
        if generator.randrange(8) == 0:
            data = bytes(size)  # sums of zeros, whose checksum is FFFF
        tse = 0
        options = {"ifcs": generator.randrange(2), "vle": generator.randrange(2)}
        if kind == "sum":
            values = _hostile_context(generator) if hostile else _good_context(generator)
            chain.context(tse=0, rs=generator.randrange(2), **values)
        if kind == "tso":
            data = _segmented(chain, hostile)
            tse = 1
        if kind == "old context":
            tse = generator.randrange(2)
        if kind == "ic":
            options |= {
                "ic": 1,
                "css": generator.choice([0, generator.randrange(64), generator.randrange(256)]),
                "cso": generator.choice([generator.randrange(64), generator.randrange(256), max(size - 2, 0) % 256]),
            }
        if kind in ("sum", "tso", "old context"):
            options |= {"tse": tse, "ixsm": generator.randrange(2), "txsm": generator.randrange(2)}

        pieces = _cut(generator, data)
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            report = generator.randrange(2)
            options |= {"special": generator.randrange(0x10000)}
            if kind in ("legacy", "ic"):
                chain.legacy(piece, eop=last, rs=report, **options)
            else:
                chain.data(piece, eop=last, rs=report, **options)
            if not last and generator.randrange(8) == 0:
                _interfere(chain, hostile)
            if hostile and generator.randrange(4) == 0:
                options |= {"ifcs": generator.randrange(2), "vle": generator.randrange(2)}
    chain.legacy(generator.randbytes(60), eop=1, ifcs=1, rs=1)
    return chain


def _interfere(chain: Chain, hostile: bool) -> None:
    """Puts into the middle of a packet what must not disturb it, or, if hostile, what changes its meaning."""
    generator = chain.generator
    report = generator.randrange(2)
    choice = generator.randrange(6 if hostile else 4)
    if choice == 0:
        chain.descriptors.append(TRANSMIT_LEGACY.pack(address=0, length=generator.randrange(0x10000), rs=report))
    elif choice == 1:
        chain.data(b"", rs=report)
    elif choice == 2:
        chain.descriptors.append(
            TRANSMIT_DATA.pack(
                address=MEMORY_BASE, dtalen=99, dext=1, dtyp=generator.randrange(2, 16), eop=1, rs=report
            )
        )
    elif choice == 3:
        chain.context(tse=generator.randrange(2), mss=5, paylen=100, rs=report, **_good_context(generator))
    elif choice == 4:
        chain.data(generator.randbytes(5), tse=generator.randrange(2), ixsm=1, txsm=1, rs=report)
    else:
        chain.legacy(generator.randbytes(5), ic=1, css=3, cso=1, rs=report)
