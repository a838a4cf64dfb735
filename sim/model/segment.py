"""Frames of packets that are cut, and checksums that are inserted, as ``hw.transmit.segment`` and
``hw.transmit.checksum`` say: their golden functions take longer than all else that is done for a frame."""

from typing import Final

from hw.transmit.gather import Context, PacketOptions
from stack.checksum import checksum

__all__ = ["insert_checksums", "segment_frame"]

_IPV6_HEADER_BYTES: Final = 40
_NOT_FIN_PSH: Final = 0xF6


def segment_frame(context: Context, options: PacketOptions, header: bytes, piece: bytes, n: int) -> bytes:
    """Frame ``n`` of a packet that is cut, made of its header and of a piece of its payload."""
    ipcss: int = context.ipcss
    tucss: int = context.tucss
    mss: int = context.mss
    length = len(header)
    total = len(piece) + length
    edited = bytearray(header)
    if context.tcp:
        _put(edited, tucss + 4, _field(header, tucss + 4, 4) + n * mss, 4)
        left: int = context.paylen - n * mss
        if left > mss and tucss + 13 < length:
            edited[tucss + 13] &= _NOT_FIN_PSH
    else:
        _put(edited, tucss + 4, total - tucss, 2)
    if context.ip:
        identification = _field(header, ipcss + 4, 2)
        _put(edited, ipcss + 2, total - ipcss, 2)
        _put(edited, ipcss + 4, identification + n, 2)
    else:
        _put(edited, ipcss + 4, total - ipcss - _IPV6_HEADER_BYTES, 2)
    return insert_checksums(context, options, bytes(edited) + piece)


def insert_checksums(context: Context, options: PacketOptions, frame: bytes) -> bytes:
    """``frame`` with the checksums that ``options`` ask for."""
    if options.legacy:
        return _insert(frame, frame, options.css, 0, options.cso, 0, 0xFFFF) if options.ic else frame
    result = frame
    if options.ixsm:
        result = _insert(result, frame, context.ipcss, context.ipcse, context.ipcso, 0, 0)
    if options.txsm:
        start: int = context.tucss
        seed = (len(frame) - start) % 0x10000 if options.tse else 0
        zero = 0 if context.tcp else 0xFFFF
        result = _insert(result, frame, start, context.tucse, context.tucso, seed, zero)
    return result


def _insert(result: bytes, frame: bytes, start: int, end: int, offset: int, seed: int, zero: int) -> bytes:
    """``result`` with the sum of ``frame`` from ``start`` to ``end`` inclusive at ``offset``; ``zero`` for 0."""
    if start >= len(frame) or offset >= len(frame) - 1:
        return result
    value = checksum(frame[start : end + 1] if end else frame[start:], seed) or zero
    return result[:offset] + value.to_bytes(2, "big") + result[offset + 2 :]


def _field(header: bytes, position: int, width: int) -> int:
    """A field of the header, 0 where it lies outside."""
    return int.from_bytes(header[position : position + width].ljust(width, b"\0"), "big")


def _put(header: bytearray, position: int, value: int, width: int) -> None:
    """Store as much of a field as lies in the header."""
    room = len(header) - position
    if room > 0:
        field = (value & (1 << 8 * width) - 1).to_bytes(width, "big")
        if room < width:
            field = field[:room]
        header[position : position + len(field)] = field
