"""TCP's wire format: the header (RFC 9293 section 3.1) and the segment as the rest of the stack sees it."""

import struct
from typing import Final, NamedTuple

from stack.tcp.options import TIMESTAMP_WORD, find_sack, find_timestamps

__all__ = [
    "ACK",
    "CHECKSUM_OFFSET",
    "CWR",
    "ECE",
    "FIN",
    "HEADER",
    "HEADER_BYTES",
    "PSH",
    "RST",
    "SYN",
    "URG",
    "Segment",
    "parse",
]

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
CWR: Final = 0x80

HEADER: Final = struct.Struct("!HHIIHHHH")
"""Ports, sequence, acknowledgment, data offset and flags, window, checksum, urgent pointer."""
HEADER_BYTES: Final = 20
CHECKSUM_OFFSET: Final = 16
_FLAGS_MASK: Final = 0xFF

_WITH_TIMESTAMPS: Final = struct.Struct("!HHIIHHHHIII")
"""The header and the only options of nearly all segments: two NOP and timestamps (RFC 7323 appendix A)."""
_TIMESTAMPS_ONLY: Final = 8
"""Data offset, in words, of such a header."""


class Segment(NamedTuple):
    """One received segment. Sequence numbers as on the wire; ``options`` are raw bytes."""

    source_port: int
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    urgent: int
    options: "memoryview"
    payload: "memoryview"
    tsval: int = -1
    """-1 without timestamps option."""
    tsecr: int = 0
    sack: tuple[tuple[int, int], ...] = ()
    """SACK blocks as on the wire."""


def parse(data: "bytes | memoryview") -> Segment | None:
    """The segment in ``data``; None if its header is malformed."""
    size = len(data)
    if size < HEADER_BYTES:
        return None
    offset = data[12] >> 4
    if not 5 <= offset <= size >> 2:
        return None
    view = memoryview(data)
    if offset == _TIMESTAMPS_ONLY:
        source, destination, sequence, acknowledgment, bits, window, _, urgent, word, tsval, tsecr = (
            _WITH_TIMESTAMPS.unpack_from(data)
        )
        if word == TIMESTAMP_WORD:
            return Segment(
                source,
                destination,
                sequence,
                acknowledgment,
                bits & _FLAGS_MASK,
                window,
                urgent,
                view[HEADER_BYTES:32],
                view[32:],
                tsval,
                tsecr,
            )
    source, destination, sequence, acknowledgment, bits, window, _, urgent = HEADER.unpack_from(data)
    options = view[HEADER_BYTES : offset << 2]
    tsval, tsecr = find_timestamps(options) or (-1, 0)
    return Segment(
        source,
        destination,
        sequence,
        acknowledgment,
        bits & _FLAGS_MASK,
        window,
        urgent,
        options,
        view[offset << 2 :],
        tsval,
        tsecr,
        find_sack(options) if bits & ACK else (),
    )
